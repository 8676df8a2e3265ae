"""The information coefficient of columns: against scipy, loops, and how often its interval holds the truth."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.metrics import forecast
from mnpu.metrics.information import by_decision, critical, lags_for, mean_of, outcome_order, over_time


def panel(rng, shape=(40, 9)):
    values = rng.standard_normal(shape).round(1).astype(np.float32)
    outcome = rng.standard_normal(shape).round(1)
    values[rng.random(shape) < 0.15] = np.nan
    outcome[rng.random(shape) < 0.15] = np.nan
    return values, outcome, rng.random(shape) > 0.1


def test_both_coefficients_are_those_of_scipy_at_every_decision(rng):
    stats = pytest.importorskip("scipy.stats", reason="scipy gives the reference")
    values, outcome, cells = panel(rng)
    linear, ranked = by_decision(values, outcome, cells, outcome_order(outcome))
    for t in range(len(values)):
        known = cells[t] & np.isfinite(values[t]) & np.isfinite(outcome[t])
        x, y = values[t, known].astype(float), outcome[t, known]
        assert linear[t] == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
        assert ranked[t] == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_the_loop_is_the_definition_that_forecasts_are_judged_by(rng):
    values, outcome, cells = panel(rng)
    both = cells & np.isfinite(values) & np.isfinite(outcome)
    wide = values.astype(float)
    linear, ranked = by_decision(values, outcome, cells, outcome_order(outcome))
    expected = forecast._correlation_by_row(forecast._ranks(wide, both), forecast._ranks(outcome, both), both)
    np.testing.assert_allclose(ranked, expected, atol=1e-12)
    np.testing.assert_allclose(linear, forecast._correlation_by_row(wide, outcome, both), atol=1e-12)


def test_there_is_no_cross_section_of_two_symbols_or_of_equal_values():
    values = np.array([[1, 2, np.nan], [5, 5, 5], [1, 2, 3]], dtype=np.float32)
    outcome = np.array([[1.0, 2, 3], [1, 2, 3], [4, 4, 4]])
    linear, ranked = by_decision(values, outcome, np.ones((3, 3), bool), outcome_order(outcome))
    assert np.isnan(linear).all()
    assert np.isnan(ranked).all()


def test_the_error_of_a_mean_is_newey_and_wests_over_twice_the_horizon(rng):
    series = rng.standard_normal(400)
    found = mean_of(np.r_[np.nan, series], horizon=21)
    d, n, lags = series - series.mean(), 400, 42
    long_run = sum(
        (1 - abs(k) / (lags + 1)) * np.sum(d[abs(k) :] * d[: n - abs(k)]) / n for k in range(-lags, lags + 1)
    )
    assert (found.n, found.lags) == (400, 42)
    assert found.value == pytest.approx(series.mean())
    assert found.se == pytest.approx(np.sqrt(long_run / n))
    b = 43 / 400
    half = (1.96 + 2.9694 * b + 0.416 * b**2 - 0.5324 * b**3) * found.se
    assert (found.low, found.high) == (pytest.approx(found.value - half), pytest.approx(found.value + half))
    assert lags_for(1, 400) == 5  # the rule of thumb is a floor


def test_too_few_decisions_have_a_reason_in_place_of_an_interval(rng):
    found = mean_of(rng.standard_normal(200), horizon=21)
    assert (found.low, found.high, found.se, found.t) == (None, None, None, None)
    assert found.reason == "200 decisions are too few for an interval, at least 215 are needed at a horizon of 21"
    assert not found.excludes_zero
    assert mean_of(np.full(50, np.nan), horizon=1).value is None
    assert mean_of(np.full(50, 0.5), horizon=1).reason == "it does not vary between decisions"


@pytest.mark.parametrize("n", [120, 500])
def test_the_interval_of_overlapping_outcomes_holds_the_truth_about_as_often_as_it_says(rng, n):
    """Sums of ten shocks overlap; an interval of plain standard errors would hold zero in 55 % of the cases."""
    held = []
    for _ in range(600):
        series = np.convolve(rng.standard_normal(n + 9), np.ones(10), "valid")
        found = mean_of(series, horizon=10)
        held.append(found.low <= 0.0 <= found.high)
    assert 0.90 <= np.mean(held) <= 0.985


def test_the_critical_value_falls_to_that_of_a_normal_law():
    assert critical(10**9, 5) == pytest.approx(1.96, abs=1e-4)
    assert critical(100, 19) > critical(1000, 19) > 1.96


@pytest.mark.parametrize("ranked", [False, True])
def test_over_time_it_is_the_mean_correlation_of_the_series(rng, ranked):
    stats = pytest.importorskip("scipy.stats", reason="scipy gives the reference")
    x, y = rng.standard_normal((300, 2)), rng.standard_normal((300, 2))
    y += 0.3 * x
    x[rng.random(x.shape) < 0.1] = np.nan
    correlation = stats.spearmanr if ranked else stats.pearsonr
    expected = np.mean([correlation(x[k, s], y[k, s]).statistic for s in (0, 1) for k in [np.isfinite(x[:, s])]])
    found = over_time(x, y, horizon=1, ranked=ranked)
    assert found.value == pytest.approx(expected)


def test_the_error_of_one_correlation_is_fishers_where_nothing_depends(rng):
    """For normal numbers the error of a correlation r is (1 - r^2) / sqrt(n)."""
    x = rng.standard_normal((4000, 1))
    y = 0.6 * x + 0.8 * rng.standard_normal((4000, 1))
    found = over_time(x, y, horizon=1, ranked=False)
    assert found.value == pytest.approx(0.6, abs=0.04)
    assert found.se == pytest.approx((1 - 0.36) / np.sqrt(4000), rel=0.15)


def test_a_series_that_does_not_vary_has_a_reason():
    found = over_time(np.ones((50, 1)), np.arange(50.0)[:, None], horizon=1, ranked=True)
    assert (found.value, found.reason) == (None, "it does not vary over time where the outcome is known")
