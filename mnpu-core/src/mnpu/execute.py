"""The life of a run: a directory that says what state it is in, hashes that let it be done again, a ledger row.

A run is ``running`` from the moment its directory exists, and ``finished`` only after everything in it was written.
Whatever ends it earlier (an error, a failed gate, Ctrl-C) leaves it ``failed``, with the cause; a killed process
leaves it ``running`` with a process that is gone, which is shown as interrupted.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mnpu import bundles, hashing, ledger, log, pipeline, report, results_io, resuming, trials
from mnpu.assembly import Parts, assemble
from mnpu.atomic import is_no_room
from mnpu.config.interpolate import Reference
from mnpu.config.load import LoadedConfig
from mnpu.config.locked import locked_from
from mnpu.config.resolve import resolve
from mnpu.errors import GateVeto, MnpuError
from mnpu.judging import judged
from mnpu.plugins.registry import Registry
from mnpu.progress import Progress
from mnpu.rundir import RunDirectory
from mnpu.types import Panel, Result, Run, SideTable

__all__ = ["Executed", "execute"]


@dataclass(frozen=True)
class Executed:
    """A finished run: its directory, its result, and the report files."""

    path: Path
    result: Result
    reports: tuple[Path, ...]


def execute(
    loaded: LoadedConfig,
    registry: Registry,
    *,
    runs: Path,
    progress: Progress,
    resume: RunDirectory | None = None,
    unlock: bool = False,
    marks: Mapping[str, Any] | None = None,
) -> Executed:
    """Run a configuration from start to end and keep everything that it takes to do it again.

    Parameters
    ----------
    loaded : LoadedConfig
    registry : Registry
    runs : Path
        Folder of run directories; the ledger lies beside them.
    progress : Progress
    resume : RunDirectory, optional
        A run that did not finish, whose resolved configuration ``loaded`` is: its fits are read, or taken up.
    marks : mapping, optional
        What the run is called by whoever asked for it, a sweep: kept in ``run.json`` and in the ledger's row.
    unlock : bool, default=False
        Whether ``split.unlocked`` is meant: a recipe that says so is refused without it.

    Raises
    ------
    GateVeto
        An honesty gate failed. The report is written all the same, and the run is marked failed.
    ConfigError
        The run to resume has finished or still goes on, its recipe is no longer the same, or this machine lacks the
        device that the recipe wants.
    """
    if loaded.pipeline.split.unlocked and not unlock and resume is None:
        raise loaded.error(
            ("split", "unlocked"),
            "is true, which spends a look at the locked range",
            expected="a run that says so",
            next_step="Run it with --unlock, or remove the line.",
        )
    resolved = resolve(loaded, registry)
    parts = assemble(loaded.pipeline, resolved, registry, base=loaded.path.parent)
    refuse_machine(parts, loaded)
    panel, side = pipeline.load(parts, progress)
    run = describe(parts, panel, side)
    directory, run = begin(runs, run, resume)
    runs = directory.path.parent
    attempt = len(directory.state.get("resumed_at", []))
    clock, marks = Clock(), marks or {}
    result: Result | None = None
    try:
        directory.start(run, with_store(resolved, parts.store, parts.warm_start), marks=marks)
        with log.to_file(directory.path / "log.jsonl", run_id=run.run_id):
            registry.notify("mnpu_run_started", run=run)
            study = pipeline.run(parts, panel, side, progress=progress, kept=directory.path)
            result = judged(replace(study.result, run=run), runs)
            for violation in result.positions.violations:
                registry.notify("mnpu_guardrail_tripped", violation=violation)
            reports = keep(directory, study, result, parts, registry, progress)
            veto(result)
            resuming.tidy(directory)
        directory.finish()
    except BaseException as error:  # Ctrl-C too: no half-written run may look finished
        failed = row(run, "failed", clock.took(), result=result, error=said(error), marks=marks)
        failed["no_room"] = is_no_room(error)
        remember_failure(directory, runs, failed, error, progress, attempt=attempt)
        registry.notify("mnpu_run_finished", run=run, outcome="failed")
        raise
    ledger.append(runs, row(run, "finished", clock.took(), result=result, marks=marks), attempt=attempt)
    registry.notify("mnpu_run_finished", run=run, outcome="finished")
    return Executed(directory.path, result, tuple(reports))


def begin(runs: Path, run: Run, resume: RunDirectory | None) -> tuple[RunDirectory, Run]:
    """A new directory, or the one to go on in; and the run with its id and the number of its trial.

    Raises
    ------
    MnpuError
        The ledger cannot be read, so nobody knows which trial this is; the new directory is left failed.
    """
    if resume is not None:
        return resume, resuming.reopen(resume, run)
    directory = RunDirectory.create(runs, run.recipe_id)
    run = replace(run, run_id=directory.run_id)
    try:
        earlier = ledger.before(runs, run)  # after its folder is there: of two that begin at once each counts the other
        for problem in earlier.problems:
            warnings.warn(problem, ledger.LedgerWarning, stacklevel=2)
    except BaseException as error:  # a ledger that cannot be read: the run never began, and must not look as if
        directory.fail(error)
        raise
    return directory, replace(run, trials=earlier.trials + 1, looks=earlier.looks + run.unlocked)


def refuse_machine(parts: Parts, loaded: LoadedConfig) -> None:
    """Raise ConfigError where this machine lacks what the recipe's fits need, before anything is loaded."""
    from mnpu import training  # torch lives only here

    device = training.device_kind(parts.config.runtime.device)
    if any(forecaster.whole is None for forecaster in parts.forecasters):
        training.refuse_precision(parts.config.train.precision, device, where=loaded.where("train.precision"))


