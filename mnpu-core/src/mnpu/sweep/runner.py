"""Run a sweep: choose trials, do those that are not done, tell the search, until it asks for no more.

A sweep may be killed at any moment and started again, and several may work on one catalogue at a time: every trial has
one row in the end. What a recipe alone tells wrong is refused before anything runs; what only running it shows is a
row of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from operator import itemgetter
from pathlib import Path
from threading import Lock
from typing import Any

from mnpu import ledger
from mnpu.engine import Engine
from mnpu.errors import ConfigError, MnpuError
from mnpu.plugins.registry import Registry
from mnpu.progress import Progress
from mnpu.sweep import kept, trial
from mnpu.sweep.definition import Definition, Sweep
from mnpu.sweep.search import Proposal, searcher
from mnpu.sweep.trials import Trial, Trials
from mnpu.sweep.workers import Lost, Workers

__all__ = ["Summary", "run_sweep"]

FUNCTION = "mnpu.sweep.trial:run_trial"


@dataclass
class Summary:
    """What a sweep did: trials in all, done now, done before, failed, seconds of the wall and of the trials done now.

    ``best`` is the trial with the best objective and its value, None where none has one.
    """

    trials: int = 0
    done_now: int = 0
    done_before: int = 0
    failed: int = 0
    seconds: float = 0.0
    trial_seconds: float = 0.0
    best: tuple[str, str, float] | None = None


@dataclass
class _State:
    """What is known while a sweep runs."""

    known: dict[str, Mapping[str, Any]]
    total: int
    progress: Progress
    started: float = field(default_factory=time.perf_counter)
    done_now: int = 0
    seen: dict[str, Trial] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    before: set[str] = field(default_factory=set)

    def note(self, one: Trial, outcome: Mapping[str, Any]) -> None:
        """Keep an outcome, and say it."""
        with self.lock:
            self.known[one.key] = outcome
            self.done_now += 1
            done, gone = len(self.known.keys() & self.seen.keys()), time.perf_counter() - self.started
            left = gone / self.done_now * max(self.total - done, 0)
            value = outcome["value"]
            told = outcome["error"].splitlines()[0][:80] if outcome["status"] != "finished" else _shown(value)
            rest = f", about {_time(left)} left" if done < self.total else ""
            self.progress.say(f"[{done}/{self.total}] {one.name}: {told} ({outcome['seconds']:.1f} s{rest})")


def run_sweep(
    definition: Definition,
    registry: Registry,
    *,
    runs: Path,
    progress: Progress,
    workers: int | None = None,
    again: bool = False,
) -> Summary:
    """Do every trial that has no row yet.

    Parameters
    ----------
    definition : Definition
    registry : Registry
    runs : Path
        Folder of run directories, with the ledger.
    progress : Progress
    workers : int, optional
        Trials at a time, in place of the file's.
    again : bool, default=False
        Whether trials that failed before are done again.

    Raises
    ------
    ConfigError
        A recipe of the sweep is wrong; nothing has run.
    """
    sweep = definition.sweep
    kept.refuse_others(runs, definition)
    makers, search, count = Trials(definition, registry), searcher(sweep), workers or sweep.workers
    state = _State(_known(definition, runs, again=again), sweep.search.trials or 0, progress)
    state.before = set(state.known)
    with _done_by(registry, definition, count) as do:
        if do.workers is not None:  # they start while the recipes are checked
            do.workers.start(min(count, _expected(sweep) - len(state.known)))
        while asked := search.ask():
            trials = [makers.at(proposal.place, budget=proposal.budget) for proposal in asked]
            _refuse_twins(definition, trials)
            state.seen.update({one.key: one for one in trials})
            state.total = max(state.total, len(state.seen))
            kept.write(runs, definition, state.total)
            _round(trials, do, state, _Job(definition, runs, again), count)
            search.tell(_scores(asked, trials, state, sweep.direction))
    return _summary(state, sweep.direction)


@dataclass(frozen=True)
class _Job:
    """What all trials of a sweep are told."""

    definition: Definition
    runs: Path
    again: bool

    def of(self, one: Trial, *, wait: bool) -> dict[str, Any]:
        sweep = self.definition.sweep
        where = {"base": str(one.base.resolve()), "sets": list(one.sets), "runs": str(self.runs.resolve())}
        told = {"sweep": sweep.name, "key": one.key, "axes": dict(one.axes), "objective": sweep.objective}
        return {**told, **where, "wait": wait, "again": self.again}


@dataclass(frozen=True)
class _Doing:
    """How a job is done: by the engine, in processes of ours where its workers are threads."""

    engine: Engine
    workers: Workers | None

    def each(self, jobs: Sequence[tuple[Trial, dict[str, Any]]], state: _State) -> list[tuple[Trial, dict[str, Any]]]:
        """Do all jobs; those that somebody else is at come back."""
        if self.workers is None:
            outcomes = self.engine.map(_in_place, [job for _, job in jobs])
            pairs = zip(jobs, outcomes, strict=True)
            return [pair for pair, outcome in pairs if not _noted(pair[0], outcome, state)]
        done = self.engine.map(_in_process, jobs, shared=(self.workers, state))
        return [pair for pair, noted in zip(jobs, done, strict=True) if not noted]


@contextmanager
def _done_by(registry: Registry, definition: Definition, count: int) -> Iterator[_Doing]:
    sweep = definition.sweep
    engine: Engine = registry.build("engine", sweep.engine.use, sweep.engine.params, workers=count)
    workers = Workers(FUNCTION) if engine.shares_memory else None
    try:
        yield _Doing(engine, workers)
    finally:
        if workers is not None:
            workers.close()


def _refuse_twins(definition: Definition, trials: Sequence[Trial]) -> None:
    """Raise ConfigError where two places are one recipe; those of a search that learns may be."""
    if definition.sweep.search.use not in ("grid", "random"):
        return
    first: dict[str, Trial] = {}
    for one in trials:
        other = first.setdefault(one.key, one)
        if other is not one:
            raise definition.error(
                ("axes",),
                f"{other.name} and {one.name} are the same recipe",
                expected="another recipe at each place",
                next_step="Name no path and no value twice. How it runs, its report and its name make no other trial.",
            )


def _expected(sweep: Sweep) -> int:
    """How many trials there are at most."""
    return sweep.search.trials or math.prod(len(axis.cases or axis.values or ()) for axis in sweep.axes.values())


def _round(trials: Sequence[Trial], do: _Doing, state: _State, job: _Job, count: int) -> None:
    """Do the trials of a round that have no outcome; what others are at is waited for at the end."""
    todo = list({one.key: one for one in trials if one.key not in state.known}.values())
    if do.workers is not None:
        do.workers.start(min(count, len(todo)) - do.workers.ready)
    busy = do.each([(one, job.of(one, wait=False)) for one in todo], state)
    do.each([(one, job.of(one, wait=True)) for one, _ in busy], state)


def _in_place(_: Any, job: Mapping[str, Any]) -> dict[str, Any]:
    return trial.run_trial(job)


def _in_process(shared: tuple[Workers, _State], pair: tuple[Trial, dict[str, Any]]) -> bool:
    """Whether the trial is done; the row of a process that was lost is written here."""
    workers, state = shared
    one, job = pair
    try:
        outcome = workers.do(job)
    except Lost as lost:
        outcome = trial.write_lost(job, lost.what)
    return _noted(one, outcome, state)


def _noted(one: Trial, outcome: Mapping[str, Any], state: _State) -> bool:
    if outcome["status"] == trial.BUSY:
        return False
    if outcome["status"] == trial.FULL:
        raise MnpuError(
            f"there was no room for {one.name} ({outcome['error'].partition(', expected')[0]})",
            next_step="Make room and run the sweep again: it goes on where it stopped, and this trial has not failed.",
        )
    state.note(one, outcome)
    if "has" in outcome:
        raise _no_objective(one, outcome)
    return True


def _no_objective(one: Trial, outcome: Mapping[str, Any]) -> ConfigError:
    """What is said before more trials are done for nothing."""
    near = get_close_matches(outcome["objective"], outcome["has"], n=1)
    return ConfigError(
        f"objective is '{outcome['objective']}', and {one.name} has no such number",
        expected=f"one of {', '.join(outcome['has'])}",
        next_step=f"Did you mean '{near[0]}'? Trials that are done are kept."
        if near
        else "Trials that are done count.",
    )


def _known(definition: Definition, runs: Path, *, again: bool) -> dict[str, Mapping[str, Any]]:
    """What the ledger knows of the sweep's trials."""
    sweep = definition.sweep
    rows, broken = ledger.read_rows(runs)
    for problem in broken:
        import warnings

        warnings.warn(problem, ledger.LedgerWarning, stacklevel=2)
    last = {row["trial"]: row for row in ledger.in_time(rows) if row.get("sweep") == sweep.name}
    return {key: trial.recorded(row, sweep.objective) for key, row in last.items() if trial.is_done(row, again=again)}


