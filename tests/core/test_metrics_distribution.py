"""Scores of whole distributions: closed forms of known laws, and the properties that make a score honest."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from mnpu.metrics import distribution as metrics
from mnpu.types import Forecast

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


def forecast_of(quantiles: np.ndarray, levels: tuple[float, ...] = LEVELS) -> Forecast:
    """Forecasts of one horizon from quantiles (T, A, Q)."""
    times = pd.date_range("2020-01-01", periods=len(quantiles), tz="UTC").as_unit("ns")
    return Forecast(times, tuple("ABCDEFGH"[: quantiles.shape[1]]), (1,), levels, quantiles[:, :, None])


def of_law(law, n: int) -> Forecast:
    return forecast_of(np.tile(law.ppf(LEVELS), (n, 5, 1)))


def test_crps_of_a_normal_law_is_its_closed_form() -> None:
    mean, scale, y = 0.3, 2.0, np.array([-4.0, -0.5, 0.3, 1.0, 6.0])
    z = (y - mean) / scale  # Gneiting and Raftery 2007, equation 21
    closed = scale * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    quantiles = np.tile(stats.norm.ppf(LEVELS, mean, scale), (5, 1))
    np.testing.assert_allclose(metrics.crps_of(quantiles, y, LEVELS), closed, rtol=3e-3)


def test_crps_is_the_integral_of_squared_distance_of_distribution_functions() -> None:
    levels = tuple(np.round(np.arange(0.01, 1, 0.01), 2))  # a law far from normal, with its quantiles close together
    law, y = stats.expon(), 0.7
    below = integrate.quad(lambda x: law.cdf(x) ** 2, 0, y)[0]
    above = integrate.quad(lambda x: law.sf(x) ** 2, y, 40)[0]
    found = metrics.crps_of(law.ppf(levels)[None], np.array([y]), levels)
    np.testing.assert_allclose(found, below + above, rtol=5e-3)


def test_crps_of_a_point_is_its_absolute_error() -> None:
    for levels in (LEVELS, (0.5,)):
        found = metrics.crps_of(np.full((3, len(levels)), 1.0), np.array([-1.0, 1.0, 4.0]), levels)
        np.testing.assert_allclose(found, [2.0, 0.0, 3.0], atol=1e-12)


def test_crps_leaves_out_what_is_not_known_and_does_not_depend_on_the_chunks(rng, monkeypatch) -> None:
    forecast = forecast_of(np.sort(rng.standard_normal((40, 5, 7)), axis=-1))
    labels = rng.standard_normal((40, 5, 1))
    labels[3, 2], forecast.quantiles[7, 1] = np.nan, np.nan
    whole = metrics.crps(forecast, labels).value
    each = [
        metrics.crps_of(forecast.quantiles[t, a], labels[t, a], LEVELS)[0]
        for t in range(40)
        for a in range(5)
        if (t, a) not in ((3, 2), (7, 1))
    ]
    assert whole == pytest.approx(np.mean(each))
    monkeypatch.setattr(metrics, "CHUNK", 7)
    assert metrics.crps(forecast, labels).value == pytest.approx(whole)


@pytest.mark.parametrize("law", [stats.norm(0.1, 0.5), stats.t(4), stats.logistic(0, 2)], ids=lambda law: law.dist.name)
def test_every_score_is_least_at_the_truth(law, rng) -> None:
    n = 4000
    labels = law.rvs((n, 5, 1), random_state=rng)
    spread = law.std()

    def scores(shift: float, width: float) -> tuple[float, float]:
        quantiles = law.mean() + width * (law.ppf(LEVELS) - law.mean()) + shift * spread
        forecast = forecast_of(np.tile(quantiles, (n, 5, 1)))
        interval = metrics.interval_score(forecast, labels)["interval_score_0.90"].value
        return metrics.crps(forecast, labels).value, interval

    truth = scores(0.0, 1.0)
    for other in (scores(0.15, 1.0), scores(-0.15, 1.0), scores(0.0, 1.25), scores(0.0, 0.75)):
        assert truth[0] < other[0]
        assert truth[1] < other[1]


@pytest.mark.parametrize("law", [stats.norm(0.1, 0.5), stats.t(4), stats.logistic(0, 2)], ids=lambda law: law.dist.name)
def test_the_transform_of_the_true_law_is_uniform(law, rng) -> None:
    labels = law.rvs((1000, 5, 1), random_state=rng)
    forecast = of_law(law, 1000)
    values = metrics.pit(forecast, labels)
    found = metrics.pit_ks(forecast, labels).value
    assert found == pytest.approx(stats.kstest(values, "uniform").statistic)
    assert found < 1.63 / np.sqrt(5000)  # 99 of 100 samples of the true law
    too_narrow = forecast_of(np.tile(0.7 * law.ppf(LEVELS), (1000, 5, 1)))
    assert metrics.pit_ks(too_narrow, labels).value > 0.05


def test_the_transform_is_the_distribution_function_of_a_normal_law(rng) -> None:
    law, y = stats.norm(-0.2, 0.03), np.linspace(-0.5, 0.1, 50)
    found = metrics.pit_of(np.tile(law.ppf(LEVELS), (50, 1)), y, LEVELS)
    np.testing.assert_allclose(found, law.cdf(y), atol=1e-7)


def test_the_transform_at_a_level_is_the_level_and_of_a_point_a_step() -> None:
    quantiles = np.array([-3.0, -1.0, -0.5, 0.25, 1.0, 2.0, 7.0])
    np.testing.assert_allclose(metrics.pit_of(np.tile(quantiles, (7, 1)), quantiles, LEVELS), LEVELS, atol=1e-7)
    point = metrics.pit_of(np.ones((3, 7)), np.array([0.9, 1.0, 1.1]), LEVELS)
    np.testing.assert_allclose(point, [0.0, 1.0, 1.0])


def test_interval_score_is_width_and_the_distance_outside() -> None:
    forecast = forecast_of(np.tile([-2.0, 0.0, 4.0], (1, 3, 1)), levels=(0.1, 0.5, 0.9))
    outcome = np.array([[-3.0, 1.0, 4.5]])[..., None]
    found = metrics.interval_score(forecast, outcome)
    assert list(found) == ["interval_score_0.80"]
    assert found["interval_score_0.80"].value == pytest.approx(((6 + 10 * 1.0) + 6 + (6 + 10 * 0.5)) / 3)


def test_nothing_known_has_a_reason() -> None:
    forecast = of_law(stats.norm(), 4)
    unknown = np.full((4, 5, 1), np.nan)
    for metric in (
        metrics.crps(forecast, unknown),
        metrics.pit_ks(forecast, unknown),
        *metrics.interval_score(forecast, unknown).values(),
    ):
        assert metric.value is None
        assert metric.reason == "no forecast has a known outcome"
