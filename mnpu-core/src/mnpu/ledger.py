"""The ledger: every run and every trial, append-only, one Parquet file a run in ``<runs>/ledger/``.

A row appears by an exclusive link and is never changed. A failed run is a row too: whoever looks at a result should
know how many recipes were tried before it.
"""

from __future__ import annotations

import io
import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnpu.atomic import write_new
from mnpu.errors import MnpuError
from mnpu.rundir import RunDirectory, list_runs

if TYPE_CHECKING:
    import pandas as pd

    from mnpu.types import Run

__all__ = ["LedgerWarning", "append", "n_looks", "n_trials", "read", "read_rows"]

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
    path = folder / f"{run_id}.parquet"
    if attempt:
        path = folder / f"{run_id}~{attempt}.parquet"  # '~' sorts after '.': the last attempt is read last
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_new(path, _parquet(row))
    except FileExistsError:
        raise MnpuError(f"run {run_id} is in the ledger already", where=str(path), expected="one row a run") from None
    except OSError as error:
        raise MnpuError(f"cannot be written ({error.strerror or error})", where=str(path)) from error
    return path


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
    """Every row in the order of run ids, and one sentence for each file that could not be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = []
    broken: list[str] = []
    for path in sorted((Path(root) / _FOLDER).glob("*.parquet")):
        try:
            found = pq.ParquetFile(path).read().to_pylist()
        except (OSError, pa.ArrowException) as error:
            broken.append(f"{path}: the row cannot be read and is left out ({_line(error)}).")
            continue
        rows.extend({"run_id": path.stem.partition("~")[0], **row} for row in found)
    return rows, broken


def n_trials(root: str | Path, run: Run) -> int:
    """How many other recipes were tried under this run's name or on its data, this run's own not counted.

    Repeats of a recipe are one trial. Failed runs are trials too, and so are those that were killed before they could
    write their row: their directory tells of them.
    """
    rows, _ = read_rows(root)
    tried: list[Mapping[str, Any]] = [*rows, *(_begun(directory) for directory in list_runs(root))]
    same = (row for row in tried if row.get("name") == run.name or row.get("data_hash") == run.data_hash)
    return len({row.get("recipe_id") for row in same} - {run.recipe_id, None})


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


def _parquet(row: Mapping[str, Any]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array([_cell(value)]) for name, value in row.items()}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    if hasattr(value, "item") and not hasattr(value, "isoformat"):  # NumPy scalars
        return value.item()
    return value


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
