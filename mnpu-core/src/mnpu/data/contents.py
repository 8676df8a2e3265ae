"""What a store says about itself: its datasets and their symbols, its series, and what there is of each."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mnpu.data.actions import Listing
from mnpu.data.side import declared_series
from mnpu.types import DatasetInfo, SeriesInfo

__all__ = [
    "Asset",
    "DatasetSummary",
    "SeriesSummary",
    "StoreInfo",
    "read_assets",
    "read_datasets",
    "read_info",
]

#: Rows, revisions and spans of every series, whichever table holds it; rows that repeat a period revise it.
SPANS = """
    SELECT series, sum(n), sum(n) - count(*), min(event_time), max(event_time), max(known) FROM (
        SELECT series, symbol, event_time, count(*) AS n, max(knowledge_time) AS known
        FROM observations GROUP BY 1, 2, 3
        UNION ALL
        SELECT series, '', event_time, count(*), max(knowledge_time) FROM calendar_events GROUP BY 1, 2, 3
        UNION ALL
        SELECT source, symbol, event_time, 1, knowledge_time FROM news
    ) GROUP BY series ORDER BY series
"""


@dataclass(frozen=True)
class Asset:
    """A symbol of a dataset, what it is, and the bars that it has, by their close.

    ``base`` is the name under which side data about it is filed. ``listed`` and ``delisted`` are None where nobody
    said; ``delisting_return`` is earned by whoever holds it then.
    """

    dataset: str
    symbol: str
    first_bar: pd.Timestamp
    last_bar: pd.Timestamp
    n_bars: int
    asset_class: str
    currency: str
    calendar: str
    base: str
    listed: pd.Timestamp | None
    delisted: pd.Timestamp | None
    delisting_return: float | None

    @property
    def listing(self) -> Listing:
        """When it could be traded, in nanoseconds."""
        listed, delisted = (None if at is None else at.value for at in (self.listed, self.delisted))
        return Listing(listed, delisted, self.delisting_return)


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset and its symbols."""

    info: DatasetInfo
    assets: tuple[Asset, ...]


@dataclass(frozen=True)
class SeriesSummary:
    """A side series: what it declares, and what is there."""

    info: SeriesInfo
    note: str
    n_observations: int
    n_revisions: int
    n_missing: int
    first_event: pd.Timestamp
    last_event: pd.Timestamp
    last_known: pd.Timestamp


@dataclass(frozen=True)
class StoreInfo:
    """Everything that a store says about itself."""

    path: Path
    schema_version: int
    datasets: tuple[DatasetSummary, ...]
    series: tuple[SeriesSummary, ...]
    n_splits: int


def read_datasets(connection: sqlite3.Connection) -> tuple[DatasetInfo, ...]:
    """What each dataset of prices declares, by name."""
    names = ", ".join(field.name for field in fields(DatasetInfo))
    return tuple(DatasetInfo(*row) for row in connection.execute(f"SELECT {names} FROM datasets ORDER BY name"))


def read_assets(connection: sqlite3.Connection) -> tuple[Asset, ...]:
    """Every symbol of every dataset."""
    rows = connection.execute(
        "SELECT dataset, symbol, first_bar, last_bar, n_bars, asset_class, currency, calendar, base, listed,"
        " delisted, delisting_return FROM assets ORDER BY dataset, symbol"
    )
    return tuple(
        Asset(d, s, _instant(first), _instant(last), n, kind, money, place, base, _maybe(listed), _maybe(gone), end)
        for d, s, first, last, n, kind, money, place, base, listed, gone, end in rows
    )


def read_info(connection: sqlite3.Connection, path: Path) -> StoreInfo:
    """Datasets, symbols, series and their spans, of the store at ``path``."""
    assets = read_assets(connection)
    datasets = tuple(
        DatasetSummary(info, tuple(asset for asset in assets if asset.dataset == info.name))
        for info in read_datasets(connection)
    )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    n_splits = connection.execute("SELECT count(*) FROM corporate_actions WHERE kind = 'split'").fetchone()[0]
    return StoreInfo(path, version, datasets, _read_series(connection), n_splits)


def _read_series(connection: sqlite3.Connection) -> tuple[SeriesSummary, ...]:
    rows = connection.execute(SPANS).fetchall()
    notes = {name: rest for name, *rest in connection.execute("SELECT series, note, n_missing FROM series")}
    declared = declared_series(connection)
    return tuple(
        SeriesSummary(_whole(declared, name), notes[name][0], n, revised, notes[name][1], *map(_instant, spans))
        for name, n, revised, *spans in rows
    )


def _whole(declared: Mapping[str, SeriesInfo], name: str) -> SeriesInfo:
    """What a series of the store declares; an event of the calendar by its own name, not by that of a part."""
    return declared[name] if name in declared else replace(declared[f"{name}/scheduled"], series=name)


def _instant(ns: int) -> pd.Timestamp:
    earliest = np.iinfo("int64").min + 1  # one less, which a damaged store may hold, stands for no time at all
    return pd.Timestamp(max(ns, earliest), unit="ns", tz="UTC")


def _maybe(ns: int | None) -> pd.Timestamp | None:
    return None if ns is None else _instant(ns)