def remember_failure(
    directory: RunDirectory,
    runs: Path,
    failed: Mapping[str, Any],
    error: BaseException,
    progress: Progress,
    *,
    attempt: int = 0,
) -> None:
    """Mark the run failed and add its row; where not even that can be written, the cause of the failure is not lost.

    A run that could not be marked is shown as interrupted when its process is gone.
    """
    try:
        directory.fail(error)
    except OSError as also:
        progress.say(f"warning: {directory.path} could not be marked failed ({also.strerror or also})")
    try:
        ledger.append(runs, failed, attempt=attempt)
    except MnpuError as also:
        progress.say(f"warning: the run has no row in the ledger. {also}")


def with_store(resolved: Mapping[str, Any], store: str, warm_start: Path | None = None) -> dict[str, Any]:
    """The resolved configuration with the full paths of what it reads, so that it means the same from any folder.

    What came from the environment stays the reference that it is.
    """
    data, found = dict(resolved["data"]), {}
    if not isinstance(data["store"], Reference):
        data["store"] = f"{'parquet' if Path(store).is_dir() else 'sqlite'}:///{store}"
    if warm_start is not None and not isinstance(resolved["model"]["warm_start"], Reference):
        source = resolved["model"]["warm_start"]
        block = source if isinstance(source, Mapping) else {}
        found["model"] = {**resolved["model"], "warm_start": {**block, "path": str(warm_start)}}
    return {**resolved, "data": data, **found}


def describe(parts: Parts, panel: Panel, side: SideTable) -> Run:
    """The four hashes of a run, and the recipe that they make together."""
    from mnpu import training  # torch lives only here

    runtime = parts.config.runtime
    config_hash = hashing.hash_config(parts.resolved)
    weights = {} if parts.warm_start is None else {"model.warm_start": training.fingerprint(parts.warm_start)}
    data_hash = hashing.hash_arrays({**_data(panel, side), **weights})
    code_hash = hashing.hash_code(parts.distributions)
    device = training.device_kind(runtime.device)
    if runtime.devices > 1:  # each process sums up its part, so their number decides the last bits
        device = f"{runtime.devices} x {device}, {'fsdp' if runtime.strategy == 'fsdp' else 'ddp'}"
    env_hash = hashing.hash_environment(device, runtime.threads, libraries=parts.libraries)
    return Run(
        run_id="",
        recipe_id=hashing.recipe_id(
            config_hash=config_hash, data_hash=data_hash, code_hash=code_hash, env_hash=env_hash
        ),
        name=parts.config.name,
        seed=parts.config.seed,
        config_hash=config_hash,
        data_hash=data_hash,
        code_hash=code_hash,
        env_hash=env_hash,
        versions=hashing.versions(parts.distributions, libraries=parts.libraries),
        config=parts.resolved,
        started_at=pd.Timestamp.now("UTC"),
        locked=locked_range(parts),
        unlocked=parts.config.split.unlocked,
    )


