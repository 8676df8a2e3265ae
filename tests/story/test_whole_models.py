"""Ridge and LightGBM through a recipe: judged, kept, opened again and served, as networks are."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mnpu.progress import Silent

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

RIDGE = ("model={lookback: 8, forecaster: {use: ridge, inputs: window}}",)
BESIDE = "compare=[{policy: {use: buy_and_hold}}, {backbone: {use: linear}}]"


def _run(recipe, registry, runs, *sets):
    from mnpu.config import load_config
    from mnpu.execute import execute

    return execute(load_config(recipe, sets=sets), registry, runs=runs, progress=Silent())


@pytest.fixture(scope="module")
def ridge_run(small_recipe, registry, tmp_path_factory):
    """Ridge judged, a network and a rule beside it."""
    return _run(small_recipe, registry, tmp_path_factory.mktemp("ridge"), *RIDGE, BESIDE)


def test_a_whole_model_is_judged_beside_networks_on_the_same_decisions(ridge_run):
    result = ridge_run.result
    linear = next(other for other in result.comparisons if other.name == "linear")
    assert result.name == "ridge"
    np.testing.assert_array_equal(result.forecast.available, linear.forecast.available)
    assert all(gate.passed for gate in result.gates)
    assert (np.diff(result.forecast.quantiles[result.forecast.available], axis=-1) >= 0).all()


def test_the_same_recipe_gives_the_same_bits(ridge_run, small_recipe, registry, tmp_path):
    again = _run(small_recipe, registry, tmp_path, *RIDGE, BESIDE).result
    np.testing.assert_array_equal(ridge_run.result.forecast.quantiles, again.forecast.quantiles)
    np.testing.assert_array_equal(ridge_run.result.net, again.net)


def test_its_bundle_holds_numbers_and_text_and_no_pickle(ridge_run):
    folder = ridge_run.path / "bundle" / "fold-00"
    names = {path.name for path in folder.iterdir()}
    assert {"forecaster-errors.safetensors", "forecaster-regressions.safetensors"} <= names
    assert "weights.safetensors" not in names
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    assert set(listed) == names - {"manifest.json"}


def test_an_agent_decides_as_the_run_did(ridge_run, registry):
    from mnpu.agent import replay

    agent, bars = replay(ridge_run.path, registry, sessions=8)
    first = ridge_run.result
    for rows, news in bars:
        decision = agent.step(rows, news)
        t = first.times.get_loc(rows.times[0])
        np.testing.assert_allclose(decision.forecast.quantiles[0], first.forecast.quantiles[t], atol=1e-6)
        np.testing.assert_allclose(decision.proposed, first.proposed.weights[t], atol=1e-12)


def test_it_opens_again_and_forecasts_what_it_forecast(ridge_run, registry):
    from mnpu.feature_tools.finished import check_forecast, reopen
    from mnpu.rundir import RunDirectory

    run = RunDirectory(ridge_run.path)
    finished = reopen(run, registry, Silent())
    quantiles = [inputs.quantiles() for inputs in finished.inputs]
    check_forecast(run, finished, finished.forecast(quantiles))
    inputs = finished.inputs[0]
    exchanged = inputs.quantiles([0], np.roll(np.arange(len(inputs.time)), 7))  # a column of other windows
    assert not np.array_equal(exchanged, quantiles[0])
    np.testing.assert_array_equal(inputs.quantiles([0], np.arange(len(inputs.time))), quantiles[0])


def test_trees_stand_beside_a_network(small_recipe, registry, tmp_path):
    pytest.importorskip("lightgbm", reason="needs mnpu-core[lightgbm]")
    done = _run(
        small_recipe, registry, tmp_path, "compare=[{forecaster: {use: lightgbm, trees: 20, columns: 1}}]"
    ).result
    trees = next(other for other in done.comparisons if other.name == "lightgbm")
    np.testing.assert_array_equal(trees.forecast.available, done.forecast.available)
    assert not np.array_equal(trees.forecast.quantiles, done.forecast.quantiles, equal_nan=True)


def test_trees_are_judged_and_kept_as_text(small_recipe, registry, tmp_path):
    pytest.importorskip("lightgbm", reason="needs mnpu-core[lightgbm]")
    sets = ("model={lookback: 8, forecaster: {use: lightgbm, trees: 20}}", "compare=[]")
    done = _run(small_recipe, registry, tmp_path, *sets)
    assert "lightgbm" in done.result.run.versions
    text = (done.path / "bundle" / "fold-00" / "forecaster-trees-0.txt").read_text()
    assert text.startswith("tree\n")
    from mnpu.agent import replay

    agent, bars = replay(done.path, registry, sessions=3)
    for rows, news in bars:
        decision = agent.step(rows, news)
        t = done.result.times.get_loc(rows.times[0])
        np.testing.assert_allclose(decision.forecast.quantiles[0], done.result.forecast.quantiles[t], atol=1e-6)


def test_backbone_and_forecaster_together_are_refused(small_recipe):
    from mnpu.config import load_config
    from mnpu.errors import ConfigError

    with pytest.raises(ConfigError, match="exactly one of backbone and forecaster"):
        load_config(small_recipe, sets=["model.forecaster={use: ridge}"])
