"""Each honesty gate fails when its fault is planted, and the run with it."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.errors import GateVeto
from mnpu.progress import Silent
from mnpu.types import Positions

pytest.importorskip("torch", reason="training needs mnpu-core[train]")


class _Planted:
    """A policy that works for any universe and sees the latest forecasts."""

    lookback, long_only, min_symbols, uses_forecast = 1, False, 1, True

    def __call__(self, forecast, context):
        weights = np.where(context.tradable, self.weights(forecast), 0.0)
        return Positions(context.times, context.symbols, np.nan_to_num(weights) / 8, np.ones(len(weights), dtype=bool))


class IgnoresForecast(_Planted):
    """Long the first half of the symbols, short the rest, whatever the forecast says."""

    def weights(self, forecast):
        side = np.where(np.arange(len(forecast.symbols)) < len(forecast.symbols) / 2, 1.0, -1.0)
        return np.broadcast_to(side, forecast.median().shape)


class IgnoresScale(_Planted):
    """The sign of the forecast and nothing else."""

    def weights(self, forecast):
        return np.sign(forecast.median())


class IgnoresSign(_Planted):
    """The size of the forecast and nothing else."""

    def weights(self, forecast):
        return np.abs(forecast.median()) / forecast.width()


class LooksAhead(_Planted):
    """The forecast, and only where the next bar will rise: its mirror image loses what it wins."""

    def weights(self, forecast):
        rises = np.roll(np.nan_to_num(self.returns), -1, axis=0) > 0
        return np.sign(forecast.median()) * np.minimum(np.abs(forecast.median()) / forecast.width() * 5, 1) * rises

    def __call__(self, forecast, context):
        self.returns = context.returns
        return super().__call__(forecast, context)


def _outcomes(small_recipe, tmp_path, sets=(), **planted):
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.plugins.registry import Registry
    from mnpu.results_io import read_result

    registry = Registry.discover()
    for kind, (name, target) in planted.items():
        registry.add(kind, name, target)
    sets = ("compare=[]", "train.epochs=1", *sets)
    with pytest.raises(GateVeto) as veto:
        execute(load_config(small_recipe, sets=sets), registry, runs=tmp_path, progress=Silent())
    (run,) = [path for path in tmp_path.iterdir() if (path / "run.json").exists()]
    result = read_result(run)
    assert (run / "report.md").exists(), "a failed gate is shown in the report"
    return veto.value, {gate.name: gate.passed for gate in result.gates}


@pytest.mark.parametrize(
    ("policy", "gate"),
    [(IgnoresForecast, "permuted"), (IgnoresScale, "constant"), (IgnoresSign, "negated")],
)
def test_a_policy_that_ignores_part_of_the_forecast_fails_its_gate(policy, gate, small_recipe, tmp_path):
    error, passed = _outcomes(small_recipe, tmp_path, ("policy={use: planted}",), policy=("planted", policy))
    assert error.exit_code == 4
    assert not passed[gate]
    assert passed["future"]


def test_a_policy_that_peeks_one_bar_ahead_fails_the_run(small_recipe, tmp_path):
    error, passed = _outcomes(small_recipe, tmp_path, ("policy={use: planted}",), policy=("planted", LooksAhead))
    assert "the policy's positions up to" in str(error)
    assert not passed["future"]
    assert passed["permuted"]
    assert passed["constant"]


def test_a_feature_that_peeks_one_bar_ahead_fails_the_run(small_recipe, tmp_path):
    from tests.story import peeking

    error, passed = _outcomes(
        small_recipe, tmp_path, ("features.0={use: peek.tomorrow}",), feature_source=("peek", peeking)
    )
    assert "future" in str(error)
    assert not passed["future"]
    assert passed["permuted"]


def test_an_honest_run_passes_all_four(small_run):
    assert {gate.name: gate.passed for gate in small_run.result.gates} == {
        "permuted": True,
        "constant": True,
        "negated": True,
        "future": True,
    }
