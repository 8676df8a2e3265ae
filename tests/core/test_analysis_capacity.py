"""Capacity follows the square-root law, to the capital at which nothing is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnpu.analysis.capacity import Liquidity, capacity, liquidity, traded
from mnpu.analysis.scenarios import liquidity_losses
from mnpu.commands._runs_analysis import _capitals
from mnpu.errors import DataError
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Execution
from tests.core.analysis_world import RATES, a_replay


@pytest.fixture
def world(make_panel, rng):
    close = 50 * np.exp(np.cumsum(rng.normal(0.003, 0.02, (120, 3)), axis=0))
    volume = rng.uniform(1e4, 1e5, (120, 3))
    return a_replay(make_panel(close, volume=volume), np.abs(rng.normal(0.3, 0.1, (80, 3))), first=30)


def by_loops(world, capital):
    """Mean and deviation of the net return with impact, symbol by symbol and bar by bar."""
    close, volume = world.panel["close"], world.panel["volume"]
    net, held = [], np.zeros(3)
    for t in range(80):
        row = world.first + t
        cost = 0.0
        for a in range(3):
            moves = close[row - 19 : row + 1, a] / close[row - 20 : row, a] - 1
            usual = np.mean(close[row - 19 : row + 1, a] * volume[row - 19 : row + 1, a])
            size = abs(world.proposed.weights[t, a] - held[a])
            cost += size * RATES.bps / 1e4 + size * np.std(moves, ddof=1) * np.sqrt(size * capital / usual)
        earned = close[row + 2] / close[row + 1] - 1
        gross = world.proposed.weights[t] @ earned
        net.append((1 - cost) * (1 + gross) - 1)
        held = world.proposed.weights[t] * (1 + earned) / (1 + gross)
    return np.array(net)


def test_the_curve_equals_loops_over_bars_and_symbols(world):
    found = capacity(world, capitals=(1e4, 1e6))
    for row in found.rows:
        net = by_loops(world, row.capital)
        assert row.mean_ann == pytest.approx(net.mean() * 252, rel=1e-9)
        assert row.sharpe == pytest.approx(net.mean() / net.std(ddof=1) * 252**0.5, rel=1e-9)
    free = by_loops(world, 0.0).mean() * 252
    assert found.rows[1].impact_ann == pytest.approx(free - found.rows[1].mean_ann)


def test_at_the_named_capitals_nothing_half_and_most_is_left(world):
    found = capacity(world)
    assert by_loops(world, found.zero).mean() == pytest.approx(0.0, abs=1e-12)
    ratio = lambda capital: by_loops(world, capital).mean() / by_loops(world, capital).std(ddof=1)
    assert ratio(found.half) == pytest.approx(ratio(0.0) / 2, rel=1e-6)
    earned = [capital * by_loops(world, capital).mean() for capital in found.best * np.array([0.9, 1.0, 1.1])]
    assert max(earned) == earned[1]


def test_impact_grows_with_the_root_of_capital(world):
    near, far = capacity(world, capitals=(1e4, 4e4)).rows
    assert far.impact_ann == pytest.approx(2 * near.impact_ann)
    assert capacity(world, impact=2.0).zero == pytest.approx(capacity(world).zero / 4)


def test_a_loser_has_no_capacity(world):
    losing = replace(world, proposed=replace(world.proposed, weights=-world.proposed.weights))
    found = capacity(losing)
    assert (found.zero, found.half, found.best) == (None, None, None)


def test_what_is_left_over_of_orders_is_no_capacity(make_panel):
    """A market that only rises: with more money less of each order is filled, and what is bought is not sold again."""
    close = 50 * np.exp(np.cumsum(np.full((120, 2), 0.002), axis=0))
    panel = make_panel(close, volume=np.full(close.shape, 1e5))
    weights = np.where(np.arange(80)[:, None] % 2, [[0.5, 0.0]], [[0.0, 0.5]])
    found = a_replay(panel, weights, first=30, rates=CostModel(0.0, 0.0, impact=0.01))
    found = replace(found, execution=Execution(1e6, participation=0.05))
    table = capacity(found)
    most = max(table.rows, key=lambda row: row.money_ann)
    assert most.filled < 0.5
    followed = [row for row in table.rows if row.filled >= 0.5]
    assert table.best == max(followed, key=lambda row: row.money_ann).capital < most.capital
    assert "most money is earned at" in _capitals(table).lower()

    slow = replace(found, execution=Execution(1e6, participation=1e-9))
    assert capacity(slow).best is None
    assert _capitals(capacity(slow)) == "Nothing is earned at any capital that fills half of its orders."


def test_prices_without_volume_are_refused(make_panel, rng):
    found = a_replay(make_panel(np.full((30, 2), 10.0)), np.zeros((20, 2)))
    with pytest.raises(DataError, match="no volume"):
        capacity(found)


def test_trades_without_a_known_volume_are_told_and_too_many_refused(world):
    known = liquidity(world)
    hidden = known.volume.copy()
    hidden[0, 0] = np.nan
    found = capacity(world, market=Liquidity(hidden, known.volatility))
    trades = traded(world, world.simulate())
    assert found.unpriced == pytest.approx(trades[0, 0] / trades.sum())
    with pytest.raises(DataError, match="no known volume"):
        capacity(world, market=Liquidity(np.full((80, 3), np.nan), known.volatility))


def test_trades_are_those_of_the_simulation(world):
    trades = traded(world, world.simulate())
    assert trades.sum(axis=1) / 2 == pytest.approx(world.simulate().turnover_oneway, abs=1e-12)


def test_half_the_liquidity_costs_as_much_as_twice_the_capital(world):
    market = liquidity(world)
    usual, thin = liquidity_losses(world, market, capital=1e5)
    double, _ = liquidity_losses(world, market, capital=2e5)
    assert (thin.final, thin.worst) == pytest.approx((double.final, double.worst))
    size, spread = np.abs(world.held[-1]), RATES.bps / 1e4
    by_hand = sum(
        w * (spread + s * np.sqrt(w * 1e5 / v))
        for w, s, v in zip(size, market.volatility[-1], market.volume[-1], strict=True)
    )
    assert usual.final == pytest.approx(by_hand)
    assert capacity(world, capitals=(1e5,), market=Liquidity(market.volume / 2, market.volatility)).rows[
        0
    ].mean_ann == pytest.approx(capacity(world, capitals=(2e5,)).rows[0].mean_ann)
