"""D7: what is fitted comes from the training range, and nothing of that range or before it can be scored.

The law that judges a scaler, with two faulty ones, is in ``tests/core/test_museum.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

from mnpu import training
from mnpu.data.scaling import Scaler
from mnpu.errors import DataError
from mnpu.forecasters.ridge import Ridge
from mnpu.testing.scaling import fitted_on_the_past
from mnpu.training import Fitted
from mnpu.training import learnable as fitting
from tests.core.training_world import FOLD, World, make_world
from tests.traps.planting import fails

Fit = Callable[[World], Fitted]


def ridge(world: World) -> Fitted:
    own = {"fold": FOLD, "forecaster": Ridge, "lookback": 4, "min_present": 0.8, "seed": 7}
    return training.fit_whole(world.frame, world.labels, **own)


@pytest.fixture
def world(rng) -> World:
    return make_world(rng)


def ten_times_the_test(world: World) -> World:
    values, labels = world.frame.values.copy(), world.labels.values.copy()
    values[FOLD.test[0] :] *= 10
    labels[FOLD.test[0] :] *= 10
    return World(replace(world.frame, values=values), replace(world.labels, values=labels))


def the_test_period_fits_nothing(fit: Fit, world: World) -> None:
    one, other = fit(world), fit(ten_times_the_test(world))
    assert one.scaler.to_dict() == other.scaler.to_dict()
    assert np.array_equal(one.target_scale, other.target_scale)
    assert dict(one.network.forecaster.save()) == dict(other.network.forecaster.save())
    rows = slice(*FOLD.train)
    inputs = [
        fitted.scaler.scale(w.frame.values)[rows] for fitted, w in ((one, world), (other, ten_times_the_test(world)))
    ]
    assert np.array_equal(*inputs)


def test_a_test_period_ten_times_as_large_fits_nothing(world) -> None:
    the_test_period_fits_nothing(ridge, world)


def test_a_scaler_of_the_whole_sample_is_found(world, monkeypatch) -> None:
    true = Scaler.fit.__func__
    whole = lambda cls, values, *, times, rows, **more: true(cls, values, times=times, rows=(0, len(times)), **more)
    monkeypatch.setattr(Scaler, "fit", classmethod(whole))
    fails(the_test_period_fits_nothing, ridge, world)


def test_a_target_scaled_by_the_whole_sample_is_found(world, monkeypatch) -> None:
    def fit(of: World) -> Fitted:
        monkeypatch.setattr(fitting, "_target_scale", lambda y, labels, where: np.nanstd(labels.values, axis=(0, 1)))
        return ridge(of)

    fails(the_test_period_fits_nothing, fit, world)


def test_the_kit_says_the_same_of_any_fitted_state() -> None:
    assert fitted_on_the_past(lambda values, times, rows: Scaler.fit(values, times=times, rows=rows).to_dict()).passed
    whole = fitted_on_the_past(lambda values, times, rows: np.nanquantile(values, 0.99))
    assert not whole.passed


def training_cannot_be_scored(fitted: Fitted, world: World) -> None:
    assert fitted.scaler.fit_end == world.frame.times[FOLD.train[1] - 1]
    assert np.isfinite(training.forecast(fitted, world.frame, rows=FOLD.test).quantiles[slice(*FOLD.test)]).all()
    for rows in ((0, 100), (FOLD.train[1] - 1, FOLD.test[1])):
        refused = ""
        try:
            training.forecast(fitted, world.frame, rows=rows)
        except DataError as error:
            refused = str(error)
        assert "would be scored with a scaler fitted" in refused


def test_a_decision_of_the_training_range_cannot_be_scored(world, monkeypatch) -> None:
    fitted = ridge(world)
    training_cannot_be_scored(fitted, world)
    monkeypatch.setattr(Scaler, "check_scoring", lambda self, times: None)
    fails(training_cannot_be_scored, fitted, world)
