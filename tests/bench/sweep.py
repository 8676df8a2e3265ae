"""How much of two workers a sweep uses: the seconds of its trials over twice the seconds that the sweep took."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.rows import Row

__all__ = ["measure"]

ROOT = Path(__file__).parents[2]
WORKERS = 2
REPEATS = 1
#: By case: seconds of a trial, how many there are, and the share of the ideal that is wanted.
CASES = {"trials of 1 s": (1.0, 200, 0.93), "trials of 3 s": (3.0, 60, 0.93)}
BASE = """name: bench
data: {store: market.db, symbols: [A, B, C], start: 2010-01-01, end: 2014-12-31}
features: [{use: price.log_return, window: 1}]
split: {use: walk_forward, train: 1y, validation: 3mo, test: 1y}
model: {lookback: 8, forecaster: {use: ridge}}
policy: {use: rank_long_short}
"""


def measure(workspace: Path) -> list[Row]:
    """The wall time over the ideal: what the trials took together, shared by two workers.

    A trial claims its key, waits so long, and writes its row into the ledger: all that a sweep adds to a run, the
    start of its processes included, and nothing that a run does itself. It waits where a fit would compute, so that
    the figure is the sweep's and not that of whatever else the machine does. The peer is the ideal.

    Parameters
    ----------
    workspace : path
        Not used.
    """
    rows = []
    for case, (seconds, trials, share) in CASES.items():
        ratio = median(_ratio(seconds, trials) for _ in range(REPEATS))
        told = f"{trials} {case}, {WORKERS} workers, {1 / ratio:.1%} of the ideal"
        rows.append(Row("sweep", told, "x ideal", round(ratio, 3), "the ideal", 1.0, round(1 / ratio, 3), 1 / share))
    return rows


def _ratio(seconds: float, trials: int) -> float:
    from mnpu.plugins.registry import Registry
    from mnpu.progress import Silent
    from mnpu.sweep import load_sweep, runner

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "base.yaml").write_text(BASE, encoding="utf-8")
        axes = f"axes: {{seed: {list(range(trials))}}}"
        (home / "sweep.yaml").write_text(f"name: bench\nbase: base.yaml\n{axes}\n", encoding="utf-8")
        definition, registry = load_sweep(home / "sweep.yaml"), Registry.discover()
        function, environment = runner.FUNCTION, dict(os.environ)
        runner.FUNCTION = "tests.bench.sweep:wait"
        os.environ["MNPU_BENCH_SECONDS"] = str(seconds)
        os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
        try:
            started = time.perf_counter()
            done = runner.run_sweep(definition, registry, runs=home / "runs", progress=Silent(), workers=WORKERS)
            took = time.perf_counter() - started
        finally:
            runner.FUNCTION = function
            os.environ.clear()
            os.environ.update(environment)
        if (done.done_now, done.failed) != (trials, 0):
            raise AssertionError(f"{done.done_now} of {trials} trials were done, {done.failed} failed")
        return took / (done.trial_seconds / WORKERS)


def prepare() -> None:
    """What a worker imports before it is asked."""
    from mnpu.sweep import trial

    trial.prepare()


def wait(job: Mapping[str, Any]) -> dict[str, Any]:
    """A trial in a worker: it waits in place of a run, and has a row as a run has."""
    from mnpu.sweep import trial

    trial._execute = _waited  # type: ignore[assignment]
    return trial.run_trial(job)


def _waited(job: Mapping[str, Any], runs: Path, left: Any) -> dict[str, Any]:
    import pandas as pd

    from mnpu import ledger
    from mnpu.rundir import RunDirectory
    from mnpu.sweep import trial
    from mnpu.types import Run

    started, now = time.perf_counter(), pd.Timestamp.now("UTC")
    directory = RunDirectory.create(runs, job["key"])
    run = Run(directory.run_id, job["key"], "bench", 0, "c", "d", "e", "f", {}, {}, now)
    directory.start(run, {}, marks=trial.marks_of(job))
    time.sleep(float(os.environ["MNPU_BENCH_SECONDS"]))
    directory.finish()
    row = {"run_id": directory.run_id, "recipe_id": job["key"], "name": "bench", "started_at": now, "seconds": 0.0}
    ledger.append(runs, {**row, "status": "finished", "metric.sharpe": 0.0, **trial.marks_of(job)})
    seconds = time.perf_counter() - started  # as of a run, its row included
    return {"status": "finished", "run_id": directory.run_id, "error": "", "seconds": seconds, "value": 0.0}
