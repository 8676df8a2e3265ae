"""Rows of a store as columns: one query for several keys, into one array for each column."""

from __future__ import annotations

import ctypes
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnpu.data.libsqlite import addresses, library

__all__ = ["MANY_ROWS", "Columns", "Rows", "read_rows"]

#: From here on the compiler's import (most of a second) costs less than rows by the interpreter (0.8 million a second).
MANY_ROWS = 1_000_000
_SOME_ROWS = 20_000  # where the compiler is there already
_BUFFER = 8_192
_READ_ONLY, _URI, _NO_MUTEX = 0x1, 0x40, 0x8000
_BUSY_MS = 5_000
_CALLED = ("step", "column_type", "column_int64", "column_double")
_TRANSIENT = ctypes.c_void_p(-1)  # SQLite copies a bound text

Key = tuple["str | int", ...]


@dataclass(frozen=True)
class Rows:
    """Rows of several keys, one key after the other.

    Attributes
    ----------
    bounds : int64 (K + 1,)
        The rows of key k are ``bounds[k] : bounds[k + 1]``.
    ints : tuple of int64 (N,)
    floats : tuple of float64 (N,)
        NaN where the store has NULL.
    """

    bounds: np.ndarray
    ints: tuple[np.ndarray, ...]
    floats: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return int(self.bounds[-1])


def read_rows(
    connection: sqlite3.Connection,
    path: Path,
    query: str,
    keys: Sequence[Key],
    *,
    n_ints: int,
    n_floats: int,
    at_most: int | None = None,
) -> Rows:
    """The rows of ``query`` for each of ``keys``.

    Parameters
    ----------
    connection : Connection
        Open on ``path``; reads what compiled code cannot, and says what is wrong.
    path : path
    query : str
        Selects ``n_ints`` columns that are integers, then ``n_floats`` that are numbers or NULL.
    keys : sequence of tuple
        The parameters of the query, texts and integers.
    at_most : int, optional
        As many rows as there may be, which decides how they are read; many if not given. It need not be right.
    """
    target = Columns(n_ints, n_floats, at_most)
    many = at_most is None or at_most >= (_SOME_ROWS if "numba" in sys.modules else MANY_ROWS)
    if many and keys and (sqlite := library()) is not None:
        with _statement(sqlite, path, query) as statement:
            if statement and all(_fetch(sqlite, statement, key, target) for key in keys):
                return target.rows()
        target = Columns(n_ints, n_floats, at_most)
    for key in keys:
        target.add_tuples(connection.execute(query, key).fetchall())
        target.close_key()
    return target.rows()


class Columns:
    """Columns that grow; each is an array of its own, so that a reader can let go of one after the other."""

    def __init__(self, n_ints: int, n_floats: int, at_most: int | None) -> None:
        self.dtypes = ["int64"] * n_ints + ["float64"] * n_floats
        self.n_ints = n_ints
        # Memory that is never written to is never really taken, so a generous guess costs nothing.
        self.columns = [np.empty(max(at_most or 0, _BUFFER), dtype=dtype) for dtype in self.dtypes]
        self.n = 0
        self.bounds = [0]

    def add(self, cells: Sequence[np.ndarray], n: int) -> None:
        """The first ``n`` of ``cells``, a part for each column."""
        if self.n + n > len(self.columns[0]):
            size = max(self.n + n, len(self.columns[0]) * 3 // 2)
            for j, old in enumerate(self.columns):
                self.columns[j] = np.empty(size, dtype=old.dtype)
                self.columns[j][: self.n] = old[: self.n]
        for column, part in zip(self.columns, cells, strict=True):
            column[self.n : self.n + n] = part[:n]
        self.n += n

    def add_tuples(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows as sqlite3 has them; None becomes NaN."""
        if rows:
            cells = zip(*rows, strict=True)
            self.add([np.array(part, dtype=dtype) for part, dtype in zip(cells, self.dtypes, strict=True)], len(rows))

    def close_key(self) -> None:
        """The rows so far belong to the keys so far."""
        self.bounds.append(self.n)

    def rows(self) -> Rows:
        """What was added."""
        columns = [column[: self.n] for column in self.columns]
        return Rows(np.array(self.bounds), tuple(columns[: self.n_ints]), tuple(columns[self.n_ints :]))


def _fetch(sqlite: Any, statement: Any, key: Key, target: Columns) -> bool:
    """Add the rows of ``key``; False where SQLite, or a cell, is not as it should be."""
    from mnpu.data.sqlite_loop import DONE, FULL, fetch

    sqlite.sqlite3_reset(statement)
    for place, value in enumerate(key, 1):
        if isinstance(value, str):
            text = value.encode()
            bound = sqlite.sqlite3_bind_text(statement, place, text, len(text), _TRANSIENT)
        else:
            bound = sqlite.sqlite3_bind_int64(statement, place, value)
        if bound:
            return False
    ints = np.empty((target.n_ints, _BUFFER), dtype="int64")
    floats = np.empty((len(target.dtypes) - target.n_ints, _BUFFER))
    ended = FULL
    while ended == FULL:
        n, ended = fetch(addresses(_CALLED), statement.value, ints, floats)
        target.add([*ints, *floats], n)
    target.close_key()
    return bool(ended == DONE)


@contextmanager
def _statement(sqlite: Any, path: Path, query: str) -> Iterator[Any]:
    """A prepared statement in one read transaction of a connection of its own; None where that cannot be had."""
    database, statement = ctypes.c_void_p(), ctypes.c_void_p()
    uri = f"{path.resolve().as_uri()}?mode=ro".encode()
    flags = _READ_ONLY | _URI | _NO_MUTEX
    try:
        fine = not sqlite.sqlite3_open_v2(uri, ctypes.byref(database), flags, None)
        fine = fine and not sqlite.sqlite3_busy_timeout(database, _BUSY_MS)
        fine = fine and not sqlite.sqlite3_exec(database, b"BEGIN", None, None, None)
        text = query.encode()
        fine = fine and not sqlite.sqlite3_prepare_v2(database, text, len(text), ctypes.byref(statement), None)
        yield statement if fine else None
    finally:
        sqlite.sqlite3_finalize(statement)
        sqlite.sqlite3_close_v2(database)
