"""Read a store: what it holds, prices as a point-in-time ``Panel``, side series as a ``SideTable``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mnpu.data.actions import read_dividends, read_splits
from mnpu.data.bars import Bars
from mnpu.data.cache import cached
from mnpu.data.clock import DAY_NS, parse_date, utc
from mnpu.data.columns import Key, Rows, read_rows
from mnpu.data.contents import (
    Asset,
    DatasetSummary,
    SeriesSummary,
    StoreInfo,
    read_assets,
    read_datasets,
    read_info,
)
from mnpu.data.fills import with_vwap
from mnpu.data.migrations import check_file, check_version, undo_unfinished
from mnpu.data.panel import build_panel, choose_datasets
from mnpu.data.resample import resample
from mnpu.data.rows import PRICE_COLUMNS, PriceRows
from mnpu.data.side import declared_series, read_side
from mnpu.data.universe import Membership, read_universe
from mnpu.data.urls import is_parquet, path_of
from mnpu.errors import DataError
from mnpu.types import DatasetInfo, Panel, SeriesInfo, SideTable

__all__ = ["Asset", "DatasetSummary", "SeriesSummary", "Store", "StoreInfo", "is_parquet", "path_of"]


@dataclass(frozen=True)
class Store:
    """A store that is open for reading. Each question opens the file anew, so nothing is held between them."""

    path: Path

    @classmethod
    def open(cls, url: str | Path) -> Store:
        """The store at a path or an URL such as ``sqlite:///market.db`` or ``parquet:///folder``.

        A mapping (``.yaml``) is read in place of a store: see ``mnpu.data.mapped``.

        Raises
        ------
        DataError
            If it is missing, empty, corrupt, not a store, or written by a newer version.
        ConfigError
            If the URL has another form.
        """
        kind = cls
        if is_parquet(url):
            from mnpu.data.parquet import ParquetStore  # reads what this module asks, so it comes second

            kind = ParquetStore
        elif path_of(url).suffix in (".yaml", ".yml"):
            from mnpu.data.mapped import MappedStore

            kind = MappedStore
        store = kind(path_of(url))
        store._check()
        return store

    def datasets(self) -> tuple[DatasetInfo, ...]:
        """What each dataset of prices declares, by name."""
        with self._reading() as connection:
            return read_datasets(connection)

    def symbols(self, dataset: str | None = None) -> tuple[str, ...]:
        """The symbols of ``dataset``, or of all, in order."""
        return tuple(sorted({asset.symbol for asset in self.assets() if dataset in (None, asset.dataset)}))

    def assets(self) -> tuple[Asset, ...]:
        """Every symbol of every dataset."""
        with self._reading() as connection:
            return read_assets(connection)

    def info(self) -> StoreInfo:
        """Datasets, symbols, series and their spans."""
        with self._reading() as connection:
            return read_info(connection, self.path)

    def series(self) -> dict[str, SeriesInfo]:
        """What each side series declares, by name."""
        with self._reading() as connection:
            return declared_series(connection)

    def universe(self, name: str) -> tuple[Membership, ...]:
        """Who belonged to a universe, and when that was known; DataError for a name that the store does not hold."""
        with self._reading() as connection:
            return read_universe(connection, name, where=str(self.path))

    def panel(
        self,
        symbols: Sequence[str],
        *,
        start: Any,
        end: Any,
        frequency: str = "1d",
        source_frequency: str | None = None,
        zero_volume: Literal["trade", "halt"] = "trade",
        dataset: str | Mapping[str, str] | None = None,
        calendar: str | None = None,
        vwap: bool = False,
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
            Length of a bar, such as ``1d``; every symbol must have it, or ``source_frequency``.
        source_frequency : str, optional
            Length of the stored bars that the panel's are put together from, see `mnpu.data.resample`.
        zero_volume : {"trade", "halt"}
            Whether a bar without volume can be traded, or is a halt: then it is missing.
        dataset : str or mapping of str to str, optional
            The dataset to take every symbol from, or one for each symbol that is found in several.
        calendar : str, optional
            Must be the calendar of the datasets.
        vwap : bool, default=False
            With ``source_frequency``: the volume weighted average price of each bar, from the mean prices of the
            shorter ones, where they have volumes.

        Raises
        ------
        ConfigError
            If a symbol is in two datasets without a choice, or frequencies or calendars do not agree.
        DataError
            If a symbol is not in the store, or has no bar between ``start`` and ``end``.
        """
        first, last = parse_date(start, where="data.start"), parse_date(end, where="data.end")
        infos = choose_datasets(
            symbols, self.datasets(), self.assets(), dataset, source_frequency or frequency, calendar
        )
        # Sessions are checked exactly below; a session lies within two days of its date in any zone.
        low = int(first.astype("datetime64[ns]").astype("int64")) - 2 * DAY_NS
        high = int(last.astype("datetime64[ns]").astype("int64")) + 3 * DAY_NS
        keys = [(info.name, symbol) for info, symbol in zip(infos, symbols, strict=True)]
        bars = self._bars(keys, low, high)
        with self._reading() as connection:
            splits = [read_splits(connection, *key) for key in keys]
            dividends = [read_dividends(connection, *key) for key in keys]
        for info, symbol, *actions in zip(infos, symbols, splits, dividends, strict=True):
            if info.adjustment != "none" and any(len(at) for at, _ in actions):
                raise _adjusted_twice(info, symbol)
        assets = {(asset.dataset, asset.symbol): asset for asset in self.assets()}
        chosen = [assets[key] for key in keys]
        panel = build_panel(
            tuple(symbols),
            infos,
            bars,
            splits,
            sessions=(first, last),
            spans={key: (asset.first_bar, asset.last_bar) for key, asset in assets.items()},
            dividends=dividends,
            listings=[asset.listing for asset in chosen],
            halts=[zero_volume == "halt"] * len(symbols),
        )
        panel = replace(panel, bases=tuple(asset.base for asset in chosen))
        if source_frequency is None:
            return panel
        return resample(with_vwap(panel) if vwap else panel, frequency)

    def price_rows(self, dataset: str) -> PriceRows:
        """Every row of a dataset, all vintages, as stored: for validators. Empty for a dataset without rows."""
        info = next((info for info in self.datasets() if info.name == dataset), None)
        if info is None:
            raise DataError(f"no dataset {dataset!r}", where=str(self.path), next_step="Run: mnpu data info")
        query = (
            f"SELECT event_time, knowledge_time, {', '.join(PRICE_COLUMNS)} FROM prices"
            " WHERE dataset = ? AND symbol = ? ORDER BY event_time, knowledge_time"
        )
        with self._reading() as connection:
            found = connection.execute("SELECT DISTINCT symbol FROM prices WHERE dataset = ?", (dataset,))
            symbols = tuple(sorted({*self.symbols(dataset), *(row[0] for row in found)}))
            # compiled code opens the file itself, and only this class is sure to have one of SQLite's
            many = sum(a.n_bars for a in self.assets() if a.dataset == dataset) if type(self) is Store else 0
            keys = [(dataset, symbol) for symbol in symbols]
            rows = read_rows(connection, self.path, query, keys, n_ints=2, n_floats=len(PRICE_COLUMNS), at_most=many)
        code = np.repeat(np.arange(len(symbols)), np.diff(rows.bounds))
        event, known = rows.ints
        columns = {n: v for n, v in zip(PRICE_COLUMNS, rows.floats, strict=True) if not np.isnan(v).all()}
        return PriceRows(info, symbols, code.astype("int32"), event, known, columns)

    def side_spans(self) -> list[tuple[str, str, str, int, int]]:
        """Each series of values that are filed under a symbol: series, symbol, frequency, first and last event (ns)."""
        query = (
            "SELECT o.series, o.symbol, s.frequency, min(o.event_time), max(o.event_time) FROM observations AS o"
            " JOIN series AS s USING (series) WHERE o.symbol <> '' GROUP BY o.series, o.symbol"
        )
        with self._reading() as connection:
            return connection.execute(query).fetchall()

    def dangling(self) -> dict[tuple[str, str], int]:
        """Rows of each table that refer to a row of another which is not there, as ``{(table, other): rows}``."""
        counts: dict[tuple[str, str], int] = {}
        with self._reading() as connection:
            for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
                counts[table, parent] = counts.get((table, parent), 0) + 1
        return counts

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
            try:
                return pd.read_sql_query(f'SELECT * FROM "{name}"', connection)
            except pd.errors.DatabaseError as error:
                raise _unreadable(self.path, error) from error

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
        last = np.iinfo("int64").max if end is None else _last_instant(end)
        with self._reading() as connection:
            return read_side(connection, series, last=int(last), where=str(self.path))

    def _bars(self, keys: Sequence[tuple[str, str]], low: int, high: int) -> Bars:
        """Bars of each (dataset, symbol) by their close; only what was known at the bar's own close."""
        names = ("open", "high", "low", "close", "volume")
        query = (
            f"SELECT event_time, {', '.join(names)} FROM prices WHERE dataset = ? AND symbol = ?"
            " AND event_time BETWEEN ? AND ? AND knowledge_time <= event_time ORDER BY event_time"
        )
        counts = {(asset.dataset, asset.symbol): asset.n_bars for asset in self.assets()}
        at_most = sum(counts.get(key, 0) for key in keys)
        rows = self._rows(query, [(*key, low, high) for key in keys], len(names), at_most)
        return Bars(rows.bounds[:-1], rows.bounds[1:], rows.ints[0], dict(zip(names, rows.floats, strict=True)))

    def _rows(self, query: str, keys: Sequence[Key], n_floats: int, at_most: int) -> Rows:
        """An instant and ``n_floats`` numbers for each row of each key."""

        def read() -> list[np.ndarray]:
            with self._reading() as connection:
                rows = read_rows(connection, self.path, query, keys, n_ints=1, n_floats=n_floats, at_most=at_most)
            return [rows.bounds, *rows.ints, *rows.floats]

        bounds, instants, *floats = cached(self.path, [query, keys], read)
        return Rows(bounds, (instants,), tuple(floats))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection; what SQLite cannot read becomes a DataError."""
        try:
            with closing(sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise _unreadable(self.path, error) from error

    def _check(self) -> None:
        check_file(self.path)
        undo_unfinished(self.path)
        with self._reading() as connection:
            check_version(connection, self.path)


def _adjusted_twice(info: DatasetInfo, symbol: str) -> DataError:
    return DataError(
        f"{symbol} has corporate actions, but the prices of {info.name} are adjusted for {info.adjustment} already",
        where="corporate_actions",
        expected="actions of datasets as traded only",
        next_step=f"Delete those of {info.name}, or import its prices as they were traded.",
    )


def _unreadable(path: Path, error: Exception) -> DataError:
    """What SQLite could not do; only a damaged file is to be moved away, one that is in use is whole."""
    if "locked" in str(error):
        what, expected, step = "is in use", "a store that can be read", "Wait for the program that writes to it."
    elif "unable to open" in str(error):
        what, expected, step = "cannot be opened", "a file that may be read", "Look at its permissions."
    elif "readonly" in str(error):
        what, expected = "was left unfinished by a program that was ended", "a store whose last change can be undone"
        step = f"Run the command as somebody who may write there, and keep {path.name}-journal beside it until then."
    else:
        what, expected = "cannot be read as a store", "a database written by mnpu init"
        step = "Move it away and build a new one: mnpu init DIR"
    return DataError(f"{what} ({error})", where=str(path), expected=expected, next_step=step)


def _last_instant(end: Any) -> int:
    if isinstance(end, pd.Timestamp) and end.tz is not None:
        return int(utc([end]).asi8[0])
    day = parse_date(end, where="end")
    return int(day.astype("datetime64[ns]").astype("int64")) + DAY_NS - 1
