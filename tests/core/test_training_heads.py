"""Every head through a fit: skill, classes and evidence in the forecast, the bundle, and calibration after it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mnpu import training
from mnpu.nn.dirichlet_quantile import DirichletQuantile
from mnpu.nn.gaussian import Gaussian
from mnpu.nn.linear import Linear
from mnpu.nn.point import Point
from mnpu.nn.quantile import Quantile
from mnpu.nn.student_t import StudentT
from mnpu.training.calibrating import carve, fit_calibration
from tests.core.training_world import FOLD, fit, make_world, rank_ic


@pytest.mark.parametrize("head", [Point, Gaussian, StudentT, DirichletQuantile])
def test_every_head_finds_a_planted_signal(head: type, rng: np.random.Generator) -> None:
    world = make_world(rng)
    forecast = training.forecast(fit(world, head=head), world.frame, rows=FOLD.test)
    assert rank_ic(forecast.median(), world.labels.values[:, :, 0]) > 0.7


def test_classes_reach_the_forecast_and_their_thresholds_the_bundle(rng: np.random.Generator, tmp_path: Path) -> None:
    world = make_world(rng, horizons=2)
    fitted = fit(world, head=DirichletQuantile)
    forecast = training.forecast(fitted, world.frame, rows=FOLD.test)
    assert forecast.probabilities.shape == (900, 6, 2, 3)
    there = forecast.available
    np.testing.assert_allclose(forecast.probabilities[there].sum(axis=-1), 1, atol=1e-6)
    assert (forecast.evidence[there] > 3).all()
    assert np.isnan(forecast.probabilities[~there]).all()
    thresholds = fitted.network.head.thresholds.numpy() * fitted.target_scale[:, None]
    known = world.labels.values[7:600].reshape(-1, 2)
    np.testing.assert_allclose(thresholds, np.quantile(known, [1 / 3, 2 / 3], axis=0).T, rtol=0.02)
    fitted.save(tmp_path / "bundle")
    again = training.forecast(
        training.load(tmp_path / "bundle", Linear, DirichletQuantile), world.frame, rows=FOLD.test
    )
    for name in ("quantiles", "probabilities", "evidence"):
        assert np.array_equal(getattr(again, name), getattr(forecast, name), equal_nan=True)


def test_a_head_without_classes_leaves_them_out(rng: np.random.Generator) -> None:
    world = make_world(rng)
    forecast = training.forecast(fit(world, head=Quantile), world.frame, rows=FOLD.test)
    assert forecast.probabilities is None
    assert forecast.evidence is None


def test_calibration_gives_a_point_its_intervals(rng: np.random.Generator) -> None:
    world = make_world(rng)
    fold, rows = carve(FOLD, world.labels, times=world.frame.times, share=0.6)
    forecast = training.forecast(fit(world, head=Point, fold=fold), world.frame, rows=(rows[0], FOLD.test[1]))
    made = fit_calibration(forecast, world.labels, replace(fold), rows).apply(forecast)
    below = (world.labels.values[730:900, ..., None] <= made.quantiles[730:900]).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(below, made.levels, atol=0.07)
