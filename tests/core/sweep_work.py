"""A trial that takes no time: in place of running a recipe it writes a row, fails, or dies, as the recipe says.

What is asked for stands in the recipe's seed: 666 raises, 999 dies, 28 finds no room until somebody makes some, 404 has
other metrics than the objective, 13 a value that is no number, others give ``sharpe = 1 / (1 + seed)``. Every
beginning is noted in a file beside the runs.
"""

from __future__ import annotations

import os
import signal
import time

import pandas as pd

from mnpu import ledger
from mnpu.config import load_config
from mnpu.errors import MnpuError
from mnpu.rundir import RunDirectory
from mnpu.sweep import trial
from mnpu.types import Run

SECONDS = float(os.environ.get("SWEEP_WORK_SECONDS", "0"))


def quick(job):
    trial._execute, trial._completed = _execute, _completed
    return trial.run_trial(job)


def _execute(job, runs, left):
    pipeline = load_config(job["base"], sets=job["sets"]).pipeline
    seed, key = pipeline.seed, job["key"]
    with (runs.parent / "begun.txt").open("a", encoding="utf-8") as file:
        file.write(f"{key} {seed} {'again' if left else 'new'}\n")
    now = pd.Timestamp.now("UTC")
    directory = RunDirectory.create(runs, key) if left is None else left
    if left is not None:
        left.reopen()
    else:
        run = Run(directory.run_id, key, pipeline.name, seed, key, "d", "e", "f", {}, {}, now)
        directory.start(run, {}, marks=trial.marks_of(job))
    time.sleep(SECONDS)
    row = {"run_id": directory.run_id, "recipe_id": key, "name": pipeline.name, "started_at": now, "seconds": 0.1}
    attempt = len(directory.state.get("resumed_at", []))
    if seed == 999:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 28 and not (runs.parent / "room").exists():
        directory.fail(OSError(28, "No space left on device"))
        facts = {"status": "failed", "error": "no room", "no_room": True, **trial.marks_of(job)}
        ledger.append(runs, {**row, **facts}, attempt=attempt)
        raise MnpuError("cannot be written") from OSError(28, "No space left on device")
    if seed == 404:
        row["metric.other"] = 1.0
    if seed == 666:
        directory.fail(ValueError("evil"))
        ledger.append(runs, {**row, "status": "failed", "error": "evil", **trial.marks_of(job)}, attempt=attempt)
        raise ValueError("evil")
    lacks = {"objective": job["objective"], "has": ["sharpe", "other"]} if seed == 404 else {}
    value = (
        float("nan")
        if seed == 13
        else (1.0 - (pipeline.train.lr - 3e-3) ** 2) / (1 + seed) + pipeline.train.epochs * 1e-3
    )
    directory.finish()
    told = {"status": "finished", "metric.sharpe": value, **trial.marks_of(job)}
    ledger.append(runs, {**row, **told}, attempt=attempt)
    return {
        "status": "finished",
        "run_id": directory.run_id,
        "error": "",
        "seconds": 0.1,
        "value": trial.number(value),
        **lacks,
    }


def _completed(directory):
    """Of a run that finished and was killed before its row: here all that the row needs is the recipe."""
    run = directory.state["run"]
    row = {"run_id": directory.run_id, "recipe_id": run["recipe_id"], "name": run["name"], "seconds": 0.1}
    return {**row, "status": "finished", "started_at": pd.Timestamp(run["started_at"]), "metric.sharpe": 0.0}
