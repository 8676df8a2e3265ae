"""Traps of timing, cost, turnover, dependence and benchmarks: each check holds, and fails when the fault is planted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from mnpu.analysis import attribution, benchmarks
from mnpu.analysis.sensitivity import lag_table
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import simulate
from mnpu.types import Positions
from tests.core.analysis_world import a_replay

FREE = CostModel(0.0, 0.0)


def planted(check, *fault):
    with pytest.raises(AssertionError):
        check(*fault)


def run(weights, prices, *, costs=FREE):
    times = pd.date_range("2020-01-01", periods=len(weights) + 1, freq="D", tz="UTC").as_unit("ns")
    symbols = tuple(f"S{a}" for a in range(weights.shape[1]))
    book = Positions(times[:-1], symbols, weights, np.ones(len(weights), dtype=bool))
    return simulate(book, prices, times[1:], costs=costs)


# D2: what is decided at t is filled after t.


def fills_after(close, n):
    """Fill prices of n decisions: the next close."""
    return close[1 : n + 2]


def fills_at(close, n):
    """The fault: at the close of the decision itself."""
    return close[: n + 1]


def check_timing(fills):
    close = np.full((7, 1), 100.0)
    close[3:] = 110.0  # the only move is into bar 3
    weights = np.zeros((5, 1))
    weights[2] = 1.0  # decided at bar 2, filled at bar 3: the move is over
    assert run(weights, fills(close, 5)).gross.tolist() == [0.0] * 5
    weights = np.zeros((5, 1))
    weights[1] = 1.0
    assert run(weights, fills(close, 5)).gross == pytest.approx([0.0, 0.1, 0.0, 0.0, 0.0])


def check_foresight(fills):
    """Who knows the bar after the decision, and no more, earns nothing but its cost."""
    rng = np.random.default_rng(5)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (1002, 1)), axis=0))
    weights = np.sign(close[1:1001] / close[:1000] - 1)
    out = run(weights, fills(close, 1000), costs=CostModel(1.0, 2.0))
    noise = out.gross.std() / 1000**0.5
    assert abs(out.gross.mean()) < 4 * noise
    assert out.net.mean() == pytest.approx(out.gross.mean() - sum(c.mean() for c in out.costs.values()), abs=1e-5)


@pytest.mark.parametrize("check", [check_timing, check_foresight])
def test_d2_fills_come_after_the_decision(check):
    check(fills_after)
    planted(check, fills_at)


def test_d2_a_clock_that_is_a_bar_early_raises_the_red_flag(make_panel, rng):
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (400, 2)), axis=0))
    moves = close[1:] / close[:-1] - 1
    honest = 0.3 * np.sign(moves[:300])  # of the bar up to decision t + 1, used from there on
    early = 0.3 * np.sign(moves[1:301])  # the same, with its stamp a bar too early
    assert not lag_table(a_replay(make_panel(close), honest, first=1, rates=FREE)).red_flag
    assert lag_table(a_replay(make_panel(close), early, first=1, rates=FREE)).red_flag


# D8: costs are charged on what is traded, in proportion, and on nothing else.


@dataclass(frozen=True)
class WithTicket(CostModel):
    """The fault: something is charged though nothing is traded."""

    def by_kind(self, traded):
        return {name: cost + 1e-4 for name, cost in super().by_kind(traded).items()}


@dataclass(frozen=True)
class OnNet(CostModel):
    """The fault: buying and selling cancel out."""

    def by_kind(self, traded):
        return super().by_kind(traded.sum(axis=-1, keepdims=True))


@dataclass(frozen=True)
class WithoutScale(CostModel):
    """The fault: the rate is capped, so that a doubled one does not cost twice."""

    def by_kind(self, traded):
        return {name: np.minimum(cost, 2e-4) for name, cost in super().by_kind(traded).items()}


def check_costs(model):
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 0.3, (50, 3))
    prices = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (51, 3)), axis=0))
    once, twice = run(weights, prices, costs=model(1.0, 2.0)), run(weights, prices, costs=model(2.0, 4.0))
    paid = [sum(cost.sum() for cost in out.costs.values()) for out in (once, twice)]
    assert paid[1] == pytest.approx(2 * paid[0])
    assert paid[0] == pytest.approx(2 * once.turnover_oneway.sum() * 3e-4)
    assert (once.net <= once.gross + 1e-15).all()
    idle = run(np.zeros((5, 3)), prices[:6], costs=model(1.0, 2.0))
    assert all((cost == 0).all() for cost in idle.costs.values())
    flat = np.full((6, 2), 10.0)
    hold = run(np.tile([0.5, -0.5], (5, 1)), flat, costs=model(1.0, 2.0))
    assert sum(cost for cost in hold.costs.values())[1:] == pytest.approx(0.0, abs=1e-6)
    assert sum(cost for cost in hold.costs.values())[0] == pytest.approx(3e-4)


def test_d8_costs_are_charged_on_what_is_traded():
    check_costs(CostModel)
    for fault in (WithTicket, OnNet, WithoutScale):
        planted(check_costs, fault)


# D12: turnover is half of what is traded, against drifted weights.


def of_simulation(out, weights):
    return out.turnover_oneway


def of_net(out, weights):
    """The fault: change of net exposure."""
    return np.abs(np.diff(weights.sum(axis=1), prepend=0.0)) / 2


def of_targets(out, weights):
    """The fault: against yesterday's target, as if weights did not drift."""
    return np.abs(np.diff(weights, axis=0, prepend=0.0)).sum(axis=1) / 2


