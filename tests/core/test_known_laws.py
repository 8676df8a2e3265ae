"""Heads on outcomes of their own law: calibrated before conformal calibration and after it, and least at the truth."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from mnpu.metrics import classes as of_classes
from mnpu.metrics import distribution
from mnpu.nn.dirichlet_quantile import DirichletQuantile
from mnpu.nn.gaussian import Gaussian
from mnpu.nn.point import Point
from mnpu.nn.protocols import output_of
from mnpu.nn.quantile import Quantile
from mnpu.nn.student_t import StudentT
from mnpu.training.calibrating import adapt, fit_calibration
from mnpu.types import Fold, Forecast, Labels

WIDTH, TIMES, SYMBOLS = 4, 4000, 5
CUT = 2000  #: bars before it calibrate, those after it judge
FOLD = Fold(number=0, train=(-20, -10), validation=(-10, 0), test=(CUT, TIMES))
Z = {level: stats.norm.ppf(level) for level in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)}


def by_quantiles(head: nn.Module, h: Tensor, rng: np.random.Generator) -> np.ndarray:
    """Outcomes whose quantile function is the head's, a straight line in the normal quantile between its levels."""
    quantiles = output_of(head, h).quantiles[:, 0].detach().double().numpy()
    z, known = rng.standard_normal(len(h)), np.array([Z[level] for level in head.levels])
    upper = np.clip(np.searchsorted(known, z), 1, len(known) - 1)
    rows, low, high = np.arange(len(z)), known[upper - 1], known[upper]
    share = (z - low) / (high - low)
    return (1 - share) * quantiles[rows, upper - 1] + share * quantiles[rows, upper]


def normal(head: nn.Module, h: Tensor, rng: np.random.Generator) -> np.ndarray:
    mean, scale = (part[:, 0].detach().double().numpy() for part in head.parameters_of(h))
    return rng.normal(mean, scale)


def student(head: nn.Module, h: Tensor, rng: np.random.Generator) -> np.ndarray:
    location, scale, freedom = (part[:, 0].detach().double().numpy() for part in head.parameters_of(h))
    return location + scale * rng.standard_t(freedom)


def around(head: nn.Module, h: Tensor, rng: np.random.Generator) -> np.ndarray:
    return output_of(head, h).quantiles[:, 0, 3].detach().double().numpy() + 0.7 * rng.standard_normal(len(h))


LAWS = {
    "quantile": (Quantile, by_quantiles),
    "gaussian": (Gaussian, normal),
    "student_t": (StudentT, student),
    "dirichlet_quantile": (DirichletQuantile, by_quantiles),
    "point": (Point, around),
}
DISTRIBUTIONS = [name for name in LAWS if name != "point"]