def _scores(
    asked: Sequence[Proposal], trials: Sequence[Trial], state: _State, direction: str
) -> list[tuple[Proposal, float | None]]:
    sign = 1.0 if direction == "maximise" else -1.0
    values = [state.known[one.key]["value"] for one in trials]
    return [(p, None if v is None else sign * v) for p, v in zip(asked, values, strict=True)]


def _summary(state: _State, direction: str) -> Summary:
    own = {key: state.known[key] for key in state.seen}
    now = [outcome for key, outcome in own.items() if key not in state.before]
    valued = [(outcome["value"], key) for key, outcome in own.items() if outcome["value"] is not None]
    found = Summary(
        trials=len(own),
        done_now=state.done_now,
        done_before=len(own) - len(now),
        failed=sum(outcome["status"] != "finished" for outcome in own.values()),
        seconds=time.perf_counter() - state.started,
        trial_seconds=sum(outcome["seconds"] for outcome in now),
    )
    if valued:
        # Of equal ones the first in the order of the axes, as the tables have it.
        value, key = (max if direction == "maximise" else min)(valued, key=itemgetter(0))
        found.best = (state.seen[key].name, str(own[key]["run_id"]), float(value))
    return found


def _shown(value: float | None) -> str:
    return "no value" if value is None else f"{value:+.3g}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
