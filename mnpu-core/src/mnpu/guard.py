"""Guardrails: what may be held, decided after the policy and before the order.

A guardrail is a pure function over arrays (..., A), written once against the array API: numpy for a backtest, torch
for many parallel books, one row for a live decision. It *never adds risk*:

* per symbol the result lies between the drifted and the proposed weight, or between zero and either;
* its gross never exceeds the larger of the two books;
* a symbol that is not tradable keeps its drifted weight;
* a limit that cannot be met is exceeded as little as possible, and a trade never makes an excess grow.

Each change leaves a reason-coded `Violation`.

A rule may remember earlier decisions without keeping anything itself: it reads ``book.memory`` and says with
``remember`` what comes next; the account holds it. A chain repeats its rules until none of them changes anything, so
that a later rule does not undo an earlier one; where that leaves an excess, the flat and the drifted book decide how
much of one is allowed (`Chain`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Protocol

import numpy as np
import pandas as pd
from array_api_compat import array_namespace
from pydantic import Field

from mnpu.errors import ConfigError, DataError
from mnpu.guard_conflicts import refuse_contradictions
from mnpu.guard_rounds import Step, all_excess, excess_of, finite_or_held, name_of, rounds, settled, sound, tolerance
from mnpu.types import Book, Positions, Violation
from mnpu.types.positions import State

__all__ = ["Chain", "Decided", "GrossCap", "Guardrail", "State", "finite_or_held", "tolerance"]

NOT_FINITE, UNREACHABLE, CONFLICT = "PROPOSAL_NOT_FINITE", "LIMIT_UNREACHABLE", "LIMITS_CONFLICT"
NO_ACCOUNT, UNDER_WATER = "ACCOUNT_NOT_FINITE", "ACCOUNT_UNDER_WATER"


class Guardrail(Protocol):
    """A rule that allows a book, or a smaller one.

    Attributes
    ----------
    path_dependent : bool
        Whether the answer depends on the drifted book, equity or peak even where everything held is tradable.
        A chain without such rules can be applied to all of time at once.

    Notes
    -----
    What a rule may have beside:

    * ``name``, else its class's; ``lookback``, the past bars that it needs;
    * ``check(symbols)``, which refuses a universe with a ConfigError;
    * ``excess(weights, book)`` (..., k), how far a book is above each of its limits, else how far ``limit`` moves it;
    * ``warned(weights, book)`` (...,), where it would have changed something, had it been more than a warning;
    * ``remember(proposed, allowed, book)`` (..., k), what it must know at the next decision as
      ``book.memory[self.name]``; ``reset(book)`` (..., k), what it knows after an explicit reset;
    * ``state(book)``, ACTIVE, REDUCING or HALTED for one book, from its memory and the book;
    * ``switches()``, names of what stops it from outside (a file) and is on now: the one thing that is looked up, by
      whoever decides live and once for each decision, and given back as ``book.switches``.
    """

    path_dependent: bool

    def limit(self, proposed: Any, book: Book) -> Any:
        """The allowed weights (..., A) for ``proposed`` (..., A); pure, batched, array API."""

    def explain(self, proposed: np.ndarray, allowed: np.ndarray, book: Book) -> list[Violation]:
        """Why one book (A,) was changed: at least one violation for a change, none without a cause."""


class GrossCap:
    """Scale the book down to a gross exposure.

    Parameters
    ----------
    gross : float, default=1.0
        Largest sum of absolute weights, fraction of equity.

    Notes
    -----
    Symbols that are not tradable keep their weight and the others make room. NaN or infinity in a proposal keeps the
    drifted book. Codes: ``GROSS_ABOVE_CAP``, ``GROSS_RISK_ADDED`` (scaled to the larger of the drifted and proposed
    gross), ``SYMBOL_NOT_TRADABLE``, ``PROPOSAL_NOT_FINITE``, ``LIMIT_UNREACHABLE``.
    """

    path_dependent = False

    def __init__(self, gross: Annotated[float, Field(ge=0)] = 1.0) -> None:
        self.gross = gross

    def limit(self, proposed: Any, book: Book) -> Any:
        """The allowed weights (..., A)."""
        xp = array_namespace(proposed)
        wanted = finite_or_held(xp, proposed, book.weights)
        reachable = xp.where(book.tradable, wanted, book.weights)
        total = lambda x: xp.sum(xp.abs(x), axis=-1, keepdims=True)  # noqa: E731
        larger = xp.maximum(total(wanted), total(book.weights))
        cap = xp.where(larger > self.gross, xp.asarray(self.gross, dtype=larger.dtype), larger)
        movable = xp.where(book.tradable, reachable, 0.0)
        excess, room = total(reachable) - cap, total(movable)
        cut = xp.where(excess > tolerance(xp, reachable), xp.minimum(excess, room), xp.zeros_like(room))
        return reachable - movable * (cut / xp.where(room > 0, room, xp.ones_like(room)))

    @property
    def kernel(self) -> Any:
        """The rule as machine code (see `mnpu.guard_kernels`)."""
        from mnpu import guard_loops  # imports the compiler

        return guard_loops.gross_cap if type(self) is GrossCap else None

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them."""
        return [self.gross]

    def excess(self, weights: Any, book: Book) -> Any:
        """Gross above the cap, (..., 1)."""
        xp = array_namespace(weights)
        return xp.clip(xp.sum(xp.abs(weights), axis=-1, keepdims=True) - self.gross, min=0.0)

    def explain(self, proposed: np.ndarray, allowed: np.ndarray, book: Book) -> list[Violation]:
        """Why one book (A,) was changed."""
        report = Reporter("gross_cap", book)
        wanted = report.unreadable(proposed)
        report.untradable(wanted)
        reachable = np.where(book.tradable, wanted, book.weights)
        before, larger = np.abs(reachable).sum(), max(np.abs(wanted).sum(), np.abs(book.weights).sum())
        report.exceeded("GROSS_ABOVE_CAP", self.gross, before)
        if before > larger and larger <= self.gross:
            report.exceeded("GROSS_RISK_ADDED", larger, before)
        report.exceeded(UNREACHABLE, self.gross, np.abs(allowed).sum(), action="de-risk")
        return report.violations


