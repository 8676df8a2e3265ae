"""What the guardrails share: a rule is a measure of a book, its limits, and the way to the nearest book within them.

A rule says with ``measure`` (..., k) what it looks at and with ``limits`` how much is allowed. `Rule` does the rest:

* an unreadable proposal becomes the drifted book, what does not trade keeps its weight, and where that leaves more
  gross than either book had, the tradable part is scaled down;
* ``warn`` stops there and only reports; ``scale`` goes on to ``project``; ``de-risk`` first takes back every increase
  where a limit is exceeded: each weight is clipped to between the drifted one and zero;
* where a rule needs what the book does not say, every increase is taken back as well, and ``BOOK_UNKNOWN`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn

import numpy as np
from array_api_compat import array_namespace, device

from mnpu.errors import ConfigError
from mnpu.guard import UNREACHABLE, Reporter, State, finite_or_held, tolerance
from mnpu.types import Book, Violation

__all__ = [
    "NO_LIMIT",
    "Action",
    "Rule",
    "action_code",
    "as_column",
    "by_symbol",
    "flat_of",
    "gross_of",
    "increases",
    "kernel_of",
    "reached",
    "reduced",
    "refuse_pair",
    "refuse_strangers",
    "row_of",
    "scaled_to",
]

Action = Literal["warn", "scale", "de-risk"]
#: A limit that nothing reaches, where a brake is off.
NO_LIMIT = 1e12
UNKNOWN, RISK_ADDED = "BOOK_UNKNOWN", "GROSS_RISK_ADDED"


class Rule:
    """A guardrail with measures and limits.

    Attributes
    ----------
    name : str
        In YAML, in violations and in the memory of a book.
    codes : tuple of str
        One for each measure, or a single one where each symbol has its own.
    needs : tuple of str
        Fields of `mnpu.types.Book` without which nothing may grow.
    """

    path_dependent = True
    lookback = 0
    name = "rule"
    codes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def __init__(self, action: Action = "scale") -> None:
        self.action = action
        if action == "de-risk":
            self.path_dependent = True  # what is taken back depends on the drifted book

    def measure(self, weights: Any, book: Book) -> Any:
        """What is limited, (..., k); never negative where a limit is zero or more."""
        raise NotImplementedError

    def limits(self, like: Any, book: Book) -> Any:
        """The limits, (..., k) or what broadcasts to it, in the namespace of ``like``."""
        raise NotImplementedError

    def project(self, weights: Any, book: Book) -> Any:
        """The nearest allowed book; ``weights`` already leave what does not trade alone."""
        raise NotImplementedError

    def limit(self, proposed: Any, book: Book) -> Any:
        """The allowed weights (..., A)."""
        xp = array_namespace(proposed)
        wanted = reached(xp, proposed, book)
        if self.action == "warn" or not wanted.shape[-1]:
            return wanted
        if self._unknown(book):
            return reduced(xp, wanted, book)
        if self.action == "de-risk":
            over = xp.any(self._over(xp, wanted, book) > tolerance(xp, wanted), axis=-1, keepdims=True)
            wanted = xp.where(over, reduced(xp, wanted, book), wanted)
            return self.project(wanted, book)
        return self.project_from(finite_or_held(xp, proposed, book.weights), wanted, book)

    def project_from(self, proposed: Any, weights: Any, book: Book) -> Any:
        """`project`, for a rule to which what was proposed matters beside what of it can be reached."""
        return self.project(weights, book)

    def excess(self, weights: Any, book: Book) -> Any:
        """How far a book is above each limit, (..., k); for a warning nothing ever is."""
        xp = array_namespace(weights)
        if self._unknown(book) and self.action != "warn":
            return increases(xp, weights, book)
        over = self._over(xp, weights, book)
        return xp.zeros_like(over) if self.action == "warn" else over

    def warned(self, weights: Any, book: Book) -> Any:
        """Where a warning is due, (...,)."""
        xp = array_namespace(weights)
        wanted = reached(xp, weights, book)
        if self.action != "warn" or self._unknown(book):
            return xp.any(wanted != wanted, axis=-1)
        return xp.any(self._over(xp, wanted, book) > tolerance(xp, wanted), axis=-1)

    def state(self, book: Book) -> State:
        """ACTIVE; a rule with a brake says otherwise while it is on."""
        return "ACTIVE"

    def explain(self, proposed: np.ndarray, allowed: np.ndarray, book: Book) -> list[Violation]:
        """Why one book (A,) was changed: each limit that was exceeded, and each that still is."""
        report = Reporter(self.name, book)
        wanted = report.unreadable(np.asarray(proposed))
        report.untradable(wanted)
        kept = np.where(book.tradable, wanted, book.weights)
        larger = max(np.abs(wanted).sum(), np.abs(book.weights).sum())
        if np.abs(kept).sum() > larger + 1e-9:
            report.add(RISK_ADDED, larger, float(np.abs(kept).sum()))
        wanted = reached(np, wanted, book)
        if unknown := self._unknown(book):
            grown = float(increases(np, wanted, book).sum())
            if grown > 1e-9 and self.action != "warn":
                report.add(f"{UNKNOWN}_{unknown.upper()}", 0.0, grown, action="de-risk")
            return report.violations
        self._exceeded(report, wanted, book, "", self.action)
        if self.action != "warn":
            self._exceeded(report, np.asarray(allowed), book, UNREACHABLE, "de-risk")
        return report.violations

    @property
    def kernel(self) -> Any:
        """The rule as machine code (see `mnpu.guard_kernels`), None where it has none."""
        return kernel_of(self)

    def _exceeded(self, report: Reporter, weights: np.ndarray, book: Book, code: str, action: str) -> None:
        if not len(weights):
            return
        measured = np.asarray(self.measure(weights, book))
        limits = np.broadcast_to(np.asarray(self.limits(weights, book)), measured.shape)
        by_symbol = len(self.codes) < len(measured) or self._by_symbol
        for i in np.flatnonzero(measured > limits + 1e-9):
            symbol = book.symbols[i] if by_symbol else ""
            own = self._code(int(i), book) if by_symbol else self.codes[i]
            report.add(code or own, limits[i], measured[i], symbol=symbol, action=action)

    def _code(self, i: int, book: Book) -> str:
        """The code for symbol ``i`` of a rule that has one limit for each."""
        return self.codes[0]

    _by_symbol = False

    def _over(self, xp: Any, weights: Any, book: Book) -> Any:
        return xp.clip(self.measure(weights, book) - self.limits(weights, book), min=0.0)

    def _day(self, book: Book) -> int:
        """The day of the decision, counted from 1 in 1970 and from -1 backwards before; 0 where it is unknown."""
        return 0 if book.day is None else book.day + (book.day >= 0)

    def _unknown(self, book: Book) -> str:
        """The first field that the rule needs and the book does not have; empty if there is none."""
        return next((field for field in self.needs if getattr(book, field) is None), "")

    def _memory(self, xp: Any, book: Book, like: Any, size: int) -> Any:
        """What this rule remembers, (..., size); zeros for a new account."""
        if book.memory and self.name in book.memory:
            return book.memory[self.name]
        return xp.zeros((*like.shape[:-1], size), dtype=like.dtype, device=device(like))


def kernel_of(rule: Any) -> Any:
    """The kernel of a rule's name; None for a class that does not say its parameters itself, as it may differ."""
    if "kernel_params" not in type(rule).__dict__:
        return None
    from mnpu_guardrails import kernels  # numba is half a second, so only where it is asked for

    return getattr(kernels, rule.name)


