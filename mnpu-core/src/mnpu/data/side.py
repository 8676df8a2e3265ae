"""Side series of a store, of whatever table, as rows of a ``SideTable``: values, events of the calendar, texts."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mnpu.data.clock import from_ns
from mnpu.errors import DataError
from mnpu.types import SeriesInfo, SideTable

__all__ = ["EVENT_PARTS", "SCORE", "declared_series", "read_side"]

#: What is known of an event, each a series of its own: ``USD CPI m/m/actual``.
EVENT_PARTS = ("scheduled", "forecast", "actual", "previous")

#: Unit of the series that hold scores of texts.
SCORE = "score"

VALUES = (
    "SELECT event_time, knowledge_time, series, symbol, value, NULL FROM observations"
    " WHERE series = ? AND knowledge_time <= ?"
)
TEXTS = (
    "SELECT event_time, knowledge_time, source, symbol, 1.0,"
    " CASE body WHEN '' THEN text ELSE text || char(10) || body END FROM news"
    " WHERE source = ? AND knowledge_time <= ? ORDER BY knowledge_time, event_time, symbol, id"
)
#: The first score that a model gave each text, known when both were.
SCORES = (
    "SELECT n.event_time, max(n.knowledge_time, s.told), ?, n.symbol, s.score, NULL FROM news AS n JOIN ("
    "SELECT id, min(knowledge_time) AS told, score FROM news_scores"
    " WHERE source = ? AND model = ? AND score IS NOT NULL GROUP BY id) AS s USING (id)"
    " WHERE n.source = ? AND max(n.knowledge_time, s.told) <= ? ORDER BY 2, 1, n.symbol, n.id"
)
#: A check tells of scores whose source nobody declared; a declared series keeps its name.
MODELS = (
    "SELECT DISTINCT source, model FROM news_scores WHERE score IS NOT NULL"
    " AND source IN (SELECT series FROM series WHERE kind = 'news')"
    " AND source || '/' || model NOT IN (SELECT series FROM series) ORDER BY source, model"
)
#: A row where an event is announced, and where it is called off; what repeats that says nothing new.
SCHEDULED = (
    "SELECT event_time, knowledge_time, series, '', 1.0 - cancelled, NULL FROM ("
    "SELECT *, lag(cancelled) OVER (PARTITION BY event_time ORDER BY knowledge_time) AS before"
    " FROM calendar_events WHERE series = ? AND knowledge_time <= ?) WHERE cancelled IS NOT before"
)
PART = (
    "SELECT event_time, knowledge_time, series, '', {part}, NULL FROM calendar_events"
    " WHERE series = ? AND knowledge_time <= ? AND {part} IS NOT NULL"
)


def declared_series(connection: sqlite3.Connection) -> dict[str, SeriesInfo]:
    """What every series declares, by name.

    An event of the calendar appears as its four parts. The scores that a model gave the texts of a source are a series
    beside it, ``SOURCE/MODEL``.
    """
    known = _declared(connection)
    told = {name: replace(known[source], series=name, unit=SCORE) for name, (source, _) in _scored(connection).items()}
    return {**told, **known}


def _declared(connection: sqlite3.Connection) -> dict[str, SeriesInfo]:
    columns = "series, frequency, unit, basis, release_lag, max_age, source, licence, kind"
    known: dict[str, SeriesInfo] = {}
    for name, frequency, unit, basis, lag, age, source, licence, kind in connection.execute(
        f"SELECT {columns} FROM series ORDER BY series"
    ):
        info = SeriesInfo(name, frequency, unit, basis, lag, pd.Timedelta(age, "ns"), source, licence, kind)
        parts = [f"{name}/{part}" for part in EVENT_PARTS] if kind == "calendar" else [name]
        known.update({part: replace(info, series=part) for part in parts})
    return known


def _scored(connection: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Source and model of each series of scores, by its name, which no declared series has."""
    pairs = connection.execute(MODELS).fetchall()
    return {f"{source}/{model}": (source, model) for source, model in pairs}


def read_side(connection: sqlite3.Connection, series: Sequence[str], *, last: int, where: str) -> SideTable:
    """All vintages of ``series`` that became known until ``last`` (ns), in the order in which they became known."""
    info = _chosen(declared_series(connection), series, where)
    scored = _scored(connection)
    rows: list[tuple] = []
    for name, declared in info.items():
        rows += _scores(connection, name, scored[name], last) if name in scored else _rows(connection, declared, last)
    event, known, named, symbol, value, text = zip(*rows, strict=True) if rows else ((),) * 6
    table = SideTable(
        event_time=from_ns(event),
        knowledge_time=from_ns(known),
        series=np.array(named, dtype=object),
        symbol=np.array(symbol, dtype=object),
        value=np.array(value, dtype="float64"),
        info=info,
        text=_texts(text),
    )
    # stable: rows of one moment stay in the order of the recipe's series, of symbols and of the store
    return table.rows(np.lexsort([table.event_time.asi8, table.knowledge_time.asi8]))


def _chosen(known: Mapping[str, SeriesInfo], series: Sequence[str], where: str) -> dict[str, SeriesInfo]:
    for name in series:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else "Run: mnpu data info"
            raise DataError(f"no series {name!r}", where=where, expected=f"one of {_some(known)}", next_step=hint)
    return {name: known[name] for name in dict.fromkeys(series)}


def _some(known: Mapping[str, SeriesInfo]) -> str:
    names = list(known)
    more = f" and {len(names) - 40} more" if len(names) > 40 else ""
    return (", ".join(names[:40]) or "none, as it holds no side data") + more


def _rows(connection: sqlite3.Connection, info: SeriesInfo, last: int) -> Iterator[tuple]:
    if info.kind == "news":
        return connection.execute(TEXTS, (info.series, last))
    if info.kind != "calendar":
        return connection.execute(VALUES, (info.series, last))
    event, _, part = info.series.rpartition("/")
    query = SCHEDULED if part == "scheduled" else PART.format(part=part)
    return ((at, known, info.series, *rest) for at, known, _, *rest in connection.execute(query, (event, last)))


def _scores(connection: sqlite3.Connection, name: str, of: tuple[str, str], last: int) -> Iterator[tuple]:
    return connection.execute(SCORES, (name, *of, of[0], last))


def _texts(text: Sequence[str | None]) -> np.ndarray | None:
    if not any(words is not None for words in text):
        return None
    return np.array([words or "" for words in text], dtype=object)
