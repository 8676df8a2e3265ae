"""Connections whose statements read arrays as if they were a table."""

from __future__ import annotations

import ctypes
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from mnpu.data.libsqlite import addresses, handle_of_next, lender

__all__ = ["MANY_ROWS", "TABLE", "Coded", "Writer"]

TABLE = "mnpu_arrays"  #: Its columns are c0, c1, ...
#: Fewer at a time are written by the interpreter: they are not worth a compiler.
MANY_ROWS = 8_000


@dataclass(frozen=True)
class Coded:
    """Texts (N,) as codes (N,) into ``texts``."""

    codes: np.ndarray
    texts: Sequence[str]

    def spelt(self) -> np.ndarray:
        """The texts themselves, object (N,)."""
        return np.array(self.texts, dtype=object)[self.codes]


class _Functions:
    """The compiled functions, in the shape that SQLite wants."""

    def __init__(self) -> None:
        from mnpu.data import sqlite_arrays

        self.at = sqlite_arrays
        self.module, self._engine = sqlite_arrays.build()
        columns = ", ".join(f"c{j}" for j in range(sqlite_arrays.N_COLUMNS))
        self.statement = ctypes.create_string_buffer(f"CREATE TABLE {TABLE} ({columns})".encode())


@cache
def _functions() -> _Functions | None:
    """Built once and kept as long as the process; None where this machine has no compiler."""
    try:
        return _Functions()
    except (ImportError, OSError, RuntimeError):
        return None


#: What SQLite holds pointers to until a connection is gone, which may be after its Python object: never freed.
_held: list[np.ndarray] = []


class Writer(sqlite3.Connection):
    """A connection that can lend arrays to its statements; it may be used by one thread at a time.

    The rows go from the arrays to SQLite without becoming objects of Python. The statements are executed as any others
    are, so errors, transactions and interruptions are as ever.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._words: np.ndarray | None = None
        with handle_of_next() as handle:
            super().__init__(*args, **kwargs)
        self._handle = handle.pointer

    def close(self) -> None:
        """Close the connection."""
        self._handle = self._words = None
        super().close()

    def insert_arrays(self, statement: str, columns: Sequence[np.ndarray | Coded]) -> bool:
        """Execute ``statement``, which reads ``TABLE``; False, and nothing done, where that cannot be had.

        Parameters
        ----------
        statement : str
        columns : sequence
            Each (N,): int64, float64 with NaN for NULL, or ``Coded``. Other arrays cannot be lent.
        """
        if (
            self._handle is None
            or (functions := _functions()) is None
            or not 0 < len(columns) <= functions.at.N_COLUMNS
        ):
            return False
        lent = [one for one in map(_lent, columns) if one is not None]
        if len(lent) < len(columns):
            return False
        words = self._known_words(functions)
        if words is None:
            return False
        for j, (kind, cells, texts, _) in enumerate(lent):
            place = functions.at.COLUMNS + 3 * j
            words[place : place + 3] = (kind, cells.ctypes.data, 0 if texts is None else texts.ctypes.data)
        words[functions.at.N_ROWS] = len(lent[0][1])
        try:
            self.execute(statement)
        finally:
            words[functions.at.N_ROWS] = 0
        return True

    def _known_words(self, functions: _Functions) -> np.ndarray | None:
        """The description of the table, which this connection knows from its first use on; None if it refuses."""
        if self._words is None:
            words = np.zeros(functions.at.WORDS, dtype="int64")
            words[functions.at.FUNCTIONS : functions.at.FUNCTIONS + 4] = addresses(functions.at.CALLED)
            words[functions.at.STATEMENT] = ctypes.addressof(functions.statement)
            _held.append(words)
            create = lender().sqlite3_create_module_v2
            if create(self._handle, TABLE.encode(), functions.module.ctypes.data, words.ctypes.data, None):
                return None
            self._words = words
        return self._words


def _lent(column: np.ndarray | Coded) -> tuple[int, np.ndarray, np.ndarray | None, Any] | None:
    """Kind, cells, the places of texts, and what must live as long; None for an array that cannot be lent."""
    from mnpu.data.sqlite_arrays import CODES, INTEGERS, NUMBERS

    if isinstance(column, Coded):
        held, places = _places(column.texts)
        return CODES, np.ascontiguousarray(column.codes, dtype="int64"), places, held
    if column.dtype == np.float64:
        return NUMBERS, np.ascontiguousarray(column), None, None
    if column.dtype == np.int64:
        return INTEGERS, np.ascontiguousarray(column), None, None
    return None


def _places(texts: Sequence[str]) -> tuple[Any, np.ndarray]:
    """Where each text stands in UTF-8, (address, length), and the memory that holds them."""
    spelt = [text.encode() for text in texts]
    held = ctypes.create_string_buffer(b"".join(spelt))
    lengths = np.array([len(text) for text in spelt], dtype="int64")
    starts = ctypes.addressof(held) + np.cumsum(lengths) - lengths
    return held, np.ascontiguousarray(np.stack([starts, lengths], axis=1))
