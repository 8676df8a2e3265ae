"""A store as a folder of Parquet files, for universes that outgrow one database; read like any other store.

Prices lie in ``prices/dataset=NAME/bucket=K.parquet``, where K is a sum over the symbol's letters modulo the buckets of
the dataset; within a file they are sorted by symbol and time. Every other table is one file. ``store.json`` names them
all with their sizes, and is written last. Tables other than prices come into memory when a question is about them, as
an SQLite database of the same schema, so every question has one definition.
"""

from __future__ import annotations

import json
import os
import sqlite3
import urllib.parse
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mnpu.atomic import Wording, new_folder
from mnpu.data.bars import Bars
from mnpu.data.columns import Columns
from mnpu.data.migrations import SCHEMA_VERSION, create_schema
from mnpu.data.store import Store
from mnpu.data.urls import MANIFEST
from mnpu.errors import DataError

__all__ = ["Exported", "ParquetStore", "export_parquet"]

FORMAT = "mnpu store, Parquet 1"
ROWS_PER_BUCKET = 1_000_000
_ROWS_AT_ONCE = 65_536
_ROW_GROUP = 65_536
_PARTITIONED = "prices"
_TYPES = {"TEXT": pa.string(), "INTEGER": pa.int64(), "REAL": pa.float64(), "BLOB": pa.binary()}
_WORDING = Wording("a new folder, since a store is never overwritten", "Choose another one, or move it away.")

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Exported:
    """What ``export_parquet`` wrote."""

    path: Path
    n_rows: dict[str, int]
    n_files: int
    n_bytes: int


