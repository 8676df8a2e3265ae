"""Files of the ledger: rows of their own, several put together, and how both are read while others write.

A row is one Parquet file, ``<run id>.parquet``. Compaction puts many into one, ``+<rows>-<digest>.parquet``, whose
column ``ledger_key`` says which file each row was. Both carry the format's number in the metadata of their schema.
A file is deleted only after a whole one with all of its rows lies on the disk, so a row is in one file at least, at any
moment, and where it is in two it is the same row.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnpu.atomic import write_new
from mnpu.errors import MnpuError

__all__ = ["FORMAT", "Found", "compact", "encode", "find", "holds", "holds_as", "names"]

#: The first had no number. A later one is refused: what it says cannot be known.
FORMAT = 2
KEY = "ledger_key"
_TOGETHER = "+"  # no run id begins so
_VERSION, _AS_JSON, _SHAPE = b"mnpu.ledger.format", b"mnpu.ledger.json", b"mnpu.ledger.shape"
_TRIES = 100
_TEXT = ("run_id", "recipe_id", "name", "status", "data_hash", "locked", "sweep", "trial", "axes", "decisions")


@dataclass
class Found:
    """What lies in a ledger's folder: rows by the name of their file, and the files that are no rows any more.

    ``damaged`` has a file's name and what is wrong with it.
    """

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    damaged: dict[Path, str] = field(default_factory=dict)

    @property
    def in_order(self) -> list[dict[str, Any]]:
        """The rows in the order of run ids, each run's last attempt last."""
        return [self.rows[key] for key in sorted(self.rows, key=_place)]

    def lost(self) -> tuple[set[str], int]:
        """Run ids whose row is damaged, and how many more rows a damaged file says that it held."""
        together = [path for path in self.damaged if path.name.startswith(_TOGETHER)]
        ids = {path.stem.partition("~")[0] for path in self.damaged if path not in together}
        return ids, sum(_promised(path) for path in together)


def encode(row: Mapping[str, Any]) -> bytes:
    """One row as a Parquet file."""
    import pyarrow as pa

    columns = {name: pa.array([_cell(value)]) for name, value in row.items()}
    return _bytes(pa.table(columns), [])


def names(folder: Path) -> set[str]:
    """Names of the files, as they stand at one moment: what a compaction moves meanwhile is not missed.

    A folder that is read while files are made and deleted may show neither the old ones nor the new one; two readings
    that agree on what was put together do.
    """
    seen = _listed(folder)
    for _ in range(_TRIES):
        again = _listed(folder)
        if _moved(seen) == _moved(again) and seen <= again:
            return again
        seen = again
    raise MnpuError("changes all the time", where=str(folder), next_step="Try again when less is written.")


def find(folder: Path) -> Found:
    """Every row.

    Raises
    ------
    MnpuError
        A later version wrote one of them.
    """
    for _ in range(_TRIES):
        found = Found()
        try:
            for name in sorted(names(folder)):
                _collect(folder / name, found)
        except FileNotFoundError:  # it was put together with others meanwhile
            continue
        return found
    raise MnpuError("changes all the time", where=str(folder), next_step="Try again when less is written.")


