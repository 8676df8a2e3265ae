"""The account, one bar at a time: what a guardrail sees of it, what a fill costs it, what it then earns.

The stepped simulation and a live agent keep the same account through the same calls: ``seen`` at a decision,
``order`` what the guardrails allow and ``remember`` it, ``fill`` it, ``hold`` until the next fill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mnpu.data.clock import DAY_NS
from mnpu.guard import Chain
from mnpu.simulation.costs import CostModel
from mnpu.types import Book, Violation

__all__ = ["Account", "Fill", "Order", "order", "total_cost"]

#: A smaller change of a weight is rounding, not an order.
ROUNDING = 1e-12


class Order(NamedTuple):
    """What is sent at a decision: ``sent`` (A,) says which symbols get an order, toward ``targets`` (A,)."""

    sent: np.ndarray
    targets: np.ndarray
    violations: tuple[Violation, ...]


class Fill(NamedTuple):
    """What a fill did: weights ``before`` (A,), what was ``traded`` (A,), and its ``cost``, fractions of equity."""

    before: np.ndarray
    traded: np.ndarray
    cost: float


class Account:
    """An account that starts in cash with a net asset value of 1.

    Attributes
    ----------
    weights : float64 (A,)
        Just after the last fill.
    drifted : float64 (A,)
        As they have drifted since, at the next fill.
    lost : bool
        Nothing is left; the account stops, in cash.
    memory : mapping of str to array
        What the guardrails remember of earlier decisions.
    """

    def __init__(self, n_assets: int) -> None:
        self.weights, self.drifted = np.zeros(n_assets), np.zeros(n_assets)
        self.lost = False
        self._equity = self._at_fill = self._peak = 1.0
        self._cost = 0.0
        self.memory: Mapping[str, Any] = {}
        self._day, self._day_equity, self._last_equity = -1, 1.0, 1.0

    def seen(
        self,
        marks: np.ndarray,
        tradable: np.ndarray,
        time: pd.Timestamp,
        symbols: tuple[str, ...],
        around: Mapping[str, Any] | None = None,
    ) -> Book:
        """The account at a decision: the book after the last fill, marked by its return (A,) since then.

        ``around`` are further fields of the book: what the market has told by now. Without a word on ``switches``
        none is on: a backtest does not look at files.
        """
        growth = 1.0 + float(self.weights @ marks)
        if growth <= 0.0:  # lost between fill and decision; the fill will say so, until then the last book stands
            growth, marked = 1.0, self.weights
        else:
            marked = self.weights * (1.0 + marks) / growth
        now = self._at_fill * growth
        self._peak = max(self._peak, now)
        day = time.value // DAY_NS
        if day != self._day:
            self._day, self._day_equity = day, self._last_equity
        self._last_equity = now
        told: dict[str, Any] = {"switches": frozenset(), **(around or {})}
        own: dict[str, Any] = {"day": day, "day_equity": self._day_equity, "memory": self.memory}
        return Book(marked, tradable, now, self._peak, time, symbols, **own, **told)

    def resume(self, weights: np.ndarray, at_fill: float, peak: float, day: int, day_equity: float) -> None:
        """Stand just after a fill: ``weights`` (A,), equity then and at its peak, the day and its first equity."""
        self.weights, self._at_fill, self._peak = weights, at_fill, peak
        self._day, self._day_equity = day, day_equity

    def remember(self, wanted: np.ndarray, allowed: np.ndarray, chain: Chain, book: Book) -> None:
        """Keep what the guardrails must know at the next decision."""
        self.memory = chain.remember(wanted, allowed, book)

    def reset(self, chain: Chain, book: Book, rules: Sequence[str] | None = None) -> None:
        """End the halts and brakes of the named guardrails, or of all: nothing else does."""
        self.memory = chain.reset(book, rules)

    def fill(self, targets: np.ndarray, sent: np.ndarray, costs: CostModel) -> Fill:
        """Trade the symbols of ``sent`` from the drifted weights to ``targets``; the whole book pays the cost."""
        before = self.drifted
        traded = np.where(sent, targets - before, 0.0)
        self._cost = float(total_cost(costs, traded))
        self.lost = self._cost >= 1.0
        if self.lost:
            self.weights = self.drifted = np.zeros_like(before)
        else:
            self.weights = np.where(sent, targets, before / (1.0 - self._cost))
            self._at_fill = self._equity * (1.0 - self._cost)
        return Fill(before, traded, self._cost)

    def hold(self, returns: np.ndarray, income: np.ndarray) -> tuple[float, float]:
        """Earn ``returns`` (A,) and ``income`` (A,) up to the next fill, gross and net of the last fill's cost.

        ``income`` is paid in cash, a fraction of each position; it does not stay in it.
        """
        gross = max(float(self.weights @ (returns + income)), -1.0)
        net = max((1.0 - self._cost) * (1.0 + gross) - 1.0, -1.0)
        self.lost = net <= -1.0
        self._equity *= 1.0 + net
        self.drifted = np.zeros_like(self.weights) if self.lost else self.weights * (1.0 + returns) / (1.0 + gross)
        return gross, net


def order(wanted: np.ndarray, rebalance: bool, chain: Chain, book: Book) -> Order:
    """The order that the guardrails allow for the book ``wanted`` (A,).

    Without a rebalance, or with an unreadable proposal, the book is left alone unless the guardrails reduce it.
    """
    decided = chain.decide(wanted if rebalance else book.weights, book)
    if rebalance and np.isfinite(wanted).all():
        return Order(np.ones(len(wanted), dtype=bool), decided.weights, decided.violations)
    return Order(np.abs(decided.weights - book.weights) > ROUNDING, decided.weights, decided.violations)


def total_cost(costs: CostModel, traded: np.ndarray) -> np.ndarray:
    """Cost of all kinds together, fraction of equity before the trade, (...,)."""
    return sum(costs.by_kind(traded).values())  # type: ignore[return-value]