class Reporter:
    """Collects the violations of one rule for one book (A,)."""

    def __init__(self, rule: str, book: Book) -> None:
        self.rule, self.book = rule, book
        self.violations: list[Violation] = []

    def add(self, code: str, limit: float, value: float, *, symbol: str = "", action: Any = "scale") -> None:
        """Note one violation."""
        time: Any = pd.NaT if self.book.time is None else self.book.time
        self.violations.append(Violation(self.rule, code, time, symbol, float(limit), float(value), action))

    def exceeded(self, code: str, limit: float | None, value: float, *, action: Any = "scale") -> None:
        """Note one violation if ``value`` is above ``limit`` in size by more than rounding; None is no limit."""
        if limit is not None and abs(value) > limit + 1e-9:
            self.add(code, limit, value, action=action)

    def unreadable(self, proposed: np.ndarray) -> np.ndarray:
        """Note a proposal with NaN or infinity, counting them; the proposal or, failing that, the drifted book."""
        unreadable = int((~np.isfinite(proposed)).sum())
        if unreadable:
            self.add(NOT_FINITE, 0, unreadable, action="de-risk")
        return np.asarray(self.book.weights) if unreadable else proposed

    def unsound(self) -> None:
        """Note an account of which nothing is known, counting the numbers, or nothing is left."""
        numbers = [x for x in (self.book.equity, self.book.peak, self.book.day_equity) if x is not None]
        if unknown := int((~np.isfinite(numbers)).sum()):
            self.add(NO_ACCOUNT, 0, unknown, action="de-risk")
        elif numbers[0] <= 0:
            self.add(UNDER_WATER, 0, numbers[0], action="de-risk")

    def untradable(self, wanted: np.ndarray) -> None:
        """Note each symbol that keeps its weight because it does not trade."""
        kept = np.asarray(self.book.weights)
        for i in np.flatnonzero(~np.asarray(self.book.tradable) & (np.abs(wanted - kept) > 1e-9)):
            self.add("SYMBOL_NOT_TRADABLE", kept[i], wanted[i], symbol=self.book.symbols[i])


@dataclass(frozen=True)
class Decided:
    """One book (A,) after a chain.

    ``state`` is ACTIVE in normal running, REDUCING while a limit is exceeded that no reachable book meets, or a brake
    is on, so that only trades toward it are allowed, and HALTED where the proposal or the account was unreadable, the
    account is under water, or a rule has stopped all trading until it is reset: nothing new is bought.
    """

    weights: np.ndarray
    violations: tuple[Violation, ...]
    state: State