@dataclass(frozen=True)
class ParquetStore(Store):
    """A folder of Parquet files that is open for reading."""

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The tables as a database in memory, each filled when it is first asked for."""
        try:
            with closing(sqlite3.connect(":memory:", factory=_Tables, isolation_level=None)) as connection:
                create_schema(connection)
                connection.fill_from(self.path, _manifest(self.path))
                yield connection
        except (pa.ArrowException, OSError, sqlite3.Error) as error:
            raise _unreadable(self.path, error) from error

    def _bars(self, keys: Sequence[tuple[str, str]], low: int, high: int) -> Bars:
        names = ("open", "high", "low", "close", "volume")
        held = Columns(1, len(names), 0)
        spans = np.zeros((len(keys), 2), dtype="int64")
        places = {key: place for place, key in enumerate(keys)}
        try:
            for file, (dataset, symbols) in _files(self.path, keys).items():
                for symbol, cells in _runs(self.path / file, names, symbols, low, high):
                    place = places[dataset, symbol]
                    if not spans[place, 1]:
                        spans[place, 0] = held.n
                    held.add(cells, len(cells[0]))
                    spans[place, 1] = held.n
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(self.path, error) from error
        rows = held.rows()
        return Bars(spans[:, 0], spans[:, 1], rows.ints[0], dict(zip(names, rows.floats, strict=True)))

    def _check(self) -> None:
        held = _manifest(self.path)
        for name, size in held["files"].items():
            file = self.path / name
            if not file.is_file() or file.stat().st_size != size:
                found = f"{file.stat().st_size} bytes" if file.is_file() else "missing"
                raise DataError(
                    f"the file is {found}",
                    where=str(file),
                    expected=f"{size} bytes",
                    next_step="Export the store again: mnpu data export DIR",
                )


class _Tables(sqlite3.Connection):
    """A database in memory whose tables are filled when a statement is about to read them."""

    def fill_from(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Take the tables of a folder."""
        self._folder, self._empty = folder, dict(manifest["tables"])

    def execute(self, query: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """As in sqlite3."""
        self.fill_for(query, parameters)
        return super().execute(query, parameters)

    def cursor(self, factory: Any = None) -> Any:
        """As in sqlite3; what pandas reads comes through a cursor of its own."""
        return super().cursor(factory or _Reader)

    def fill_for(self, query: str, parameters: Any) -> None:
        """Fill the tables that a statement reads."""
        for table in self._read_by(query, parameters):
            self._fill(table)

    def _read_by(self, query: str, parameters: Any) -> set[str]:
        """The tables that a statement reads and that are still empty; views are looked through."""
        found: set[str] = set()
        if not getattr(self, "_empty", None) or not query.lstrip().upper().startswith(("SELECT", "WITH")):
            return found

        def note(action: int, table: str | None, *_: str | None) -> int:
            if action == sqlite3.SQLITE_READ and table in self._empty:
                found.add(str(table))
            return sqlite3.SQLITE_OK

        self.set_authorizer(note)
        try:
            super().execute(f"EXPLAIN {query}", parameters).close()
        finally:
            self.set_authorizer(None)
        return found

    def _fill(self, table: str) -> None:
        files = self._empty.pop(table)
        super().execute("PRAGMA query_only = OFF")
        super().execute("BEGIN")
        for name in files:
            for batch in pq.ParquetFile(self._folder / name).iter_batches(_ROWS_AT_ONCE):
                columns = batch.schema.names
                insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
                super().executemany(insert, zip(*(column.to_pylist() for column in batch.columns), strict=True))
        super().execute("COMMIT")
        super().execute("PRAGMA query_only = ON")


class _Reader(sqlite3.Cursor):
    """A cursor on such a database, which is to find its tables filled, too."""

    connection: _Tables

    def execute(self, query: str, parameters: Any = (), /) -> _Reader:
        """As in sqlite3."""
        self.connection.fill_for(query, parameters)
        super().execute(query, parameters)
        return self


def export_parquet(store: Store, target: str | Path, *, progress: Progress | None = None) -> Exported:
    """Write everything that a store in SQLite holds as a new folder of Parquet files.

    Parameters
    ----------
    store : Store
    target : path
        Where the folder will be. It gets its name when it is whole.
    progress : callable, optional
        Called as ``progress(done, total, what)`` before each part.

    Raises
    ------
    ConfigError
        If ``target`` exists: a store is never overwritten.
    MnpuError
        If it cannot be written. Nothing is left behind.
    """
    final = Path(target)
    progress = progress or (lambda done, total, what: None)
    with new_folder(final, _WORDING, failures=(OSError, pa.ArrowException)) as folder:
        with store._reading() as connection:
            connection.execute("BEGIN")  # one state of the store from the first table to the last
            counts = _write_tables(connection, folder, progress)
        n_files, n_bytes = _seal(folder, counts)
    return Exported(final, counts, n_files, n_bytes)


def _write_tables(connection: sqlite3.Connection, folder: Path, progress: Progress) -> dict[str, int]:
    """Each table's rows; how many it has."""
    schemas = _schemas()
    names = sorted(schemas)
    datasets = [row[0] for row in connection.execute("SELECT name FROM datasets ORDER BY name")]
    total = len(names) + len(datasets)
    counts = {}
    for done, table in enumerate(name for name in names if name != _PARTITIONED):
        progress(done, total, table)
        with _writer(folder / f"{table}.parquet", schemas[table]) as writer:
            counts[table] = _copy(connection.execute(_selected(schemas[table], table)), writer)
    counts[_PARTITIONED] = 0
    for done, dataset in enumerate(datasets, len(names) - 1):
        progress(done, total, dataset)
        counts[_PARTITIONED] += _write_prices(connection, folder, dataset, schemas[_PARTITIONED])
    progress(total, total, "done")
    return counts


def _write_prices(connection: sqlite3.Connection, folder: Path, dataset: str, schema: pa.Schema) -> int:
    """The prices of a dataset, one file for each bucket of symbols."""
    sizes = dict(connection.execute("SELECT symbol, n_bars FROM assets WHERE dataset = ? ORDER BY symbol", (dataset,)))
    home = folder / _home(dataset)
    home.mkdir(parents=True)
    n_buckets = max(1, round(sum(sizes.values()) / ROWS_PER_BUCKET))
    chosen = "WHERE dataset = ? AND symbol = ? ORDER BY event_time, knowledge_time"
    query = f"{_selected(schema, _PARTITIONED)} {chosen}"
    n = 0
    for bucket in range(n_buckets):
        inside = [symbol for symbol in sizes if _bucket(symbol, n_buckets) == bucket]
        if inside:
            with _writer(home / _file(bucket, n_buckets), schema) as writer:
                rows = (row for symbol in inside for row in connection.execute(query, (dataset, symbol)))
                n += _copy(rows, writer)
    return n


def _copy(rows: Iterator[tuple[Any, ...]], writer: pq.ParquetWriter) -> int:
    n = 0
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        columns = zip(*batch, strict=True)
        cells = [pa.array(column, kind) for column, kind in zip(columns, writer.schema.types, strict=True)]
        writer.write_table(pa.table(cells, schema=writer.schema), row_group_size=_ROW_GROUP)
        n += len(batch)
    return n


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    texts = [field.name for field in schema if field.type == pa.string()]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=texts)


def _schemas() -> dict[str, pa.Schema]:
    """The tables of a store with their columns; what somebody added beside them belongs to no store."""
    with closing(sqlite3.connect(":memory:")) as empty:
        create_schema(empty)
        names = [name for (name,) in empty.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: empty.execute(f"PRAGMA table_info({name})").fetchall() for name in names}
    return {table: pa.schema([(name, _TYPES[kind]) for _, name, kind, *_ in of]) for table, of in columns.items()}


