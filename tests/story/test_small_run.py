"""A run is reproducible, judged on equal decisions, kept on disk, and never pretends to be finished."""

from __future__ import annotations

import errno
import json
import os
import time

import numpy as np
import pytest

from mnpu.progress import Silent

pytest.importorskip("torch", reason="training needs mnpu-core[train]")


def _run(recipe, registry, runs, *sets):
    from mnpu.config import load_config
    from mnpu.execute import execute

    return execute(load_config(recipe, sets=sets), registry, runs=runs, progress=Silent())


def test_the_same_recipe_gives_bit_equal_forecasts_positions_and_metrics(small_run, small_recipe, registry, tmp_path):
    again = _run(small_recipe, registry, tmp_path).result
    first = small_run.result
    np.testing.assert_array_equal(first.forecast.quantiles, again.forecast.quantiles)
    np.testing.assert_array_equal(first.positions.weights, again.positions.weights)
    assert {k: m.value for k, m in first.metrics.items()} == {k: m.value for k, m in again.metrics.items()}
    assert first.run.recipe_id == again.run.recipe_id


def test_neither_the_cache_nor_the_workers_change_a_run(small_recipe, registry, tmp_path, monkeypatch):
    from mnpu.features import keys

    monkeypatch.setattr(keys, "started", lambda: time.time() + 3600)  # whoever edits core meanwhile runs this, too
    outcomes = []
    for cache, workers in (("off", 1), (tmp_path / "cache", 2), (tmp_path / "cache", 1), ("off", 5)):
        monkeypatch.setenv("MNPU_CACHE", str(cache))
        runs = tmp_path / f"{len(outcomes)}"
        outcomes.append(_run(small_recipe, registry, runs, "compare=[]", f"runtime.workers={workers}").result)
    assert len(list((tmp_path / "cache").glob("*.features"))) == 1
    for other in outcomes[1:]:
        np.testing.assert_array_equal(other.forecast.quantiles, outcomes[0].forecast.quantiles)
        np.testing.assert_array_equal(other.net, outcomes[0].net)
        assert other.run.recipe_id == outcomes[0].run.recipe_id


def test_a_folder_of_parquet_files_gives_the_same_run(small_run, small_recipe, registry, demo_folder, tmp_path):
    """And a recipe that says where its data was; how it was stored is no part of what was computed."""
    done = _run(small_recipe, registry, tmp_path, f"data.store=parquet:///{demo_folder}")
    assert done.result.run.recipe_id == small_run.result.run.recipe_id
    np.testing.assert_array_equal(done.result.positions.weights, small_run.result.positions.weights)
    [resolved] = tmp_path.glob("*/resolved.yaml")
    assert f"parquet:///{demo_folder}" in resolved.read_text(encoding="utf-8")


def test_another_seed_gives_other_forecasts_and_another_recipe(small_run, small_recipe, registry, tmp_path):
    other = _run(small_recipe, registry, tmp_path, "seed=4", "compare=[]").result
    assert not np.array_equal(small_run.result.forecast.quantiles, other.forecast.quantiles, equal_nan=True)
    assert other.run.recipe_id != small_run.result.run.recipe_id


def test_blocks_that_are_computed_again_change_no_bit(small_run, small_recipe, registry, tmp_path):
    sets = ("model={lookback: 8, backbone: {use: omni}, checkpoint_activations: true}", "compare=[]")
    again = _run(small_recipe, registry, tmp_path, *sets).result
    omni = next(other for other in small_run.result.comparisons if other.name == "omni")
    np.testing.assert_array_equal(again.forecast.quantiles, omni.forecast.quantiles)


def test_all_models_are_judged_on_the_same_decisions(small_run):
    result = small_run.result
    omni = next(other for other in result.comparisons if other.name == "omni")
    np.testing.assert_array_equal(result.forecast.available, omni.forecast.available)
    for other in result.comparisons:
        assert other.times.equals(result.times)


def test_the_guardrail_binds_and_says_so(small_run):
    positions = small_run.result.positions
    assert np.abs(positions.weights).sum(axis=1).max() <= 0.8 + 1e-12
    assert np.abs(small_run.result.proposed.weights).sum(axis=1).max() > 0.9
    assert len(positions.violations) > 0


def test_folds_do_not_overlap_and_every_decision_is_out_of_sample(small_run):
    result = small_run.result
    previous = 0
    for fold in result.folds.folds:
        assert fold.train[1] < fold.validation[0] < fold.validation[1] < fold.test[0] < fold.test[1]
        assert fold.test[0] >= previous
        previous = fold.test[1]
    assert len(result.folds.folds) >= 2


def test_the_run_directory_reads_back_as_the_same_result(small_run):
    from mnpu.results_io import read_result

    back = read_result(small_run.path)
    np.testing.assert_array_equal(back.net, small_run.result.net)
    np.testing.assert_array_equal(back.forecast.quantiles, small_run.result.forecast.quantiles)
    assert {k: m.value for k, m in back.metrics.items()} == {k: m.value for k, m in small_run.result.metrics.items()}


def test_the_ledger_has_one_row_per_run_with_its_numbers(small_run):
    from mnpu import ledger

    rows = ledger.read(small_run.path.parent)
    row = rows[rows.run_id == small_run.result.run.run_id].iloc[0]
    assert row.status == "finished"
    assert row["metric.sharpe"] == small_run.result.metrics["sharpe"].value


def test_ctrl_c_leaves_a_failed_run_and_a_ledger_row(small_recipe, registry, tmp_path, monkeypatch):
    from mnpu import ledger, training

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _run(small_recipe, registry, tmp_path)
    (path,) = [p for p in tmp_path.iterdir() if (p / "run.json").exists()]
    assert json.loads((path / "run.json").read_text())["status"] == "failed"
    assert list(ledger.read(tmp_path).status) == ["failed"]


def test_a_full_disk_hides_neither_the_cause_nor_the_other_runs(small_recipe, registry, tmp_path, monkeypatch):
    from mnpu import ledger, results_io
    from mnpu.errors import MnpuError
    from mnpu.rundir import RunDirectory

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(results_io, "write_result", full)
    monkeypatch.setattr(RunDirectory, "fail", full)
    monkeypatch.setattr(ledger, "write_new", full)
    with pytest.raises(MnpuError, match=r"-001: cannot be written \(No space left on device\), expected") as caught:
        _run(small_recipe, registry, tmp_path, "compare=[]")
    assert caught.value.exit_code == 1
    (path,) = [p for p in tmp_path.iterdir() if (p / "run.json").exists()]
    assert RunDirectory(path).status == "running"  # this process is alive; it is interrupted once that has ended
    assert ledger.read(tmp_path).empty


@pytest.mark.parametrize("store", ["postgres://me:hunter2@db/x", "sqlite://market.db", "sqlite:///"])
def test_a_store_of_another_kind_is_not_taken_for_a_file(small_recipe, registry, tmp_path, store):
    from mnpu.errors import ConfigError

    forms = r"names no store, expected sqlite:///market\.db, parquet:///folder, or a path"
    with pytest.raises(ConfigError, match=forms) as caught:
        _run(small_recipe, registry, tmp_path, f"data.store={store}")
    assert "hunter2" not in str(caught.value)
    assert not list(tmp_path.iterdir())