def holds(folder: Path, key: str) -> bool:
    """Whether a file of several rows has the one of this name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for name in sorted(n for n in names(folder) if n.startswith(_TOGETHER)):
        try:
            kept = pq.read_table(folder / name, columns=[KEY], partitioning=None)[KEY].to_pylist()
        except FileNotFoundError:
            return holds(folder, key)
        except (OSError, KeyError, ValueError, MemoryError, pa.ArrowException):  # whoever reads the ledger is told
            continue
        if key in kept:
            return True
    return False


def holds_as(folder: Path, key: str, content: bytes) -> bool:
    """Whether the row of this name is the one that ``encode`` made ``content`` of."""
    import io

    import pyarrow.parquet as pq

    own = pq.read_table(io.BytesIO(content)).to_pylist()[0]
    held = find(folder).rows.get(key, {})  # files of several rows are read first
    return _told(own) == _told({name: held.get(name) for name in own})


def _told(row: Mapping[str, Any]) -> dict[str, str]:
    """What a row says, to compare: among others an instant may have another type, and a whole number be a float."""
    known = {name: value for name, value in row.items() if value is not None}
    return {name: str(float(v) if isinstance(v, (int, float)) else v) for name, v in known.items()}


def compact(folder: Path) -> tuple[int, int]:
    """Put all rows into one file; how many rows it has, and how many files it replaces.

    Killed at any moment, or done by two at once, it loses nothing and doubles nothing. Files that cannot be read stay.

    Raises
    ------
    MnpuError
        A later version wrote one of them, or there is no room. Nothing is lost.
    """
    found = find(folder)
    inputs = sorted(name for name in names(folder) if folder / name not in found.damaged)
    if not found.rows or inputs == [_together(found.rows)]:
        return len(found.rows), 0
    target = folder / _together(found.rows)
    try:
        write_new(target, _encode_many(found.rows))
    except FileExistsError:
        pass  # somebody else put the same rows together
    except OSError as error:
        raise MnpuError(f"cannot be written ({error.strerror or error})", where=str(target)) from error
    held = Found()
    try:
        _collect(target, held)
    except FileNotFoundError:  # somebody else has put it together with more
        return len(found.rows), 0
    if held.rows.keys() != found.rows.keys():
        raise MnpuError("is damaged", where=str(target), next_step="Remove it; the rows are still in other files.")
    _settle(folder)
    gone = [name for name in inputs if name != target.name and _keys(folder / name) <= held.rows.keys()]
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    return len(held.rows), len(gone)


def _listed(folder: Path) -> set[str]:
    try:
        return {name for name in os.listdir(folder) if name.endswith(".parquet") and not name.startswith(".")}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise MnpuError(
            f"cannot be read ({error.strerror or error})",
            where=str(folder),
            expected="a ledger that may be read: the trials in it are to be counted",
            next_step="Have its permissions changed, or use another folder with --runs DIR.",
        ) from error


def _place(key: str) -> tuple[str, int, str, int]:
    """Where a row stands: by recipe, by the counter of its run, by attempt; the tenth comes after the second."""
    run_id, _, attempt = key.partition("~")
    recipe, _, counter = run_id.rpartition("-")
    return recipe, _number(counter), run_id, _number(attempt)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _moved(listed: set[str]) -> set[str]:
    return {name for name in listed if name.startswith(_TOGETHER)}


def _together(keys: Iterable[str]) -> str:
    """Name of the file for these rows: the same whoever writes it, and it tells how many they are."""
    ordered = sorted(keys)
    digest = hashlib.sha256("\n".join(ordered).encode()).hexdigest()[:16]
    return f"{_TOGETHER}{len(ordered)}-{digest}.parquet"


def _promised(path: Path) -> int:
    return _number(path.name[len(_TOGETHER) :].partition("-")[0])


def _collect(path: Path, found: Found) -> None:
    """Add the rows of a file; those that are there already are the same ones."""
    import pyarrow as pa

    together = path.name.startswith(_TOGETHER)
    try:
        rows = _rows(path)
        if len(rows) != (_promised(path) if together else 1):
            raise ValueError(f"it holds {len(rows)} rows")
        keyed = {row.pop(KEY) if together else path.stem: row for row in rows}
        for row in rows:
            _check(row)
    except FileNotFoundError:
        raise
    # What a damaged file makes pyarrow raise: text that is none, time zones and columns that are not there, sizes that
    # no memory has.
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        found.damaged[path] = _line(error)
        return
    for key, row in keyed.items():
        found.rows.setdefault(key, row)


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file as they were given; many kinds of errors where it is damaged."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        metadata = file.schema_arrow.metadata or {}
        _refuse_newer(metadata, path)  # before its columns, which may be of a kind that nobody here knows
        table = file.read()
    if _SHAPE in metadata and metadata[_SHAPE] != _shape(table, metadata.get(_AS_JSON, b"")):
        raise ValueError("its columns are not those that were written")
    rows: list[dict[str, Any]] = table.to_pylist()
    for name in json.loads(metadata.get(_AS_JSON, b"[]")):
        for row in rows:
            row[name] = None if row[name] is None else json.loads(row[name], object_hook=_plain)
    return rows


def _shape(table: Any, as_json: bytes) -> bytes:
    """A hash of how many rows there are, and of the columns' names and types: checksums of pages do not cover these."""
    columns = [(field.name, str(field.type)) for field in table.schema]
    return hashlib.sha256(repr((table.num_rows, columns, as_json)).encode()).hexdigest()[:16].encode()


