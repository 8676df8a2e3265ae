"""The trials of one question, as the ledger and the folders of runs tell of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mnpu import ledger
from mnpu.config.differing import differing
from mnpu.errors import MnpuError
from mnpu.results_returns import Returns, read_returns
from mnpu.rundir import RunDirectory

__all__ = ["Records", "Tried", "differs"]

_NAMED = 3  #: Keys of a difference that are named.
_HOW = ("runtime", "report", "name")  #: How a recipe runs and is shown, not what it is.


@dataclass(frozen=True)
class Tried:
    """One recipe with its rows, the last one last, and in ``config`` what it was, where its folder is there."""

    recipe_id: str
    rows: tuple[Mapping[str, Any], ...]

    @property
    def last(self) -> Mapping[str, Any]:
        """Its last row."""
        return self.rows[-1]

    @property
    def measured(self) -> Mapping[str, Any]:
        """The last row that has a ratio, empty where none has."""
        return next((row for row in reversed(self.rows) if row.get("sharpe_bar") is not None), {})

    @property
    def started_at(self) -> pd.Timestamp | None:
        """When its last run began; None where nobody kept it."""
        known = self.last.get("started_at")
        if not known:
            return None
        found = pd.Timestamp(known)
        return found.tz_localize("UTC") if found.tzinfo is None else found.tz_convert("UTC")


class Records:
    """What was tried in a folder of runs, read once.

    ``problem`` says why the ledger cannot be read; empty where it can.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.problem = Path(root), ""
        self.tried = ledger.Tried((), frozenset(), 0, ())
        self._returns: dict[str, Returns | None] = {}
        self._times: dict[bytes, pd.DatetimeIndex] = {}  # one for all that decide at the same instants
        self._recipes: dict[tuple[Any, ...], list[Tried]] = {}
        try:
            self.tried = ledger.tried(root)
        except (MnpuError, OSError) as error:
            self.problem = str(error)

    def of(self, own: Mapping[str, Any]) -> tuple[list[Tried], int]:
        """Other recipes of the question of a row, the oldest first, and how many more nobody can tell anything of."""
        question = (own["name"], own["data_hash"], own.get("decisions"))
        if question not in self._recipes:
            self._recipes[question] = self._asked(*question)
        others = [each for each in self._recipes[question] if each.recipe_id != own["recipe_id"]]
        if not own.get("unlocked"):
            rows = [row for each in self._recipes[question] for row in each.rows]
            again = ledger.looks_again(self.root, rows, own.get("config_hash"))
            others = [each for each in others if not all(row["run_id"] in again for row in each.rows)]
        known = {own["recipe_id"], *(each.recipe_id for each in others)}
        lost = {ledger.recipe_of(run_id) for run_id in self.tried.damaged if run_id != own.get("run_id")}
        return others, len(lost - known) + self.tried.lost

    def _asked(self, name: str | None, data_hash: str | None, decisions: str | None) -> list[Tried]:
        recipes: dict[str, list[Mapping[str, Any]]] = {}
        for row in self.tried.rows:
            same = ledger.same_question(row, name=name, data_hash=data_hash, decisions=decisions)
            if same and row.get("recipe_id"):
                recipes.setdefault(row["recipe_id"], []).append(row)
        found = [Tried(recipe, tuple(rows)) for recipe, rows in recipes.items()]
        return sorted(found, key=lambda each: (str(each.started_at or ""), each.recipe_id))

    def returns(self, rows: Sequence[Mapping[str, Any]]) -> Returns | None:
        """Those of the last run whose folder holds them."""
        for row in reversed(rows):
            run_id = str(row["run_id"])
            if run_id not in self._returns:
                self._returns[run_id] = self._read(run_id)
            if self._returns[run_id] is not None:
                return self._returns[run_id]
        return None

    def _read(self, run_id: str) -> Returns | None:
        found = read_returns(self.root / run_id)
        if found is None:
            return None
        times = self._times.setdefault(found.times.asi8.tobytes(), found.times)
        return replace(found, times=times)

    def config(self, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The resolved configuration of a run, None where its folder is gone."""
        if isinstance(row.get("config"), Mapping):
            return dict(row["config"])
        try:
            state = RunDirectory(self.root / str(row["run_id"])).state
        except MnpuError:
            return None
        found = state.get("run", {}).get("config")
        return found if isinstance(found, Mapping) else None


def differs(row: Mapping[str, Any], own: Mapping[str, Any], configs: Sequence[Mapping[str, Any] | None]) -> str:
    """What a trial did otherwise than the run that is judged, in a few words.

    Parameters
    ----------
    row, own : mapping
        Of the trial, and of the judged run.
    configs : (mapping or None, mapping or None)
        Resolved configurations of both.
    """
    theirs, ours = configs
    if theirs is not None and ours is not None:
        keys = {
            key: values
            for key, values in differing([theirs, ours]).items()
            if key.partition(".")[0] not in _HOW and key != "data.store"
        }
        if keys:
            named = [f"`{key}` {_short(values[0])}" for key, values in list(keys.items())[:_NAMED]]
            more = [f"{len(keys) - _NAMED} more"] if len(keys) > _NAMED else []
            return ", ".join([*named, *more])
    elif row.get("axes"):
        return ", ".join(f"`{axis}` {_short(value)}" for axis, value in json.loads(row["axes"]).items())
    words = {"config_hash": "the configuration", "data_hash": "the data", "code_hash": "the code"}
    words["env_hash"] = "the environment"
    changed = [word for name, word in words.items() if row.get(name) and row.get(name) != own.get(name)]
    return ", ".join(changed) or ("nothing that is recorded" if row.get("config_hash") else "nobody knows")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 32 else f"{text[:31]}…"
