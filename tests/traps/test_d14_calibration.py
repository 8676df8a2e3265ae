"""D14: a forecast covers what it says, in every horizon and regime, or the numbers and the alert say that it does not.

Heads on outcomes of their own law are in ``tests/core/test_known_laws.py``, ranges of calibration that meet another in
``tests/core/test_calibrating.py``; that every shipped head keeps the kit's laws in ``test_distributions.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mnpu.metrics import distribution, forecast
from mnpu.metrics.regimes import reliability_by_regime
from mnpu.report.calibration import calibration, coverage
from mnpu.types import Forecast, Result
from tests.traps.planting import fails

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
Z = stats.norm.ppf(LEVELS)
T, A, H = 600, 4, 2
STORM = np.arange(T) % 3 == 0  #: regime of each decision


class World:
    """Normal outcomes over one and five bars, three times as wide in a storm; forecasts from their law, or near it."""

    def __init__(self, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.mean = 0.01 * rng.standard_normal((T, A, H))
        self.scale = 0.02 * np.where(STORM, 3.0, 1.0)[:, None, None] * np.array([1.0, 5**0.5])
        self.labels = self.mean + self.scale * rng.standard_normal((T, A, H))
        self.times = pd.date_range("2010-01-01", periods=T, freq="D", tz="UTC").as_unit("ns")

    def said(self, *, shift: float = 0.0, width: np.ndarray | float = 1.0, z: np.ndarray = Z) -> Forecast:
        """The quantiles of the law, moved by ``shift`` of its deviations and ``width`` times as wide."""
        scale = self.scale * np.ones((T, A, H))
        quantiles = (self.mean + shift * scale)[..., None] + (width * scale)[..., None] * z
        return Forecast(self.times, tuple("ABCD"), (1, 5), LEVELS, quantiles)


WORLD = World()
LATER_TOO_NARROW = np.array([1.0, 0.6])  #: the first horizon is right
ONE_WIDTH = np.where(STORM, 0.5, 1.5)[:, None, None]  #: too narrow in a storm, too wide in a calm


def covers(share: float, level: float, n: int) -> bool:
    """Within four deviations of a binomial count."""
    return abs(share - level) <= 4 * np.sqrt(level * (1 - level) / n)


def it_covers_what_it_says(said: Forecast) -> None:
    """Intervals of each horizon and regime in their binomial band, transforms uniform."""
    for h in range(H):
        for nominal, observed, n in coverage(said, WORLD.labels, h):
            assert covers(observed, nominal, n)
        values = distribution.pit(said, WORLD.labels, h)
        assert distribution.distance_from_uniform(values) < 1.95 / np.sqrt(len(values))
    assert distribution.pit_ks(said, WORLD.labels).value < 1.95 / np.sqrt(T * A)
    for name, metric in forecast.coverage(said, WORLD.labels).items():
        assert covers(metric.value, float(name.rpartition("_")[2]), T * A)
    for regime in reliability_by_regime(said, WORLD.labels, np.where(STORM, "storm", "calm")).values():
        assert covers(regime.metrics["coverage_0.90"].value, 0.9, regime.cells)
        assert regime.metrics["pit_ks"].value < 1.95 / np.sqrt(regime.cells)


FAULTS = {
    "too narrow": {"width": 0.8},
    "too wide": {"width": 1.25},
    "off the middle": {"shift": 0.2},
    "right over one bar, too narrow over five": {"width": LATER_TOO_NARROW},
    "right on average, wrong in every regime": {"width": ONE_WIDTH},
    "tails too thin": {"z": stats.norm.ppf(LEVELS) * np.array([0.8, 0.9, 1, 1, 1, 0.9, 0.8])},
}


def test_a_forecast_from_the_law_covers_what_it_says() -> None:
    it_covers_what_it_says(WORLD.said())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_forecast_that_does_not_is_found(fault: str) -> None:
    fails(it_covers_what_it_says, WORLD.said(**FAULTS[fault]))


def test_the_report_shows_every_horizon_with_what_was_said_and_what_came() -> None:
    """A forecast that is right over one bar only cannot hide behind it."""
    zero, book = np.zeros(T), None
    made = Result("m", WORLD.times, WORLD.times, zero, zero, np.ones(T + 1), zero, {}, book, book, 252.0)  # type: ignore[arg-type]
    told = calibration(replace(made, forecast=WORLD.said(width=LATER_TOO_NARROW), labels=WORLD.labels))
    rows = [row for block in told.blocks if hasattr(block, "rows") for row in block.rows if "bar" in row[0]]
    assert {row[0] for row in rows} >= {"1 bar", "5 bars"}
    observed = {row[0]: float(row[2].rstrip("%")) for row in rows if row[1].startswith("90")}
    assert abs(observed["1 bar"] - 90) < 3
    assert observed["5 bars"] < 75


# A proper score is least at the truth.

Score = Callable[[Forecast, np.ndarray], float]


def of_all_outcomes() -> Forecast:
    """One distribution for every decision, that of all outcomes: it covers what it says, and knows nothing."""
    quantiles = np.moveaxis(np.quantile(WORLD.labels, LEVELS, axis=(0, 1)), 0, -1)
    return replace(WORLD.said(), quantiles=np.broadcast_to(quantiles, (T, A, H, len(LEVELS))))


def is_least_at_the_truth(score: Score) -> None:
    truth = score(WORLD.said(), WORLD.labels)
    for other in ({"width": 0.6}, {"width": 1.6}, {"shift": 0.5}, {"shift": -0.5}, {"width": ONE_WIDTH}):
        assert score(WORLD.said(**other), WORLD.labels) > truth
    assert score(of_all_outcomes(), WORLD.labels) > truth


PROPER: dict[str, Score] = {
    "crps": lambda said, y: distribution.crps(said, y).value,
    "pinball": lambda said, y: forecast.pinball(said, y).value,
    "interval score": lambda said, y: distribution.interval_score(said, y)["interval_score_0.90"].value,
}
IMPROPER: dict[str, Score] = {
    "absolute error of the median": lambda said, y: float(np.abs(said.median() - y[:, :, 0]).mean()),
    "distance of the coverage alone": lambda said, y: abs(forecast.coverage(said, y)["coverage_0.90"].value - 0.9),
    "width alone": lambda said, y: float(said.width().mean()),
    "what lies outside, without the width": lambda said, y: float(
        np.maximum(said.quantiles[:, :, 0, 0] - y[:, :, 0], 0).mean()
        + np.maximum(y[:, :, 0] - said.quantiles[:, :, 0, -1], 0).mean()
    ),
}


@pytest.mark.parametrize("name", PROPER)
def test_a_proper_score_is_least_at_the_truth(name: str) -> None:
    is_least_at_the_truth(PROPER[name])


@pytest.mark.parametrize("name", IMPROPER)
def test_what_is_no_proper_score_is_found(name: str) -> None:
    fails(is_least_at_the_truth, IMPROPER[name])
