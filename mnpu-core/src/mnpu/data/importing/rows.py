"""Rows on their way into a table: which are new, which are there already, and which contradict what is there."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mnpu.data import arrays_table
from mnpu.data.arrays_table import TABLE, Coded, Writer
from mnpu.data.rows import BASES

__all__ = [
    "CONFLICT",
    "NEW",
    "PRESENT",
    "SHAPES",
    "Merged",
    "Rows",
    "Shape",
    "extents",
    "insert_rows",
    "merge",
]

NEW, PRESENT, CONFLICT = 0, 1, 2
TOGETHER = 100  #: Rows of one INSERT: one by one, the statement's own overhead more than doubles the time.
CHECKED = ("prices", "observations")
Column = np.ndarray | Coded


@dataclass(frozen=True)
class Shape:
    """The columns of a table: its key is ``scope``, ``times`` and ``extra``; ``drops_repeats`` for vintages."""

    table: str
    scope: tuple[str, ...]
    times: tuple[str, str]
    values: tuple[str, ...]
    extra: str = ""
    drops_repeats: bool = False


EVENT = ("event_time", "knowledge_time")
PRICES = ("open", "high", "low", "close", "adj_close", "volume")
SHAPES = {
    "prices": Shape("prices", ("symbol",), EVENT, PRICES),
    "observations": Shape("observations", ("series", "symbol"), EVENT, ("value",), drops_repeats=True),
    "calendar": Shape(
        "calendar_events", ("series",), EVENT, ("released", "forecast", "actual", "previous", "impact", "cancelled")
    ),
    "news": Shape("news", ("source", "symbol"), EVENT, ("text", "body"), extra="id"),
    "corporate_actions": Shape("corporate_actions", ("symbol", "label"), EVENT, ("ratio", "amount"), extra="kind"),
    "universe": Shape("universes", ("universe", "symbol"), ("start", "knowledge_time"), ("end",)),
}


@dataclass(frozen=True)
class Rows:
    """N rows of a table.

    Attributes
    ----------
    shape : Shape
    fixed : mapping of str to str
        Columns with one value; those of the key among them are named in ``fixed_key``.
    scopes : sequence of tuple
        Values of the ``shape.scope`` columns, by code.
    code, event, known : int (N,)
        ``event`` and ``known`` in ns.
    extra : object (N,) or None
    values : mapping of str to (N,)
        float64, NaN for NULL; or object, None for NULL.
    basis : int (N,)
        Index into ``BASES``.
    row : int (N,)
        The row of the file that each came from.
    """

    shape: Shape
    fixed: Mapping[str, str]
    fixed_key: tuple[str, ...]
    scopes: Sequence[tuple[str, ...]]
    code: np.ndarray
    event: np.ndarray
    known: np.ndarray
    extra: np.ndarray | None
    values: Mapping[str, np.ndarray]
    basis: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.event)

    def take(self, which: np.ndarray) -> Rows:
        """Some of the rows, in the order of ``which``."""
        return Rows(
            self.shape,
            self.fixed,
            self.fixed_key,
            self.scopes,
            self.code[which],
            self.event[which],
            self.known[which],
            None if self.extra is None else self.extra[which],
            {name: column[which] for name, column in self.values.items()},
            self.basis[which],
            self.row[which],
        )


@dataclass(frozen=True)
class Merged:
    """What became of N rows: ``status`` (N,); ``first`` (N,) where a new row is the first of its event; conflicts."""

    status: np.ndarray
    first: np.ndarray
    conflicts: Mapping[int, str]


def merge(connection: sqlite3.Connection, rows: Rows) -> Merged:
    """Compare rows with those of the table and with one another; of rows with one key the first counts."""
    n, stored = len(rows), _stored(connection, rows)
    if not len(stored) and _in_order(rows.code, rows.event):  # nothing repeats an event, in the table or in the file
        return Merged(np.full(n, NEW, dtype=np.int8), np.ones(n, dtype=bool), {})
    code = np.concatenate([stored.code, rows.code])
    event = np.concatenate([stored.event, rows.event])
    known = np.concatenate([stored.known, rows.known])
    extra = _extra_codes(stored, rows)
    values = {name: np.concatenate([stored.values[name], rows.values[name]]) for name in rows.shape.values}
    order = _order(code, event, known, extra)
    code, event, known, extra = code[order], event[order], known[order], extra[order]
    values = {name: column[order] for name, column in values.items()}
    incoming = order >= len(stored)
    same_event = _repeats(code, event)
    same_key = same_event & _repeats(known, extra)
    base = np.maximum.accumulate(np.where(same_key, 0, np.arange(len(order))))
    alike = np.ones(len(order), dtype=bool)
    if same_key.any():
        alike[same_key] = _equal(values, np.flatnonzero(same_key), base[same_key])
    status = np.where(same_key, np.where(alike, PRESENT, CONFLICT), NEW).astype(np.int8)
    if rows.shape.drops_repeats and (vintages := same_event & ~same_key).any():
        at = np.flatnonzero(vintages)
        status[at[_equal(values, at, base[at - 1])]] = PRESENT
    result, first = np.empty(n, dtype=np.int8), np.zeros(n, dtype=bool)
    place = order[incoming] - len(stored)
    result[place] = status[incoming]
    first[place] = (~same_event)[incoming]
    against = np.flatnonzero(incoming & (status == CONFLICT))
    told = _differences(values, against, base[against])
    return Merged(result, first, dict(zip((order[against] - len(stored)).tolist(), told, strict=True)))


def insert_rows(connection: sqlite3.Connection, rows: Rows) -> None:
    """Insert rows in the order of their key, many in one statement."""
    if not len(rows):
        return
    extra = _extra_codes(None, rows)
    if not _in_order(rows.code, rows.event):
        rows = rows.take(_order(rows.code, rows.event, rows.known, extra))
    shape = rows.shape
    columns: list[tuple[str, str, Column | None]] = [(name, _quoted(text), None) for name, text in rows.fixed.items()]
    for i, name in enumerate(shape.scope):
        columns.append((name, "", Coded(rows.code, [scope[i] for scope in rows.scopes])))
    columns.append((shape.times[0], "", rows.event))
    together = bool((rows.event == rows.known).all())
    columns.append((shape.times[1], "=" if together else "", None if together else rows.known))
    if rows.extra is not None:
        columns.append((shape.extra, "", rows.extra))
    for name, values in rows.values.items():
        empty = values.dtype.kind == "f" and bool(np.isnan(values).all())
        columns.append((name, "NULL", None) if empty else (name, "", values))
    if bool((rows.basis == rows.basis[0]).all()):
        columns.append(("basis", _quoted(BASES[rows.basis[0]]), None))
    else:
        columns.append(("basis", "", Coded(rows.basis, BASES)))
    # Both clocks and the basis are checked already, a column at a time; SQLite would do it again, at half its speed.
    connection.execute(f"PRAGMA ignore_check_constraints = {shape.table in CHECKED}")
    try:
        _insert(connection, shape.table, columns, len(rows))
    finally:
        connection.execute("PRAGMA ignore_check_constraints = 0")


def _insert(
    connection: sqlite3.Connection, table: str, columns: Sequence[tuple[str, str, Column | None]], n: int
) -> None:
    """Insert columns (N,), each a name with its cells, or with what SQL says for all rows."""
    bound = [cells for _, _, cells in columns if cells is not None]
    names = ", ".join(f'"{name}"' for name, _, _ in columns)
    if isinstance(connection, Writer) and n >= arrays_table.MANY_ROWS:
        picked = _picked(columns, "c{}", 0)
        statement = f"INSERT INTO {table} ({names}) SELECT {picked} FROM {TABLE}"
        if connection.insert_arrays(statement, bound):
            return
    _insert_cells(connection, f"INSERT INTO {table} ({names}) SELECT {_picked(columns, 'column{}', 1)}", bound)


def _picked(columns: Sequence[tuple[str, str, Column | None]], name: str, first: int) -> str:
    """What to select for each column, where the bound ones are called ``name`` with their number."""
    picked: list[str] = []
    n = first - 1
    for _, literal, cells in columns:
        n += cells is not None
        picked.append(name.format(n) if cells is not None or literal == "=" else literal)  # "=": as the one before
    return ", ".join(picked)


def _insert_cells(connection: sqlite3.Connection, insert: str, bound: Sequence[Column]) -> None:
    """Cells as objects, by the interpreter."""
    spelt = [column.spelt() if isinstance(column, Coded) else column for column in bound]
    n, width = len(spelt[0]), len(spelt)
    marks = f"({', '.join('?' * width)})"

    def statement(k: int) -> str:
        return f"{insert} FROM (VALUES {', '.join([marks] * k)})"

    flat = list(itertools.chain.from_iterable(zip(*map(_cells, spelt), strict=True)))
    whole = n // TOGETHER * TOGETHER
    step = TOGETHER * width
    if whole:
        connection.executemany(statement(TOGETHER), (flat[i : i + step] for i in range(0, whole * width, step)))
    if n > whole:
        connection.execute(statement(n - whole), flat[whole * width :])


def _cells(column: np.ndarray) -> list[object]:
    if column.dtype.kind != "f" or not np.isnan(column).any():
        return column.tolist()
    cells: list[object] = column.astype(object).tolist()
    for i in np.flatnonzero(np.isnan(column)).tolist():
        cells[i] = None
    return cells


def _stored(connection: sqlite3.Connection, rows: Rows) -> Rows:
    """The rows of the table that have the scopes of ``rows`` and events between theirs."""
    shape = rows.shape
    names = [*shape.times, *([shape.extra] if shape.extra else []), *shape.values]
    conditions = [f"{name} = {_quoted(rows.fixed[name])}" for name in rows.fixed_key]
    conditions += [f"{name} = ?" for name in shape.scope]
    conditions.append(f"{shape.times[0]} BETWEEN ? AND ?")
    query = f"SELECT {_listed(names)} FROM {shape.table} WHERE {' AND '.join(conditions)}"
    found: list[tuple] = []
    codes: list[np.ndarray] = []
    for code, low, high in _spans(rows):
        part = connection.execute(query, (*rows.scopes[code], low, high)).fetchall()
        found += part
        codes.append(np.full(len(part), code))
    columns = list(zip(*found, strict=True)) if found else [()] * len(names)
    by_name = dict(zip(names, columns, strict=True))
    values = {name: np.array(by_name[name], dtype=rows.values[name].dtype) for name in shape.values}
    return Rows(
        shape,
        rows.fixed,
        rows.fixed_key,
        rows.scopes,
        np.concatenate(codes).astype(rows.code.dtype) if codes else rows.code[:0],
        np.array(by_name[shape.times[0]], dtype=np.int64),
        np.array(by_name[shape.times[1]], dtype=np.int64),
        np.array(by_name[shape.extra], dtype=object) if shape.extra else None,
        values,
        np.zeros(len(found), dtype=np.int8),
        np.zeros(len(found), dtype=np.int64),
    )


def _spans(rows: Rows) -> Iterator[tuple[int, int, int]]:
    """Each scope with its first and last event."""
    low, high = extents(rows.code, rows.event, len(rows.scopes))
    for code in np.flatnonzero(low <= high).tolist():
        yield code, int(low[code]), int(high[code])


def extents(code: np.ndarray, event: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest event of each of ``n`` codes; of a code without rows the lowest is higher."""
    low, high = np.full(n, np.iinfo(np.int64).max), np.full(n, np.iinfo(np.int64).min)
    start = np.flatnonzero(np.append(True, code[1:] != code[:-1])) if len(code) else np.empty(0, dtype=np.int64)
    if len(start):  # most files hold one code after the other
        np.minimum.at(low, code[start], np.minimum.reduceat(event, start))
        np.maximum.at(high, code[start], np.maximum.reduceat(event, start))
    return low, high


