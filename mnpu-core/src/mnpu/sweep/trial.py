"""One trial, in a process of its own: run the recipe, or take up what a killed process left, and see that it counts."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from mnpu import ledger
from mnpu.atomic import is_no_room
from mnpu.errors import ConfigError, MnpuError
from mnpu.rundir import RunDirectory, list_runs
from mnpu.sweep.claims import Claim, claim

__all__ = ["BUSY", "FULL", "is_done", "marks_of", "prepare", "recorded", "run_trial", "write_lost"]

BUSY, FULL = "busy", "full"


def run_trial(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do a trial, unless it is done.

    Parameters
    ----------
    job : mapping
        ``sweep``, ``key``, ``axes``, ``base``, ``sets``, ``runs``, ``objective``, and whether to ``wait`` for another
        process that is at it; ``again`` for a trial that failed, ``unlock`` for a look at the locked range.

    Returns
    -------
    outcome : dict
        ``status`` (finished, failed, busy, full), ``run_id``, ``error``, ``seconds``, and the objective's ``value`` or
        None. *full*: there was no room for it; it is as good as not begun.
    """
    runs = Path(job["runs"])
    with claim(runs / "sweeps" / job["sweep"] / job["key"], wait=job["wait"]) as mine:
        if mine is None:
            return {"status": BUSY, "run_id": "", "error": "", "seconds": 0.0, "value": None}
        return _claimed(job, runs, mine)


def prepare() -> None:
    """Import what every trial needs, before the first one is asked for."""
    import_module("mnpu.execute")
    import_module("mnpu.config")
    with suppress(ImportError):  # a recipe that needs it says so itself
        import_module("torch")


def recorded(row: Mapping[str, Any], objective: str) -> dict[str, Any]:
    """A row of the ledger as an outcome."""
    value = number(row.get(f"metric.{objective}")) if row["status"] == "finished" else None
    told = {name: row.get(name) or "" for name in ("status", "run_id", "error")}
    return {**told, "seconds": row.get("seconds") or 0.0, "value": value}


def is_done(row: Mapping[str, Any], *, again: bool) -> bool:
    """Whether a row ends its trial: not where there was no room, nor, if asked for ``again``, where it failed."""
    return row["status"] == "finished" or not (again or row.get("no_room"))


def number(value: Any) -> float | None:
    """A value of the objective; None where it is no number that could be compared."""
    return float(value) if value is not None and math.isfinite(value) else None


def marks_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """What a run and its row say of the sweep."""
    return {"sweep": job["sweep"], "trial": job["key"], "axes": json.dumps(job["axes"], ensure_ascii=False)}


def write_lost(job: Mapping[str, Any], why: str) -> dict[str, Any]:
    """The row of a trial whose process ended without a word, by whoever waited for it."""
    runs = Path(job["runs"])
    with claim(runs / "sweeps" / job["sweep"] / job["key"], wait=True) as mine:
        assert mine is not None
        row = _row_of(job, runs) or _failed_row(job, runs, why)
        mine.say("done")
        return recorded(row, job["objective"])


def _claimed(job: Mapping[str, Any], runs: Path, mine: Claim) -> dict[str, Any]:
    said = mine.said
    if said:
        row = _row_of(job, runs)
        if row is not None and is_done(row, again=bool(job.get("again"))):
            mine.say("done")
            return recorded(row, job["objective"])
    left = _left_over(job, runs) if said else None
    mine.say("begun")
    row = None
    if left is not None and left.status == "finished":
        row, left = _completed(left), None
    if row is not None:
        ledger.append(runs, {**row, **marks_of(job)}, attempt=ledger.undamaged(runs, row["run_id"]))
        outcome = recorded(row, job["objective"])
    else:
        outcome = _run(job, runs, left)
    mine.say("done")
    return outcome


def _run(job: Mapping[str, Any], runs: Path, left: RunDirectory | None) -> dict[str, Any]:
    """Run, and say what became of it; a trial that cannot even begin has a row, too."""
    try:
        try:
            return _execute(job, runs, left)
        except ConfigError:
            if left is None:
                raise
            return _execute(job, runs, None)  # what was left is of another code, or data
    except MnpuError as error:
        why, full = str(error), is_no_room(error)
    except Exception as error:  # a bug of a component costs its own trial only
        why, full = f"{type(error).__name__}: {error}", is_no_room(error)
    if full:
        return {"status": FULL, "run_id": "", "error": why, "seconds": 0.0, "value": None}
    row = _row_of(job, runs)
    return recorded(row if row is not None else _failed_row(job, runs, why), job["objective"])


