"""How much money the strategy bears: its net Sharpe ratio as market impact grows with capital.

The square-root law (Torre, 1997; Almgren and others, 2005, found an exponent of 0.6): a trade of value Q in a market
that trades V a bar moves the price by ``Y sigma sqrt(Q / V)``, sigma the deviation of a bar's return, Y about one. With
capital C and a trade of the fraction f of it, the impact of a bar is, as a fraction of equity::

    sqrt(C) k_t,   k_t = sum_i Y sigma_i f_i^1.5 / sqrt(V_i)

The trades stay the same, so that the mean net return falls with ``sqrt(C)``: it is zero at C0, and the money earned a
year is largest at 4/9 of C0. sigma and V are the deviation and the mean value traded of 20 bars up to the decision.

An account of a size (the recipe's ``execution`` or ``costs.impact``) is simulated anew at each capital instead: with
its participation, lots and minimums, and with the recipe's factor of impact where it has one. Its capitals of zero and
of half the ratio lie between the rows of the curve, found by bisection; that of most money is a row, of those that fill
at least half of what they order. An account that fills less holds what was left over of other days' orders, and what it
earns is no longer the strategy's.

What this is not: a forecast. Y is a guess within a factor of two; the law holds for orders worked over a bar, not for
every market; capital stays what it was at the start; V is what one venue or vendor reports; impact does not decay, and
others do not trade the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from mnpu.analysis.replay import Replay
from mnpu.data.actions import bar_returns
from mnpu.data.conditions import FEWEST, USUAL, execution_arrays
from mnpu.data.fills import fill_prices
from mnpu.errors import DataError
from mnpu.metrics.returns import sharpe
from mnpu.simulation.execution import Conditions, Execution
from mnpu.simulation.simulate import SimulationOutcome

__all__ = ["Capacity", "CapitalRow", "Liquidity", "capacity", "liquidity", "net_at", "traded"]

CAPITALS = tuple(10.0**k * m for k in range(4, 11) for m in (1, 3))
HALVINGS = 8  #: Of the distance between two rows: a capital is known to a hundredth.
FOLLOWED = 0.5  #: Share of what was ordered below which an account does not hold what was decided.
NOTHING = 0.01  #: Share of an order that counts as none of it.
UNPRICED = 0.1  #: A larger share of trades without a volume leaves nothing to say.


class Liquidity(NamedTuple):
    """At each decision (T, A): value traded a bar, and deviation of a bar's return. NaN where too little is known."""

    volume: np.ndarray
    volatility: np.ndarray


class CapitalRow(NamedTuple):
    """Net of all costs and impact at one capital; ``participation`` is the 95th percentile of trades over volume.

    ``filled`` is the share of the ordered value that was filled, where orders were simulated one by one.
    """

    capital: float
    sharpe: float | None
    se: float | None
    mean_ann: float
    impact_ann: float
    money_ann: float
    participation: float
    filled: float | None = None


class Capacity(NamedTuple):
    """The curve, and three capitals in the currency of the prices: of zero, of half the Sharpe ratio, of most money.

    They are None where the strategy earns nothing even without impact, and that of most money where no account that
    fills at least half of its orders earns anything. ``unpriced`` is the share of traded value for
    which no volume was known; it costs no impact here, so that the capacity is too large by about as much.
    """

    rows: tuple[CapitalRow, ...]
    zero: float | None
    half: float | None
    best: float | None
    unpriced: float
    impact: float


def liquidity(replay: Replay) -> Liquidity:
    """Mean value traded and deviation of returns over 20 bars up to each decision.

    Raises
    ------
    DataError
        The prices have no volume.
    """
    panel = replay.panel
    volume = panel.fields.get("volume")
    if volume is None or not (np.nan_to_num(volume) > 0).any():
        raise DataError(
            "the prices have no volume",
            where="capacity",
            expected="a volume for every bar, to know what a market can take",
            next_step="Take a dataset with volumes.",
        )
    rolling = lambda values: pd.DataFrame(values).rolling(USUAL, min_periods=FEWEST)  # noqa: E731
    value = rolling(volume * panel["close"]).mean().to_numpy()
    return Liquidity(
        replay.at_decisions(np.where(value > 0, value, np.nan)),
        replay.at_decisions(rolling(bar_returns(panel)).std().to_numpy()),
    )


