"""Guardrails: what may be held, decided after the policy and before the order.

A guardrail is a pure function over arrays (..., A), written once against the array API: numpy for a backtest, torch
for many parallel books, one row for a live decision. It *never adds risk*:

* per symbol the result lies between the drifted and the proposed weight, or between zero and either;
* its gross never exceeds the larger of the two books;
* a symbol that is not tradable keeps its drifted weight;
* a limit that cannot be met is exceeded as little as possible, and a trade never makes an excess grow.

Each change leaves a reason-coded `Violation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import pandas as pd
from array_api_compat import array_namespace
from pydantic import Field

from mnpu.types import Book, Positions, Violation

__all__ = ["Chain", "Decided", "GrossCap", "Guardrail", "State", "finite_or_held", "tolerance"]

State = Literal["ACTIVE", "REDUCING", "HALTED"]
NOT_FINITE, UNREACHABLE = "PROPOSAL_NOT_FINITE", "LIMIT_UNREACHABLE"


class Guardrail(Protocol):
    """A rule that allows a book, or a smaller one.

    Attributes
    ----------
    path_dependent : bool
        Whether the answer depends on the drifted book, equity or peak even where everything held is tradable.
        A chain without such rules can be applied to all of time at once.
    """

    path_dependent: bool

    def limit(self, proposed: Any, book: Book) -> Any:
        """The allowed weights (..., A) for ``proposed`` (..., A); pure, batched, array API."""

    def explain(self, proposed: np.ndarray, allowed: np.ndarray, book: Book) -> list[Violation]:
        """Why one book (A,) was changed: at least one violation for a change, none without a cause."""


def tolerance(xp: Any, array: Any) -> float:
    """Rounding error that is not an excess: 1e-9 in double precision, 1e-5 in single."""
    return 1e-9 if xp.finfo(array.dtype).eps < 1e-12 else 1e-5


def finite_or_held(xp: Any, proposed: Any, held: Any) -> Any:
    """The proposal (..., A), or the drifted book wherever a book of the proposal is not finite.

    This is how a guardrail fails closed: without a readable proposal nothing new is bought.
    """
    readable = xp.all(xp.isfinite(proposed), axis=-1, keepdims=True)
    return xp.where(readable, proposed, held)


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

    def untradable(self, wanted: np.ndarray) -> None:
        """Note each symbol that keeps its weight because it does not trade."""
        kept = np.asarray(self.book.weights)
        for i in np.flatnonzero(~np.asarray(self.book.tradable) & (np.abs(wanted - kept) > 1e-9)):
            self.add("SYMBOL_NOT_TRADABLE", kept[i], wanted[i], symbol=self.book.symbols[i])


@dataclass(frozen=True)
class Decided:
    """One book (A,) after a chain.

    ``state`` is ACTIVE in normal running, REDUCING while a limit is exceeded that no reachable book meets, so that
    only trades toward it are allowed, and HALTED where the proposal was unreadable and nothing new is bought.
    """

    weights: np.ndarray
    violations: tuple[Violation, ...]
    state: State


class Chain:
    """Guardrails applied one after another; each sees what the one before allowed.

    Parameters
    ----------
    guardrails : sequence of Guardrail
        May be empty: then only an unreadable proposal is replaced, by the drifted book.
    """

    def __init__(self, guardrails: Sequence[Guardrail] = ()) -> None:
        self.guardrails = tuple(guardrails)

    @property
    def path_dependent(self) -> bool:
        """Whether any rule depends on the drifted book, equity or peak where everything held is tradable."""
        return any(rule.path_dependent for rule in self.guardrails)

    def limit(self, proposed: Any, book: Book) -> Any:
        """The allowed weights (..., A), without reasons."""
        weights = finite_or_held(array_namespace(proposed), proposed, book.weights)
        for rule in self.guardrails:
            weights = rule.limit(weights, book)
        return weights

    def decide(self, proposed: np.ndarray, book: Book) -> Decided:
        """The allowed weights for one book (A,), with the reason for each change."""
        report = Reporter("chain", book)
        weights = report.unreadable(proposed)
        for rule in self.guardrails:
            allowed = rule.limit(weights, book)
            report.violations += rule.explain(weights, allowed, book)
            weights = allowed
        codes = {violation.code for violation in report.violations}
        state: State = "HALTED" if NOT_FINITE in codes else "REDUCING" if UNREACHABLE in codes else "ACTIVE"
        return Decided(weights, tuple(report.violations), state)

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
        n_rows = len(positions.weights)
        book = Book(
            weights=np.zeros_like(positions.weights),
            tradable=tradable,
            equity=np.ones(n_rows),
            peak=np.ones(n_rows),
            time=None,
            symbols=positions.symbols,
        )
        weights = finite_or_held(np, positions.weights, book.weights)
        violations = list(positions.violations)
        for t in map(int, np.flatnonzero(~np.isfinite(positions.weights).all(axis=1))):
            report = Reporter("chain", _row(book, t, positions))
            report.unreadable(positions.weights[t])
            violations += report.violations
        for rule in self.guardrails:
            allowed = rule.limit(weights, book)
            for t in map(int, np.flatnonzero((allowed != weights).any(axis=1))):
                violations += rule.explain(weights[t], allowed[t], _row(book, t, positions))
            weights = allowed
        violations.sort(key=lambda violation: violation.time)
        return replace(positions, weights=weights, violations=tuple(violations))


def _row(book: Book, t: int, positions: Positions) -> Book:
    """One of many parallel books, with its time."""
    return Book(book.weights[t], book.tradable[t], book.equity[t], book.peak[t], positions.times[t], book.symbols)