def action_code(action: Action) -> float:
    """An action as a parameter of a kernel."""
    return float(("scale", "de-risk", "warn").index(action))


def gross_of(xp: Any, weights: Any) -> Any:
    """Sum of absolute weights, (..., 1)."""
    return xp.sum(xp.abs(weights), axis=-1, keepdims=True)


def as_column(xp: Any, value: Any, like: Any) -> Any:
    """A number for each book (...,) as (..., 1), in the namespace and precision of ``like``."""
    return xp.asarray(value, dtype=like.dtype, device=device(like))[..., None]


def reduced(xp: Any, weights: Any, book: Book) -> Any:
    """The book without its increases: each weight clipped to between the drifted one and zero."""
    zero = xp.zeros_like(weights)
    low, high = xp.minimum(book.weights, zero), xp.maximum(book.weights, zero)
    return xp.minimum(xp.maximum(weights, low), high)


def increases(xp: Any, weights: Any, book: Book) -> Any:
    """By how much each weight goes away from zero, beyond the drifted one or on its other side, (..., A)."""
    return xp.abs(weights - reduced(xp, weights, book))


def scaled_to(xp: Any, weights: Any, book: Book, least: Any, now: Any, limit: Any) -> Any:
    """The tradable part scaled down until a measure that is linear in the scale meets its ``limit``.

    ``least`` (..., k) is the measure with the tradable part gone, ``now`` (..., k) as it is. Where even ``least`` is
    above the limit the tradable part goes.
    """
    tol = tolerance(xp, weights)
    room = now - least
    over = now - limit > tol
    part = xp.where(over, xp.clip(limit - least, min=0.0) / xp.where(room > tol, room, xp.ones_like(room)), 1.0)
    part = xp.where(over & (room <= tol), 0.0, part)
    scale = xp.clip(xp.min(part, axis=-1, keepdims=True), max=1.0)
    return xp.where(book.tradable, weights * xp.astype(scale, weights.dtype), weights)


def reached(xp: Any, proposed: Any, book: Book) -> Any:
    """The proposal as far as it trades, with no more gross than the larger of the two books."""
    wanted = finite_or_held(xp, proposed, book.weights)
    reach = xp.where(book.tradable, wanted, book.weights)
    larger = xp.maximum(gross_of(xp, wanted), gross_of(xp, book.weights))
    fixed = xp.where(book.tradable, xp.zeros_like(reach), reach)
    return scaled_to(xp, reach, book, gross_of(xp, fixed), gross_of(xp, reach), larger)


def flat_of(xp: Any, book: Book) -> Any:
    """The drifted book with everything that trades sold, (..., A)."""
    return xp.where(book.tradable, xp.zeros_like(book.weights), book.weights)


def row_of(xp: Any, values: Sequence[float], like: Any) -> Any:
    """Numbers of the rule, (k,), in the namespace and precision of ``like``."""
    return xp.asarray(list(values), dtype=like.dtype, device=device(like))


def by_symbol(values: Mapping[str, float], default: float, book: Book) -> list[float]:
    """A number for each symbol of the book."""
    return [float(values.get(symbol, default)) for symbol in book.symbols]


def refuse_strangers(values: Mapping[str, Any], symbols: Sequence[str], *, where: str) -> None:
    """Raise ConfigError for a symbol that the universe does not have."""
    strange = sorted(set(values) - set(symbols))
    if strange:
        raise ConfigError(
            f"{', '.join(strange)} is not among the symbols",
            where=where,
            expected=f"some of {', '.join(list(symbols)[:8])}{' ...' if len(symbols) > 8 else ''}",
            next_step="Correct the name, or remove it.",
        )


def refuse_pair(where: str, one: str, other: str, expected: str) -> NoReturn:
    """Raise ConfigError for two settings that contradict each other, named both."""
    raise ConfigError(f"{one} contradicts {other}", where=where, expected=expected, next_step="Change one of the two.")
