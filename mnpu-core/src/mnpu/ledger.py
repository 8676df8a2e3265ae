"""The ledger: every run and every trial, append-only, one Parquet file a run in ``<runs>/ledger/``.

A row appears by an exclusive link and is never changed. A failed run is a row too: whoever looks at a result should
know how many recipes were tried before it. `compact` puts many files into one; what they are is `mnpu.ledger_files`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnpu import ledger_files
from mnpu.atomic import write_new
from mnpu.errors import MnpuError
from mnpu.hashing import hash_config
from mnpu.rundir import RunDirectory, list_runs

if TYPE_CHECKING:
    import pandas as pd

    from mnpu.types import Run

__all__ = [
    "Before",
    "LedgerWarning",
    "Tried",
    "append",
    "before",
    "compact",
    "in_time",
    "looks_again",
    "read",
    "read_rows",
    "recipe_of",
    "same_question",
    "tried",
    "undamaged",
]

_FOLDER = "ledger"


class LedgerWarning(UserWarning):
    """A row of the ledger could not be read: what it held is not known, that it was there counts."""


def append(root: str | Path, row: Mapping[str, Any], *, attempt: int = 0) -> Path:
    """Add the row of a run; one that was taken up again after it had failed adds another.

    Parameters
    ----------
    root : path
        Folder of the run directories; the ledger lies in it.
    row : mapping
        At least ``run_id``. Scalars and instants are kept as they are; maps and lists become JSON text.
    attempt : int, default=0
        How often the run was taken up again.

    Raises
    ------
    MnpuError
        The run has a row already (nothing is overwritten), or the ledger cannot be written.
    """
    run_id = str(row["run_id"])
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", run_id) is None:
        raise MnpuError(f"'{run_id}' is not a run id", expected="letters, digits, dots and dashes")
    folder = Path(root) / _FOLDER
    key = f"{run_id}~{attempt}" if attempt else run_id  # '~' sorts after '.': the last attempt is read last
    path = folder / f"{key}.parquet"
    taken = MnpuError(f"run {run_id} is in the ledger already", where=str(path), expected="one row a run")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = ledger_files.encode(row)
        write_new(path, content)
    except FileExistsError:
        raise taken from None
    except OSError as error:
        raise MnpuError(f"cannot be written ({error.strerror or error})", where=str(path)) from error
    # Asked last: until the name was free another row could be put together with others, and since then this one.
    if ledger_files.holds(folder, key) and not ledger_files.holds_as(folder, key, content):
        path.unlink(missing_ok=True)
        raise taken
    return path


def undamaged(root: str | Path, run_id: str, attempt: int = 0) -> int:
    """The first attempt, from ``attempt`` on, whose row is not a file that is damaged: where its row may be written."""
    broken = {path.stem for path in ledger_files.find(Path(root) / _FOLDER).damaged}
    while (f"{run_id}~{attempt}" if attempt else run_id) in broken:
        attempt += 1
    return attempt


def compact(root: str | Path) -> tuple[int, int]:
    """Put the rows of many files into one: how many rows there are, and how many files are fewer by it.

    Others may append, read and compact meanwhile; killed at any moment, it loses nothing.

    Raises
    ------
    MnpuError
        A later version wrote a row, or there is no room.
    """
    return ledger_files.compact(Path(root) / _FOLDER)


def read(root: str | Path, *, warn: bool = True) -> pd.DataFrame:
    """Every row, the oldest first; a missing ledger has none.

    A file that cannot be read is skipped with a `LedgerWarning` that names it (``warn=False`` silences it), and is
    never deleted.
    """
    import pandas as pd

    rows, broken = read_rows(root)
    if warn:
        for problem in broken:
            warnings.warn(problem, LedgerWarning, stacklevel=2)
    frame: pd.DataFrame = pd.DataFrame(in_time(rows))
    return frame


def read_rows(root: str | Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Every row in the order of run ids, and one sentence for each file that could not be read.

    Raises
    ------
    MnpuError
        A later version wrote a row.
    """
    found = ledger_files.find(Path(root) / _FOLDER)
    return found.in_order, _problems(found)