def _check(row: Mapping[str, Any]) -> None:
    """Refuse what is no row of a ledger, whoever put it there: who reads rows relies on this much."""
    if not isinstance(row.get("run_id"), str):
        raise ValueError("it names no run")
    for name in _TEXT:
        if not isinstance(row.get(name), (str, type(None))):
            raise ValueError(f"{name} is {row[name]!r}, expected text")
    if row.get("sweep") is not None and not all(isinstance(row.get(name), str) for name in ("trial", "axes", "status")):
        raise ValueError("it is of a sweep, and names no trial")
    if row.get("axes") is not None and not isinstance(json.loads(row["axes"]), dict):
        raise ValueError("axes is no map")
    if row.get("started_at") is not None and not hasattr(row["started_at"], "isoformat"):
        raise ValueError(f"started_at is {row['started_at']!r}, expected an instant")
    for name, value in row.items():
        if name.startswith("metric.") and not isinstance(value, (int, float, type(None))):
            raise ValueError(f"{name} is {value!r}, expected a number")


def _refuse_newer(metadata: Mapping[bytes, bytes], path: Path) -> None:
    written = metadata.get(_VERSION, b"1").decode(errors="replace")
    if not written.isdecimal() or int(written) > FORMAT:
        raise MnpuError(
            f"has format {written} of the ledger: a later version of mnpu-core wrote it",
            where=str(path),
            expected=f"format {FORMAT} or earlier, for trials are to be counted rightly",
            next_step="Upgrade mnpu-core, or use another folder with --runs DIR. Nothing was changed.",
        )


def _keys(path: Path) -> set[str]:
    """Names of the rows that a file has, as it is now; one that no row has where it cannot be told."""
    if not path.name.startswith(_TOGETHER):
        return {path.stem}
    held = Found()
    try:
        _collect(path, held)
    except FileNotFoundError:
        return set()
    return set(held.rows) if path not in held.damaged else {"\0"}


def _encode_many(rows: Mapping[str, Mapping[str, Any]]) -> bytes:
    import pyarrow as pa

    keys = sorted(rows)
    columns: dict[str, Any] = {KEY: pa.array(keys)}
    as_json = []
    for name in sorted({name for row in rows.values() for name in row}):
        values = [rows[key].get(name) for key in keys]
        try:
            columns[name] = _column(values)
        except (pa.ArrowException, TypeError, ValueError):  # of several kinds
            columns[name] = pa.array(
                [None if value is None else json.dumps(value, default=_instant) for value in values]
            )
            as_json.append(name)
    return _bytes(pa.table(columns), as_json)


def _column(values: Sequence[Any]) -> Any:
    """One column; ValueError where the rows' values are of several kinds."""
    import pandas as pd
    import pyarrow as pa

    kinds = {type(value) for value in values if value is not None}
    if kinds and all(hasattr(kind, "isoformat") for kind in kinds):
        stamps = [None if value is None else pd.Timestamp(value) for value in values]
        return pa.array(stamps, type=pa.timestamp("ns", tz="UTC"))
    if len(kinds) > 1 and not (kinds == {int, float} and all(_exact(value) for value in values)):
        raise ValueError("several kinds")
    return pa.array(values, type=pa.float64() if float in kinds else None)


def _instant(value: Any) -> Any:
    """An instant among values of other kinds: a row's other maps are text, so no other map is there."""
    return {"instant": value.isoformat()}


def _plain(value: Mapping[str, Any]) -> Any:
    import pandas as pd

    return pd.Timestamp(value["instant"])


def _exact(value: Any) -> bool:
    return value is None or isinstance(value, float) or abs(value) <= 2**53


def _bytes(table: Any, as_json: Sequence[str]) -> bytes:
    import pyarrow.parquet as pq

    names = json.dumps(as_json).encode() if as_json else b""
    metadata = {_VERSION: str(FORMAT).encode(), _SHAPE: _shape(table, names), **({_AS_JSON: names} if names else {})}
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer, write_page_checksum=True)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    if hasattr(value, "item") and not hasattr(value, "isoformat"):  # NumPy scalars
        return value.item()
    return value


def _settle(folder: Path) -> None:
    """Have the folder's own entry on the disk, where systems tell the two apart."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
