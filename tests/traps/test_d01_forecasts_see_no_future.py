"""D1: a forecast, like a feature and a position, is the same whatever comes after it.

Features are judged in ``tests/core/test_museum.py``, positions in ``tests/core/test_gates.py``; here is what lies
between them: the network and the scaling in front of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

import torch

from mnpu import training
from mnpu.nn.linear import Linear
from mnpu.types import FeatureFrame
from tests.core.training_world import FOLD, World, fit, make_world, settings
from tests.traps.planting import fails

Outlook = Callable[[FeatureFrame], np.ndarray]
CUTS = (740, 815, 890)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(np.random.default_rng(8))


@pytest.fixture(scope="module")
def fitted(world: World) -> training.Fitted:
    return fit(world, train=settings(epochs=1))


def with_noise(frame: FeatureFrame, cut: int) -> FeatureFrame:
    values = frame.values.copy()
    values[cut + 1 :] = 40.0 * np.random.default_rng(cut).standard_normal(values[cut + 1 :].shape)
    return replace(frame, values=values)


def with_nothing(frame: FeatureFrame, cut: int) -> FeatureFrame:
    values, tradable = frame.values.copy(), frame.tradable.copy()
    values[cut + 1 :], tradable[cut + 1 :] = np.nan, False
    return replace(frame, values=values, tradable=tradable)


def cut_short(frame: FeatureFrame, cut: int) -> FeatureFrame:
    end = cut + 1
    return replace(frame, times=frame.times[:end], values=frame.values[:end], tradable=frame.tradable[:end])


def forecasts_do_not_know_the_future(outlook: Outlook, frame: FeatureFrame) -> None:
    before = outlook(frame)
    assert np.isfinite(before[FOLD.test[0] :]).all()
    for cut in CUTS:
        for spoilt in (with_noise, with_nothing):
            assert np.array_equal(outlook(spoilt(frame, cut))[: cut + 1], before[: cut + 1], equal_nan=True)
        np.testing.assert_allclose(outlook(cut_short(frame, cut))[-1], before[cut], rtol=0, atol=1e-6)


def said_by(fitted: training.Fitted) -> Outlook:
    return lambda frame: training.forecast(fitted, frame, rows=(FOLD.test[0], len(frame.times))).quantiles


def test_a_forecast_is_the_same_whatever_comes_after_it(fitted, world) -> None:
    forecasts_do_not_know_the_future(said_by(fitted), world.frame)


class OfTheBatch(Linear):
    """The fault: windows are standardised with those that are forecast beside them, of later bars too."""

    def summary(self, x: torch.Tensor) -> torch.Tensor:
        """As a linear layer on x (B, L, F) less its mean over the batch."""
        return super().summary(x - x.mean(dim=0, keepdim=True))


def test_statistics_of_the_batch_are_found(world) -> None:
    peeking = fit(world, train=settings(epochs=1), backbone=OfTheBatch)
    fails(forecasts_do_not_know_the_future, said_by(peeking), world.frame)


def standardised(values: np.ndarray) -> np.ndarray:
    return (values - np.nanmean(values, axis=(0, 1))) / np.nanstd(values, axis=(0, 1))


def one_bar_ahead(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[1:], values[-1:]])


@pytest.mark.parametrize("fault", [standardised, one_bar_ahead])
def test_inputs_of_the_whole_sample_are_found(fault, fitted, world) -> None:
    honest = said_by(fitted)
    fails(
        forecasts_do_not_know_the_future,
        lambda frame: honest(replace(frame, values=fault(frame.values).astype(np.float32))),
        world.frame,
    )