def locked_range(parts: Parts) -> str:
    """First and last day of the locked range, and a hash of whose it is; empty where nothing is locked."""
    data = parts.config.data
    begins = locked_from(parts.config.split, data)
    if begins is None:
        return ""
    whose = hashing.hash_config({"symbols": sorted(data.symbols), "universe": data.universe})
    return f"{begins}..{data.end} {whose[:12]}"


def keep(
    directory: RunDirectory, study: pipeline.Study, result: Result, parts: Parts, registry: Registry, progress: Progress
) -> list[Path]:
    """Write forecasts, positions, metrics, networks and reports into the run directory."""
    with progress.stage("writing the run and its report"), writing(directory.path):
        results_io.write_result(directory.path, result, fills=result.fills)
        judged = parts.forecasters[0].name
        for fitted in study.fitted[judged]:
            folder = directory.path / "bundle" / f"fold-{fitted.fold.number:02d}"
            fitted.save(folder, extra=bundles.documents(fitted, result, directory.path))
        return report.write(result, directory.path, parts.config.report.formats, registry)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Name the folder where the system refuses to write: a full disk says only that it is full."""
    try:
        yield
    except OSError as error:
        raise MnpuError(
            f"cannot be written ({error.strerror or error})",
            where=str(folder),
            expected="room for the whole run",
            next_step="Make room, or choose another folder with --runs DIR; nothing in this one counts as finished.",
        ) from error


def veto(result: Result) -> None:
    """Refuse a result that failed an honesty gate."""
    failed = [gate for gate in result.gates if not gate.passed]
    if failed:
        raise GateVeto(
            "; ".join(f"gate '{gate.name}' failed ({gate.detail})" for gate in failed),
            where=result.name,
            expected="all four gates to pass",
            next_step="The numbers of this run mean nothing; the report shows what each gate compared.",
        )


class Clock:
    """Seconds of the wall, and of this process's processors with those of the processes that it has ended."""

    def __init__(self) -> None:
        self._began = (time.perf_counter(), _cpu())

    def took(self) -> tuple[float, float]:
        """Both, since it was made."""
        return time.perf_counter() - self._began[0], _cpu() - self._began[1]


def _cpu() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def said(error: BaseException) -> str:
    """Why it failed, as a row keeps it."""
    return str(error) or type(error).__name__


def row(
    run: Run,
    status: str,
    took: tuple[float, float],
    *,
    result: Result | None = None,
    error: str = "",
    marks: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The ledger's row of one run: what it was, how it ended, what judging it needs, and its numbers.

    ``took`` are seconds of the wall and of processors. A trial that failed has its reason in ``error``.
    """
    numbers: Mapping[str, float | None] = (
        {} if result is None else {name: metric.value for name, metric in result.metrics.items()}
    )
    return {
        "run_id": run.run_id,
        "recipe_id": run.recipe_id,
        "name": run.name,
        "status": status,
        "error": error,
        "seed": run.seed,
        "config_hash": run.config_hash,
        "data_hash": run.data_hash,
        "code_hash": run.code_hash,
        "env_hash": run.env_hash,
        "locked": run.locked,
        "unlocked": run.unlocked,
        "looks": run.looks,
        "started_at": run.started_at,
        "seconds": took[0],
        "cpu_seconds": took[1],
        "trials": run.trials,
        **({"strategy": ""} if result is None else trials.facts(result)),
        **{f"metric.{name}": value for name, value in numbers.items()},
        **(marks or {}),
    }


def _data(panel: Panel, side: SideTable) -> dict[str, Any]:
    return {
        "times": panel.times.asi8,
        "symbols": panel.symbols,
        "tradable": panel.tradable,
        **({} if panel.member is None else {"member": panel.member}),
        **{f"field.{name}": values for name, values in panel.fields.items()},
        "side.event_time": side.event_time.asi8,
        "side.knowledge_time": side.knowledge_time.asi8,
        "side.series": side.series,
        "side.symbol": side.symbol,
        "side.value": side.value,
        **({} if side.text is None else {"side.text": side.text}),
    }
