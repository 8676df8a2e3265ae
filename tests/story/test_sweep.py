"""A sweep of real runs: killed in a fit it goes on there, and its table is about one set of decisions."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from mnpu import ledger
from mnpu.sweep.catalogue import read_catalogue

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

SWEEP = """name: story
base: {base}
set: {{compare: [], train.epochs: 4, train.max_steps_per_epoch: 60, train.checkpoint_every: 5 steps}}
axes:
  model:
    cases:
      linear: {{set: {{model.backbone: {{use: linear}}}}}}
      ridge: {{set: {{model.backbone: null, model.forecaster: {{use: ridge}}}}}}
      nonsense: {{set: {{data.symbols: [NOPE, NADA, NIET, NEIN]}}}}
  model.lookback: [8, 30]
blocks: []
workers: 2
"""


def swept(file, runs):
    code = f"from mnpu.cli import main; main(['sweep', 'run', {str(file)!r}, '--runs', {str(runs)!r}, '--json'])"
    return [sys.executable, "-c", code]


@pytest.fixture(scope="module")
def runs(small_recipe, tmp_path_factory):
    """A sweep whose first process was killed in a fit."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "sweep.yaml").write_text(SWEEP.format(base=small_recipe))
    with subprocess.Popen(swept(folder / "sweep.yaml", folder / "runs"), stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list((folder / "runs").glob("*/fits/**/step-*.json")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
    time.sleep(1.0)  # its workers end when they see that nobody listens
    done = subprocess.run(swept(folder / "sweep.yaml", folder / "runs"), capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert (told["trials"], told["failed"]) == (6, 2)
    return folder / "runs"


def test_every_trial_counts_once_and_what_was_begun_is_finished(runs):
    rows, broken = ledger.read_rows(runs)
    assert broken == []
    assert len({row["trial"] for row in rows}) == len(rows) == 6
    states = [json.loads(path.read_text()) for path in runs.glob("*/run.json")]
    assert sum(len(state.get("resumed_at", [])) for state in states) >= 1
    assert {state["status"] for state in states} <= {"finished", "failed"}
    assert len(states) == len({state["marks"]["trial"] for state in states})


def test_a_row_says_what_judging_needs(runs):
    rows, _ = ledger.read_rows(runs)
    for row in rows:
        if row["status"] == "finished":
            assert row["n"] > 100
            assert row["cpu_seconds"] > 0
            assert row["kurtosis"] > 1
            assert len(row["decisions"]) == 16
        else:
            assert row["error"]


def test_the_table_is_about_one_set_of_decisions(runs):
    found = read_catalogue(runs, "story")
    assert len(found.entries) == 4
    assert len({entry.decisions for entry in found.entries}) == 1
    assert {entry.facts["n"] for entry in found.entries} == {found.entries[0].facts["n"]}
    assert len(found.failed) == 2