def traded(replay: Replay, outcome: SimulationOutcome) -> np.ndarray:
    """Size of each trade of a simulation, fraction of equity, (T, A)."""
    fills = outcome.fills
    found = np.zeros(replay.held.shape)
    if len(fills):
        row = replay.fill_times.get_indexer(pd.DatetimeIndex(fills["time"]))
        column = pd.Index(replay.symbols).get_indexer(fills["symbol"])
        np.add.at(found, (row, column), np.abs(fills["weight_after"].to_numpy() - fills["weight_before"].to_numpy()))
    return found


def capacity(
    replay: Replay, *, impact: float = 1.0, capitals: Sequence[float] = CAPITALS, market: Liquidity | None = None
) -> Capacity:
    """Net Sharpe ratio against capital.

    Parameters
    ----------
    replay : Replay
    impact : float, default=1.0
        Y, in deviations of a bar.
    capitals : sequence of float
        In the currency of the prices, which has to be one. Those at which a twentieth of the trades is larger than a
        bar's whole volume are left out after the second: there the law says nothing.
    market : Liquidity, optional
        Default: `liquidity` of the replay.

    Raises
    ------
    DataError
        No volumes, prices in several currencies, or a tenth of the trades without a known volume.
    """
    _refuse_currencies(replay)
    if replay.sized:
        return _simulated(replay, impact, capitals, market)
    found = market or liquidity(replay)
    outcome = replay.simulate()
    trades = traded(replay, outcome)
    priced = np.isfinite(found.volume) & np.isfinite(found.volatility)
    total = float(trades.sum())
    unpriced = float(trades[~priced].sum()) / total if total > 0 else 0.0
    if unpriced > UNPRICED:
        raise DataError(
            f"{unpriced:.0%} of what was traded has no known volume", where="capacity", expected="nearly all of it"
        )
    volume = np.where(priced, found.volume, np.inf)
    k = (impact * np.where(priced, found.volatility, 0.0) * trades**1.5 / np.sqrt(volume)).sum(axis=1)
    cost = np.asarray(sum(outcome.costs.values(), np.zeros(len(k))))
    earned = lambda capital: net_at(capital, outcome.gross, cost, k)  # noqa: E731
    sizes = (trades / volume)[(trades > 0) & priced]
    usual = float(np.quantile(sizes, 0.95)) if len(sizes) else 0.0
    q = replay.periods_per_year
    possible = [capital for k, capital in enumerate(capitals) if k < 2 or usual * capital <= 1.0]
    rows = tuple(_row(capital, earned(capital), earned(0.0), usual * capital, q) for capital in possible)
    zero = _zero(outcome.gross, cost, k)
    half = None if zero is None else _half(earned, zero)
    return Capacity(rows, zero, half, None if zero is None else zero * 4.0 / 9.0, unpriced, impact)


def _refuse_currencies(replay: Replay) -> None:
    currencies = {info.currency for info in replay.panel.datasets}
    if len(currencies) > 1:
        raise DataError(f"prices in {', '.join(sorted(currencies))}", where="capacity", expected="one currency")


