"""Accounts whose orders depend on their size: partial fills, lots, impact, borrowed shares, funding, liquidation.

The arithmetic of a bar is that of `mnpu.simulation.order_loops`, a bar at a time, and the guardrails see the account as
it stands. This is the definition; `mnpu.simulation.sized` runs all bars as machine code where it can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mnpu.guard import Chain
from mnpu.simulation.account import ROUNDING, Account, order
from mnpu.simulation.books import Books, Orders
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import KINDS, SETTINGS, Conditions, Execution
from mnpu.simulation.market import Market
from mnpu.simulation.surroundings import Surroundings
from mnpu.types import Book, Positions, Violation

__all__ = ["SizedAccount", "SizedMarket", "ledger_books", "paid_at_once", "settings_of", "sized_books"]


@dataclass(frozen=True)
class SizedMarket:
    """What the loops read of a market beside the positions; arrays of one row stand for all of time."""

    market: tuple[np.ndarray, ...]
    conditions: tuple[np.ndarray, ...]
    gone: np.ndarray

    @classmethod
    def of(cls, market: Market, conditions: Conditions) -> SizedMarket:
        """Prices of the day, and every condition, known or not."""
        n_rows, n_assets = market.returns.shape
        conditions.check((n_rows, n_assets))
        unknown, zero = np.full((1, n_assets), np.nan), np.zeros((1, n_assets))
        defaults = {"volume": unknown, "usual": unknown, "volatility": unknown, "funding": zero}
        kept = [defaults[name] if (values := getattr(conditions, name)) is None else values for name in defaults]
        kept += conditions.extremes(market.returns)
        kept = [np.ascontiguousarray(values, dtype=np.float64) for values in kept]
        years = np.zeros(n_rows) if conditions.years is None else np.asarray(conditions.years, dtype=np.float64)
        factor = np.ones((1, n_assets)) if conditions.factor is None else conditions.factor
        kept += [np.ascontiguousarray(values, dtype=np.float64) for values in (years, factor)]
        # Orders are in shares of the day, so that lots are; money is the same in either.
        prices = market.prices if conditions.factor is None else market.prices / factor
        arrays = (prices, market.fillable, market.returns, market.income)
        return cls(tuple(map(np.ascontiguousarray, arrays)), tuple(kept), np.ascontiguousarray(market.gone))


def settings_of(costs: CostModel, execution: Execution) -> np.ndarray:
    """What an account is asked for and allowed, (11,), as `mnpu.simulation.order_loops` reads it."""
    settings = {
        "commission": costs.commission_bps,
        "half_spread": costs.half_spread_bps,
        "impact": costs.impact,
        "borrow": costs.borrow_bps,
        "funding": 0.0,  # is not a rate of the account's but of each symbol's at each time
        "liquidation": costs.liquidation_bps,
        "participation": execution.participation or 0.0,
        "lot": execution.lot or 0.0,
        "minimum": execution.min_notional,
        "carry": float(execution.carry),
        "maintenance": execution.maintenance or 0.0,
    }
    return np.array([settings[name] for name in SETTINGS])


def ledger_books(
    positions: Positions,
    market: Market,
    chain: Chain,
    costs: CostModel,
    execution: Execution,
    conditions: Conditions,
    *,
    around: Surroundings | None = None,
) -> Books:
    """Bar by bar, with the size of the account in view: the definition, whatever the guardrails are.

    Parameters
    ----------
    positions : Positions
    market : Market
    chain : Chain
    costs : CostModel
    execution : Execution
    conditions : Conditions
    around : Surroundings, optional
        What the market has told by each decision, for guardrails that ask.

    Returns
    -------
    books : Books
        With its costs by kind, and every order.
    """
    account = SizedAccount(SizedMarket.of(market, conditions), settings_of(costs, execution), execution.capital)
    shape = positions.weights.shape
    targets, before, after, filled = (np.zeros(shape) for _ in range(4))
    paid, path = np.zeros((shape[0], len(KINDS))), np.zeros((3, shape[0]))
    violations: list[Violation] = list(positions.violations)
    orders: list[tuple[int, int, float, float]] = []
    lost_at = -1
    for t in range(shape[0]):
        told = None if around is None else around.book(t)
        book = account.seen(market.marks[t], market.tradable[t], positions.times[t], positions.symbols, told)
        wanted = positions.weights[t]
        if positions.rebalance[t] or not account.pending.any():
            sent, targets[t], reasons = order(wanted, bool(positions.rebalance[t]), chain, book)
        else:  # what earlier orders still want is a proposal like any other
            wanted = account.awaited(book, market.marks[t])
            decided = chain.decide(wanted, book)
            sent = np.abs(decided.weights - wanted) > ROUNDING
            targets[t], reasons = decided.weights, decided.violations
        account.remember(wanted, targets[t], chain, book)
        violations += reasons
        before[t] = account.drifted
        path[0, t], asked, filled[t] = account.trade(t, targets[t], sent)
        after[t] = account.weights
        orders += [(t, int(i), asked[i], filled[t, i]) for i in np.flatnonzero(asked)]
        if account.lost:
            path[2, t] = -1.0
        else:
            path[1, t], path[2, t] = account.keep(t)
        paid[t] = account.costs
        if account.lost:
            lost_at = t
            break
    columns = [np.array([entry[k] for entry in orders]) for k in range(4)] if orders else [np.zeros(0)] * 4
    made = Orders(columns[0].astype(np.int64), columns[1].astype(np.int64), columns[2], columns[3])
    return sized_books((targets, before, after, filled), path, paid, lost_at, made, tuple(violations))


class SizedAccount(Account):
    """An account of a size: it knows what a market can take, and which orders are not done yet.

    Attributes
    ----------
    pending : float64 (A,)
        Shares of the day that earlier orders still want.
    costs : float64 (6,)
        Of the last bar, by kind, fractions of the equity before its trade.
    """

    def __init__(self, rows: SizedMarket, settings: np.ndarray, capital: float) -> None:
        n_assets = rows.market[0].shape[1]
        super().__init__(n_assets)
        self.pending, self.costs = np.zeros(n_assets), np.zeros(len(KINDS))
        self._rows, self._settings, self._capital = rows, settings, capital
        self._last = np.zeros(n_assets)

    def awaited(self, book: Book, marks: np.ndarray) -> np.ndarray:
        """The book (A,) that would be held if all that is pending were filled at the decision's prices."""
        prices = self._last * (1.0 + marks)
        return np.asarray(book.weights) + self.pending * prices / (float(book.equity) * self._capital)

    def trade(self, t: int, targets: np.ndarray, sent: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Send orders toward ``targets`` (A,) where ``sent`` (A,); the cost, what was asked for and what was filled."""
        from mnpu.simulation.order_loops import carry_over, fill_row

        price, fillable, _, _ = self._rows.market
        carry_over(self.pending, self._rows.conditions[7], t)
        self.pending[self._rows.gone[t]] = 0.0
        volume, usual, volatility = (_at(values, t) for values in self._rows.conditions[:3])
        after, asked, filled = (np.zeros_like(self.weights) for _ in range(3))
        self._cost = fill_row(
            self.drifted, targets, sent, fillable[t], self._equity * self._capital, price[t], volume, usual, volatility,
            self.pending, self._settings, after, asked, filled, self.costs,
        )  # fmt: skip
        self.lost = self._cost >= 1.0
        self.weights = np.zeros_like(after) if self.lost else after
        self._at_fill = self._equity * (1.0 - self._cost)
        self._last = np.where(np.isfinite(price[t]), price[t], self._last)
        return self._cost, asked, filled

    def keep(self, t: int) -> tuple[float, float]:
        """Hold the book up to the next fill: its gross return, and the return of the account."""
        from mnpu.simulation.order_loops import hold_row

        _, _, returns, income = self._rows.market
        funding, low, high = (_at(values, t) for values in self._rows.conditions[3:6])
        drifted, years = np.zeros_like(self.weights), float(self._rows.conditions[6][t])
        gross, growth, liquidated = hold_row(
            self.weights, returns[t], income[t], funding, years, low, high, self._settings, drifted, self.costs
        )
        if liquidated:
            self.pending[:] = 0.0
        net = max((1.0 - self._cost) * growth - 1.0, -1.0)
        self.drifted, self.lost = drifted, growth <= 0.0
        self._equity *= 1.0 + net
        return gross, net


def _at(values: np.ndarray, t: int) -> np.ndarray:
    """Row ``t``, or the one that stands for all."""
    return values[t if len(values) > 1 else 0]


def sized_books(
    books: Sequence[np.ndarray], path: np.ndarray, costs: np.ndarray, lost_at: int, orders: Orders,
    violations: tuple[Violation, ...] = (), reasons: Callable[[], tuple[Violation, ...]] | None = None,
) -> Books:  # fmt: skip
    """Books as the loops have left them: allowed, before, after and filled (T, A); cost, gross, net (3, T); (T, 6)."""
    targets, before, after, traded = books
    cost, gross, net = path[:3]
    paid_at_once(costs, cost)
    kinds = {kind: costs[:, k] for k, kind in enumerate(KINDS)}
    lost = None if lost_at < 0 else int(lost_at)
    notional = np.abs(traded).sum(axis=1) if len(path) == 3 else path[3]
    return Books(targets, before, after, traded, notional, cost, gross, net, violations, lost, kinds, orders, reasons)


def paid_at_once(costs: np.ndarray, cost: np.ndarray) -> None:
    """What is paid after the trade of ``cost`` (T,) is brought to the equity before it, as all costs (T, 6) are."""
    costs[:, 3:] *= (1.0 - np.minimum(cost, 1.0))[:, None]