class World:
    """A head whose weights are the truth, windows, and outcomes that it drew."""

    def __init__(self, name: str, rng: np.random.Generator) -> None:
        build, draw = LAWS[name]
        torch.manual_seed(5)
        self.head = build(WIDTH, 1).eval()
        self.h = torch.from_numpy(rng.standard_normal((TIMES * SYMBOLS, WIDTH)).astype(np.float32))
        self.times = pd.date_range("2010-01-01", periods=TIMES, freq="h", tz="UTC").as_unit("ns")
        self.values = draw(self.head, self.h, rng).reshape(TIMES, SYMBOLS, 1)
        self.labels = Labels(self.values, self.times, (self.times,), (1,), "own law")

    def forecast(self, head: nn.Module | None = None, narrower: float = 1.0) -> Forecast:
        """What a head says, the truth by default; ``narrower`` pulls its quantiles towards the median."""
        with torch.no_grad():
            said = output_of(head or self.head, self.h)
        quantiles = said.quantiles.double().numpy().reshape(TIMES, SYMBOLS, 1, -1)
        middle = quantiles[..., [quantiles.shape[-1] // 2]]
        spoilt = middle + narrower * (quantiles - middle)
        return Forecast(self.times, tuple("ABCDE"), (1,), tuple(self.head.levels), spoilt)

    def perturbed(self, seed: int) -> nn.Module:
        """A head near the truth."""
        other = copy.deepcopy(self.head)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
        return other


@pytest.fixture(params=LAWS)
def world(request, rng: np.random.Generator) -> World:
    return World(request.param, rng)


@pytest.fixture(params=DISTRIBUTIONS)
def distributed(request, rng: np.random.Generator) -> World:
    return World(request.param, rng)


def misses(forecast: Forecast, world: World, *, fitted_on: int = 0) -> list[float]:
    """How far the share of outcomes at or below each level is from it, in standard errors of independent draws."""
    made, y = forecast.quantiles[CUT:], world.values[CUT:]
    share = (y[..., None] <= made).mean(axis=(0, 1, 2))
    levels = np.array(forecast.levels)
    draws = 1 / y.size + (1 / fitted_on if fitted_on else 0)  # the shifts are as uncertain as the range that fits them
    return list((share - levels) / np.sqrt(levels * (1 - levels) * draws))


BAND = stats.norm.ppf(1 - 0.0005 / 7)  #: seven levels at once, one failure in a thousand


def after(world: World, forecast: Forecast) -> Forecast:
    return fit_calibration(forecast, world.labels, FOLD, (0, CUT)).apply(forecast)


def late(forecast: Forecast) -> Forecast:
    return forecast.rows(CUT, TIMES)


def test_the_truth_covers_and_its_transform_is_uniform(distributed: World) -> None:
    forecast = distributed.forecast()
    assert max(map(abs, misses(forecast, distributed))) < BAND
    values = distribution.pit(late(forecast), distributed.values[CUT:])
    assert stats.kstest(values, "uniform").pvalue > 0.001


def test_calibration_leaves_the_truth_calibrated(distributed: World) -> None:
    forecast, made = distributed.forecast(), after(distributed, distributed.forecast())
    assert max(map(abs, misses(made, distributed, fitted_on=CUT * SYMBOLS))) < BAND
    values = distribution.pit(late(made), distributed.values[CUT:])
    # Two samples, the one that calibrated and the one that judges: the law of two samples' distance.
    assert stats.kstest(values, "uniform").statistic < 1.95 * np.sqrt(2 / len(values))
    before, now = (distribution.crps(late(f), distributed.values[CUT:]).value for f in (forecast, made))
    assert now < 1.005 * before


@pytest.mark.parametrize("narrower", [0.5, 1.6])
def test_calibration_mends_a_wrong_width(distributed: World, narrower: float) -> None:
    spoilt = distributed.forecast(narrower=narrower)
    assert max(map(abs, misses(spoilt, distributed))) > 10
    made = after(distributed, spoilt)
    assert max(map(abs, misses(made, distributed, fitted_on=CUT * SYMBOLS))) < BAND
    before, now = (distribution.crps(late(f), distributed.values[CUT:]).value for f in (spoilt, made))
    assert now < before


def test_a_point_gets_the_intervals_of_its_residuals(rng: np.random.Generator) -> None:
    world = World("point", rng)
    forecast = world.forecast()
    assert abs(misses(forecast, world)[3]) < BAND  # the median
    assert distribution.pit_ks(late(forecast), world.values[CUT:]).value > 0.45
    made = after(world, forecast)
    assert max(map(abs, misses(made, world, fitted_on=CUT * SYMBOLS))) < BAND
    widths = (made.quantiles - forecast.quantiles)[CUT:].reshape(-1, 7)
    np.testing.assert_allclose(widths.mean(axis=0), [0.7 * z for z in Z.values()], atol=0.06)
    assert distribution.pit_ks(late(made), world.values[CUT:]).value < 1.95 * np.sqrt(2 / (CUT * SYMBOLS))
    before, now = (distribution.crps(late(f), world.values[CUT:]).value for f in (forecast, made))
    assert now < 0.8 * before


def test_crps_is_least_at_the_truth(world: World) -> None:
    truth = distribution.crps(world.forecast(), world.values).value
    for seed in range(8):
        assert truth < distribution.crps(world.forecast(world.perturbed(seed)), world.values).value


def with_classes(rng: np.random.Generator, sharper: float) -> tuple[Forecast, Labels]:
    """Probabilities of a head whose weights are the truth, said ``sharper`` than that, and outcomes in its classes."""
    world = World("dirichlet_quantile", rng)
    with torch.no_grad():
        said = output_of(world.head, world.h)
        logits = 2.0 * world.head.class_parameters(world.h)[0][:, 0].double().numpy()
    powers = np.exp(logits)
    truth = powers / powers.sum(axis=1, keepdims=True)
    came = (rng.random((len(truth), 1)) > truth.cumsum(axis=1)[:, :-1]).sum(axis=1)
    powers = truth**sharper
    shape = (TIMES, SYMBOLS, 1)
    forecast = replace(
        world.forecast(),
        probabilities=(powers / powers.sum(axis=1, keepdims=True)).reshape(*shape, 3),
        evidence=said.evidence.double().numpy().reshape(shape),
        thresholds=np.tile([-0.5, 0.5], (TIMES, 1, 1)),
    )
    return forecast, replace(world.labels, values=came.reshape(shape) - 1.0)


@pytest.mark.parametrize("sharper", [1.0, 2.5, 0.4])
def test_temperatures_find_the_truth_and_classes_become_reliable(rng: np.random.Generator, sharper: float) -> None:
    forecast, labels = with_classes(rng, sharper)
    calibration = fit_calibration(forecast, labels, FOLD, (0, CUT))
    assert calibration.temperatures[0] == pytest.approx(sharper, rel=0.05)
    made = calibration.apply(forecast)
    values = labels.values[CUT:]
    before, now = (of_classes.class_metrics(late(f), values) for f in (forecast, made))
    limit = of_classes.reliability(late(made), values).ece_if_calibrated
    assert now[2].value < 1.3 * limit
    if sharper != 1.0:
        assert before[2].value > 2 * limit
        assert now[0].value < before[0].value
        assert now[1].value < before[1].value
    assert np.array_equal(made.evidence[CUT:], forecast.evidence[CUT:])


@pytest.mark.parametrize("name", LAWS)
def test_adaptive_calibration_recovers_after_a_shift_and_split_does_not(name: str, rng: np.random.Generator) -> None:
    world = World(name, rng)
    forecast = world.forecast()
    middle = forecast.quantiles[..., 3]
    moved = world.values.copy()
    moved[CUT:] = middle[CUT:] + 2.5 * (moved[CUT:] - middle[CUT:])
    shifted = replace(world.labels, values=moved)
    levels, judged = np.array(forecast.levels), slice(CUT + 400, TIMES)

    def worst(made: Forecast) -> float:
        share = (moved[judged, ..., None] <= made.quantiles[judged]).mean(axis=(0, 1, 2))
        return float(np.abs(share - levels).max())

    assert worst(fit_calibration(forecast, shifted, FOLD, (0, CUT)).apply(forecast)) > 0.1
    assert worst(adapt(forecast, shifted, (0, TIMES), since=CUT, memory=100)) < 0.02