def check_turnover(measure):
    flip = np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]])
    assert measure(run(flip, np.full((4, 2), 10.0)), flip)[1:] == pytest.approx([2.0, 2.0])
    prices = np.array([[10.0, 10.0], [12.0, 10.0], [9.0, 10.0], [9.0, 10.0]])
    shares = np.array([0.05, 0.05]) * prices[:3]
    drifting = shares / shares.sum(axis=1, keepdims=True)
    assert measure(run(drifting, prices), drifting) == pytest.approx([0.5, 0.0, 0.0], abs=1e-12)


def test_d12_turnover_is_of_trades_against_the_drifted_book():
    check_turnover(of_simulation)
    planted(check_turnover, of_net)
    planted(check_turnover, of_targets)


# D17: numbers are about the positions.


def of_symbols(found):
    return np.array([part.mean_ann for part in attribution.by_symbol(found)])


def of_the_market(found):
    """The fault: the returns of the symbols, whoever held them."""
    return found.returns.mean(axis=0)


def check_dependence(measure, world, weights):
    panel = world
    one, mirrored = (measure(a_replay(panel, w, rates=FREE)) for w in (weights, -weights))
    assert mirrored == pytest.approx(-one)
    assert not np.allclose(measure(a_replay(panel, weights[::-1], rates=FREE)), one)


def test_d17_attribution_is_about_the_book(make_panel, rng):
    panel = make_panel(50 * np.exp(np.cumsum(rng.normal(0, 0.01, (60, 3)), axis=0)))
    weights = rng.normal(0, 0.3, (50, 3))
    check_dependence(of_symbols, panel, weights)
    planted(check_dependence, of_the_market, panel, weights)


# D19: who is suspended is missing from a benchmark, not at 0 %.


def with_zeros(found):
    """The fault."""
    return benchmarks.equal_weight(replace(found, known=np.nan_to_num(found.known)))


def of_survivors(found):
    """The fault: only who has a price at the end."""
    stays = np.isfinite(found.panel["close"][-1])
    return benchmarks.equal_weight(replace(found, known=np.where(stays, found.known, np.nan)))


def check_benchmark(measure, make_panel):
    close = np.tile([10.0, 10.0, 10.0], (8, 1))
    close[3:, 0] = 12.0
    close[3:6, 1] = np.nan  # suspended, and down by half when it trades again
    close[6:, 1] = 5.0
    close[5:, 2] = np.nan  # delisted at a tenth
    cash = np.full((8, 3), np.nan)
    cash[5, 2] = 1.0
    found = a_replay(make_panel(close, delisting=cash), np.zeros((6, 3)))
    expected = [0.0, (0.2 + 0.0) / 2, 0.0, (0.0 - 0.9) / 2, (0.0 - 0.5) / 2, 0.0]
    assert measure(found) == pytest.approx(expected)


def test_d19_suspended_names_are_missing_and_delisted_ones_count(make_panel):
    check_benchmark(benchmarks.equal_weight, make_panel)
    planted(check_benchmark, with_zeros, make_panel)
    planted(check_benchmark, of_survivors, make_panel)


def test_d19_excess_is_told_beside_every_benchmark(make_panel, rng):
    panel = make_panel(50 * np.exp(np.cumsum(rng.normal(0, 0.01, (60, 3)), axis=0)))
    found = a_replay(panel, rng.normal(0, 0.3, (50, 3)))
    rows = benchmarks.excess_table(found, caps=np.ones((50, 3)))
    assert [row.benchmark for row in rows] == ["cash", "equal_weight", "cap_weight", "beta_matched"]
    assert rows[1].excess_mean_ann == pytest.approx(rows[2].excess_mean_ann)  # all are as large
    assert all(row.excess_total is not None for row in rows)
