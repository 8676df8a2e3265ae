"""Who belonged to a universe, when, as far as it was known then."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mnpu.data.clock import DAY_NS, utc
from mnpu.errors import DataError

__all__ = ["Membership", "belonging", "membership", "read_universe"]

FOREVER = int(np.iinfo("int64").max)


class Membership(NamedTuple):
    """A symbol belongs to a universe from ``start`` until ``end`` (ns), which is the first instant without it.

    ``end`` None: nobody has said. ``knowledge_time`` (ns) is when the row could be read; it may precede ``start``. A
    later row about the same symbol and start replaces the earlier one from its own knowledge time on.
    """

    symbol: str
    start: int
    end: int | None
    knowledge_time: int


def membership(times: pd.DatetimeIndex, symbols: Sequence[str], rows: Iterable[Membership]) -> np.ndarray:
    """Whether each symbol was known to belong at each decision, boolean (T, A).

    Parameters
    ----------
    times : DatetimeIndex (T,)
        Decisions, UTC. Equality is visible: a row counts at its knowledge time, and a member is one at its start.
    symbols : sequence of str (A,)
    rows : iterable of Membership
        In any order. Rows about other symbols are passed over.

    Raises
    ------
    DataError
        If a row ends at or before its start, or two rows about one symbol and start became known at one instant.
    """
    at = utc(times).asi8
    column = {symbol: a for a, symbol in enumerate(symbols)}
    member = np.zeros((len(at), len(symbols)), dtype=bool)
    for symbol, since, until in _spans(row for row in rows if row.symbol in column):
        first, stop = np.searchsorted(at, since, side="left"), np.searchsorted(at, until, side="left")
        member[first:stop, column[symbol]] = True
    return member


def read_universe(connection: sqlite3.Connection, name: str, *, where: str) -> tuple[Membership, ...]:
    """The rows of one universe, in the order of its key.

    Raises
    ------
    DataError
        If there is no universe of this name.
    """
    columns = 'symbol, start, "end", knowledge_time'
    rows = connection.execute(
        f"SELECT {columns} FROM universes WHERE universe = ? ORDER BY 1, 2, 4", (name,)
    ).fetchall()
    if not rows:
        known = [row[0] for row in connection.execute("SELECT DISTINCT universe FROM universes ORDER BY 1")]
        close = difflib.get_close_matches(name, known, n=1)
        raise DataError(
            f"no universe {name!r}",
            where=where,
            expected=f"one of {', '.join(known)}" if known else "a store with universes, and this one holds none",
            next_step=f"Did you mean {close[0]!r}?" if close else "Import one, or list data.symbols.",
        )
    return tuple(Membership(*row) for row in rows)


def belonging(rows: Iterable[Membership], only: Sequence[str], *, start: Any, end: Any) -> list[str]:
    """The symbols that belonged at some time from day ``start`` to ``end``, sorted, or ``only`` where some are given.

    As in :func:`membership`, a row counts from when it was known until a later one replaces it: who had left before
    ``start``, as was known then, did not belong.

    Raises
    ------
    DataError
        If one of ``only`` never belonged then, or nobody did.
    """
    first = pd.Timestamp(start, tz="UTC").value
    after = pd.Timestamp(end, tz="UTC").value + 2 * DAY_NS  # a session ends within two days of its date in any zone
    found = sorted({symbol for symbol, since, until in _spans(rows) if since < after and until > first})
    if strangers := [symbol for symbol in only if symbol not in found]:
        raise DataError(
            f"{strangers[0]} never belonged to the universe from {start} to {end}",
            where="data.symbols",
            expected="members of data.universe",
            next_step="Leave it out, or leave data.universe out.",
        )
    if not found:
        raise DataError(f"nobody belonged from {start} to {end}", where="data.universe", expected="at least one symbol")
    return list(only) or found


def _spans(rows: Iterable[Membership]) -> Iterator[tuple[str, int, int]]:
    """When each symbol was known to belong: from ``since`` until before ``until`` (ns), perhaps in several pieces."""
    stories: dict[tuple[str, int], list[Membership]] = {}
    for row in rows:
        stories.setdefault((row.symbol, row.start), []).append(row)
    for (symbol, start), story in stories.items():
        told = sorted(story, key=lambda row: row.knowledge_time)
        for row, later in zip(told, [*told[1:], None], strict=True):
            _check(row, later)
            since = max(start, row.knowledge_time)
            until = min(x for x in (row.end, later and later.knowledge_time, FOREVER) if x is not None)
            if since < until:
                yield symbol, since, until


def _check(row: Membership, later: Membership | None) -> None:
    if row.end is not None and row.end <= row.start:
        raise DataError(
            f"{row.symbol} leaves at {pd.Timestamp(row.end, tz='UTC')}, not after it joins",
            where="universes",
            expected=f"an end after {pd.Timestamp(row.start, tz='UTC')}",
        )
    if later is not None and later.knowledge_time == row.knowledge_time:
        raise DataError(
            f"{row.symbol} has two rows that became known at {pd.Timestamp(row.knowledge_time, tz='UTC')}",
            where="universes",
            expected="one for each start and knowledge time",
        )
