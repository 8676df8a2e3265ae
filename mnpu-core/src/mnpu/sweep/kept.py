"""What a sweep's folder says about it, so that its tables need no file: ``<runs>/sweeps/<name>.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mnpu.atomic import write_atomically
from mnpu.errors import ConfigError, MnpuError
from mnpu.sweep.definition import Definition

__all__ = ["Kept", "known", "read", "refuse_others", "write"]


@dataclass(frozen=True)
class Kept:
    """A sweep's name, its axes in order, how its tables are made, and how many trials it is to have."""

    name: str
    axes: list[str]
    treatment: str
    blocks: list[str]
    objective: str
    direction: str
    trials: int


def write(runs: Path, definition: Definition, trials: int) -> None:
    """Keep what a definition says."""
    sweep = definition.sweep
    found = Kept(
        sweep.name, _axes(definition), definition.treatment, definition.blocks, sweep.objective, sweep.direction, trials
    )
    path = _path(runs, sweep.name)
    text = json.dumps(asdict(found), indent=2) + "\n"
    try:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text.encode())
    except OSError as error:
        raise MnpuError(f"cannot be written ({error.strerror or error})", where=str(path)) from error


def refuse_others(runs: Path, definition: Definition) -> None:
    """Raise ConfigError where another sweep of the name has other axes: rows of both could not stand in one table."""
    name, own = definition.sweep.name, _axes(definition)
    try:
        there = read(runs, name).axes
    except ConfigError:  # none is there, or it is damaged and written anew
        return
    if set(there) != set(own):
        raise definition.error(
            ("name",),
            f"{runs} has a sweep '{name}' over {', '.join(there)}",
            expected=f"one over {', '.join(own)}, or none",
            next_step="Give this one another name.",
        )


def _axes(definition: Definition) -> list[str]:
    """Names of the axes, and the path of a budget, in their order."""
    budget = definition.sweep.search.given
    return [*definition.sweep.axes, *([budget.path] if budget else [])]


def read(runs: Path, name: str) -> Kept:
    """What is kept of a sweep.

    Raises
    ------
    ConfigError
        There is no such sweep, or its file is damaged.
    """
    path = _path(runs, name)
    try:
        return Kept(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        names = known(runs)
        hint = f"There are: {', '.join(names)}." if names else "Run one with: mnpu sweep run FILE."
        raise ConfigError(f"no sweep '{name}' in {runs}", next_step=hint) from None
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"cannot be read ({error})", where=str(path), next_step="Run the sweep again; its trials are in the ledger."
        ) from error


def known(runs: Path) -> list[str]:
    """Names of all sweeps."""
    return sorted(path.stem for path in (runs / "sweeps").glob("*.json"))


def _path(runs: Path, name: str) -> Path:
    return runs / "sweeps" / f"{name}.json"