def _execute(job: Mapping[str, Any], runs: Path, left: RunDirectory | None) -> dict[str, Any]:
    from mnpu.config import load_config
    from mnpu.execute import execute
    from mnpu.plugins.registry import Registry
    from mnpu.progress import Silent

    started = time.perf_counter()
    base, sets = (job["base"], job["sets"]) if left is None else (left.path / "resolved.yaml", ())
    loaded = load_config(base, sets=sets)
    unlock, registry = bool(job.get("unlock")), Registry.discover()
    done = execute(loaded, registry, runs=runs, progress=Silent(), resume=left, unlock=unlock, marks=marks_of(job))
    metric = done.result.metrics.get(job["objective"])
    value = None if metric is None else number(metric.value)
    seconds = time.perf_counter() - started
    told = {"status": "finished", "run_id": done.path.name, "error": "", "seconds": seconds, "value": value}
    lacks = {"objective": job["objective"], "has": sorted(done.result.metrics)}
    return {**told, **(lacks if metric is None else {})}


def _row_of(job: Mapping[str, Any], runs: Path) -> Mapping[str, Any] | None:
    """The trial's last row in the ledger."""
    rows, _ = ledger.read_rows(runs)
    own = [row for row in rows if (row.get("sweep"), row.get("trial")) == (job["sweep"], job["key"])]
    return ledger.in_time(own)[-1] if own else None


def _left_over(job: Mapping[str, Any], runs: Path) -> RunDirectory | None:
    """The directory of a run that was killed, or whose row could not be written."""
    own = [directory for directory in list_runs(runs) if _belongs(directory, job)]
    return next((d for d in reversed(own) if d.status in ("interrupted", "failed", "finished")), None)


def _belongs(directory: RunDirectory, job: Mapping[str, Any]) -> bool:
    try:
        marks = directory.state.get("marks", {})
    except MnpuError:
        return False
    return (marks.get("sweep"), marks.get("trial")) == (job["sweep"], job["key"])


def _completed(directory: RunDirectory) -> dict[str, Any] | None:
    """The row of a run that finished just before its process was killed, if all of it is there.

    Its seconds are those of the clock.
    """
    import pandas as pd

    from mnpu.execute import row
    from mnpu.results_io import read_result

    state = directory.state
    try:
        result = read_result(directory.path)
    except MnpuError:
        return None
    if result.run is None:
        return None
    seconds = (pd.Timestamp(state["ended_at"]) - pd.Timestamp(state["started_at"])).total_seconds()
    return row(result.run, "finished", (seconds, float("nan")), result=result)


def _failed_row(job: Mapping[str, Any], runs: Path, why: str) -> dict[str, Any]:
    """Write the row of a trial that has none: of its run where that had begun, else under the trial's own key."""
    import pandas as pd

    left = _left_over(job, runs)
    begun = {} if left is None else left.state.get("run", {})
    run_id = left.run_id if left is not None and begun else _free_id(job, runs)
    facts = {
        "run_id": run_id,
        "recipe_id": begun.get("recipe_id", job["key"]),
        "name": begun.get("name", job["sweep"]),
        "status": "failed",
        "error": why,
        **{name: begun.get(name, "") for name in ("config_hash", "data_hash", "code_hash", "env_hash")},
        "seed": begun.get("seed", 0),
        "started_at": pd.Timestamp.now("UTC"),
        "seconds": 0.0,
        **marks_of(job),
    }
    if left is not None and left.status != "failed":
        left.fail(MnpuError(why))
    attempt = 0 if left is None else len(left.state.get("resumed_at", []))
    ledger.append(runs, facts, attempt=ledger.undamaged(runs, run_id, attempt))
    return facts


def _free_id(job: Mapping[str, Any], runs: Path) -> str:
    rows, _ = ledger.read_rows(runs)
    taken = sum(str(row["run_id"]).startswith(f"{job['key']}-") for row in rows)
    return f"{job['key']}-{taken + 1:03d}"
