"""A ledger that cannot be read or is of a later version: whoever asks is told which file, and nothing counts less."""

from __future__ import annotations

import os

import pandas as pd
import pyarrow.parquet as pq
import pytest

from mnpu import execute, ledger, ledger_files
from mnpu.errors import MnpuError
from mnpu.rundir import list_runs
from mnpu.types import Run

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
