"""Turnover, cost and exposure, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.metrics import trading as metrics

TURNOVER = np.array([0.5, 0.0, 0.25])
COSTS = {"commission": 2e-4 * TURNOVER, "half_spread": 4e-4 * TURNOVER}  # 1 + 2 bps on both sides of the one-way


def test_turnover_is_a_mean_over_bars_and_per_year():
    assert metrics.turnover(TURNOVER).value == pytest.approx(0.25)
    assert metrics.turnover_ann(TURNOVER, 252.0).value == pytest.approx(63.0)


def test_cost_is_told_per_traded_notional():
    assert metrics.cost_total(COSTS).value == pytest.approx(6e-4 * 0.75)
    assert metrics.cost_bps(COSTS, TURNOVER).value == pytest.approx(3.0)


def test_at_the_break_even_cost_the_mean_net_return_is_zero(rng):
    gross, oneway = 0.001 + 0.01 * rng.standard_normal(300), rng.uniform(0, 0.5, 300)
    bps = metrics.breakeven_bps(gross, oneway).value
    net = (1 - bps / 1e4 * 2 * oneway) * (1 + gross) - 1
    assert bps > 0
    assert net.mean() == pytest.approx(0.0, abs=1e-16)


def test_without_trades_there_is_no_cost_per_trade():
    nothing = np.zeros(3)
    assert metrics.cost_bps({"commission": nothing}, nothing).reason == "nothing was traded"
    assert metrics.breakeven_bps(np.ones(3), nothing).value is None
    assert metrics.turnover(nothing).value == 0.0


def test_an_account_lost_at_once_traded_and_has_no_break_even_cost():
    lost = metrics.breakeven_bps(np.array([-1.0, 0.0, 0.0]), np.array([0.5, 0.0, 0.0]))
    assert lost.value is None
    assert "all was lost" in lost.reason


def test_exposure_is_gross_and_net():
    weights = np.array([[0.5, -0.5], [0.3, 0.1]])
    assert metrics.gross_exposure(weights).value == pytest.approx(0.7)
    assert metrics.net_exposure(weights).value == pytest.approx(0.2)
