"""All models are judged on the same decisions (trap D18), and what is judged is about the forecasts (trap D17)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mnpu import gates, pipeline
from mnpu.policies.kelly_fraction import KellyFraction
from mnpu.policies.mean_variance import MeanVariance
from mnpu.policies.rank_long_short import RankLongShort
from mnpu.policies.volatility_scaled import VolatilityScaled
from mnpu.types import Forecast, PolicyContext, Positions

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
POLICIES = {
    "rank": RankLongShort,
    "volatility scaled": VolatilityScaled,
    "kelly": KellyFraction,
    "mean-variance": lambda: MeanVariance(window=20),
}


def forecast_of(medians: np.ndarray) -> Forecast:
    """Normal-looking forecasts with these medians (T, A), NaN where there is none."""
    times = pd.date_range("2020-01-01 21:00", periods=len(medians), freq="D", tz="UTC").as_unit("ns")
    quantiles = medians[:, :, None, None] + 0.02 * np.array([-1.645, -0.674, 0.0, 0.674, 1.645])
    return Forecast(times, tuple("ABCDEF"), (1,), LEVELS, quantiles)


def decided(positions: Positions, usable: np.ndarray) -> str:
    """Hash of the decisions (symbol, time) that a strategy could make: those where it may hold something."""
    rows = [f"{positions.symbols[a]} {positions.times[t].value}" for t, a in zip(*np.nonzero(usable), strict=True)]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


@pytest.fixture
def world(rng, monkeypatch):
    """Two models, one of which warms up ten bars longer and misses some cells."""
    outcome = 0.01 * rng.standard_normal((80, 6))
    early, late = forecast_of(0.3 * outcome), forecast_of(-0.1 * outcome)
    late.quantiles[:10] = np.nan
    late.quantiles[rng.random((80, 6)) < 0.05] = np.nan
    context = PolicyContext(early.times, early.symbols, np.roll(outcome, 1, 0), np.ones((80, 6), bool), 252.0)
    monkeypatch.setattr(pipeline, "context_of", lambda panel: context)
    return outcome, early, late


def decision_hashes(forecasts, context) -> set[str]:
    """One hash a model, over what it could hold; a policy holds nothing that is not in the set or has no forecast."""
    found = set()
    for forecast in forecasts:
        positions = RankLongShort()(forecast, context)
        found.add(decided(positions, context.tradable & forecast.available))
    return found


def test_models_with_other_warm_ups_decide_the_same(world):
    _, early, late = world
    context = pipeline.decisions(SimpleNamespace(priced=None), [early, late])
    assert len(decision_hashes([early, late], context)) == 1
    assert not context.tradable[:10].any()


def test_a_set_that_only_the_first_model_chooses_is_caught(world):
    """The check above fails where the fault is planted."""
    _, early, late = world
    context = pipeline.decisions(SimpleNamespace(priced=None), [early])
    assert len(decision_hashes([early, late], context)) == 2


@pytest.mark.parametrize("name", POLICIES)
def test_the_numbers_of_every_policy_depend_on_the_forecast(name, world, rng):
    outcome, early, _ = world
    context = pipeline.decisions(SimpleNamespace(priced=None), [early])
    trial = gates.Trial(POLICIES[name](), context, lambda positions: (positions.weights * outcome).sum(axis=1))
    assert gates.permuted(trial, early, rng).passed
    assert gates.constant(trial, early).passed
    assert gates.negated(trial, early, long_only=False).passed
    assert not gates.foresight(trial, early, cuts=[30, 55], rng=rng)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_that_holds_the_same_whatever_is_forecast_is_caught(name, world, rng):
    outcome, early, _ = world
    context = pipeline.decisions(SimpleNamespace(priced=None), [early])
    fixed = POLICIES[name]()(early, context)
    trial = gates.Trial(lambda f, c: replace(fixed), context, lambda p: (p.weights * outcome).sum(axis=1))
    assert not gates.permuted(trial, early, rng).passed
    assert not gates.constant(trial, early).passed
    assert not gates.negated(trial, early, long_only=False).passed
