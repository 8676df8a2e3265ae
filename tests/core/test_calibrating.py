"""Calibration of forecasts in time: ranges that do not meet, and outcomes that count from when they are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mnpu.errors import ConfigError, DataError
from mnpu.training.calibrating import adapt, carve, fit_calibration
from mnpu.types import Fold, Forecast, Labels

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
FOLD = Fold(number=0, train=(0, 100), validation=(105, 300), test=(705, 1000))
T, A, HORIZON = 1000, 4, 5


@pytest.fixture
def world(rng: np.random.Generator) -> tuple[Forecast, Labels]:
    """Forecasts that are too narrow for standard normal outcomes, each known six bars after its decision."""
    times = pd.date_range("2010-01-01", periods=T, freq="D", tz="UTC").as_unit("ns")
    nothing = pd.DatetimeIndex([pd.NaT] * (HORIZON + 1), tz="UTC").as_unit("ns")
    values = rng.standard_normal((T, A, 1))
    values[T - HORIZON - 1 :] = np.nan
    labels = Labels(values, times, (times[HORIZON + 1 :].append(nothing),), (HORIZON,), "made_up")
    quantiles = np.tile(stats.norm.ppf(LEVELS, 0.3, 0.5), (T, A, 1, 1))
    return Forecast(times, ("A", "B", "C", "D"), (HORIZON,), LEVELS, quantiles), labels


def test_split_calibration_covers_the_test_range_and_gives_nothing_before_it(world) -> None:
    forecast, labels = world
    calibration = fit_calibration(forecast, labels, FOLD, (300, 700))
    made = calibration.apply(forecast)
    assert np.isnan(made.quantiles[:700]).all()
    test, outcomes = made.quantiles[705:990], labels.values[705:990]
    below = (outcomes[..., None] <= test).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(below, LEVELS, atol=0.05)
    assert (outcomes[..., None] <= forecast.quantiles[705:990]).mean(axis=(0, 1, 2))[-1] < 0.9


@pytest.mark.parametrize("rows", [(290, 700), (300, 706), (50, 90), (400, 400)])
def test_a_calibration_range_that_meets_another_is_refused(world, rows: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="the calibration range is"):
        fit_calibration(*world, FOLD, rows)


def test_outcomes_that_are_not_known_at_the_first_test_decision_do_not_count(world) -> None:
    forecast, labels = world
    fold = replace(FOLD, test=(700, 1000))
    values = labels.values.copy()
    values[695:] = 100.0  # known from row 701 on
    first = fit_calibration(forecast, labels, fold, (300, 700))
    assert np.array_equal(
        first.shifts, fit_calibration(forecast, replace(labels, values=values), fold, (300, 700)).shifts
    )
    values[694] = 100.0  # known at row 700 itself
    second = fit_calibration(forecast, replace(labels, values=values), fold, (300, 700))
    assert not np.array_equal(first.shifts, second.shifts)


def test_the_carved_validation_ends_before_its_labels_reach_the_calibration(world) -> None:
    forecast, labels = world
    fold = replace(FOLD, validation=(105, 700))
    shorter, rows = carve(fold, labels, times=forecast.times, share=0.5)
    assert rows == (402, 700)  # the last 298 of 595 bars
    assert shorter.validation == (105, 397)  # the label of row 396 is known at row 402, that of row 397 is not
    fit_calibration(forecast, labels, shorter, rows)


@pytest.mark.parametrize("share", [0.0, 1.0, 0.999])
def test_a_share_that_leaves_nothing_is_refused(world, share: float) -> None:
    forecast, labels = world
    with pytest.raises(ConfigError, match=r"model\.calibration\.share is"):
        carve(FOLD, labels, times=forecast.times, share=share)


def test_adapting_uses_no_outcome_before_it_is_known(world) -> None:
    forecast, labels = world
    values = labels.values.copy()
    values[600:] = 50.0
    first = adapt(forecast, labels, (300, 900), since=400).quantiles
    second = adapt(forecast, replace(labels, values=values), (300, 900), since=400).quantiles
    assert np.array_equal(first[:606], second[:606], equal_nan=True)
    assert not np.array_equal(first[606], second[606])
    assert np.isfinite(first[400:900]).all()
    assert np.isnan(np.concatenate([first[:400], first[900:]])).all()


def test_adapting_recovers_coverage_after_a_shift(world) -> None:
    forecast, labels = world
    values = labels.values.copy()
    values[450:] *= 3
    made = adapt(forecast, replace(labels, values=values), (300, 990), since=400, memory=100).quantiles[650:990]
    below = (values[650:990, ..., None] <= made).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(below, LEVELS, atol=0.05)
    assert (np.diff(made) >= 0).all()


def test_probabilities_get_a_temperature_for_each_horizon(world, rng: np.random.Generator) -> None:
    forecast, labels = world
    sure = np.tile([0.98, 0.01, 0.01], (T, A, 1, 1))
    thresholds = np.tile(stats.norm.ppf([[1 / 3, 2 / 3]]), (T, 1, 1))
    forecast = replace(forecast, probabilities=sure, evidence=np.full((T, A, 1), 9.0), thresholds=thresholds)
    calibration = fit_calibration(forecast, labels, FOLD, (300, 700))
    made = calibration.apply(forecast)
    assert calibration.temperatures[0] > 5
    np.testing.assert_allclose(made.probabilities[800, 0, 0], [1 / 3] * 3, atol=0.05)
    assert made.evidence[800, 0, 0] == 9.0
