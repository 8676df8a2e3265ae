"""The ledger only grows, survives damage and counts every trial once."""

from __future__ import annotations

from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pandas as pd
import pytest

from mnpu import ledger
from mnpu.errors import MnpuError
from mnpu.rundir import RunDirectory
from mnpu.types import Run


def row(run_id, **facts):
    recipe = run_id.rpartition("-")[0]
    return {
        "run_id": run_id,
        "recipe_id": recipe,
        "name": "demo",
        "status": "finished",
        "data_hash": "d",
        "started_at": pd.Timestamp("2026-01-02 03:04:05", tz="UTC"),
        **facts,
    }


def run(recipe_id, *, name="demo", data_hash="d"):
    return Run("", recipe_id, name, 0, "c", data_hash, "e", "f", {}, {}, pd.Timestamp("2026-01-02", tz="UTC"))


def test_rows_read_back_as_they_were(tmp_path):
    ledger.append(tmp_path, row("a-001", seed=np.int64(3), **{"metric.sharpe": 0.1 + 0.2, "metric.rank_ic": None}))
    ledger.append(tmp_path, row("b-001", status="failed", error="Ctrl-C", versions={"numpy": "2"}))
    rows = ledger.read(tmp_path)
    assert list(rows.run_id) == ["a-001", "b-001"]
    assert rows.loc[0, "metric.sharpe"] == 0.1 + 0.2
    assert rows.loc[0, "seed"] == 3
    assert list(rows.status) == ["finished", "failed"]
    assert rows.loc[1, "versions"] == '{"numpy": "2"}'
    assert rows.loc[0, "started_at"] == pd.Timestamp("2026-01-02 03:04:05", tz="UTC")


def test_an_empty_ledger_has_no_rows(tmp_path):
    assert len(ledger.read(tmp_path / "nowhere")) == 0


def test_nothing_is_overwritten(tmp_path):
    path = ledger.append(tmp_path, row("a-001"))
    before = path.read_bytes()
    with pytest.raises(MnpuError, match="in the ledger already"):
        ledger.append(tmp_path, row("a-001", status="failed"))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["../a-001", "", ".hidden", "a/b"])
def test_a_run_id_cannot_lead_elsewhere(tmp_path, name):
    with pytest.raises(MnpuError, match="is not a run id"):
        ledger.append(tmp_path, row("x-001") | {"run_id": name})


def test_a_damaged_row_is_named_skipped_and_kept(tmp_path):
    ledger.append(tmp_path, row("a-001"))
    for name, content in (("b-001", b""), ("c-001", b"PAR1 nonsense PAR1")):
        (tmp_path / "ledger" / f"{name}.parquet").write_bytes(content)
    with pytest.warns(ledger.LedgerWarning) as warned:
        rows = ledger.read(tmp_path)
    assert [name in str(w.message) for w, name in zip(warned, ("b-001", "c-001"), strict=True)] == [True, True]
    assert list(rows.run_id) == ["a-001"]
    assert (tmp_path / "ledger" / "c-001.parquet").exists()
    assert len(ledger.read_rows(tmp_path)[1]) == 2


def test_a_row_cut_short_is_skipped(tmp_path):
    path = ledger.append(tmp_path, row("a-001"))
    path.write_bytes(path.read_bytes()[:-20])
    rows, broken = ledger.read_rows(tmp_path)
    assert rows == []
    assert "a-001.parquet" in broken[0]


def test_trials_are_other_recipes_on_the_same_name_or_data(tmp_path):
    for facts in (
        row("a-001"),
        row("a-002"),
        row("b-001", status="failed"),
        row("c-001", name="other"),
        row("d-001", data_hash="other"),
        row("e-001", name="other", data_hash="other"),
    ):
        ledger.append(tmp_path, facts)
    assert ledger.before(tmp_path, run("new")).trials == 4
    assert ledger.before(tmp_path, run("a")).trials == 3, "a repeat is not a trial of its own"
    assert ledger.before(tmp_path, run("x", name="other", data_hash="other")).trials == 3
    assert ledger.before(tmp_path / "nowhere", run("a")).trials == 0