def _selected(schema: pa.Schema, table: str) -> str:
    quoted = ", ".join(f'"{name}"' for name in schema.names)
    return f"SELECT {quoted} FROM {table}"


def _seal(folder: Path, counts: dict[str, int]) -> tuple[int, int]:
    """Write down what there is; how many files, and their bytes."""
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*.parquet"))}
    tables = {table: [name for name in files if name.partition("/")[0].partition(".")[0] == table] for table in counts}
    held = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "rows": counts, "tables": tables, "files": files}
    with (folder / MANIFEST).open("w", encoding="utf-8") as file:
        json.dump(held, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return len(files), sum(files.values())


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        held = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version = held["schema_version"] if held["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            "no store there" if isinstance(error, OSError) else f"{MANIFEST} cannot be read ({error})",
            where=str(folder),
            expected=f"a folder with a {MANIFEST}",
            next_step="Write one with: mnpu data export DIR",
        ) from error
    if version != SCHEMA_VERSION:
        newer = not isinstance(version, int) or version > SCHEMA_VERSION
        raise DataError(
            f"schema version {version}",
            where=str(folder),
            expected=f"version {SCHEMA_VERSION}",
            next_step="Upgrade mnpu-core." if newer else "Export the store again: mnpu data export DIR",
        )
    return dict(held)


def _files(folder: Path, keys: Sequence[tuple[str, str]]) -> dict[str, tuple[str, set[str]]]:
    """The files that hold prices of (dataset, symbol), each with its dataset and the symbols that are wanted of it."""
    files = _manifest(folder)["tables"][_PARTITIONED]
    n_buckets = {name.rpartition("/")[0]: int(name.removesuffix(".parquet").rpartition("-")[2]) for name in files}
    found: dict[str, tuple[str, set[str]]] = {}
    for dataset, symbol in keys:
        home = _home(dataset)
        if home in n_buckets:
            file = f"{home}/{_file(_bucket(symbol, n_buckets[home]), n_buckets[home])}"
            found.setdefault(file, (dataset, set()))[1].add(symbol)
    return {file: wanted for file, wanted in found.items() if file in files}


def _runs(
    path: Path, names: Sequence[str], symbols: set[str], low: int, high: int
) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Closes and columns of the bars of one symbol after the other; a long one may come in several pieces."""
    file = pq.ParquetFile(path, read_dictionary=["symbol"])
    columns = ["symbol", "event_time", "knowledge_time", *names]
    groups = [g for g in range(file.num_row_groups) if _holds(file.metadata.row_group(g), symbols)]
    for batch in file.iter_batches(_ROWS_AT_ONCE, row_groups=groups, columns=columns, use_threads=False):
        symbol, times, known, *cells = (batch.column(name) for name in columns)
        texts, codes = symbol.dictionary.to_pylist(), symbol.indices.to_numpy()
        at = times.to_numpy()
        kept = (at >= low) & (at <= high) & (known.to_numpy() <= at)
        values = [at, *(column.to_numpy(zero_copy_only=False) for column in cells)]
        edges = np.flatnonzero(np.diff(codes)) + 1
        for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), len(codes)], strict=True):
            text = texts[codes[start]]
            if text in symbols and kept[start:stop].any():
                here = np.flatnonzero(kept[start:stop]) + start
                whole = len(here) == stop - start
                yield text, [value[start:stop] if whole else value[here] for value in values]


def _holds(group: pq.RowGroupMetaData, symbols: set[str]) -> bool:
    """Whether a row group may hold one of ``symbols``: files are sorted, and each group knows its first and last."""
    place = next(j for j in range(group.num_columns) if group.column(j).path_in_schema == "symbol")
    told = group.column(place).statistics
    return told is None or not told.has_min_max or any(told.min <= symbol <= told.max for symbol in symbols)


def _bucket(symbol: str, n_buckets: int) -> int:
    return zlib.crc32(symbol.encode()) % n_buckets


def _home(dataset: str) -> str:
    """The folder of a dataset's prices, whatever letters its name has."""
    return f"{_PARTITIONED}/dataset={urllib.parse.quote(dataset, safe='').replace('.', '%2E')}"


def _file(bucket: int, n_buckets: int) -> str:
    return f"bucket={bucket}-of-{n_buckets}.parquet"


def _unreadable(folder: Path, error: Exception) -> DataError:
    return DataError(
        f"cannot be read as a store ({error})",
        where=str(folder),
        expected="a folder written by mnpu data export",
        next_step="Export the store again: mnpu data export DIR",
    )
