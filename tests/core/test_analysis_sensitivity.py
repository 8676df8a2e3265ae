"""Lag, cost and seed: every row on the same decisions, a red flag where the edge does not survive a bar."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnpu.accounts import market_around
from mnpu.analysis.replay import Terms, replay
from mnpu.analysis.sensitivity import cost_table, lag_table, scaled, seed_table
from mnpu.data.fills import fill_prices
from mnpu.errors import DataError
from mnpu.metrics.returns import sharpe
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import simulate
from tests.core.analysis_world import RATES, a_replay, a_result, from_returns, with_seed

FREE = CostModel(0.0, 0.0)


def foreseen(panel, n, bars):
    """Weights that know the return of the bar ``bars`` after the decision, over n decisions."""
    close = panel["close"]
    moves = close[1:] / close[:-1] - 1  # row t: into bar t + 1
    return 0.3 * np.sign(moves[bars - 1 : bars - 1 + n])


@pytest.fixture
def panel(make_panel, rng):
    return make_panel(50 * np.exp(np.cumsum(rng.normal(0, 0.01, (400, 3)), axis=0)))


def test_an_edge_in_the_bar_of_the_order_is_a_red_flag(panel):
    found = lag_table(a_replay(panel, foreseen(panel, 300, 1), rates=FREE))
    assert found.red_flag
    assert found.words.startswith("red flag")
    assert found.rows[0].sharpe > 20
    assert abs(found.rows[1].sharpe) < 3


def test_an_edge_that_is_filled_in_time_is_none(panel):
    found = lag_table(a_replay(panel, foreseen(panel, 300, 2), rates=FREE))
    assert not found.red_flag
    assert found.rows[1].sharpe > 20


def test_an_edge_that_lasts_is_no_red_flag(make_panel, rng):
    slow = np.repeat(rng.choice([-1, 1], (20, 2)), 20, axis=0)
    panel = from_returns(make_panel, 0.003 * slow + rng.normal(0, 0.01, (400, 2)))
    found = lag_table(a_replay(panel, 0.3 * slow.astype(float), rates=FREE))
    assert not found.red_flag
    assert [row.sharpe > 2 for row in found.rows] == [True] * 3
    assert found.decisions == 400


def test_lags_are_what_a_loop_over_later_fills_earns(panel, rng):
    """At the ends nothing is decided: lag 2 begins in cash, and the last book of lag 0 drifts on."""
    weights = rng.normal(0, 0.3, (50, 3))
    found = {row.lag: row for row in lag_table(a_replay(panel, weights, rates=FREE)).rows}
    moves = panel["close"][1:] / panel["close"][:-1] - 1
    for lag in (0, 1, 2):  # the fill of row t lies at bar t + 1, whatever was decided for it
        earned, book = [], np.zeros(3)
        for t in range(50):
            if 0 <= t + 1 - lag < 50:
                book = weights[t + 1 - lag]
            earned.append(book @ moves[t + 1])
            book = book * (1 + moves[t + 1]) / (1 + earned[-1])
        assert found[lag].gross_ann == pytest.approx(np.mean(earned) * 252)


@pytest.mark.parametrize("orders", ["at every decision", "at the first alone", "every seventh"])
def test_lag_1_is_the_run_to_the_last_bit_however_rarely_it_orders(panel, rng, orders):
    """A book that is bought once is held from its first fill on at every lag; the run's own ratio stands in the row."""
    every = {"at every decision": 1, "at the first alone": 60, "every seventh": 7}[orders]
    asked = a_result(panel, rng.uniform(0.1, 0.3, (60, 3)))
    proposed = replace(asked.proposed, rebalance=np.arange(60) % every == 0)
    rows = market_around(panel, fill_prices(panel), 0, 60)
    ran = simulate(proposed, **rows, costs=RATES)
    run = replace(asked, proposed=proposed, positions=ran.positions, gross=ran.gross, net=ran.net)
    early, itself, late = lag_table(replay(run, panel, Terms(rates=RATES))).rows
    ratio = sharpe(run.net, 252.0)
    assert (itself.sharpe, itself.se, itself.mean_ann) == (ratio.value, ratio.se, run.net.mean() * 252.0)
    assert itself.gross_ann == run.gross.mean() * 252.0
    if orders == "at the first alone":
        assert early.sharpe == itself.sharpe  # what was due before the first fill is bought with it
        late_net = simulate(replace(proposed, rebalance=np.arange(60) == 1, weights=np.roll(proposed.weights, 1, 0)),
                            **rows, costs=RATES).net  # fmt: skip
        assert late_net[0] == 0.0
        assert late.mean_ann == pytest.approx(late_net.mean() * 252.0)


@pytest.mark.parametrize("lags", [(0, 2), (-1, 1)])
def test_impossible_lags_are_refused(panel, lags):
    with pytest.raises(DataError, match="the lags are"):
        lag_table(a_replay(panel, np.zeros((20, 3))), lags)
    with pytest.raises(DataError, match="decisions are left"):
        lag_table(a_replay(panel, np.zeros((4, 3))))


def test_costs_fall_in_line_with_their_rates(panel, rng):
    rows = {row.factor: row for row in cost_table(a_replay(panel, rng.normal(0, 0.3, (100, 3))))}
    assert rows[2.0].cost_ann == pytest.approx(2 * rows[1.0].cost_ann)
    assert rows[0.0].cost_ann == 0.0
    assert rows[0.0].mean_ann > rows[0.5].mean_ann > rows[1.0].mean_ann > rows[5.0].mean_ann
    assert (rows[1.0].bps, rows[3.0].bps) == (3.0, 9.0)


def test_one_rate_is_scaled_alone():
    wide = scaled(CostModel(1.0, 2.0), 5.0, only=("half_spread_bps",))
    assert (wide.commission_bps, wide.half_spread_bps) == (1.0, 10.0)


def test_seeds_are_compared_on_the_decisions_that_all_have(panel, rng):
    one = with_seed(a_result(panel, rng.normal(0, 0.3, (100, 3)), first=10), 1)
    two = with_seed(a_result(panel, rng.normal(0, 0.3, (100, 3)), first=20), 2)
    found = seed_table({"b": two, "a": one})
    assert [row.seed for row in found.rows] == [1, 2]
    assert found.decisions == 90
    own = one.net[10:]
    ratio = own.mean() / own.std(ddof=1) * 252**0.5
    assert found.rows[0].sharpe == pytest.approx(ratio)
    pair = [row.sharpe for row in found.rows]
    assert found.spread == pytest.approx(abs(pair[0] - pair[1]) / 2**0.5)
    assert (found.lowest, found.highest) == (min(pair), max(pair))
    with pytest.raises(DataError, match="two or more"):
        seed_table({"a": one})
