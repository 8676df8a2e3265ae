"""D8: costs by hand, on what is traded and not on what is held, and the cost at which nothing is left.

Doubling, no trade, and costs that cancel out are in ``tests/core/test_traps_analysis.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.metrics import trading
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import SimulationOutcome, simulate
from mnpu.types import Positions
from tests.traps.planting import fails


def run(
    weights: np.ndarray, prices: np.ndarray, costs: CostModel, *, trades: np.ndarray | None = None
) -> SimulationOutcome:
    times = pd.date_range("2020-01-01", periods=len(weights) + 1, freq="D", tz="UTC").as_unit("ns")
    symbols = tuple(f"S{a}" for a in range(weights.shape[1]))
    at = np.ones(len(weights), dtype=bool) if trades is None else trades
    return simulate(Positions(times[:-1], symbols, weights, at), prices, times[1:], costs=costs)


Simulator = Callable[..., SimulationOutcome]


def on_holdings(weights: np.ndarray, prices: np.ndarray, costs: CostModel, *, trades: np.ndarray) -> SimulationOutcome:
    """The fault: the rate on everything that is held after the fill, in every bar."""
    free = run(weights, prices, CostModel(0.0, 0.0), trades=trades)
    paid = np.abs(free.positions.weights).sum(axis=1) * costs.bps / 1e4
    net = (1 - paid) * (1 + free.gross) - 1
    return replace(free, net=net, equity=np.append(1.0, np.cumprod(1 + net)), costs={"commission": paid})


def one_way(weights: np.ndarray, prices: np.ndarray, costs: CostModel, *, trades: np.ndarray) -> SimulationOutcome:
    """The fault: half of what is traded, as if a sale were free."""
    return run(weights, prices, CostModel(costs.commission_bps / 2, costs.half_spread_bps / 2), trades=trades)


def per_cent(weights: np.ndarray, prices: np.ndarray, costs: CostModel, *, trades: np.ndarray) -> SimulationOutcome:
    """The fault: per cent for basis points."""
    return run(weights, prices, CostModel(costs.commission_bps * 100, costs.half_spread_bps * 100), trades=trades)


def after_the_bar(
    weights: np.ndarray, prices: np.ndarray, costs: CostModel, *, trades: np.ndarray
) -> SimulationOutcome:
    """The fault: a cost is subtracted from the bar's return, as if what was paid could still be invested."""
    free, paid = run(weights, prices, CostModel(0.0, 0.0), trades=trades), run(weights, prices, costs, trades=trades)
    net = free.gross - sum(paid.costs.values())
    return replace(paid, net=net, equity=np.append(1.0, np.cumprod(1 + net)))


def a_round_trip_costs_what_it_costs(simulated: Simulator) -> None:
    """Buy for 100 at 10, sell at 11: 30 bps of 100, and 30 bps of what the shares are worth three bars later."""
    prices = np.array([[10.0], [11.0], [11.0], [11.0], [11.0], [11.0]])
    weights, trades = np.array([[1.0], [1.0], [1.0], [0.0], [0.0]]), np.array([True, False, False, True, False])
    out = simulated(weights, prices, CostModel(10.0, 20.0), trades=trades)
    money = 100.0
    money -= 0.003 * money  # bought for all of it
    money *= 11.0 / 10.0
    money -= 0.003 * money  # sold whole
    assert 100.0 * out.equity[-1] == pytest.approx(money, abs=1e-9)
    assert sum(kind.sum() for kind in out.costs.values()) == pytest.approx(2 * 0.003)
    assert (out.net <= out.gross).all()


def buy_and_hold_pays_once(simulated: Simulator) -> None:
    prices = 10 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.02, (41, 2)), axis=0))
    first = np.arange(40) == 0
    out = simulated(np.full((40, 2), 0.5), prices, CostModel(10.0, 20.0), trades=first)
    paid = sum(out.costs.values())
    assert paid[0] == pytest.approx(0.003)
    assert (paid[1:] == 0).all()
    assert out.equity[-1] == pytest.approx(0.997 * (prices[-1] / prices[0]).mean(), rel=1e-12)


LAWS = [a_round_trip_costs_what_it_costs, buy_and_hold_pays_once]


@pytest.mark.parametrize("law", LAWS)
def test_costs_by_hand(law) -> None:
    law(run)


@pytest.mark.parametrize("fault", [on_holdings, one_way, per_cent, after_the_bar])
@pytest.mark.parametrize("law", LAWS)
def test_a_wrong_cost_is_found(law, fault) -> None:
    fails(law, fault)


Breakeven = Callable[[np.ndarray, np.ndarray], float]


def ours(gross: np.ndarray, turnover_oneway: np.ndarray) -> float:
    return trading.breakeven_bps(gross, turnover_oneway).value


def at_the_break_even_nothing_is_left(breakeven: Breakeven) -> None:
    """Charged at that rate, the mean net return of the same trades is zero."""
    rng = np.random.default_rng(7)
    prices = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (301, 4)), axis=0))
    moves = prices[1:] / prices[:-1] - 1
    weights = np.clip(0.2 * np.sign(moves) + rng.normal(0, 0.2, moves.shape), -0.4, 0.4)  # foresight, so that it earns
    free = run(weights, prices, CostModel(0.0, 0.0))
    bps = breakeven(free.gross, free.turnover_oneway)
    assert bps > 1.0
    assert run(weights, prices, CostModel(bps, 0.0)).net.mean() == pytest.approx(0.0, abs=1e-12)
    assert run(weights, prices, CostModel(0.99 * bps, 0.0)).net.mean() > 0
    assert run(weights, prices, CostModel(1.01 * bps, 0.0)).net.mean() < 0


def test_the_break_even_cost_leaves_nothing() -> None:
    at_the_break_even_nothing_is_left(ours)


@pytest.mark.parametrize(
    "fault",
    [
        lambda gross, turnover: gross.mean() / turnover.mean() * 1e4,
        lambda gross, turnover: gross.mean() / (2 * turnover.mean()) * 1e4,
        lambda gross, turnover: gross.mean() * 1e4,
        lambda gross, turnover: np.prod(1 + gross) ** (1 / len(gross)) / (2 * turnover.mean()),
    ],
    ids=["of one side", "growth of the trade left out", "of the equity", "of compound growth"],
)
def test_a_wrong_break_even_is_found(fault: Breakeven) -> None:
    fails(at_the_break_even_nothing_is_left, fault)
