"""A market with everything in it, and a ledger of money and shares that is kept by hand, one symbol at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Conditions, Execution
from mnpu.simulation.simulate import simulate
from mnpu.types import Positions

__all__ = ["Case", "Ledger", "cases"]


@dataclass
class Case:
    """One market with everything in it, and an account."""

    weights: np.ndarray
    prices: np.ndarray
    rebalance: np.ndarray
    tradable: np.ndarray
    cash: np.ndarray
    ended: np.ndarray
    costs: CostModel
    execution: Execution
    conditions: Conditions = field(default_factory=Conditions)

    def run(self, **options):
        times = pd.date_range("2020-01-01 21:00", periods=len(self.weights), freq="D", tz="UTC").as_unit("ns")
        names = tuple("ABCDEF"[: self.weights.shape[1]])
        return simulate(
            Positions(times, names, self.weights, self.rebalance),
            self.prices,
            times + pd.Timedelta(days=1),
            tradable=self.tradable,
            cash=self.cash,
            ended=self.ended,
            costs=self.costs,
            execution=self.execution,
            conditions=self.conditions,
            **options,
        )


@st.composite
def cases(draw) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = n_rows, n_assets = draw(st.integers(1, 10)), draw(st.integers(1, 4))
    prices = rng.uniform(5, 200, n_assets) * np.cumprod(rng.uniform(0.7, 1.4, (n_rows + 1, n_assets)), axis=0)
    maybe = lambda value, other: value if rng.random() < 0.5 else other
    moves = prices[1:] / prices[:-1] - 1
    weights = rng.uniform(-0.9, 0.9, shape) * (rng.random(shape) < 0.8)
    weights[rng.random(shape) < 0.03] = rng.choice([np.nan, np.inf])
    tradable = rng.random(shape) < 0.9
    cash = prices * maybe(rng.uniform(0, 0.05, prices.shape) * (rng.random(prices.shape) < 0.3), 0.0)
    factor = np.cumprod(rng.choice([1.0, 1.0, 1.0, 2.0, 0.1, 1.5], shape), axis=0)
    known = maybe(rng.random(prices.shape) < 0.85, np.ones(prices.shape, bool))
    prices = np.where(known, prices, np.nan)
    ended = mortal(rng, prices, cash) if rng.random() < 0.5 else np.zeros(prices.shape, bool)
    return Case(
        weights=weights,
        prices=prices,
        rebalance=rng.random(n_rows) < 0.7,
        tradable=tradable,
        cash=cash,
        ended=ended,
        costs=CostModel(3.0, 7.0, impact=maybe(0.8, 0.0), borrow_bps=maybe(300.0, 0.0), liquidation_bps=50.0),
        execution=Execution(
            capital=10_000.0,
            participation=maybe(0.2, None),
            carry=bool(rng.random() < 0.5),
            lot=maybe(2.0, None),
            min_notional=maybe(300.0, 0.0),
            maintenance=maybe(0.6, None),
        ),
        conditions=Conditions(
            volume=np.where(rng.random(shape) < 0.1, np.nan, rng.uniform(1e3, 6e4, shape)),
            usual=np.where(rng.random(shape) < 0.1, np.nan, rng.uniform(1e3, 6e4, shape)),
            volatility=np.where(rng.random(shape) < 0.1, np.nan, rng.uniform(0.0, 0.05, shape)),
            funding=maybe(rng.uniform(-0.01, 0.01, shape), None),
            years=rng.uniform(1 / 365, 4 / 365, n_rows),
            low=maybe(np.minimum(moves, 0) - rng.uniform(0, 0.2, shape), None),
            high=maybe(np.maximum(moves, 0) + rng.uniform(0, 0.2, shape), None),
            factor=maybe(factor, None),
        ),
    )


def mortal(rng, prices, cash) -> np.ndarray:
    """Ends some symbols, in place: no price from then on, and cash for what the share became."""
    ended = np.zeros(prices.shape, bool)
    for i in np.flatnonzero(rng.random(prices.shape[1]) < 0.6):
        row = int(rng.integers(0, len(prices)))
        before = prices[:row, i][np.isfinite(prices[:row, i])]
        ended[row, i] = True
        cash[row:, i] = 0.0
        cash[row, i] = before[-1] * rng.uniform(0, 1.2) if len(before) else 0.0
        prices[row:, i] = np.nan
    return ended


class Ledger:
    """Money and shares of the day of one account, with nothing vectorised."""

    def __init__(self, case: Case) -> None:
        self.case, n_assets = case, case.weights.shape[1]
        self.money, self.shares, self.waiting = case.execution.capital, [0.0] * n_assets, [0.0] * n_assets
        self.last = [0.0] * n_assets  # price of a share of the day, when it was last known
        self.gone = [False] * n_assets
        self.equity, self.filled, self.liquidated = [self.money], [], []

    def factor(self, t: int, i: int) -> float:
        """Shares of row t for one of before the first row."""
        return 1.0 if self.case.conditions.factor is None else self.case.conditions.factor[t, i]

    def rate(self, value: float, t: int, i: int) -> float:
        """Money that a trade of a value costs, per unit of it."""
        costs, conditions = self.case.costs, self.case.conditions
        rate = (costs.commission_bps + costs.half_spread_bps) / 10_000
        if costs.impact:
            usual, volatility = conditions.usual[t, i], conditions.volatility[t, i]
            if math.isnan(volatility):
                rate += costs.impact * 0.05
            elif math.isnan(usual):
                rate += costs.impact * volatility
            else:
                rate += costs.impact * volatility * math.sqrt(value / usual)
        return rate

    def allowed(self, shares: float, closing: bool, t: int, i: int) -> tuple[float, float]:
        """Shares that are sent, and those that the bar fills."""
        execution, price = self.case.execution, self.last[i]
        sign, size = math.copysign(1, shares), abs(shares)
        if not closing:
            if execution.lot:
                size = math.floor(size / execution.lot + 1e-9) * execution.lot
            if size * price < execution.min_notional:
                size = 0.0
        filled = size
        if execution.participation:
            volume = self.case.conditions.volume[t, i]
            most = 0.0 if math.isnan(volume) else execution.participation * volume / price
            if size > most:
                filled = math.floor(most / execution.lot + 1e-9) * execution.lot if execution.lot else most
        return sign * size, sign * filled

    def open_bar(self, t: int) -> None:
        """Splits up to the fill, and the price of the fill where there is one."""
        for i, price in enumerate(self.case.prices[t]):
            split = self.factor(t, i) / self.factor(t - 1, i) if t else 1.0
            self.shares[i] *= split
            self.waiting[i] *= split
            self.last[i] /= split
            if not math.isnan(price) and not self.gone[i]:
                self.last[i] = price / self.factor(t, i)

    def trade(self, t: int) -> bool:
        """Fill the orders of a bar; whether anything is left."""
        case = self.case
        self.open_bar(t)
        equity = self.worth()
        sends = case.rebalance[t] and all(math.isfinite(w) for w in case.weights[t])
        sums, orders = 0.0, []
        for i, price in enumerate(self.last):
            if sends:
                self.waiting[i] = 0.0
                wanted = case.weights[t, i] * equity - self.shares[i] * price
            else:
                wanted = self.waiting[i] * price
            trades = case.tradable[t, i] and not math.isnan(case.prices[t, i]) and not self.gone[i]
            if trades and (sends or wanted):
                sums += abs(wanted) * self.rate(abs(wanted), t, i)
                orders.append((i, price, wanted))
        left, paid, filled = equity - sums, 0.0, [0.0] * len(self.shares)
        for i, price, wanted in orders:
            order = case.weights[t, i] * left - self.shares[i] * price if sends else wanted
            if not order:
                continue
            sent, got = self.allowed(order / price, sends and case.weights[t, i] == 0, t, i)
            part = got / (order / price)
            self.waiting[i] = sent - got if case.execution.carry else 0.0
            paid += abs(wanted * part) * self.rate(abs(wanted * part), t, i)
            filled[i] = wanted * part / equity
            self.money -= got * price
            self.shares[i] += got
        self.money -= paid
        self.filled.append(filled)
        return paid < equity

    def worth(self) -> float:
        """Money and shares at the last prices."""
        return self.money + sum(s * p for s, p in zip(self.shares, self.last, strict=True))

    def hold(self, t: int) -> bool:
        """Up to the next fill; whether anything is left."""
        case, conditions = self.case, self.case.conditions
        worst, following = list(self.last), list(self.last)
        for i, (s, now) in enumerate(zip(self.shares, self.last, strict=True)):
            old = self.factor(t, i)  # prices and cash are those of the shares of this row
            self.money += s * case.cash[t + 1, i] / old
            self.money -= s * now * (0 if conditions.funding is None else conditions.funding[t, i])
            self.money -= max(-s, 0) * now * conditions.years[t] * case.costs.borrow_bps / 10_000
            if case.ended[t + 1, i]:
                self.gone[i], following[i] = True, 0.0
            elif not math.isnan(case.prices[t + 1, i]) and not self.gone[i]:
                following[i] = case.prices[t + 1, i] / old
            extreme = conditions.low if s > 0 else conditions.high
            worst[i] = following[i]
            if extreme is not None and not case.ended[t + 1, i]:
                further = min if s > 0 else max
                worst[i] = further(following[i], now * (1 + extreme[t, i]))
        size = sum(abs(s * p) for s, p in zip(self.shares, worst, strict=True))
        equity = self.money + sum(s * p for s, p in zip(self.shares, worst, strict=True))
        margin = case.execution.maintenance
        if margin and size > 0 and equity < margin * size:
            self.liquidated.append(t)
            rate = (case.costs.commission_bps + case.costs.half_spread_bps + case.costs.liquidation_bps) / 10_000
            self.money = max(equity - rate * size, 0.0)
            self.shares = [0.0] * len(self.shares)
            self.waiting = [0.0] * len(self.shares)
        self.last = following
        self.shares = [0.0 if gone else s for s, gone in zip(self.shares, self.gone, strict=True)]
        self.equity.append(max(self.worth(), 0.0))
        return self.equity[-1] > 0

    def keep(self) -> None:
        """All bars, to the end or until nothing is left."""
        for t in range(len(self.case.weights)):
            alive = self.trade(t)
            if not alive:
                self.equity.append(0.0)
            elif self.hold(t):
                continue
            self.equity += [0.0] * (len(self.case.weights) + 1 - len(self.equity))
            self.filled += [[0.0] * len(self.shares)] * (len(self.case.weights) - len(self.filled))
            return
