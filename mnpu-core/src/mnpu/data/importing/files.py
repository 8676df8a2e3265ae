"""A file of any format, opened by its first bytes and read in pieces."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mnpu.data.importing.chunks import Chunk, Opened, broken, refuse_repeated
from mnpu.data.importing.csv_files import open_csv
from mnpu.data.importing.mapping import Entry
from mnpu.errors import DataError

__all__ = ["digest", "open_file", "state"]

ROWS = 1 << 15  #: Rows of a Parquet file that are read at a time.


def digest(path: Path) -> str:
    """The SHA-256 of the file's bytes; DataError if they cannot be read."""
    hashed = hashlib.sha256()
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe or a device: to open it could wait for ever
            raise DataError(
                "is no regular file",
                where=str(path),
                expected="a file, which is read more than once",
                next_step="Write what comes from a pipe or a device into a file first.",
            )
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                hashed.update(block)
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror or error})",
            where=str(path),
            expected="a file with read permission",
            next_step="Nothing of it was taken. Repair it, then run the command again.",
        ) from error
    return hashed.hexdigest()


def state(path: Path) -> tuple[int, ...]:
    """What the file system says of a file: another answer later means that it was changed meanwhile."""
    try:
        told = path.stat()
    except OSError:
        return ()
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns


def open_file(path: Path, entry: Entry) -> Opened:
    """Begin to read a file.

    Raises
    ------
    DataError
        If it is empty, truncated, binary where text was expected, or of another encoding.
    """
    with path.open("rb") as stream:
        magic = stream.read(4)
    if not magic:
        raise DataError("the file is empty", where=str(path), expected="a header and rows")
    if entry.format == "sqlite" or magic == b"SQLi":
        return _sqlite(path, entry)
    kind = entry.format or ("parquet" if magic == b"PAR1" or path.suffix == ".parquet" else "csv")
    return _parquet(path) if kind == "parquet" else open_csv(path, magic, entry)


def _parquet(path: Path) -> Opened:
    try:
        source = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise broken(path, "Parquet", error) from error
    names = tuple(source.schema_arrow.names)
    refuse_repeated(names, str(path))
    done = [0]

    def chunks() -> Iterator[Chunk]:
        try:
            for batch in source.iter_batches(batch_size=ROWS):
                line = np.arange(done[0] + 1, done[0] + 1 + batch.num_rows, dtype=np.int64)
                done[0] += batch.num_rows
                yield Chunk(dict(zip(batch.schema.names, batch.columns, strict=True)), line)
        except (pa.ArrowException, OSError) as error:
            raise broken(path, "Parquet", error) from error

    return Opened(names, chunks(), source.metadata.num_rows, lambda: done[0])


def _sqlite(path: Path, entry: Entry) -> Opened:
    """Rows of a database, by the entry's query; it is opened for reading only."""
    if entry.query is None:
        raise DataError("is an SQLite file", where=str(path), expected="a query", next_step="Say query: SELECT ...")
    done = [0]
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    try:
        cursor = connection.execute(entry.query)
    except sqlite3.Error as error:
        connection.close()
        raise DataError(
            f"its query cannot be run ({error})",
            where=str(path),
            expected=f"a SELECT, not {entry.query!r}",
            next_step="Check the tables and columns that it names.",
        ) from error
    names = tuple(column[0] for column in cursor.description or ())
    refuse_repeated(names, str(path))

    def chunks() -> Iterator[Chunk]:
        try:
            while rows := cursor.fetchmany(ROWS):
                line = np.arange(done[0] + 1, done[0] + 1 + len(rows), dtype=np.int64)
                done[0] += len(rows)
                cells = zip(*rows, strict=True)
                yield Chunk({name: _array(values) for name, values in zip(names, cells, strict=True)}, line)
        except sqlite3.Error as error:
            raise broken(path, "SQLite", error) from error
        finally:
            connection.close()

    return Opened(names, chunks(), 0, lambda: done[0])


def _array(values: Sequence[Any]) -> pa.Array:
    """One type for a column; a column of several is text, as its cells would stand in a file."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([value if value is None else str(value) for value in values], pa.string())
