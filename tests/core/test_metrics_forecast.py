"""Skill, order and calibration of forecasts, against loops over cells and known laws."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from mnpu.metrics import forecast as metrics
from mnpu.metrics.compute import compute
from mnpu.metrics.dependence import newey_west_se
from mnpu.types import Forecast, Positions, Result

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])


def forecast_of(medians, *, width=1.0, horizons=(1,)) -> Forecast:
    """Normal forecasts around ``medians`` (T, A), the same for each horizon."""
    medians = np.asarray(medians, dtype=float)
    times = pd.date_range("2020-01-01", periods=len(medians), tz="UTC").as_unit("ns")
    quantiles = np.repeat((medians[:, :, None] + width * NORMAL)[:, :, None, :], len(horizons), axis=2)
    return Forecast(times, tuple("ABCDEFGHIJ"[: medians.shape[1]]), horizons, LEVELS, quantiles)


def test_hit_rate_leaves_out_what_has_no_sign_and_names_the_base_rate():
    forecast = forecast_of([[0.1, 0.1, -0.1, 0.0, 0.2]])
    outcome = np.array([[0.3, -0.1, -0.2, 0.5, np.nan]])[..., None]
    hit, base = metrics.hit_rate(forecast, outcome)
    assert hit.value == pytest.approx(2 / 3)
    assert base.value == pytest.approx(2 / 3)  # down, down, up


def test_a_forecast_without_a_sign_has_no_hit_rate_and_the_reason_is_not_the_outcomes():
    outcome = np.array([[0.3, -0.1], [0.2, 0.1]])[..., None]
    hit, base = metrics.hit_rate(forecast_of(np.zeros((2, 2))), outcome)
    assert (hit.value, base.value) == (None, None)
    assert hit.reason == "no forecast with a known outcome has a sign"


def test_rank_ic_is_the_mean_of_spearman_over_dates(rng):
    spearman = pytest.importorskip("scipy.stats", reason="scipy gives the reference").spearmanr
    medians, outcome = rng.standard_normal((30, 6)).round(1), rng.standard_normal((30, 6)).round(1)
    outcome[rng.random((30, 6)) < 0.1] = np.nan
    by_date = []
    for t in range(30):
        known = np.isfinite(outcome[t])
        by_date.append(spearman(medians[t, known], outcome[t, known]).statistic)
    found = metrics.rank_information_coefficient(forecast_of(medians), outcome[..., None])
    assert found.value == pytest.approx(np.mean(by_date), abs=1e-12)


def test_ic_is_the_mean_of_pearson_over_dates(rng):
    medians, outcome = rng.standard_normal((2, 30, 6))
    by_date = [np.corrcoef(a, b)[0, 1] for a, b in zip(medians, outcome, strict=True)]
    found = metrics.information_coefficient(forecast_of(medians), outcome[..., None])
    assert found.value == pytest.approx(np.mean(by_date), abs=1e-12)


def test_a_mirrored_forecast_has_the_opposite_rank_ic(rng):
    medians, outcome = rng.standard_normal((2, 30, 6))
    one, other = (metrics.rank_information_coefficient(forecast_of(s * medians), outcome[..., None]) for s in (1, -1))
    assert one.value == pytest.approx(-other.value)


def test_one_symbol_has_no_rank_ic_and_says_why():
    found = metrics.rank_information_coefficient(forecast_of(np.ones((9, 1))), np.ones((9, 1, 1)))
    assert found.value is None
    assert "1 symbol(s) are no cross-section" in found.reason


def test_a_constant_forecast_has_no_rank_ic(rng):
    found = metrics.rank_information_coefficient(forecast_of(np.full((9, 5), 0.1)), rng.standard_normal((9, 5, 1)))
    assert found.value is None


def test_the_error_of_the_mean_allows_for_overlap(rng):
    # Means over five shocks overlap like outcomes over five bars: the true error is that of the shocks.
    shocks = rng.standard_normal((2000, 404))
    kernel = np.ones(5) / 5
    overlapping = np.array([np.convolve(row, kernel, mode="valid") for row in shocks])
    spread = overlapping.mean(axis=1).std()
    allowed = np.mean([newey_west_se(row, lags=8) for row in overlapping])
    naive = np.mean([newey_west_se(row, lags=0) for row in overlapping])
    assert allowed == pytest.approx(spread, rel=0.2)
    assert naive < 0.6 * spread


def test_outcomes_over_twenty_bars_widen_the_error_of_the_rank_ic(rng):
    medians, outcome = rng.standard_normal((200, 6)), rng.standard_normal((200, 6))
    ranks = [(a.argsort().argsort(), b.argsort().argsort()) for a, b in zip(medians, outcome, strict=True)]
    by_date = np.array([np.corrcoef(a, b)[0, 1] for a, b in ranks])
    found = metrics.rank_information_coefficient(forecast_of(medians, horizons=(20,)), outcome[..., None])
    assert found.se == pytest.approx(newey_west_se(by_date, lags=19))


def test_newey_west_without_lags_is_the_plain_error(rng):
    values = rng.standard_normal(50)
    assert newey_west_se(values, lags=0) == pytest.approx(values.std() / np.sqrt(50))


def test_pinball_is_the_mean_over_every_cell_horizon_and_level(rng):
    forecast, outcome = forecast_of(rng.standard_normal((4, 3)), horizons=(1, 5)), rng.standard_normal((4, 3, 2))
    outcome[1, 2, 1] = np.nan  # one unknown horizon leaves the cell out
    losses = [
        tau * max(y - q, 0) + (1 - tau) * max(q - y, 0)
        for t in range(4)
        for a in range(3)
        for h in range(2)
        if (t, a) != (1, 2)
        for tau, q, y in zip(LEVELS, forecast.quantiles[t, a, h], [outcome[t, a, h]] * 7, strict=True)
    ]
    assert metrics.pinball(forecast, outcome).value == pytest.approx(np.mean(losses))


def test_pinball_is_least_for_the_true_law(rng):
    outcome = rng.standard_normal((4000, 5, 1))
    loss = lambda shift, width: metrics.pinball(forecast_of(np.full((4000, 5), shift), width=width), outcome).value
    assert loss(0.0, 1.0) < min(loss(0.2, 1.0), loss(-0.2, 1.0), loss(0.0, 1.3), loss(0.0, 0.7))


def test_coverage_of_the_true_law_lies_in_the_binomial_band(rng):
    forecast, outcome = forecast_of(np.zeros((4000, 5))), rng.standard_normal((4000, 5, 1))
    found = metrics.coverage(forecast, outcome)
    assert list(found) == ["coverage_0.90", "coverage_0.80", "coverage_0.50"]
    for name, metric in found.items():
        nominal = float(name.removeprefix("coverage_"))
        assert abs(metric.value - nominal) < 4 * np.sqrt(nominal * (1 - nominal) / 20_000)
    too_narrow = metrics.coverage(forecast_of(np.zeros((4000, 5)), width=0.5), outcome)
    assert too_narrow["coverage_0.90"].value < 0.7


def result_of(forecast: Forecast | None, labels: np.ndarray | None) -> Result:
    rng = np.random.default_rng(0)
    times = pd.date_range("2018-01-01", periods=600, tz="UTC").as_unit("ns")
    net = 0.01 * rng.standard_normal(600)
    book = Positions(times, ("A", "B", "C", "D"), np.full((600, 4), 0.25), np.ones(600, bool))
    equity = np.concatenate([[1.0], np.cumprod(1 + net)])
    costs = {"commission": np.full(600, 1e-5)}
    oneway = np.full(600, 0.05)
    return Result("a", times, times, net + 1e-5, net, equity, oneway, costs, book, book, 252.0, forecast, labels)


def test_a_rule_has_the_columns_of_a_model_with_a_reason_where_it_makes_no_forecast(rng):
    forecast = forecast_of(rng.standard_normal((600, 4)))
    model, rule = compute(result_of(forecast, rng.standard_normal((600, 4, 1)))), compute(result_of(None, None))
    assert set(rule) <= set(model)
    assert list(rule)[:3] == ["total_return_net", "total_return_gross", "cagr"]
    assert rule["rank_ic"].value is None
    assert rule["rank_ic"].reason == "a rule that makes no forecast"
    for name, metric in {**model, **rule}.items():
        assert metric.name == name
        assert metric.unit
        assert (metric.value is not None and np.isfinite(metric.value)) or metric.reason, name
    assert rule["sharpe"].se > 0
    assert rule["n"].value == 600


def test_metrics_depend_on_the_forecast_and_on_nothing_after_it(rng):
    forecast, labels = forecast_of(rng.standard_normal((600, 4))), rng.standard_normal((600, 4, 1))
    before = compute(result_of(forecast, labels))
    shuffled = replace(forecast, quantiles=forecast.quantiles[rng.permutation(600)])
    after = compute(result_of(shuffled, labels))
    for name in ("hit_rate", "ic", "rank_ic", "pinball"):
        assert before[name].value != after[name].value, name
    assert before["sharpe"] == after["sharpe"]
