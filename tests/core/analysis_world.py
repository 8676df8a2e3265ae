"""A finished result of made-up weights and prices, for tests of its analysis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mnpu.analysis.replay import Replay, Terms, replay
from mnpu.data.fills import fill_prices, marks
from mnpu.guard import Chain
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import simulate
from mnpu.types import Panel, Positions, Result, Run

RATES = CostModel(1.0, 2.0)


def a_result(
    panel: Panel, weights: np.ndarray, *, first: int = 0, rates: CostModel = RATES, chain: Chain | None = None
) -> Result:
    """What the weights (T, A), decided from bar ``first`` on, earn with fills at the next close."""
    fills, n = fill_prices(panel), len(weights)
    rows, ends = slice(first, first + n), slice(first, first + n + 1)
    proposed = Positions(panel.times[rows], panel.symbols, weights, np.ones(n, dtype=bool))
    out = simulate(
        proposed,
        fills.prices[ends],
        fills.times[rows],
        tradable=panel.tradable[rows],
        marks=marks(panel, fills)[rows],
        cash=fills.cash[ends],
        ended=fills.ended[ends],
        costs=rates,
        chain=chain,
    )
    return Result(
        name="made up",
        times=proposed.times,
        fill_times=fills.times[rows],
        gross=out.gross,
        net=out.net,
        equity=out.equity,
        turnover_oneway=out.turnover_oneway,
        costs=out.costs,
        proposed=proposed,
        positions=out.positions,
        periods_per_year=252.0,
        panel=panel.rows(first, first + n),
    )


def a_replay(panel: Panel, weights: np.ndarray, *, first: int = 0, rates: CostModel = RATES) -> Replay:
    """The same, ready to be analysed with the prices of the whole panel."""
    return replay(a_result(panel, weights, first=first, rates=rates), panel, Terms(rates=rates))


def from_returns(make_panel, returns: np.ndarray) -> Panel:
    """A panel in which decision t earns ``returns[t]`` from its fill to the next one; two bars more than rows."""
    start = np.full((2, returns.shape[1]), 100.0)
    return make_panel(np.concatenate([start, start[1:] * np.cumprod(1.0 + returns, axis=0)]))


def with_seed(result: Result, seed: int) -> Result:
    """The result of a run with this seed."""
    run = Run("r", "r", "made up", seed, "c", "d", "e", "f", {}, {}, result.times[0])
    return replace(result, run=run)