def test_rows_that_were_taken_away_count_where_another_run_saw_them(tmp_path):
    for recipe, facts in {"a": {"trials": 1}, "b": {"trials": 2}, "c": {"trials": 3}}.items():
        ledger.append(tmp_path, row(f"{recipe}-001", recipe_id=recipe, **facts))
    assert ledger.before(tmp_path, run("d")).trials == 3
    for gone in ("a-001", "b-001"):
        (tmp_path / "ledger" / f"{gone}.parquet").unlink()
    assert ledger.before(tmp_path, run("d")).trials == 3
    assert ledger.before(tmp_path, run("c")).trials == 2  # the recipe itself was one of the three
    assert (
        ledger.before(tmp_path, run("d", data_hash="other")).trials == 1
    )  # what it saw may have been of other questions


def test_a_run_that_was_killed_before_its_row_is_a_trial(tmp_path):
    ledger.append(tmp_path, row("a-001"))
    killed = replace(run("b"), config={})
    RunDirectory.create(tmp_path, "b").start(killed, {})
    assert ledger.before(tmp_path, run("new")).trials == 2
    assert ledger.before(tmp_path, run("b")).trials == 1
    damaged = tmp_path / "b-001" / "run.json"
    damaged.write_text("{")
    assert ledger.before(tmp_path, run("new")).trials == 2, "whatever it was of"
    assert "b-001: its record is damaged" in ledger.before(tmp_path, run("new")).problems[0]


@pytest.mark.parametrize("together", [False, True])
def test_a_file_with_any_byte_gone_or_changed_is_named_and_counts_no_less(tmp_path, together, rng):
    for n in range(3):
        ledger.append(tmp_path, row(f"r{n}-001", unlocked=True))
    if together:
        ledger.compact(tmp_path)
    path = min((tmp_path / "ledger").iterdir())
    whole = path.read_bytes()
    rows, told = ledger.read_rows(tmp_path)[0], ledger.before(tmp_path, run("new"))
    changed = [bytearray(whole) for _ in range(300)]
    for content, place in zip(changed, rng.integers(0, len(whole), 300), strict=True):
        content[place] ^= 1 << int(rng.integers(8))
    refusals: list[str] = []
    for content in (*(whole[:cut] for cut in range(0, len(whole), 29)), *changed):
        path.write_bytes(content)
        try:
            found, broken = ledger.read_rows(tmp_path)
            counted = ledger.before(tmp_path, run("new"))
        except MnpuError as error:
            refusals.append(str(error))  # the number of the format itself was changed
            continue
        assert (counted.trials, counted.looks) == (told.trials, told.looks)
        assert found == rows or (len(broken) == 1 and path.name in broken[0])
    assert all(path.name in refusal for refusal in refusals)


def test_what_is_no_row_is_named(tmp_path):
    ledger.append(tmp_path, row("a-001"))
    for run_id, facts in {"b-001": {"started_at": "noon"}, "c-001": {"sweep": "s"}, "d-001": {"name": 3}}.items():
        ledger.append(tmp_path, row(run_id, **facts))
    rows, broken = ledger.read_rows(tmp_path)
    assert [one["run_id"] for one in rows] == ["a-001"]
    assert len(broken) == 3
    assert ledger.before(tmp_path, run("new")).trials == 4


def test_a_look_whose_row_is_damaged_still_counts(tmp_path):
    path = ledger.append(tmp_path, row("a-001", unlocked=True))
    path.write_bytes(b"")
    assert ledger.before(tmp_path, run("new")).looks == 1


def _append_some(root, worker, queue):
    refused = 0
    for i in range(20):
        ledger.append(root, row(f"own{worker}-{i:03d}"))
        try:
            ledger.append(root, row(f"shared-{i:03d}", worker=worker))
        except MnpuError:
            refused += 1
    queue.put(refused)


def test_many_processes_append_without_losing_or_overwriting_a_row(tmp_path):
    context = get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_append_some, args=(tmp_path, n, queue)) for n in range(3)]
    for worker in workers:
        worker.start()
    refused = sum(queue.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    rows, broken = ledger.read_rows(tmp_path)
    assert len(rows) == 3 * 20 + 20
    assert refused == 2 * 20
    assert broken == []


def test_a_file_system_without_links_is_exclusive_too(tmp_path, monkeypatch):
    import os

    def unsupported(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", unsupported)
    ledger.append(tmp_path, row("a-001"))
    with pytest.raises(MnpuError, match="already"):
        ledger.append(tmp_path, row("a-001"))
    assert len(ledger.read(tmp_path)) == 1
