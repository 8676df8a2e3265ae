"""Read a store: what it holds, prices as a point-in-time ``Panel``, side series as a ``SideTable``."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnpu.data.build import APPLICATION_ID, SCHEMA_VERSION
from mnpu.data.clock import DAY_NS, from_ns, parse_date, utc
from mnpu.data.panel import build_panel, choose_datasets
from mnpu.data.rows import PRICE_COLUMNS, PriceRows
from mnpu.errors import DataError
from mnpu.types import DatasetInfo, Panel, SeriesInfo, SideTable

__all__ = ["Asset", "DatasetSummary", "SeriesSummary", "Store", "StoreInfo"]

TABLES = frozenset({"meta", "datasets", "assets", "prices", "corporate_actions", "series", "observations"})


@dataclass(frozen=True)
class Asset:
    """A symbol of a dataset and the bars that it has, by their close."""

    dataset: str
    symbol: str
    first_bar: pd.Timestamp
    last_bar: pd.Timestamp
    n_bars: int


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


@dataclass(frozen=True)
class Store:
    """A store that is open for reading. Each question opens the file anew, so nothing is held between them."""

    path: Path

    @classmethod
    def open(cls, url: str | Path) -> Store:
        """The store at a path or an URL such as ``sqlite:///market.db``.

        Raises
        ------
        DataError
            If it is missing, empty, corrupt, not a store, or written by a newer version.
        """
        store = cls(_path_of(url))
        store._check()
        return store

    def datasets(self) -> tuple[DatasetInfo, ...]:
        """What each dataset of prices declares, by name."""
        names = ", ".join(field.name for field in fields(DatasetInfo))
        with self._reading() as connection:
            return tuple(DatasetInfo(*row) for row in connection.execute(f"SELECT {names} FROM datasets ORDER BY name"))

    def symbols(self, dataset: str | None = None) -> tuple[str, ...]:
        """The symbols of ``dataset``, or of all, in order."""
        return tuple(sorted({asset.symbol for asset in self.assets() if dataset in (None, asset.dataset)}))

    def assets(self) -> tuple[Asset, ...]:
        """Every symbol of every dataset."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT dataset, symbol, first_bar, last_bar, n_bars FROM assets ORDER BY dataset, symbol"
            ).fetchall()
        return tuple(Asset(d, s, _instant(first), _instant(last), n) for d, s, first, last, n in rows)

    def info(self) -> StoreInfo:
        """Datasets, symbols, series and their spans."""
        assets = self.assets()
        datasets = tuple(
            DatasetSummary(info, tuple(asset for asset in assets if asset.dataset == info.name))
            for info in self.datasets()
        )
        with self._reading() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            n_splits = connection.execute("SELECT count(*) FROM corporate_actions").fetchone()[0]
            rows = connection.execute(
                "SELECT series, count(*), count(*) - count(DISTINCT event_time), min(event_time), max(event_time),"
                " max(knowledge_time) FROM observations GROUP BY series ORDER BY series"
            ).fetchall()
            notes = {name: rest for name, *rest in connection.execute("SELECT series, note, n_missing FROM series")}
        declared = self._declared([row[0] for row in rows])
        series = tuple(
            SeriesSummary(declared[name], notes[name][0], n, revised, notes[name][1], *map(_instant, spans))
            for name, n, revised, *spans in rows
        )
        return StoreInfo(self.path, version, datasets, series, n_splits)

    def panel(
        self,
        symbols: Sequence[str],
        *,
        start: Any,
        end: Any,
        frequency: str = "1d",
        dataset: str | Mapping[str, str] | None = None,
        calendar: str | None = None,
    ) -> Panel:
        """Prices of ``symbols`` as they were known at the close of each bar.

        Rows are the union of the symbols' bars from session ``start`` to session ``end``, both included. A symbol
        without a bar at a row, because it was not listed yet or has a gap, is NaN and not tradable there. A bar that
        became known after its own close was not known at its decision, so it is missing too; a correction never
        replaces what was known first. Prices of an as-traded dataset are made continuous over splits (see
        ``Panel.fields``).

        Parameters
        ----------
        symbols : sequence of str
        start, end : date
            First and last session, for example ``"2005-01-01"``.
        frequency : str
            ``1d`` or ``1h``; every symbol must have it.
        dataset : str or mapping of str to str, optional
            The dataset to take every symbol from, or one for each symbol that is found in several.
        calendar : str, optional
            Must be the calendar of the datasets.

        Raises
        ------
        ConfigError
            If a symbol is in two datasets without a choice, or frequencies or calendars do not agree.
        DataError
            If a symbol is not in the store, or has no bar between ``start`` and ``end``.
        """
        first, last = parse_date(start, where="data.start"), parse_date(end, where="data.end")
        infos = choose_datasets(symbols, self.datasets(), self.assets(), dataset, frequency, calendar)
        # Sessions are checked exactly below; a session lies within two days of its date in any zone.
        low = int(first.astype("datetime64[ns]").astype("int64")) - 2 * DAY_NS
        high = int(last.astype("datetime64[ns]").astype("int64")) + 3 * DAY_NS
        with self._reading() as connection:
            bars = [
                self._bars(connection, info.name, symbol, low, high)
                for info, symbol in zip(infos, symbols, strict=True)
            ]
            splits = [self._splits(connection, info.name, symbol) for info, symbol in zip(infos, symbols, strict=True)]
        spans = {(asset.dataset, asset.symbol): (asset.first_bar, asset.last_bar) for asset in self.assets()}
        return build_panel(tuple(symbols), infos, bars, splits, sessions=(first, last), spans=spans)

    def price_rows(self, dataset: str) -> PriceRows:
        """Every row of a dataset, all vintages, as stored: for validators. Empty for a dataset without rows."""
        info = next((info for info in self.datasets() if info.name == dataset), None)
        if info is None:
            raise DataError(f"no dataset {dataset!r}", where=str(self.path), next_step="Run: mnpu data info")
        keys = ("code", "event_time", "knowledge_time")
        parts: dict[str, list[np.ndarray]] = {name: [] for name in (*keys, *PRICE_COLUMNS)}
        with self._reading() as connection:
            found = connection.execute("SELECT DISTINCT symbol FROM prices WHERE dataset = ?", (dataset,))
            symbols = tuple(sorted({*self.symbols(dataset), *(row[0] for row in found)}))
            code_of = {symbol: code for code, symbol in enumerate(symbols)}
            cursor = connection.execute(
                f"SELECT symbol, event_time, knowledge_time, {', '.join(PRICE_COLUMNS)} FROM prices"
                " WHERE dataset = ? ORDER BY symbol, event_time, knowledge_time",
                (dataset,),
            )
            while batch := cursor.fetchmany(50_000):  # a list of a million rows would take a gigabyte
                symbol, *cells = zip(*batch, strict=True)
                for name, column in zip(parts, ([code_of[s] for s in symbol], *cells), strict=True):
                    kind = {"code": "int32"}.get(name, "int64" if name in keys else "float64")
                    parts[name].append(np.array(column, dtype=kind))
        code, event, known, *values = (np.concatenate(p) if p else np.zeros(0, "int64") for p in parts.values())
        columns = {n: v for n, v in zip(PRICE_COLUMNS, values, strict=True) if not np.isnan(v).all()}
        return PriceRows(info, symbols, code.astype("int32"), event, known, columns)

    def tables(self) -> tuple[str, ...]:
        """Names of the tables, in order."""
        with self._reading() as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return tuple(row[0] for row in rows)

    def table(self, name: str) -> pd.DataFrame:
        """One table as it is stored, in the order of its key; instants stay nanoseconds, missing is None or NaN."""
        if name not in (known := self.tables()):
            raise DataError(f"no table {name!r}", where=str(self.path), expected=f"one of {', '.join(known)}")
        with self._reading() as connection:
            return pd.read_sql_query(f'SELECT * FROM "{name}"', connection)

    def side(self, series: Sequence[str], *, end: Any = None) -> SideTable:
        """Side series with all their vintages, in the order in which they became known.

        Parameters
        ----------
        series : sequence of str
        end : date or Timestamp, optional
            Leave out what became known later; a date means the whole day, UTC.

        Raises
        ------
        DataError
            If a series is not in the store.
        """
        info = self._declared(series)
        last = np.iinfo("int64").max if end is None else _last_instant(end)
        query = (
            "SELECT event_time, knowledge_time, series, value FROM observations"
            f" WHERE series IN ({', '.join('?' * len(info))}) AND knowledge_time <= ?"
            " ORDER BY knowledge_time, event_time, series"
        )
        with self._reading() as connection:
            rows = connection.execute(query, (*info, last)).fetchall()
        event, known, name, value = zip(*rows, strict=True) if rows else ((), (), (), ())
        return SideTable(
            event_time=from_ns(event),
            knowledge_time=from_ns(known),
            series=np.array(name, dtype=object),
            symbol=np.full(len(name), "", dtype=object),
            value=np.array(value, dtype="float64"),
            info=info,
        )

    def _declared(self, series: Sequence[str]) -> dict[str, SeriesInfo]:
        columns = "series, frequency, unit, basis, release_lag, max_age, source, licence"
        with self._reading() as connection:
            rows = connection.execute(f"SELECT {columns} FROM series ORDER BY series").fetchall()
        known = {
            name: SeriesInfo(name, frequency, unit, basis, lag, pd.Timedelta(max_age, "ns"), source, licence)
            for name, frequency, unit, basis, lag, max_age, source, licence in rows
        }
        for name in series:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"Did you mean {close[0]!r}?" if close else "Run: mnpu data info"
                raise DataError(
                    f"no series {name!r}", where=str(self.path), expected=f"one of {', '.join(known)}", next_step=hint
                )
        return {name: known[name] for name in dict.fromkeys(series)}

    def _bars(
        self, connection: sqlite3.Connection, dataset: str, symbol: str, low: int, high: int
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Closes of the bars (ns) and their columns; only what was known at the bar's own close."""
        rows = connection.execute(
            "SELECT event_time, open, high, low, close, volume FROM prices WHERE dataset = ? AND symbol = ?"
            " AND event_time BETWEEN ? AND ? AND knowledge_time <= event_time ORDER BY event_time",
            (dataset, symbol, low, high),
        ).fetchall()
        if not rows:
            return np.zeros(0, dtype="int64"), {}
        times, *columns = zip(*rows, strict=True)
        named = zip(("open", "high", "low", "close", "volume"), columns, strict=True)
        return np.array(times, dtype="int64"), {name: np.array(cells, dtype="float64") for name, cells in named}

    def _splits(self, connection: sqlite3.Connection, dataset: str, symbol: str) -> tuple[np.ndarray, np.ndarray]:
        """When each split could be seen in the price (ns), and its ratio of new shares to old."""
        rows = connection.execute(
            "SELECT max(event_time, knowledge_time) AS at, ratio FROM corporate_actions"
            " WHERE dataset = ? AND symbol = ? AND kind = 'split' ORDER BY at",
            (dataset, symbol),
        ).fetchall()
        return np.array([row[0] for row in rows], dtype="int64"), np.array([row[1] for row in rows], dtype="float64")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection; what SQLite cannot read becomes a DataError."""
        try:
            with closing(sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise _unreadable(self.path, error) from error

    def _check(self) -> None:
        rebuild = "Build one with: mnpu init DIR"
        where = str(self.path)
        if not self.path.is_file():
            raise DataError("no store there", where=where, expected="a database file", next_step=rebuild)
        if self.path.stat().st_size == 0:
            raise DataError("the file is empty", where=where, expected="a store", next_step=rebuild)
        with self._reading() as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if application != APPLICATION_ID:
            raise DataError("an SQLite file that is no store", where=where, expected="a store", next_step=rebuild)
        if version != SCHEMA_VERSION:
            advice = "Upgrade mnpu-core." if version > SCHEMA_VERSION else rebuild
            raise DataError(
                f"schema version {version}", where=where, expected=f"version {SCHEMA_VERSION}", next_step=advice
            )
        if missing := sorted(TABLES - tables):
            raise DataError(
                f"tables are missing: {', '.join(missing)}", where=where, expected="a whole store", next_step=rebuild
            )


def _unreadable(path: Path, error: sqlite3.DatabaseError) -> DataError:
    """What SQLite could not do; only a damaged file is to be moved away, one that is in use is whole."""
    if "locked" in str(error):
        what, expected, step = "is in use", "a store that can be read", "Wait for the program that writes to it."
    elif "unable to open" in str(error):
        what, expected, step = "cannot be opened", "a file that may be read", "Look at its permissions."
    else:
        what, expected = "cannot be read as a store", "a database written by mnpu init"
        step = "Move it away and build a new one: mnpu init DIR"
    return DataError(f"{what} ({error})", where=str(path), expected=expected, next_step=step)


def _path_of(url: str | Path) -> Path:
    """``sqlite:///relative.db``, ``sqlite:////absolute.db`` or a plain path."""
    text = str(url)
    if "://" not in text:
        return Path(text)
    scheme, _, rest = text.partition("://")
    if scheme != "sqlite" or not rest.startswith("/") or rest == "/":
        raise DataError(f"{text!r} is no store URL", where="data.store", expected="sqlite:///market.db")
    return Path(rest[1:])


def _instant(ns: int) -> pd.Timestamp:
    return pd.Timestamp(ns, unit="ns", tz="UTC")


def _last_instant(end: Any) -> int:
    if isinstance(end, pd.Timestamp) and end.tz is not None:
        return int(utc([end]).asi8[0])
    day = parse_date(end, where="end")
    return int(day.astype("datetime64[ns]").astype("int64")) + DAY_NS - 1