class Chain:
    """Guardrails applied one after another, again and again until none of them changes anything.

    Parameters
    ----------
    guardrails : sequence of Guardrail
        May be empty: then only an unreadable proposal is replaced, by the drifted book.

    Notes
    -----
    Where the account is not known (its equity, peak or equity of the day before not finite) or under water (equity not
    above zero), nothing grows. A drifted weight that is not finite is an error: no book is safe from there.

    The result meets every limit if the drifted book does, or the one that is flat in all that trades; and no excess is
    larger than that of the drifted book. Where an excess remains after at most thirty rounds, the result is

    * the largest part of the last book that is legal, if the flat book is;
    * else, as then something that does not trade is above a limit, the book of least total excess, in the rules' own
      units, that any rule leaves in a last round, going round in the rules' order or against it: from the proposal, and
      again from that book, until it is the best itself; or, if that comes to nothing, from the drifted book;
    * else the drifted book.
    """

    def __init__(self, guardrails: Sequence[Guardrail] = ()) -> None:
        self.guardrails = tuple(guardrails)
        self.names = _keys([name_of(rule) for rule in self.guardrails])

    @property
    def named(self) -> list[tuple[str, Any]]:
        """Each rule with its name, the second of one name with a 2 behind it."""
        return list(zip(self.names, self.guardrails, strict=True))

    @property
    def path_dependent(self) -> bool:
        """Whether any rule depends on the drifted book, equity or peak where everything held is tradable."""
        return any(rule.path_dependent for rule in self.guardrails)

    @property
    def lookback(self) -> int:
        """Past bars that the rules need."""
        return max((getattr(rule, "lookback", 0) for rule in self.guardrails), default=0)

    def check(self, symbols: Sequence[str], *, long_only: bool = False) -> None:
        """Raise ConfigError where a rule cannot work on these symbols, or two contradict each other on them."""
        for rule in self.guardrails:
            if hasattr(rule, "check"):
                rule.check(symbols)
        refuse_contradictions(Chain, self.named, symbols, long_only=long_only)

    def limit(self, proposed: Any, book: Book) -> Any:
        """The allowed weights (..., A), without reasons."""
        return self._limited(proposed, book, [])

    def excess(self, weights: Any, book: Book) -> Any:
        """How far a book (..., A) is above each limit of each rule, (..., k), in the rules' own units."""
        xp = array_namespace(weights)
        return all_excess(xp, self._rules(book), weights)

    def remember(self, proposed: Any, allowed: Any, book: Book) -> dict[str, Any]:
        """What the rules must know at the next decision: ``memory`` of the next book."""
        kept = zip(self.names, self._rules(book), strict=True)
        return {key: rule.remember(proposed, allowed, own) for key, (rule, own) in kept if hasattr(rule, "remember")}

    def reset(self, book: Book, rules: Sequence[str] | None = None) -> dict[str, Any]:
        """The memory after an explicit reset of the named ``rules``, or of all: a halt ends here and nowhere else.

        Raises
        ------
        ConfigError
            There is no rule of that name.
        """
        self.known(rules)
        memory = dict(book.memory or {})
        for key, (rule, own) in zip(self.names, self._rules(book), strict=True):
            if (rules is None or key in rules) and key in memory:
                memory[key] = rule.reset(own) if hasattr(rule, "reset") else 0 * memory[key]
        return memory

    def known(self, rules: Sequence[str] | None) -> None:
        """Raise ConfigError for a name that no rule has."""
        if strange := sorted(set(rules or ()) - set(self.names)):
            raise ConfigError(
                f"there is no guardrail {', '.join(strange)}",
                where="reset",
                expected=f"some of {', '.join(self.names)}" if self.names else "a chain with guardrails",
                next_step="Correct the name.",
            )

    def switches(self) -> frozenset[str]:
        """The kill switches that are on at this moment: ``switches`` of the book of a live decision."""
        return frozenset(name for rule in self.guardrails if hasattr(rule, "switches") for name in rule.switches())

    def state(self, book: Book, violations: Sequence[Violation]) -> State:
        """The state of one book (A,) that was decided with these violations (see `Decided`)."""
        states = {rule.state(own) for rule, own in self._rules(book) if hasattr(rule, "state")}
        codes = {violation.code for violation in violations}
        if codes & {NOT_FINITE, NO_ACCOUNT, UNDER_WATER} or "HALTED" in states:
            return "HALTED"
        return "REDUCING" if codes & {UNREACHABLE, CONFLICT} or "REDUCING" in states else "ACTIVE"

    def decide(self, proposed: np.ndarray, book: Book) -> Decided:
        """The allowed weights for one book (A,), with the reason for each change."""
        report = Reporter("chain", book)
        report.unreadable(proposed)
        report.unsound()
        steps: list[Step] = []
        weights = self._limited(proposed, book, steps)
        said = set()
        for n, (i, before, after) in enumerate(steps):
            if n >= len(self.guardrails) and np.abs(after - before).max(initial=0.0) <= 1e-9:
                continue  # a later round that changed nothing
            reasons = self.guardrails[i].explain(before, after, self._own(i, book))
            report.violations += [v for v in reasons if n < len(self.guardrails) or (i, v.code, v.symbol) not in said]
            said |= {(i, v.code, v.symbol) for v in reasons}
        last = steps[-1][2] if steps else weights
        if np.abs(weights - last).max(initial=0.0) > 1e-9:
            report.rule = self._at_odds(last, book)
            report.add(CONFLICT, 0.0, float(np.abs(weights - last).sum()), action="de-risk")
        return Decided(weights, tuple(report.violations), self.state(book, report.violations))

    def apply(self, positions: Positions, tradable: np.ndarray) -> Positions:
        """Limit all of time at once, as if each decision began from cash.

        That is the whole truth only for a chain that is not path dependent, and where nothing that is held stops
        trading; the simulation checks both.

        Parameters
        ----------
        positions : Positions
        tradable : bool ndarray (T, A)

        Returns
        -------
        allowed : Positions
            Same rows, with the violations of each changed row.
        """
        weights, reasons = self.at_once(positions, tradable)
        return replace(positions, weights=weights, violations=reasons())

    def at_once(
        self, positions: Positions, tradable: np.ndarray
    ) -> tuple[np.ndarray, Callable[[], tuple[Violation, ...]]]:
        """As `apply`, but the violations are made when they are asked for, which takes far longer than the weights."""
        n_rows = len(positions.weights)
        book = Book(
            weights=np.zeros_like(positions.weights),
            tradable=tradable,
            equity=np.ones(n_rows),
            peak=np.ones(n_rows),
            time=None,
            symbols=positions.symbols,
        )
        weights = self.limit(positions.weights, book)
        changed = (weights != positions.weights).any(axis=1)  # NaN is a change
        for rule in self.guardrails:
            if hasattr(rule, "warned"):
                changed |= np.asarray(rule.warned(positions.weights, book))

        def reasons() -> tuple[Violation, ...]:
            violations = list(positions.violations)
            for t in map(int, np.flatnonzero(changed)):
                violations += self.decide(positions.weights[t], book.row(t, positions.times[t])).violations
            violations.sort(key=lambda violation: violation.time)
            return tuple(violations)

        return weights, reasons

    def _limited(self, proposed: Any, book: Book, steps: list[Step]) -> Any:
        """The allowed weights; each rule's work of every round is added to ``steps``."""
        xp = array_namespace(proposed)
        if not bool(xp.all(xp.isfinite(book.weights))):
            raise DataError(
                "a drifted weight is not finite",
                where="guardrails",
                expected="the book that is held, which no limit can do without",
                next_step="Find out what is held, and begin again from there.",
            )
        weights = finite_or_held(xp, proposed, book.weights)
        fine = sound(xp, book, weights)
        if not bool(xp.all(fine)):
            zero = xp.zeros_like(weights)
            least, most = xp.minimum(book.weights, zero), xp.maximum(book.weights, zero)
            weights = xp.where(fine, weights, xp.minimum(xp.maximum(weights, least), most))
        rules = self._rules(book)
        allowed, moving = rounds(xp, rules, weights, steps)
        if len(rules) < 2 or not weights.shape[-1]:
            return allowed
        return settled(xp, rules, weights, allowed, moving, book)

    def _rules(self, book: Book) -> list[tuple[Any, Book]]:
        """Each rule with the book as it sees it."""
        return [(rule, self._own(i, book)) for i, rule in enumerate(self.guardrails)]

    def _own(self, i: int, book: Book) -> Book:
        """The book with the memory of one rule, under the rule's own name."""
        if not book.memory or self.names[i] not in book.memory:
            return book if book.memory is None else replace(book, memory=None)
        return replace(book, memory={name_of(self.guardrails[i]): book.memory[self.names[i]]})

    def _at_odds(self, weights: np.ndarray, book: Book) -> str:
        """The two rules that are furthest above their limits in a book (A,) on which the rules did not agree."""
        over = [float(np.max(excess_of(np, rule, weights, own), initial=0.0)) for rule, own in self._rules(book)]
        pair = sorted(np.argsort(over)[::-1][:2].tolist())
        return " and ".join(self.names[i] for i in pair)


def _keys(names: Sequence[str]) -> tuple[str, ...]:
    """The names, the second of the same name with a 2 behind it, and so on."""
    return tuple(
        name if (before := list(names[:i]).count(name)) == 0 else f"{name} {before + 1}" for i, name in enumerate(names)
    )