def in_time(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows, as `read_rows` has them, in the order in which the runs began and were taken up again.

    A clock may have been set back: of one recipe the counter of the runs decides, of one run the number of the attempt.
    Whatever else there is stands by ``started_at``, what has none first.
    """
    began: dict[str, str] = {}
    for row in rows:
        told = "" if row.get("started_at") is None else str(row["started_at"])
        began[row["run_id"]] = min(began.get(row["run_id"], told), told)
    latest: dict[str, str] = {}
    for run_id, told in began.items():  # by counter
        recipe = recipe_of(run_id)
        began[run_id] = latest[recipe] = max(latest.get(recipe, ""), told)
    return [dict(row) for row in sorted(rows, key=lambda row: began[row["run_id"]])]


@dataclass(frozen=True)
class Before:
    """What went before a run.

    Attributes
    ----------
    trials : int
        Other recipes that were tried under its name or on its data, its own not counted.
    looks : int
        Other runs that were judged on its locked range, or on that of its name or data.
    problems : list of str
        One sentence for each file that could not be read: what it was of is not known, so it counts as both.
    """

    trials: int
    looks: int
    problems: list[str]


def before(root: str | Path, run: Run) -> Before:
    """Count what was tried and looked at before a run.

    Raises
    ------
    MnpuError
        A later version wrote a row, which may be a trial or not; or the ledger may not be read.

    Notes
    -----
    Repeats of a recipe are one trial, but each is a look; what `looks_again` names is a look alone. Runs that failed
    count, and so do those that were killed before they could write their row: their directory tells of them. What is
    damaged counts, whatever it was of: too many rather than too few. A damaged file of several rows counts as as many
    as it was written with.
    """
    found = tried(root)
    alike = [row for row in found.rows if same_question(row, name=run.name, data_hash=run.data_hash)]
    again = frozenset() if run.unlocked else looks_again(root, alike, run.config_hash)
    asked = (row.get("recipe_id") for row in alike if row["run_id"] not in again)
    recipes = {*asked, *map(recipe_of, found.damaged - {run.run_id})}
    keys = ("name", "data_hash", "locked")
    looked = (row for row in found.rows if row.get("unlocked") and any(row.get(k) == getattr(run, k) for k in keys))
    looks = {row["run_id"] for row in looked} | found.damaged
    trials = len(recipes - {run.recipe_id, None}) + found.lost
    # What runs of the same name and data saw counts on, where its rows have been taken away since.
    saw = [int(row.get("trials") or 0) for row in found.rows if _same(row, run)]
    trials = max(trials, max(saw, default=0) - (run.recipe_id in recipes))
    return Before(trials, len(looks - {run.run_id}) + found.lost, list(found.problems))


def _same(row: Mapping[str, Any], run: Run) -> bool:
    return row.get("name") == run.name and row.get("data_hash") == run.data_hash and row.get("run_id") != run.run_id


@dataclass(frozen=True)
class Tried:
    """All that was ever tried in a folder of runs.

    Attributes
    ----------
    rows : tuple of mapping
        Every row in the order of run ids, and the record of every run whose folder is there without a row: killed, or
        still going on.
    damaged : frozenset of str
        Ids of runs of which neither the row nor the record can be read.
    lost : int
        Rows of which not even the run is known.
    problems : tuple of str
        One sentence for each file that cannot be read.
    """

    rows: tuple[Mapping[str, Any], ...]
    damaged: frozenset[str]
    lost: int
    problems: tuple[str, ...]


def tried(root: str | Path) -> Tried:
    """What was tried in ``root``, failed and killed runs too; nothing is left out because its folder is gone.

    Raises
    ------
    MnpuError
        A later version wrote a row, which may be a trial or not; or the ledger may not be read.
    """
    found = ledger_files.find(Path(root) / _FOLDER)
    damaged, lost = found.lost()
    rows, problems = list[Mapping[str, Any]](found.in_order), _problems(found)
    known = {row["run_id"] for row in rows}
    for directory in list_runs(root):
        if directory.run_id in known:
            continue
        begun = _begun(directory)
        if begun is None:
            damaged.add(directory.run_id)
            problems.append(f"{directory.path}: its record is damaged, so it counts as a trial and as a look.")
        else:
            damaged.discard(directory.run_id)
            rows.append({**begun, "run_id": directory.run_id, "status": directory.status})
    return Tried(tuple(rows), frozenset(damaged), lost, tuple(problems))


def looks_again(root: str | Path, rows: Sequence[Mapping[str, Any]], *outside: str | None) -> frozenset[str]:
    """Ids of those ``rows`` that are no more than a look, on the locked range, at what was tried outside it.

    Such a run is no further idea, and its ratio is of a short range of other bars: it counts as a look, and as a trial
    beside other looks. Where nobody knows what it looked at, because its folder is gone, it stays a trial.

    Parameters
    ----------
    root : path
    rows : sequence of mapping
        Of one question.
    *outside : str or None
        Configuration hashes of further recipes that were tried outside.
    """
    known = {*outside, *(row.get("config_hash") for row in rows if not row.get("unlocked"))} - {None, ""}
    return frozenset(row["run_id"] for row in rows if row.get("unlocked") and _outside(root, row) in known)


def _outside(root: str | Path, row: Mapping[str, Any]) -> str | None:
    """Configuration hash of a look's recipe as it is outside the locked range; None where nobody knows it."""
    try:
        config = RunDirectory(Path(root) / str(row["run_id"])).state.get("run", {}).get("config")
    except MnpuError:
        return None
    if not isinstance(config, Mapping) or not isinstance(config.get("split"), Mapping):
        return None
    return hash_config({**config, "split": {**config["split"], "unlocked": False}})


def recipe_of(run_id: str) -> str:
    """The recipe that a run's id begins with."""
    return run_id.rpartition("-")[0] or run_id


def same_question(
    row: Mapping[str, Any], *, name: str | None, data_hash: str | None, decisions: str | None = None
) -> bool:
    """Whether a row was a trial of the same question: under one name, on the same data, or at the same decisions.

    None is no name, no data and no decisions: it equals nothing.
    """
    asked = {"name": name, "data_hash": data_hash, "decisions": decisions}
    return any(value is not None and row.get(key) == value for key, value in asked.items())


def _problems(found: ledger_files.Found) -> list[str]:
    return [
        f"{path}: the row cannot be read; it counts as a trial and as a look ({why})."
        for path, why in found.damaged.items()
    ]


def _begun(directory: RunDirectory) -> Mapping[str, Any] | None:
    """The run that a directory was made for, none of it before it was known; None where its record is damaged."""
    try:
        begun: Mapping[str, Any] = directory.state.get("run", {})
    except MnpuError:
        return None
    return begun