def _order(code: np.ndarray, event: np.ndarray, known: np.ndarray, extra: np.ndarray) -> np.ndarray:
    """A stable order by key; most files are in it already."""
    return np.arange(len(code)) if _in_order(code, event) else np.lexsort((extra, known, event, code))


def _in_order(code: np.ndarray, event: np.ndarray) -> bool:
    """Whether each row has a later scope than the one before it, or the same and a later event."""
    same = code[1:] == code[:-1]
    return bool(((code[1:] > code[:-1]) | (same & (event[1:] > event[:-1]))).all())


def _extra_codes(stored: Rows | None, rows: Rows) -> np.ndarray:
    n_stored = 0 if stored is None else len(stored)
    if rows.extra is None:
        return np.zeros(n_stored + len(rows), dtype=np.int8)
    every = rows.extra if stored is None or stored.extra is None else np.concatenate([stored.extra, rows.extra])
    return np.unique(every.astype(str), return_inverse=True)[1]


def _repeats(*columns: np.ndarray) -> np.ndarray:
    """Whether each row equals the one before it in all columns."""
    same = np.zeros(len(columns[0]), dtype=bool)
    same[1:] = np.logical_and.reduce([column[1:] == column[:-1] for column in columns])
    return same


def _equal(values: Mapping[str, np.ndarray], left: np.ndarray, right: np.ndarray) -> np.ndarray:
    equal = np.ones(len(left), dtype=bool)
    for column in values.values():
        a, b = column[left], column[right]
        equal &= (a == b) | (np.isnan(a) & np.isnan(b)) if column.dtype.kind == "f" else np.asarray(a == b, dtype=bool)
    return equal


def _differences(values: Mapping[str, np.ndarray], rows: np.ndarray, bases: np.ndarray) -> list[str]:
    """What each of some rows says otherwise than its base; a column at a time, for there may be millions."""
    told = [""] * len(rows)
    for name, column in values.items():
        differ = np.flatnonzero(~_equal({name: column}, rows, bases))
        cells = zip(differ.tolist(), column[rows[differ]].tolist(), column[bases[differ]].tolist(), strict=True)
        for i, now, before in cells:
            told[i] += f"{', ' * bool(told[i])}{name} is {now}, was {before} before"
    return told


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
