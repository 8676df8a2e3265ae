"""Losses of the final, the typical and the worst book, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.analysis.scenarios import CRISES, Crisis, crises, shocks, spread_row
from mnpu.simulation.costs import CostModel
from tests.core.analysis_world import a_replay, from_returns

FREE = CostModel(0.0, 0.0)
BOOKS = np.array([[0.5, 0.5], [1.0, -1.0], [0.2, 0.0], [-0.4, 0.8]])


@pytest.fixture
def world(make_panel):
    returns = np.array([[0.0, 0.0], [-0.1, 0.0], [-0.2, 0.1], [0.0, 0.0]])
    return a_replay(from_returns(make_panel, returns), BOOKS)


def test_a_crisis_is_replayed_on_every_book(world):
    # Bars 3 and 4, from Thursday 8 January 2015: S0 loses 28 %, S1 gains 10 %.
    found = crises(world, [Crisis("it", "2015-01-08", "2015-01-09")])[0]
    losses = BOOKS @ [0.28, -0.10]
    assert (found.final, found.worst) == pytest.approx((losses[-1], losses.max()))
    assert found.typical == pytest.approx(np.median(losses))
    assert found.covered == 1.0
    assert found.universe == pytest.approx(1 - 0.95 * 0.95)


def test_what_the_strategy_lost_itself_counts_the_bars_that_end_in_the_crisis(make_panel):
    returns = np.zeros((8, 1))
    returns[3:5, 0] = [-0.1, -0.2]  # the bars that end on 12 and 13 January 2015
    found = a_replay(from_returns(make_panel, returns), np.full((8, 1), 1.0), rates=FREE)
    row = crises(found, [Crisis("it", "2015-01-12", "2015-01-13")])[0]
    assert row.strategy == pytest.approx(1 - 0.9 * 0.8)
    assert row.strategy_drawdown == pytest.approx(-0.28)


def test_a_crisis_that_the_data_does_not_hold_is_left_out(world):
    assert (
        crises(world, [Crisis("before", "2014-01-02", "2014-02-03"), Crisis("after", "2015-01-08", "2016-01-08")]) == []
    )
    assert crises(world, [Crisis("coins", "2015-01-08", "2015-01-09", crypto=True)]) == []


def test_a_symbol_without_prices_in_a_crisis_is_told(make_panel):
    close = np.full((9, 2), 10.0)
    close[3:5, 1] = np.nan
    close[4:, 0] = 9.0
    found = a_replay(make_panel(close), np.tile([0.3, 0.1], (7, 1)))
    row = crises(found, [Crisis("it", "2015-01-08", "2015-01-09")])[0]
    assert row.covered == pytest.approx(0.75)
    assert row.final == pytest.approx(0.03)


def test_the_known_crises_are_in_order_and_end_after_they_begin():
    assert all(crisis.first <= crisis.last for crisis in CRISES)
    assert len({crisis.name for crisis in CRISES}) == len(CRISES)


def test_shocks_by_hand(world):
    rows = {row.scenario: row for row in shocks(world)}
    every = rows["every symbol −10%"]
    assert (every.final, every.typical, every.worst) == pytest.approx((0.04, 0.03, 0.1))
    assert every.worst_at == world.times[0]
    assert rows["largest position −20%"].worst == pytest.approx(0.2)
    # betas of one: too few bars are known
    assert rows["market +20%, by beta"].final == pytest.approx(-0.08)


def test_correlations_of_one_spare_the_hedged_and_nothing_spares_who_is_wrong_everywhere(make_panel, rng):
    returns = rng.normal(0, 0.01, (300, 2))
    found = a_replay(from_returns(make_panel, returns), np.tile([0.5, -0.5], (100, 1)), first=200)
    rows = {row.scenario: row for row in shocks(found, sigmas=2.0)}
    past = found.panel["close"][found.first + 99 - 252 : found.first + 100]
    moves = past[1:] / past[:-1] - 1
    deviations = moves.std(axis=0, ddof=1)
    held = found.held[-1]
    assert rows["correlations as they were"].final == pytest.approx(2 * np.std(moves @ held, ddof=1))
    assert rows["correlations of one"].final == pytest.approx(2 * abs(held @ deviations))
    assert rows["every position wrong"].final == pytest.approx(2 * np.abs(held) @ deviations)
    assert rows["correlations of one"].final < rows["correlations as they were"].final
    assert rows["every position wrong"].final > rows["correlations as they were"].final


def test_a_spread_times_five_by_hand(world):
    loss, ratio, se = spread_row(world)
    assert loss.final == pytest.approx(1.2 * (1 + 5 * 2) / 1e4)
    wide = world.simulate(rates=CostModel(1.0, 10.0)).net
    assert ratio == pytest.approx(wide.mean() / wide.std(ddof=1) * 252**0.5)
    assert se > 0