def _simulated(replay: Replay, impact: float, capitals: Sequence[float], market: Liquidity | None) -> Capacity:
    """The curve of an account whose orders are simulated at each capital."""
    volumes = execution_arrays(replay.panel, fill_prices(replay.panel, replay.fill), replay.fill)
    stop = replay.first + len(replay.times)
    known = {name: volumes[name][replay.first : stop] for name in ("volume", "usual", "volatility")}
    if market is not None:
        known.update(usual=market.volume, volatility=market.volatility)
    able = replace(replay, conditions=replace(replay.conditions or Conditions(), **known))
    rates = replay.rates if replay.rates.impact > 0 else replace(replay.rates, impact=impact)
    size = replay.execution or Execution()
    at = lambda capital: able.simulate(rates=rates, execution=replace(size, capital=capital))  # noqa: E731
    rows = []
    for capital in capitals:
        rows.append(_simulated_row(capital, at(capital), known["volume"], replay.periods_per_year))
        if len(rows) > 2 and (rows[-1].filled or 0.0) < NOTHING:
            break  # a larger account trades no more than this one
    mean = lambda capital: float(at(capital).net.mean())  # noqa: E731
    zero = _crossing(rows, [row.mean_ann for row in rows], mean, 0.0)
    ratios = [row.sharpe or 0.0 for row in rows]
    ratio = lambda capital: sharpe(at(capital).net, replay.periods_per_year).value or 0.0  # noqa: E731
    half = _crossing(rows, ratios, ratio, ratios[0] / 2.0) if ratios[0] > 0 else None
    followed = [row for row in rows if (row.filled or 0.0) >= FOLLOWED and row.money_ann > 0]
    best = max(followed, key=lambda row: row.money_ann).capital if followed else None
    priced = np.isfinite(known["usual"]) & np.isfinite(known["volatility"])
    moved = np.abs(replay.held)
    unpriced = float(moved[~priced].sum() / moved.sum()) if moved.any() else 0.0
    return Capacity(tuple(rows), zero, half, best, unpriced, rates.impact)


def _simulated_row(capital: float, outcome: SimulationOutcome, volume: np.ndarray, q: float) -> CapitalRow:
    ratio, mean, orders = sharpe(outcome.net, q), float(outcome.net.mean() * q), outcome.orders
    assert orders is not None
    equity = outcome.equity[orders.row] * capital
    traded = np.abs(orders.filled) * equity / volume[orders.row, orders.symbol]
    shares = traded[np.isfinite(traded) & (traded > 0)]
    asked = float((np.abs(orders.asked) * equity).sum())
    return CapitalRow(
        capital,
        ratio.value,
        ratio.se,
        mean,
        float(outcome.costs["impact"].mean() * q),
        mean * capital,
        float(np.quantile(shares, 0.95)) if len(shares) else 0.0,
        filled=float((np.abs(orders.filled) * equity).sum()) / asked if asked > 0 else 1.0,
    )


def _crossing(
    rows: Sequence[CapitalRow], values: Sequence[float], measure: Callable[[float], float], level: float
) -> float | None:
    """The capital at which a measure first falls to ``level``, by bisection of its logarithm; None if it never does."""
    after = next((k for k, value in enumerate(values) if value <= level), None)
    if not after:  # never, or from the beginning
        return None
    low, high = np.log(rows[after - 1].capital), np.log(rows[after].capital)
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if measure(float(np.exp(middle))) > level else (low, middle)
    return float(np.exp((low + high) / 2.0))


def net_at(capital: float, gross: np.ndarray, cost: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Net returns (T,) at a capital: ``(1 - cost - sqrt(C) k)(1 + gross) - 1``, at least -1."""
    return np.asarray((1.0 - np.minimum(cost + np.sqrt(capital) * k, 1.0)) * (1.0 + gross) - 1.0)


def _row(capital: float, net: np.ndarray, free: np.ndarray, participation: float, q: float) -> CapitalRow:
    ratio, mean = sharpe(net, q), float(net.mean() * q)
    impact = float(free.mean() * q) - mean
    return CapitalRow(capital, ratio.value, ratio.se, mean, impact, mean * capital, participation)


def _zero(gross: np.ndarray, cost: np.ndarray, k: np.ndarray) -> float | None:
    """The capital at which the mean net return is zero, None if there is none; exact while no bar costs everything."""
    free, falls = float(((1.0 - cost) * (1.0 + gross) - 1.0).mean()), float((k * (1.0 + gross)).mean())
    return (free / falls) ** 2 if free > 0 and falls > 0 else None


def _half(earned: object, zero: float) -> float:
    """The capital at which half the Sharpe ratio is left, by bisection: the ratio falls from there to zero."""
    assert callable(earned)
    ratio = lambda net: float(net.mean() / net.std(ddof=1))  # noqa: E731
    wanted, low, high = ratio(earned(0.0)) / 2.0, 0.0, zero
    for _ in range(200):
        middle = (low + high) / 2.0
        low, high = (middle, high) if ratio(earned(middle)) > wanted else (low, middle)
    return (low + high) / 2.0
