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


def test_its_bundle_is_shown_and_verified_but_not_exported(ridge_run, tmp_path, capsys):
    from mnpu.cli import main

    def mnpu(*args):
        with pytest.raises(SystemExit) as ended:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    card = (ridge_run.path / "bundle" / "fold-00" / "MODEL_CARD.md").read_text()
    assert "| forecaster | `ridge` (" in card
    assert "backbone" not in card
    code, out, _ = mnpu("bundle", "show", ridge_run.path, "--fold", 0)
    assert code == 0
    assert "forecaster  ridge (inputs window" in out
    code, out, err = mnpu("bundle", "verify", ridge_run.path)
    assert code == 0, err
    assert out.count("as they were written") == 2
    code, _, err = mnpu("bundle", "export", ridge_run.path, "--out", tmp_path / "out")
    assert code == 2
    assert "it is no network, but a whole model (Ridge)" in err


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


def test_a_whole_model_is_calibrated_and_served_so(small_recipe, registry, tmp_path):
    from mnpu.agent import replay

    model = "model={lookback: 8, forecaster: {use: ridge}, calibration: {use: split, share: 0.5}}"
    done = _run(small_recipe, registry, tmp_path, model, "compare=[]")
    plain = _run(small_recipe, registry, tmp_path, "model={lookback: 8, forecaster: {use: ridge}}", "compare=[]")
    calibrated, before = done.result.forecast, plain.result.forecast
    assert not np.array_equal(calibrated.quantiles, before.quantiles, equal_nan=True)
    agent, bars = replay(done.path, registry, sessions=3)
    for rows, news in bars:
        decision = agent.step(rows, news)
        t = done.result.times.get_loc(rows.times[0])
        np.testing.assert_allclose(decision.forecast.quantiles[0], calibrated.quantiles[t], atol=1e-6)


def test_its_bundle_is_shown_verified_and_not_exported(ridge_run, tmp_path):
    from click.testing import CliRunner

    from mnpu.commands.bundle import command

    folder = str(ridge_run.path / "bundle" / "fold-01")
    shown = json.loads(CliRunner().invoke(command, ["show", folder, "--json"]).output)["bundles"][0]
    assert shown["model"]["forecaster"]["use"] == "ridge"
    assert (shown["epochs"], shown["parameters"]) == (0, None)
    assert json.loads(CliRunner().invoke(command, ["verify", folder, "--json"]).output)["bundles"][0]["verified"]
    refused = CliRunner().invoke(command, ["export", folder, "--out", str(tmp_path / "out")]).exception
    assert "it is no network, but a whole model (Ridge)" in str(refused)
    assert not (tmp_path / "out").exists()


def test_a_changed_byte_of_it_is_refused(ridge_run, registry, tmp_path):
    import shutil

    from mnpu import training
    from mnpu.errors import DataError
    from mnpu.forecasters.ridge import Ridge

    folder = shutil.copytree(ridge_run.path / "bundle" / "fold-00", tmp_path / "bundle")
    path = folder / "forecaster-regressions.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"forecaster-regressions\.safetensors has changed"):
        training.load(folder, None, None, Ridge)


def test_a_finished_fit_of_a_run_in_progress_is_read_and_not_made_again(small_recipe, registry, tmp_path, monkeypatch):
    from mnpu import pipeline, training
    from mnpu.assembly import assemble
    from mnpu.config import load_config
    from mnpu.config.resolve import resolve
    from mnpu.folds import fit_fold

    loaded = load_config(small_recipe, sets=[*RIDGE, "compare=[]"])
    parts = assemble(loaded.pipeline, resolve(loaded, registry), registry, base=small_recipe.parent)
    panel, side = pipeline.load(parts, Silent())
    prepared = pipeline.prepare(parts, panel, side, Silent())
    fold, frame = prepared.split.folds[0], prepared.frame

    def again():
        return fit_fold(parts, parts.forecasters[0], frame, prepared.labels, fold, kept=tmp_path)

    first = training.forecast(again(), frame, rows=fold.test)
    monkeypatch.setattr(training, "fit_whole", None)  # whoever calls it now fails
    second = training.forecast(again(), frame, rows=fold.test)
    np.testing.assert_array_equal(first.quantiles, second.quantiles)
