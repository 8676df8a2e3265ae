"""`mnpu runs`, `mnpu validate` and `mnpu schema` answer people and machines, and exit as agreed."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu import ledger
from mnpu.results_io import write_result
from mnpu.rundir import RunDirectory
from mnpu.types import Metric, Positions, Result, Run


def a_run(root, recipe_id, sharpe, *, lr):
    directory = RunDirectory.create(root, recipe_id)
    config = {"train": {"lr": lr, "epochs": 2}, "features": [{"use": "price.drawdown", "window": 3}]}
    started = pd.Timestamp("2026-01-02 03:04:05", tz="UTC")
    run = Run(directory.run_id, recipe_id, "demo", 7, "c", "d", "e", "f", {"mnpu-core": "0.1.0"}, config, started)
    directory.start(run, config)
    times = pd.date_range("2020-01-01", periods=2, tz="UTC").as_unit("ns")
    book = Positions(times, ("ON",), np.zeros((2, 1)), np.ones(2, dtype=bool))
    metrics = {"sharpe": Metric("sharpe", sharpe, "", se=0.25), "rank_ic": Metric("rank_ic", None, "", reason="one")}
    zero = np.zeros(2)
    result = Result("omni", times, times, zero, zero, np.ones(3), zero, {}, book, book, 252.0, metrics=metrics, run=run)
    write_result(directory.path, replace(result, comparisons=(replace(result, name="linear", run=None),)))
    row = {"run_id": run.run_id, "recipe_id": recipe_id, "name": "demo", "status": "finished", "started_at": started}
    ledger.append(root, {**row, "metric.sharpe": sharpe})
    return directory


@pytest.fixture
def runs(tmp_path):
    root = tmp_path / "runs"
    a_run(root, "aaaa", 0.5, lr=1e-4).finish()
    a_run(root, "bbbb", 0.75, lr=2e-4).finish()
    RunDirectory.create(root, "cccc").fail(KeyboardInterrupt())
    return root


def test_list_shows_every_run_with_its_state(mnpu, runs):
    code, out, _ = mnpu("runs", "list", "--runs", runs)
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == ["run", "aaaa-001", "bbbb-001", "cccc-001"]
    assert "finished" in lines[1]
    assert lines[1].split()[-7:] == ["0.5", "-", "-", "not", "distinguishable", "from", "luck"]  # no ratio per bar
    assert "failed" in lines[3]
    found = json.loads(mnpu("runs", "list", "--runs", runs, "--json")[1])
    assert [(r["status"], r["sharpe"]) for r in found["runs"]] == [
        ("finished", 0.5),
        ("finished", 0.75),
        ("failed", None),
    ]


@pytest.mark.parametrize("name", ["run", "error", "files"])
def test_a_damaged_state_does_not_hide_the_other_runs(mnpu, runs, name):
    state = runs / "aaaa-001" / "run.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), name: 5}))
    code, out, _ = mnpu("runs", "list", "--runs", runs)
    assert code == 0
    assert "damaged" in next(line for line in out.splitlines() if line.startswith("aaaa-001")).split()
    code, _, err = mnpu("runs", "show", "aaaa", "--runs", runs)
    assert code == 1
    assert f"run.json: {name} is no map. Run the pipeline again" in err


def test_a_damaged_ledger_row_is_named_and_does_not_hide_the_rest(mnpu, runs):
    (runs / "ledger" / "aaaa-001.parquet").write_bytes(b"x")
    code, out, err = mnpu("runs", "list", "--runs", runs)
    assert code == 0
    assert "aaaa-001.parquet" in err
    assert "aaaa-001" in out


def test_a_run_whose_folder_is_gone_is_remembered(mnpu, runs):
    import shutil

    shutil.rmtree(runs / "aaaa-001")
    assert "finished (removed)" in mnpu("runs", "list", "--runs", runs)[1]


def test_no_runs_yet_is_said_with_the_next_step(mnpu, tmp_path):
    code, out, _ = mnpu("runs", "list", "--runs", tmp_path / "nowhere")
    assert code == 0
    assert "mnpu run FILE" in out


def test_show_tells_state_hashes_and_numbers(mnpu, runs):
    code, out, _ = mnpu("runs", "show", "aaaa", "--runs", runs)
    assert code == 0
    assert out.startswith("aaaa-001  finished")
    assert "0.5 ± 0.25" in out
    found = json.loads(mnpu("runs", "show", "aaaa-001", "--runs", runs, "--json")[1])
    assert found["metrics"]["metrics"]["sharpe"]["value"] == 0.5
    assert found["run"]["config"]["train"]["lr"] == 1e-4


def test_show_says_when_a_file_was_changed_after_the_run(mnpu, runs):
    with (runs / "aaaa-001" / "resolved.yaml").open("a") as file:
        file.write("# edited\n")
    assert "changed after the run: resolved.yaml" in mnpu("runs", "show", "aaaa", "--runs", runs)[1]


def test_a_failed_run_shows_its_cause_and_no_numbers(mnpu, runs):
    out = mnpu("runs", "show", "cccc", "--runs", runs)[1]
    assert "KeyboardInterrupt" in out
    assert "No numbers: cccc-001 is failed." in out


def test_an_unfinished_run_shows_no_numbers_even_if_some_were_written(mnpu, runs):
    a_run(runs, "dddd", 9.0, lr=1.0)
    out = mnpu("runs", "show", "dddd", "--runs", runs)[1]
    assert "9" not in out.partition("No numbers")[2]
    assert "dddd-001 is running" in out
    assert json.loads(mnpu("runs", "list", "--runs", runs, "--json")[1])["runs"][-1]["status"] == "running"


def test_compare_puts_numbers_side_by_side_and_names_the_keys_that_differ(mnpu, runs):
    code, out, _ = mnpu("runs", "compare", "aaaa", "bbbb", "--runs", runs)
    assert code == 0
    (sharpe,) = (line for line in out.splitlines() if line.startswith("sharpe"))
    assert sharpe.split() == ["sharpe", "0.5", "±", "0.25", "0.75", "±", "0.25"]
    (lr,) = (line for line in out.splitlines() if line.startswith("train."))
    assert lr.split() == ["train.lr", "0.0001", "0.0002"]
    found = json.loads(mnpu("runs", "compare", "aaaa", "bbbb", "--runs", runs, "--json")[1])
    assert found["differences"] == {"train.lr": [1e-4, 2e-4]}


def test_compare_needs_two_runs_that_exist(mnpu, runs):
    assert mnpu("runs", "compare", "aaaa", "--runs", runs)[0] == 2
    code, _, err = mnpu("runs", "compare", "aaaa", "zzzz", "--runs", runs)
    assert code == 2
    assert "no run 'zzzz'" in err


def test_validate_passes_a_right_file_and_places_the_fault_of_a_wrong_one(mnpu, tmp_path):
    pytest.importorskip("torch", reason="its networks need mnpu-core[train]")
    from pathlib import Path

    from mnpu import recipes

    recipe = Path(recipes.__file__).parent / "us_equities_daily.yaml"
    code, out, _ = mnpu("validate", recipe)
    assert code == 0
    assert "is valid" in out
    answer = json.loads(mnpu("validate", recipe, "--json")[1])
    assert answer["valid"] is True
    assert answer["resolved"]["model"]["backbone"]["use"] == "omni"
    text = re.sub(r"lookback: \d+", "lookback: -4", recipe.read_text())
    line = 1 + text[: text.index("lookback: -4")].count("\n")
    (tmp_path / "p.yaml").write_text(text)
    code, _, err = mnpu("validate", tmp_path / "p.yaml")
    assert code == 2
    assert f"{tmp_path / 'p.yaml'}:{line}:13: model.lookback is -4" in err
    error = json.loads(mnpu("validate", recipe, "--set", "train.epochs=0", "--json")[2])
    assert "--set train.epochs" in json.dumps(error)


def test_schema_goes_to_a_file(mnpu, tmp_path):
    code, out, _ = mnpu("schema", "--out", tmp_path / "new" / "schema.json")
    assert code == 0
    assert "schema.json" in out
    assert json.loads((tmp_path / "new" / "schema.json").read_text())["title"] == "MNPU pipeline"
    assert json.loads(mnpu("schema")[1])["title"] == "MNPU pipeline"
    (tmp_path / "file").write_text("x")
    assert mnpu("schema", "--out", tmp_path / "file" / "schema.json")[0] == 1
