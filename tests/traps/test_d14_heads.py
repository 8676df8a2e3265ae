"""D14: every parameter of a head is trained by its loss, quantiles keep their order, and a shift raises the alert."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

import torch

from mnpu.errors import DataError
from mnpu.nn.dirichlet_quantile import DirichletQuantile
from mnpu.nn.gaussian import Gaussian
from mnpu.nn.quantile import Quantile
from mnpu.plugins.registry import Registry
from mnpu.testing.heads import HEAD_LAWS
from mnpu.testing.modules import WIDTH, Trial
from mnpu.training.calibrating import fit_calibration
from mnpu.types import Fold
from tests.core.test_recorder import alerts, watched
from tests.core.training_world import FOLD, World, make_world, settings
from tests.traps.planting import fails

HEADS = [c.canonical for c in Registry.discover().components() if c.kind == "head" and c.dist.startswith("mnpu-")]
LEARNS, ORDERED = HEAD_LAWS["gives every parameter a finite gradient"], HEAD_LAWS["never crosses, at any weights"]


def keeps(law: Callable[[Trial], str], head: Callable) -> None:
    assert law(Trial(lambda: head(d_in=WIDTH, n_horizons=2), 0)) == ""


@pytest.mark.parametrize("law", [LEARNS, ORDERED], ids=["gradients", "order"])
@pytest.mark.parametrize("name", HEADS)
def test_every_parameter_of_every_head_learns_and_no_quantiles_cross(name: str, law) -> None:
    keeps(law, Registry.discover().load("head", name))


class ScaleAside(Gaussian):
    """The fault of an earlier project: the loss sees the mean alone, so that the width is never trained."""

    def loss(self, h: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Squared error of the mean."""
        return (self.parameters_of(h)[0] - y).square().mean()


class ClassesAside(DirichletQuantile):
    """The fault: probabilities are said, and nothing teaches them."""

    def loss(self, h: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The pinball loss without that of the classes."""
        q = self.forecast(h).quantiles
        error, levels = y.unsqueeze(-1) - q, torch.tensor(self.levels)
        return torch.maximum(levels * error, (levels - 1) * error).mean()


class Free(torch.nn.Module):
    """The fault: one free number for each level."""

    levels = (0.1, 0.5, 0.9)

    def __init__(self, d_in: int, n_horizons: int) -> None:
        super().__init__()
        self.map = torch.nn.Linear(d_in, 3 * n_horizons)

    def forecast(self, h: torch.Tensor) -> torch.Tensor:
        """Quantiles in any order."""
        return self.map(h).unflatten(-1, (-1, 3))

    def loss(self, h: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Mean pinball loss."""
        error, levels = y.unsqueeze(-1) - self.forecast(h), torch.tensor(self.levels)
        return torch.maximum(levels * error, (levels - 1) * error).mean()


@pytest.mark.parametrize(("fault", "law"), [(ScaleAside, LEARNS), (ClassesAside, LEARNS), (Free, ORDERED)])
def test_a_head_that_is_not_trained_or_crosses_is_found(fault, law) -> None:
    keeps(law, Quantile)
    fails(keeps, law, fault)


# On shifted data the alert fires, and on data of the same law it does not.


def on(world: World, **changed) -> list[str]:
    from mnpu.training.instruments.calibration import Calibration

    train = settings(epochs=3, lr=1e-2)
    return list(watched(world, {"calibration": Calibration()}, train=train, **changed)[1].record().alerts["name"])


def the_alert_tells_a_shift(miscalibration: float) -> None:
    world = make_world(np.random.default_rng(20240229))
    values = world.labels.values.copy()
    values[slice(*FOLD.validation)] *= 5
    shifted = World(world.frame, replace(world.labels, values=values))
    told = alerts(miscalibration=miscalibration)
    assert on(shifted, alerts=told) == ["miscalibration"]
    assert on(world, alerts=told) == []


def test_the_alert_tells_a_shift() -> None:
    the_alert_tells_a_shift(0.15)
    fails(the_alert_tells_a_shift, 0.9)  # a threshold that nothing reaches


def a_range_of_calibration_meets_no_other(calibrate: Callable) -> None:
    from mnpu.types import Forecast, Labels

    rng, n = np.random.default_rng(2), 400
    times = make_world(rng).frame.times[:n]
    values = rng.standard_normal((n, 3, 1))
    labels = Labels(values, times, (times,), (1,), "made up")
    said = Forecast(times, ("A", "B", "C"), (1,), (0.1, 0.5, 0.9), np.tile([-1.3, 0.0, 1.3], (n, 3, 1, 1)))
    fold = Fold(0, (0, 100), (105, 150), (300, 400))
    assert np.isfinite(calibrate(said, labels, fold, (160, 290)).shifts).all()
    for rows in ((50, 90), (140, 200), (250, 310), (320, 390)):
        refused = False
        try:
            calibrate(said, labels, fold, rows)
        except DataError:
            refused = True
        assert refused, rows


def test_what_calibrates_is_neither_trained_on_nor_tested() -> None:
    a_range_of_calibration_meets_no_other(fit_calibration)
    moved = lambda said, labels, fold, rows: fit_calibration(said, labels, fold, (160, 290))
    fails(a_range_of_calibration_meets_no_other, moved)
