"""Pre-training and a warm start through a recipe: kept with the run, a part of its identity, told what is wrong."""

from __future__ import annotations

import json
import shutil

import pytest

from mnpu.progress import Silent

pytest.importorskip("torch", reason="training needs mnpu-core[train]")


def _run(recipe, registry, runs, *sets):
    from mnpu.config import load_config
    from mnpu.execute import execute

    return execute(load_config(recipe, sets=["compare=[]", *sets]), registry, runs=runs, progress=Silent())


@pytest.mark.parametrize("use", ["masked", "contrastive"])
def test_a_recipe_pretrains_and_its_bundle_says_how_it_went(small_recipe, registry, tmp_path, use):
    done = _run(small_recipe, registry, tmp_path, f"train.pretrain={{use: {use}, epochs: 2}}")
    for fold in sorted((done.path / "bundle").iterdir()):
        losses = json.loads((fold / "fitted.json").read_text())["pretraining"]
        assert len(losses) == 2
        assert all(0 < loss < 20 for loss in losses)
    assert f"use: {use}" in (done.path / "resolved.yaml").read_text()


def test_a_run_begins_where_another_ended_and_its_identity_follows_the_weights(
    small_run, small_recipe, registry, tmp_path
):
    from mnpu.hashing import hash_config

    copied = shutil.copytree(small_run.path, tmp_path / "elsewhere")
    runs = tmp_path / "runs"
    first = _run(small_recipe, registry, runs, f"model.warm_start={small_run.path}").result
    second = _run(small_recipe, registry, runs, f"model.warm_start={{path: {copied}}}").result
    assert first.run.recipe_id == second.run.recipe_id  # the same weights from another folder
    cold = small_run.result.run
    assert first.run.data_hash != cold.data_hash
    assert first.run.config_hash != hash_config({**cold.config, "compare": []})
    assert abs(first.net - second.net).max() == 0
    assert abs(first.net - small_run.result.net).max() > 0


def test_a_fold_begins_with_no_weights_that_have_seen_what_calibrates_it(small_run, small_recipe, registry, tmp_path):
    """A run without calibration was stopped on those rows; one with the same has kept them back."""
    from mnpu.errors import DataError

    calibration = "model.calibration={use: split, share: 0.5}"
    for folder in sorted((small_run.path / "bundle").iterdir()):
        seen = json.loads((folder / "fitted.json").read_text())["seen"]
        fold = small_run.result.folds.folds[int(folder.name[-2:])]
        times = small_run.result.folds.times
        assert seen["trained_until"] < seen["until"] < times[fold.test[0]].isoformat()
        assert seen["until"] > times[fold.validation[1] - 1].isoformat()
    with pytest.raises(DataError, match=r"fold-01 was trained up to .*; fold-00 has seen all up to"):
        _run(small_recipe, registry, tmp_path / "refused", f"model.warm_start={small_run.path}", calibration)
    calibrated = _run(small_recipe, registry, tmp_path / "calibrated", calibration)
    again = _run(small_recipe, registry, tmp_path / "again", f"model.warm_start={calibrated.path}", calibration)
    for one, other in zip(*(sorted((run.path / "bundle").iterdir()) for run in (calibrated, again)), strict=True):
        first, second = (json.loads((folder / "fitted.json").read_text()) for folder in (one, other))
        assert first["seen"] == second["seen"]
        assert first["history"] != second["history"]


def test_an_unknown_objective_and_a_misspelt_setting_name_what_there_is(small_recipe):
    from mnpu.config import load_config
    from mnpu.errors import ConfigError

    with pytest.raises(ConfigError, match=r"train\.pretrain is a map, expected a map with use: masked or contrastive"):
        load_config(small_recipe, sets=["train.pretrain={use: maskd}"])
    with pytest.raises(ConfigError, match=r"train\.pretrain\.temprature is not a known key.*'temperature'"):
        load_config(small_recipe, sets=["train.pretrain={use: contrastive, temprature: 0.1}"])
    with pytest.raises(ConfigError, match=r"train\.pretrain\.share is 1\.5, expected a number below 1"):
        load_config(small_recipe, sets=["train.pretrain={use: masked, share: 1.5}"])


def test_a_warm_start_without_weights_ends_before_the_run(small_recipe, registry, tmp_path):
    from mnpu.errors import DataError

    with pytest.raises(DataError, match=r"model\.warm_start is .*/nothing, and no bundle lies there"):
        _run(small_recipe, registry, tmp_path / "runs", "model.warm_start=nothing")
    assert not (tmp_path / "runs").exists()
