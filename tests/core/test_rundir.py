"""A run directory says what state its run is in, and is finished only after everything in it was written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mnpu.config.interpolate import Reference
from mnpu.errors import ConfigError, DataError, MnpuError
from mnpu.resuming import reopen
from mnpu.rundir import RunDirectory, list_runs, open_run, write_atomically
from mnpu.types import Run

RUN = Run(
    *("", "0a1b", "demo", 7, "c", "d", "e", "f"),
    versions={"mnpu-core": "0.1.0"},
    config={"data": {"store": Reference("${env:STORE}", "hunter2")}},
    started_at=pd.Timestamp("2026-01-02", tz="UTC"),
)


def test_a_run_is_running_then_finished_with_the_hash_of_every_file(tmp_path):
    run = RunDirectory.create(tmp_path / "runs", "0a1b")
    assert run.run_id == "0a1b-001"
    run.start(RUN, RUN.config)
    assert run.status == "running"
    (run.path / "bundle").mkdir()
    (run.path / "bundle" / "w.bin").write_bytes(b"x")
    (run.path / "log.jsonl").write_text("{}\n")
    run.finish()
    assert run.status == "finished"
    assert set(run.state["files"]) == {"resolved.yaml", "bundle/w.bin"}
    assert run.changed_files() == []
    (run.path / "bundle" / "w.bin").write_bytes(b"y")
    assert run.changed_files() == ["bundle/w.bin"]


def test_a_repeat_is_a_new_run(tmp_path):
    assert [RunDirectory.create(tmp_path, "r").run_id for _ in range(3)] == ["r-001", "r-002", "r-003"]
    assert RunDirectory.create(tmp_path, "other").run_id == "other-001"
    (tmp_path / "r-999").mkdir()
    assert RunDirectory.create(tmp_path, "r").run_id == "r-1000"


def test_nothing_secret_is_written(tmp_path):
    run = RunDirectory.create(tmp_path, "0a1b")
    run.start(RUN, RUN.config)
    written = "".join(path.read_text() for path in run.path.iterdir())
    assert "hunter2" not in written
    assert yaml.safe_load((run.path / "resolved.yaml").read_text())["data"]["store"] == "${env:STORE}"


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (DataError("no rows", where="prices"), {"type": "DataError", "message": "prices: no rows."}),
        (KeyboardInterrupt(), {"type": "KeyboardInterrupt", "message": "KeyboardInterrupt"}),
    ],
)
def test_a_failed_run_keeps_its_cause(tmp_path, error, kept):
    run = RunDirectory.create(tmp_path, "r")
    run.fail(error)
    assert run.status == "failed"
    assert run.state["error"] == kept


def test_a_bug_keeps_its_traceback(tmp_path):
    run = RunDirectory.create(tmp_path, "r")
    try:
        raise ZeroDivisionError("oops")
    except ZeroDivisionError as error:
        run.fail(error)
    assert "ZeroDivisionError: oops" in run.state["error"]["traceback"]


def test_a_killed_run_is_interrupted_and_never_finished(tmp_path):
    code = (
        "import sys, time\nfrom mnpu.rundir import RunDirectory\n"
        f"RunDirectory.create({str(tmp_path)!r}, 'r')\nprint('there', flush=True)\ntime.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    (run,) = list_runs(tmp_path)
    assert run.status == "running"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert run.status == "interrupted"


def test_a_process_number_that_was_used_again_does_not_keep_a_run_alive(tmp_path):
    run = RunDirectory.create(tmp_path, "r")
    state = run.state
    if state["process_started"] is None:
        pytest.skip("this system does not say when a process began")
    write_atomically(run.path / "run.json", json.dumps({**state, "process_started": 1}).encode())
    assert run.status == "interrupted"


def test_a_process_number_beyond_all_numbers_is_that_of_no_process(tmp_path):
    run = RunDirectory.create(tmp_path, "abc")
    state = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**state, "pid": 10**30}))
    assert run.status == "interrupted"


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("run.trials", None),
        ("run.trials", "3"),
        ("run.trials", 0),
        ("run.started_at", None),
        ("run.started_at", "some day"),
        ("run.started_at", 5),
        ("resumed_at", 3),
    ],
)
def test_a_run_that_does_not_say_how_it_was_begun_is_not_resumed(tmp_path, where, value):
    directory = RunDirectory.create(tmp_path, "abc")
    directory.start(RUN, {})
    directory.fail(KeyboardInterrupt())
    state = json.loads((directory.path / "run.json").read_text())
    block, _, key = where.rpartition(".")
    owner = state[block] if block else state
    if value is None:
        del owner[key]
    else:
        owner[key] = value
    (directory.path / "run.json").write_text(json.dumps(state))
    (directory.path / "report.md").write_text("mine")
    with pytest.raises(MnpuError, match="does not say how the run was begun"):
        reopen(directory, RUN)
    assert (directory.path / "report.md").read_text() == "mine"


def test_a_run_of_another_host_is_taken_at_its_word(tmp_path):
    run = RunDirectory.create(tmp_path, "r")
    write_atomically(run.path / "run.json", json.dumps({**run.state, "host": "elsewhere", "pid": 1}).encode())
    assert run.status == "running"


def test_a_root_that_is_a_file_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("x")
    for root in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(ConfigError, match="is a file"):
            RunDirectory.create(root, "r")


def test_a_root_that_cannot_be_written_is_an_error(tmp_path):
    root = Path("/proc/mnpu-runs")
    if not Path("/proc/self").exists():
        pytest.skip("needs a folder that even an administrator cannot write to")
    with pytest.raises(MnpuError, match=r"cannot be written") as caught:
        RunDirectory.create(root, "r")
    assert caught.value.exit_code == 1


def test_a_number_that_was_taken_since_the_folder_was_listed_is_left_alone(tmp_path, monkeypatch):
    RunDirectory.create(tmp_path, "r")
    (tmp_path / "r-001" / "theirs").write_text("x")
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(()))
    assert RunDirectory.create(tmp_path, "r").run_id == "r-002"


def _create_some(root, queue, ready):
    ready.wait()
    queue.put([RunDirectory.create(root, "r").run_id for _ in range(20)])


def test_many_processes_never_share_a_run(tmp_path):
    context = get_context("spawn")
    queue, ready = context.Queue(), context.Barrier(3)
    workers = [context.Process(target=_create_some, args=(tmp_path, queue, ready)) for _ in range(3)]
    for worker in workers:
        worker.start()
    ids = [run_id for _ in workers for run_id in queue.get(timeout=60)]
    for worker in workers:
        worker.join()
    assert sorted(ids) == [f"r-{i:03d}" for i in range(1, 61)]


def test_runs_are_opened_by_id_beginning_or_folder(tmp_path, monkeypatch):
    one, two = (RunDirectory.create(tmp_path, recipe) for recipe in ("aa11", "ab22"))
    assert open_run(tmp_path, "aa11-001") == one
    assert open_run(tmp_path, "ab").path == two.path
    monkeypatch.chdir(one.path)
    assert open_run(tmp_path, ".").run_id == "aa11-001"
    assert open_run(tmp_path / "nowhere", one.path).run_id == "aa11-001"
    with pytest.raises(ConfigError, match="is the beginning of aa11-001, ab22-001"):
        open_run(tmp_path, "a")
    with pytest.raises(ConfigError, match=r"no run 'zz'.*Latest: aa11-001, ab22-001"):
        open_run(tmp_path, "zz")
    with pytest.raises(ConfigError, match="There is no run in it yet"):
        open_run(tmp_path / "nowhere", "zz")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_state_is_an_error_not_a_guess(tmp_path, text):
    run = RunDirectory.create(tmp_path, "r")
    (run.path / "run.json").write_text(text)
    with pytest.raises(MnpuError, match=r"run\.json"):
        _ = run.status


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_atomically(tmp_path / "a.json", b"old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
