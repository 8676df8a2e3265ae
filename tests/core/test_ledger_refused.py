"""A ledger that cannot be read or is of a later version: whoever asks is told which file, and nothing counts less."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mnpu import execute, ledger, ledger_files
from mnpu.errors import MnpuError
from mnpu.results_io import write_result
from mnpu.rundir import RunDirectory, list_runs
from mnpu.sweep.catalogue import read_catalogue
from mnpu.types import Run
from tests.core import test_sweep_catalogue as catalogue

START = pd.Timestamp("2026-01-02 03:04:05", tz="UTC")


def row(run_id, **facts):
    own = {"run_id": run_id, "recipe_id": run_id.rpartition("-")[0], "name": "demo", "data_hash": "d"}
    return {**own, "status": "finished", "started_at": START, **facts}


def a_run(recipe_id):
    return Run("", recipe_id, "demo", 0, "c", "d", "e", "f", {}, {}, START)


def newer(path):
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.replace_schema_metadata({b"mnpu.ledger.format": b"99"}), path)


def refuse_listing(monkeypatch, folder):
    """The system refuses to list this folder, as it does without the right to read it."""
    listed = os.listdir

    def refused(path="."):
        if os.fspath(path) == str(folder):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(ledger_files.os, "listdir", refused)


def test_a_ledger_that_may_not_be_listed_is_refused_with_the_next_step(tmp_path, monkeypatch):
    ledger.append(tmp_path, row("a-001"))
    refuse_listing(monkeypatch, tmp_path / "ledger")
    said = r"ledger: cannot be read \(Permission denied\).*permissions changed"
    for ask in (ledger.read, ledger.read_rows, ledger.compact, ledger.tried, lambda r: ledger.before(r, a_run("n"))):
        with pytest.raises(MnpuError, match=said):
            ask(tmp_path)


@pytest.mark.parametrize("fault", ["newer", "listing"])
def test_a_run_that_cannot_know_which_trial_it_is_ends_failed_and_says_why(tmp_path, monkeypatch, fault):
    path = ledger.append(tmp_path, row("a-001"))
    with monkeypatch.context() as patch:
        if fault == "newer":
            newer(path)
        else:
            refuse_listing(patch, tmp_path / "ledger")
        with pytest.raises(MnpuError, match=r"has format 99|cannot be read") as told:
            execute.begin(tmp_path, a_run("b"), None)
    [directory] = list_runs(tmp_path)
    assert directory.run_id == "b-001"
    assert directory.status == "failed"
    assert directory.state["error"] == {"type": "MnpuError", "message": str(told.value)}


def test_a_run_that_could_not_begin_is_no_trial_once_the_ledger_can_be_read(tmp_path, monkeypatch):
    ledger.append(tmp_path, row("a-001"))
    with monkeypatch.context() as patch:
        refuse_listing(patch, tmp_path / "ledger")
        with pytest.raises(MnpuError):
            execute.begin(tmp_path, a_run("b"), None)
    _, begun = execute.begin(tmp_path, a_run("b"), None)
    assert (begun.run_id, begun.trials) == ("b-002", 2)


# What the commands say.

DAMAGES = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "garbage": lambda path: path.write_bytes(b"PAR1 nonsense PAR1"),
    "no bytes": lambda path: path.write_bytes(b""),
    "newer": newer,
}
READING = {
    "runs list": (),
    "runs show": ("r0",),
    "runs compare": ("r0", "r2"),
    "runs compact": (),
    "sweep show": ("s",),
    "sweep compare": ("s",),
    "sweep plot": ("s", "--out", "OUT"),
    "sweep export": ("s", "--out", "OUT/rows.parquet"),
    "sweep agenda": ("s", "--page", "OUT/page.md"),
    "sweep look": ("s",),
    "report": ("r0-001",),
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Four finished runs of a sweep of two models."""
    root, rng = tmp_path_factory.mktemp("swept") / "runs", np.random.default_rng(3)
    root.mkdir()
    results = [catalogue.a_result(rng.normal(0.001, 0.01, 120), catalogue.ALL) for _ in range(4)]
    catalogue.a_sweep(root, list(zip("xyxy", results, strict=True)), keep=False)
    for n, result in enumerate(results):
        directory = RunDirectory(root / f"r{n}-001")
        write_result(directory.path, replace(result, run=replace(a_run(f"r{n}"), run_id=directory.run_id)))
        directory.finish()
    return root


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_became_of_a_file_every_command_that_reads_the_ledger_names_it(
    swept, tmp_path, mnpu, damage, together
):
    kept = shutil.copytree(swept, tmp_path / "kept")
    if together:
        ledger.compact(kept)
    path = next((kept / "ledger").glob("+*")) if together else kept / "ledger" / "r1-001.parquet"
    DAMAGES[damage](path)
    for words, rest in READING.items():
        runs = shutil.copytree(kept, tmp_path / words)
        given = [word.replace("OUT", str(tmp_path / words / "out")) for word in rest]
        code, out, err = mnpu(*words.split(), *given, "--runs", runs)
        said = out + err
        assert path.name in said, words
        assert "Traceback" not in said, words
        assert "bug" not in said, words
        # What a later version wrote is refused, but for what tells of one run: that is judged as not known.
        refused = damage == "newer" and words not in ("runs show", "report")
        assert (code == 1) == refused, words


