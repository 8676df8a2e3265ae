"""Go on with a run that was killed, stopped or failed: the same directory, the same recipe, the same result."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mnpu.errors import ConfigError, MnpuError
from mnpu.folds import FITS, LOGS
from mnpu.rundir import RunDirectory
from mnpu.types import Run

__all__ = ["reopen", "tidy"]

#: What a run that did not finish keeps; all else is written anew.
_KEPT = ("run.json", "resolved.yaml", "log.jsonl", FITS, LOGS)
_HASHES = ("config_hash", "data_hash", "code_hash", "env_hash")
_WHAT = {"config_hash": "configuration", "data_hash": "data", "code_hash": "code", "env_hash": "environment"}


def reopen(directory: RunDirectory, run: Run) -> Run:
    """Make an unfinished run ready to go on.

    Parameters
    ----------
    directory : RunDirectory
    run : Run
        What would run now.

    Returns
    -------
    run : Run
        With the id, the start and the number of trials that the run had.

    Raises
    ------
    ConfigError
        It has finished, still goes on, or something that makes its numbers has changed since.
    MnpuError
        It ended before it had begun, or its folder cannot be written.
    """
    status, state = directory.status, directory.state
    if status in ("finished", "running"):
        raise ConfigError(
            f"the run {'has finished' if status == 'finished' else 'still goes on'}",
            where=str(directory.path),
            expected="one that was interrupted or failed",
            next_step="To do it again, run its resolved.yaml.",
        )
    begun = state.get("run")
    if not begun:
        raise MnpuError(
            "the run ended before it had begun", where=str(directory.path), next_step="Run its recipe again."
        )
    started_at, trials, looks = _beginning(directory)
    changed = [name for name in _HASHES if begun.get(name) != getattr(run, name)]
    if changed:
        raise ConfigError(
            f"the {' and the '.join(_WHAT[name] for name in changed)} changed since the run was begun",
            where=str(directory.path),
            expected="the same recipe: a result must not be made of two",
            next_step="Begin a new run, or bring back what has changed.",
        )
    _clear(directory.path)
    directory.reopen()
    return replace(run, run_id=directory.run_id, trials=trials, looks=looks, started_at=started_at)


def _beginning(directory: RunDirectory) -> tuple[pd.Timestamp, int, int]:
    """When the run was begun and how many trials it was, which the report repeats; refused where it is not on record.

    Nothing is removed before: a record that somebody edited is no reason to lose what the run has.
    """
    state = directory.state
    begun, resumed_at = state["run"], state.get("resumed_at", [])
    try:
        started_at, trials = pd.Timestamp(str(begun["started_at"])), begun["trials"]
        looks = int(begun.get("looks", 0))
        if type(trials) is not int or trials < 1 or not isinstance(resumed_at, list) or started_at.tzinfo is None:
            raise ValueError("a number of trials from 1, a list of resumptions, a start with its time zone")
    except (KeyError, ValueError) as error:
        raise MnpuError(
            f"does not say how the run was begun ({type(error).__name__}: {error})",
            where=str(directory.path / "run.json"),
            expected="what mnpu-core wrote",
            next_step="Run its recipe again; what is there was left as it is.",
        ) from error
    return started_at, trials, looks


def tidy(directory: RunDirectory) -> None:
    """Remove what only a resumption would have needed."""
    shutil.rmtree(directory.path / FITS, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Remove what an earlier attempt wrote after its fits, whole or half."""
    try:
        for path in folder.iterdir():
            if path.name in _KEPT:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        journal = folder / "log.jsonl"
        if journal.exists() and not journal.read_bytes().endswith(b"\n"):
            with journal.open("ab") as file:  # the last line was cut off
                file.write(b"\n")
    except OSError as error:
        raise MnpuError(f"cannot be written ({error.strerror or error})", where=str(folder)) from error
