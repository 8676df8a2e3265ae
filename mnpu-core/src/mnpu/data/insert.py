"""Rows of bars and observations as rows of a store. The caller owns the connection and its transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from mnpu.data.bundled import Bars, Observations
from mnpu.data.rows import PRICE_COLUMNS

__all__ = ["insert", "insert_bars", "insert_observations"]


def insert(connection: sqlite3.Connection, table: str, columns: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows whose cells stand in the order of ``columns``, names with spaces between; others take defaults."""
    marks = ", ".join("?" * len(columns.split()))
    connection.executemany(f"INSERT INTO {table} ({', '.join(columns.split())}) VALUES ({marks})", rows)


def insert_bars(connection: sqlite3.Connection, bars: Bars) -> None:
    """Insert a dataset, its assets and its bars, which are sorted by symbol and time."""
    i = bars.info
    insert(connection, "datasets", " ".join(asdict(i)), [tuple(asdict(i).values())])
    events = bars.event_time.asi8
    symbols, starts, counts = np.unique(bars.symbol.astype(str), return_index=True, return_counts=True)
    spans = [
        (
            *(i.name, str(symbol), int(events[start]), int(events[start + count - 1]), int(count)),
            *(bars.asset_class.get(str(symbol), bars.asset_class.get("*", "")), i.currency, i.calendar, str(symbol)),
        )
        for symbol, start, count in zip(symbols, starts, counts, strict=True)
    ]
    insert(connection, "assets", "dataset symbol first_bar last_bar n_bars asset_class currency calendar base", spans)
    columns = [_nullable(bars.columns.get(name), len(events)) for name in PRICE_COLUMNS]
    keys = ([i.name] * len(events), bars.symbol.tolist(), events.tolist(), bars.knowledge_time.asi8.tolist())
    names = f"dataset symbol event_time knowledge_time {' '.join(PRICE_COLUMNS)}"
    insert(connection, "prices", names, zip(*keys, *columns, strict=True))


def _nullable(values: np.ndarray | None, n: int) -> list[float | None]:
    if values is None:
        return [None] * n
    if np.isfinite(values).all():
        return values.tolist()
    return [value if np.isfinite(value) else None for value in values.tolist()]


def insert_observations(connection: sqlite3.Connection, o: Observations) -> None:
    """Insert a market-wide series and its observations."""
    i = o.info
    fields = {**asdict(i), "max_age": i.max_age.value, "note": o.note, "n_missing": o.n_missing}
    insert(connection, "series", " ".join(fields), [tuple(fields.values())])
    columns = (o.event_time.asi8.tolist(), o.knowledge_time.asi8.tolist(), o.value.tolist(), o.basis.tolist())
    keys = ([i.series] * len(o.value), [""] * len(o.value))  # market-wide
    names = "series symbol event_time knowledge_time value basis"
    insert(connection, "observations", names, sorted(zip(*keys, *columns, strict=True)))
