"""Reliability by regime: each regime has the numbers of its own decisions, and a fault in one shows there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mnpu.errors import MnpuError
from mnpu.metrics import distribution, regimes
from mnpu.metrics import forecast as of_forecast
from mnpu.types import Forecast

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def world(rng, n=900) -> tuple[Forecast, np.ndarray, np.ndarray]:
    """Forecasts as wide as a calm day's law, on days of which every third is three times as wild."""
    times = pd.date_range("2020-01-01", periods=n, tz="UTC").as_unit("ns")
    wild = np.arange(n) % 3 == 0
    outcome = rng.standard_normal((n, 4, 1)) * np.where(wild, 3.0, 1.0)[:, None, None]
    quantiles = np.tile(stats.norm.ppf(LEVELS), (n, 4, 1, 1))
    said = np.tile([0.25, 0.5, 0.25], (n, 4, 1, 1))
    limits = np.tile(stats.norm.ppf([0.25, 0.75]), (n, 1, 1))
    forecast = Forecast(times, tuple("ABCD"), (1,), LEVELS, quantiles, probabilities=said, thresholds=limits)
    return forecast, outcome, np.where(wild, "wild", "calm")


def test_a_forecast_that_is_too_narrow_in_one_regime_shows_there(rng):
    forecast, outcome, names = world(rng)
    found = regimes.reliability_by_regime(forecast, outcome, names)
    assert list(found) == ["calm", "wild"]
    assert found["calm"].metrics["coverage_0.90"].value == pytest.approx(0.9, abs=0.02)
    assert found["wild"].metrics["coverage_0.90"].value == pytest.approx(2 * stats.norm.cdf(1.645 / 3) - 1, abs=0.04)
    assert found["wild"].metrics["pit_ks"].value > 5 * found["calm"].metrics["pit_ks"].value
    assert found["calm"].metrics["brier"].value == pytest.approx(0.625, abs=0.02)  # 2 (.25 .75) + .5 .5
    assert found["wild"].metrics["brier"].value > 0.7
    assert found["calm"].classes.came.sum() == pytest.approx(0.5, abs=0.04)
    assert found["wild"].classes.came.sum() < 0.25


def test_numbers_are_those_of_the_decisions_of_the_regime_alone(rng):
    forecast, outcome, names = world(rng, n=90)
    outcome[3, 2] = np.nan
    found = regimes.reliability_by_regime(forecast, outcome, names)["wild"]
    first = [forecast.rows(t, t + 1) for t in range(0, 90, 3)]
    crps = np.nanmean(
        [
            distribution.crps_of(f.quantiles[0, [a], 0], outcome[3 * i, a], LEVELS)[0]
            for i, f in enumerate(first)
            for a in range(4)
            if np.isfinite(outcome[3 * i, a, 0])
        ]
    )
    assert found.metrics["crps"].value == pytest.approx(crps)
    assert (found.regime, found.decisions, found.cells) == ("wild", 30, 119)


def test_one_regime_is_the_whole(rng):
    forecast, outcome, _ = world(rng, n=120)
    found = regimes.reliability_by_regime(forecast, outcome, [7] * 120)["7"]
    assert found.metrics["pit_ks"] == distribution.pit_ks(forecast, outcome)
    assert found.metrics["coverage_0.90"] == of_forecast.coverage(forecast, outcome)["coverage_0.90"]


def test_what_has_no_regime_is_left_out_and_numbers_keep_their_order(rng):
    forecast, outcome, _ = world(rng, n=60)
    numbers = np.repeat([10.0, 2.0, np.nan], 20)
    assert {k: v.decisions for k, v in regimes.reliability_by_regime(forecast, outcome, numbers).items()} == {
        "2": 20,
        "10": 20,
    }
    assert list(regimes.reliability_by_regime(forecast, outcome, numbers)) == ["2", "10"]
    assert regimes.reliability_by_regime(forecast, outcome, [None] * 60) == {}
    with pytest.raises(MnpuError, match="59 regimes for 60 decisions"):
        regimes.reliability_by_regime(forecast, outcome, numbers[1:])


def test_a_regime_without_known_outcomes_says_so(rng):
    forecast, outcome, _ = world(rng, n=40)
    outcome[20:] = np.nan
    found = regimes.reliability_by_regime(forecast, outcome, ["a"] * 20 + ["b"] * 20)["b"]
    assert found.metrics["crps"].reason == "no forecast has a known outcome"
    assert (found.cells, found.classes) == (0, None)