def test_a_run_beside_rows_of_a_later_version_is_shown_and_not_told_from_luck(swept, tmp_path, mnpu):
    runs = shutil.copytree(swept, tmp_path / "runs")
    newer(runs / "ledger" / "r1-001.parquet")
    told = json.loads(mnpu("runs", "show", "r0", "--runs", runs, "--json")[1])["told"]
    assert "not distinguishable from luck (the ledger cannot be read" in told


@pytest.mark.parametrize("damage", ["cut short", "garbage", "no bytes"])
@pytest.mark.parametrize("together", [False, True])
def test_damage_makes_no_count_of_trials_smaller(swept, tmp_path, mnpu, damage, together):
    runs = shutil.copytree(swept, tmp_path / "runs")
    count = lambda: json.loads(mnpu("runs", "show", "r0", "--runs", runs, "--json")[1])["judgement"]["n_trials"]
    assert count() == 4
    if together:
        ledger.compact(runs)
    DAMAGES[damage](next((runs / "ledger").glob("+*")) if together else runs / "ledger" / "r1-001.parquet")
    assert count() >= 4


# Clocks that are set back.


def test_the_last_attempt_is_the_one_with_the_highest_number_whatever_the_clock_said(tmp_path):
    for attempt in range(12):
        when = START - pd.Timedelta(hours=attempt)
        ledger.append(tmp_path, row("a-001", started_at=when, n=attempt), attempt=attempt)
    for counter in (2, 1000, 999):
        when = START - pd.Timedelta(days=counter)
        ledger.append(tmp_path, row(f"a-{counter:03d}", started_at=when, n=counter + 100))
    ledger.append(tmp_path, row("b-001", started_at=START + pd.Timedelta(hours=1), n=0))
    ledger.append(tmp_path, row("0-001", started_at=None, n=0))
    for _ in range(2):
        told = ledger.in_time(ledger.read_rows(tmp_path)[0])
        assert [each["run_id"] for each in told[:1] + told[-1:]] == ["0-001", "b-001"]
        assert [each["n"] for each in told if each["recipe_id"] == "a"] == [*range(12), 102, 1099, 1100]
        ledger.compact(tmp_path)


def test_a_trial_that_ended_well_at_its_second_attempt_is_done_though_its_first_failed_later_by_the_clock(
    swept, tmp_path
):
    """A row of a failure says when it failed, that of a run taken up again when it first began."""
    runs = shutil.copytree(swept, tmp_path / "runs")
    [own] = [one for one in ledger.read_rows(runs)[0] if one["run_id"] == "r1-001"]
    (runs / "ledger" / "r1-001.parquet").unlink()
    late = own["started_at"] + pd.Timedelta(hours=1)
    ledger.append(runs, {**own, "status": "failed", "error": "it was killed", "started_at": late})
    assert [one["run_id"] for one in read_catalogue(runs, "s").failed] == ["r1-001"]
    ledger.append(runs, own, attempt=1)
    found = read_catalogue(runs, "s")
    assert (len(found.entries), found.failed) == (4, [])


# Runs that are killed.

KILLED = """
import os, signal, sys
import pandas as pd
from mnpu import execute
from mnpu.types import Run

start = pd.Timestamp("2026-01-02", tz="UTC")
looks = Run("", "a", "demo", 0, "c", "d", "e", "f", {}, {}, start, locked="2025..2026 x", unlocked=True)
directory, run = execute.begin(sys.argv[1], looks, None)
directory.start(run, {})
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal there")
def test_a_look_at_the_locked_range_counts_though_its_process_was_killed_before_it_could_write_a_row(tmp_path):
    for turn in range(2):
        ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
        assert ended.returncode == -signal.SIGKILL
        assert [directory.status for directory in list_runs(tmp_path)] == ["interrupted"] * (turn + 1)
        assert not (tmp_path / "ledger").exists()
        # Of the same range, and of the same name and data; each look counts, of one recipe too.
        same = replace(a_run("b"), name="other", data_hash="other", locked="2025..2026 x")
        for later in (same, a_run("b")):
            assert ledger.before(tmp_path, later).looks == turn + 1
        assert ledger.before(tmp_path, a_run("b")).trials == 1
        elsewhere = replace(a_run("b"), name="other", data_hash="other", locked="2020..2021 y")
        assert ledger.before(tmp_path, elsewhere).looks == 0
