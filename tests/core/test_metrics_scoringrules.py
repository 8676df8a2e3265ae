"""Scores of forecasts, one by one, are those of the package scoringrules."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mnpu.metrics import classes, distribution, forecast
from mnpu.types import Forecast

scoringrules = pytest.importorskip("scoringrules")

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


@pytest.fixture
def made(rng) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation, quantiles and outcome of 500 normal forecasts."""
    mean, scale = 0.02 * rng.standard_normal(500), np.exp(0.5 * rng.standard_normal(500)) * 0.01
    return (
        mean,
        scale,
        mean[:, None] + scale[:, None] * stats.norm.ppf(LEVELS),
        mean + 1.3 * scale * rng.standard_normal(500),
    )


def as_forecast(quantiles: np.ndarray) -> Forecast:
    times = pd.date_range("2020-01-01", periods=len(quantiles), tz="UTC").as_unit("ns")
    return Forecast(times, ("A",), (1,), LEVELS, quantiles[:, None, None])


def test_crps_of_normal_laws(made):
    mean, scale, quantiles, outcome = made
    theirs = scoringrules.crps_normal(outcome, mean, scale)
    np.testing.assert_allclose(distribution.crps_of(quantiles, outcome, LEVELS), theirs, rtol=0.02)
    assert distribution.crps_of(quantiles, outcome, LEVELS).mean() == pytest.approx(theirs.mean(), rel=1e-3)


def test_pinball_loss(made):
    _, _, quantiles, outcome = made
    theirs = np.mean([scoringrules.quantile_score(outcome, quantiles[:, i], level) for i, level in enumerate(LEVELS)])
    found = forecast.pinball(as_forecast(quantiles), outcome[:, None, None]).value
    assert found == pytest.approx(theirs)


def test_interval_score(made):
    _, _, quantiles, outcome = made
    found = distribution.interval_score(as_forecast(quantiles), outcome[:, None, None])
    for i, name in enumerate(("interval_score_0.90", "interval_score_0.80", "interval_score_0.50")):
        theirs = scoringrules.interval_score(outcome, quantiles[:, i], quantiles[:, -1 - i], 2 * LEVELS[i])
        assert found[name].value == pytest.approx(theirs.mean()), name


def test_brier_and_logarithmic_score_of_two_classes(rng):
    up = rng.uniform(0.05, 0.95, 400)
    came = (rng.uniform(size=400) < up).astype(int)
    said = np.stack([1 - up, up], axis=1)
    assert classes.brier(said, came) == pytest.approx(2 * scoringrules.brier_score(came, up).mean())  # both classes
    assert classes.nll(said, came) == pytest.approx(scoringrules.log_score(came, up).mean())
