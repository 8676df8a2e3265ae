"""Attribution sums to what it explains, bar by bar and linked, and agrees with money counted in shares."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.analysis import attribution, linking
from mnpu.analysis.benchmarks import equal_weight
from mnpu.analysis.brinson import CASH, brinson_fachler
from mnpu.analysis.replay import replay
from mnpu.errors import DataError
from mnpu.simulation.costs import CostModel
from tests.core.analysis_world import a_replay, a_result, from_returns

FREE = CostModel(0.0, 0.0)


@pytest.fixture
def world(make_panel, rng):
    """Five symbols, one of them suspended for a while and one without a price at first, and a book that turns over."""
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (80, 5)), axis=0))
    close[20:26, 1] = np.nan
    close[:10, 3] = np.nan
    return a_replay(make_panel(close), rng.normal(0, 0.3, (60, 5)), first=5)


def total(series):
    return np.prod(1 + series) - 1


GROUPS = {"S0": "tech", "S1": "tech", "S2": "oil", "S3": "oil"}  # S4 has none


@pytest.mark.parametrize("method", ["carino", "money"])
@pytest.mark.parametrize("split", ["symbol", "side", "group", "decision"])
def test_every_split_sums_to_the_gross_return(world, split, method):
    extra = {"group": (GROUPS,), "decision": (equal_weight(world),)}.get(split, ())
    parts = getattr(attribution, f"by_{split}")(world, *extra, linking=method)
    assert sum(p.contribution for p in parts) == pytest.approx(total(world.gross), abs=1e-12)
    assert sum(p.mean_ann for p in parts) == pytest.approx(world.gross.mean() * 252, abs=1e-12)


def test_gross_less_costs_by_kind_is_net(world):
    parts = attribution.gross_to_net(world)
    assert [p.name for p in parts] == ["gross", "cost: commission", "cost: half_spread"]
    assert sum(p.contribution for p in parts) == pytest.approx(total(world.net), abs=1e-12)
    assert parts[2].mean_ann == pytest.approx(2 * parts[1].mean_ann)


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_linked_parts_sum_for_any_returns(seed, n_bars, n_parts):
    rng = np.random.default_rng(seed)
    parts = rng.normal(0, 0.1 / n_parts, (n_bars, n_parts)) * (rng.random((n_bars, 1)) < 0.8)
    returns = np.maximum(parts.sum(axis=1), -0.9)
    parts[:, 0] += returns - parts.sum(axis=1)
    for method in ("carino", "money"):
        assert linking.linked(parts, returns, method=method).sum() == pytest.approx(total(returns), abs=1e-12)
    other = rng.normal(0, 0.05, n_bars)
    apart = (returns - other) @ linking.factors_of_excess(returns, other)
    assert apart == pytest.approx(total(returns) - total(other), abs=1e-12)


def test_carinos_factors_by_hand():
    # 10 % = 6 + 4, then -5 % = 1 - 6: together 1.1 * 0.95 - 1 = 4.5 %
    k = [log(1.1) / 0.1, log(0.95) / -0.05]
    whole = log(1.045) / 0.045
    first = (0.06 * k[0] + 0.01 * k[1]) / whole
    found = linking.linked(np.array([[0.06, 0.04], [0.01, -0.06]]), np.array([0.1, -0.05]))
    assert found == pytest.approx([first, 0.045 - first], abs=1e-12)


def test_money_linking_is_the_money_that_each_symbol_earned_in_shares(make_panel, rng):
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.03, (30, 3)), axis=0))
    weights = rng.normal(0, 0.4, (20, 3))
    found = attribution.by_symbol(a_replay(make_panel(close), weights, rates=FREE), linking="money")
    equity, earned = 1.0, np.zeros(3)
    for t in range(20):  # filled at the close of bar t + 1, held to that of bar t + 2
        shares = weights[t] * equity / close[t + 1]
        profit = shares * (close[t + 2] - close[t + 1])
        earned += profit
        equity += profit.sum()
    assert [p.contribution for p in found] == pytest.approx(earned, abs=1e-12)


def test_a_lost_account_is_attributed_too(make_panel):
    returns = np.array([[0.1, 0.0], [-0.5, 0.1], [0.2, 0.2], [0.0, 0.0]])
    lost = a_replay(from_returns(make_panel, returns), np.tile([3.0, 0.5], (4, 1)), rates=FREE)
    parts = attribution.by_symbol(lost)
    assert total(lost.gross) == -1.0
    assert sum(p.contribution for p in parts) == pytest.approx(-1.0, abs=1e-12)


def test_timing_is_exposure_that_moved_with_the_market_and_selection_is_not(make_panel):
    moves = np.array([0.10, -0.10, 0.10, -0.10])
    market = np.stack([moves, moves], axis=1)  # both symbols are the market: nothing to select
    right = np.array([[0.5, 0.5], [0.0, 0.0]] * 2)
    found = a_replay(from_returns(make_panel, market), right, rates=FREE)
    parts = {p.name: p.mean_ann / 252 for p in attribution.by_decision(found, equal_weight(found))}
    assert parts == pytest.approx({"market": 0.0, "timing": 0.05, "tilt": 0.0, "selection": 0.0}, abs=1e-12)
    neutral = a_replay(
        from_returns(make_panel, np.array([[0.1, -0.1], [-0.1, 0.1]] * 2)), np.array([[1.0, -1.0], [-1.0, 1.0]] * 2)
    )
    parts = {p.name: p.mean_ann / 252 for p in attribution.by_decision(neutral, equal_weight(neutral))}
    assert parts == pytest.approx({"market": 0.0, "timing": 0.0, "tilt": 0.0, "selection": 0.2}, abs=1e-12)


# Brinson and Fachler.


def test_the_textbooks_three_regions(make_panel):
    """Bacon (2008): book 40/30/30 with 20, -5, 6 %; benchmark 40/20/40 with 10, -4, 8 %."""
    ours, theirs = [0.20, -0.05, 0.06], [0.10, -0.04, 0.08]
    returns = np.zeros((3, 6))
    returns[0] = [*ours, *theirs]
    book = np.tile([0.4, 0.3, 0.3, 0.0, 0.0, 0.0], (3, 1))
    found = a_replay(from_returns(make_panel, returns), book, rates=FREE)
    groups = {f"S{a}": ("UK", "Japan", "US")[a % 3] for a in range(6)}
    benchmark = np.tile([0.0, 0.0, 0.0, 0.4, 0.2, 0.4], (3, 1))
    rows = {row.group: row for row in brinson_fachler(found, groups, benchmark)}
    effects = {name: (r.allocation, r.selection, r.interaction) for name, r in rows.items()}
    assert effects["UK"] == pytest.approx((0.0, 0.04, 0.0), abs=1e-12)
    assert effects["Japan"] == pytest.approx((-0.0104, -0.002, -0.001), abs=1e-12)
    assert effects["US"] == pytest.approx((-0.0016, -0.008, 0.002), abs=1e-12)
    assert sum(map(sum, effects.values())) == pytest.approx(0.083 - 0.064, abs=1e-12)


def test_brinson_sums_to_the_excess_of_any_book(world):
    rows = brinson_fachler(world, GROUPS)
    excess = total(world.gross) - total(np.nan_to_num(equal_weight(world)))
    assert sum(r.allocation + r.selection + r.interaction for r in rows) == pytest.approx(excess, abs=1e-12)
    assert [r.group for r in rows] == ["(no group)", "oil", "tech", CASH]
    assert sum(r.weight for r in rows) == pytest.approx(1.0)
    assert sum(r.benchmark_weight for r in rows) == pytest.approx(1.0)


def test_holding_the_benchmark_has_no_effects(make_panel, rng):
    returns = rng.normal(0, 0.02, (10, 4))
    found = a_replay(from_returns(make_panel, returns), np.full((10, 4), 0.25), rates=FREE)
    rows = brinson_fachler(found, {"S0": "a", "S1": "a", "S2": "b", "S3": "b"})
    assert np.abs([(r.allocation, r.selection, r.interaction) for r in rows]).max() < 1e-12


@pytest.mark.parametrize("wrong", [np.ones((3, 2)), -np.ones((60, 5)), np.full((60, 5), np.nan)])
def test_impossible_benchmarks_are_refused(world, wrong):
    with pytest.raises(DataError, match="benchmark's weights"):
        brinson_fachler(world, GROUPS, wrong)


# What is analysed is what was simulated.


def test_the_positions_simulated_again_are_the_run(world):
    assert world.apart == 0.0
    assert world.left_out == 0


def test_a_runs_own_prices_end_two_decisions_early(make_panel, rng):
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.03, (30, 3)), axis=0))
    result = a_result(make_panel(close), rng.normal(0, 0.4, (20, 3)), first=4)
    own = replay(result, result.panel)
    assert own.left_out == 2
    assert len(own.times) == 18
    whole = replay(result, make_panel(close))
    assert np.array_equal(own.returns, whole.returns[:18])


def test_other_prices_are_refused(make_panel, rng):
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.03, (30, 3)), axis=0))
    result = a_result(make_panel(close), rng.normal(0, 0.4, (20, 3)))
    moved = close.copy()
    moved[10:, 1] *= 1.01
    with pytest.raises(DataError, match="explain a gross return"):
        replay(result, make_panel(moved))
    with pytest.raises(DataError, match="other bars"):
        replay(replace(result, times=result.times[::2]), make_panel(close))
    with pytest.raises(DataError, match="other symbols"):
        replay(result, replace(make_panel(close), symbols=("A", "B", "C")))
