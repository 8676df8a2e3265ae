"""The ledger: every run and every trial, append-only, one Parquet file a run in ``<runs>/ledger/``.

A row appears by an exclusive link and is never changed. A failed run is a row too: whoever looks at a result should
know how many recipes were tried before it. `compact` puts many files into one; what they are is `mnpu.ledger_files`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnpu import ledger_files
from mnpu.atomic import write_new
from mnpu.errors import MnpuError
from mnpu.rundir import RunDirectory, list_runs

if TYPE_CHECKING:
    import pandas as pd

    from mnpu.types import Run

__all__ = [
    "LedgerWarning",
    "Tried",
    "append",
    "compact",
    "n_looks",
    "n_trials",
    "read",
    "read_rows",
    "same_question",
    "tried",
    "undamaged",
]

_FOLDER = "ledger"


class LedgerWarning(UserWarning):
    """A row of the ledger could not be read, and is left out."""


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
    rows.sort(key=lambda row: (str(row.get("started_at", "")), row["run_id"]))
    frame: pd.DataFrame = pd.DataFrame(rows)
    return frame


def read_rows(root: str | Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Every row in the order of run ids, and one sentence for each file that could not be read.

    Raises
    ------
    MnpuError
        A later version wrote a row.
    """
    found = ledger_files.find(Path(root) / _FOLDER)
    broken = [f"{path}: the row cannot be read and is left out ({why})." for path, why in found.damaged.items()]
    return found.in_order, broken


def n_trials(root: str | Path, run: Run) -> int:
    """How many other recipes were tried under this run's name or on its data, this run's own not counted.

    Repeats of a recipe are one trial. Failed runs are trials too, and so are those that were killed before they could
    write their row: their directory tells of them. A row that is damaged counts, too, whatever it was of.

    Raises
    ------
    MnpuError
        A later version wrote a row, which may be a trial or not.
    """
    found = tried(root)
    same = (row.get("recipe_id") for row in found.rows if same_question(row, name=run.name, data_hash=run.data_hash))
    return len((set(same) | found.damaged) - {run.recipe_id, None}) + found.lost


@dataclass(frozen=True)
class Tried:
    """All that was ever tried in a folder of runs.

    Attributes
    ----------
    rows : tuple of mapping
        Every row in the order of run ids, and the record of every run whose folder is there without a row: killed, or
        still going on.
    damaged : frozenset of str
        Recipes whose row cannot be read.
    lost : int
        Rows of which not even the recipe is known.
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
        A later version wrote a row, which may be a trial or not.
    """
    found = ledger_files.find(Path(root) / _FOLDER)
    ids, more = found.lost()
    known = {row["run_id"] for row in found.rows.values()}
    begun = [_with_state(directory) for directory in list_runs(root) if directory.run_id not in known]
    problems = (f"{path}: the row cannot be read ({why}); it counts as a trial." for path, why in found.damaged.items())
    recipes = frozenset(run_id.rpartition("-")[0] or run_id for run_id in ids)
    return Tried((*found.in_order, *begun), recipes, more, tuple(problems))


def same_question(
    row: Mapping[str, Any], *, name: str | None, data_hash: str | None, decisions: str | None = None
) -> bool:
    """Whether a row was a trial of the same question: under one name, on the same data, or at the same decisions.

    None is no name, no data and no decisions: it equals nothing.
    """
    asked = {"name": name, "data_hash": data_hash, "decisions": decisions}
    return any(value is not None and row.get(key) == value for key, value in asked.items())


def _with_state(directory: RunDirectory) -> Mapping[str, Any]:
    """The row that a run without one would have begun with."""
    begun = _begun(directory)
    return {**begun, "run_id": directory.run_id, "status": directory.status if begun else "damaged"}


def n_looks(root: str | Path, run: Run) -> int:
    """How many other runs were judged on this run's locked range, or on that of its name or data: every look counts.

    A repeat is another look, and so is a run that failed or was killed: nobody knows what was seen of it.
    """
    rows, _ = read_rows(root)
    looked: list[Mapping[str, Any]] = [*rows]
    looked += [{**_begun(directory), "run_id": directory.run_id} for directory in list_runs(root)]
    keys = ("name", "data_hash", "locked")
    same = (row for row in looked if row.get("unlocked") and any(row.get(k) == getattr(run, k) for k in keys))
    return len({row["run_id"] for row in same} - {run.run_id})


def _begun(directory: RunDirectory) -> Mapping[str, Any]:
    """The run that a directory was made for; nothing where its record is damaged."""
    try:
        begun: Mapping[str, Any] = directory.state.get("run", {})
    except MnpuError:
        return {}
    return begun
