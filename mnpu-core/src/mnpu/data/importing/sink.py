"""A store that an import writes to: one transaction a file, and what every row needs beside itself."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np

from mnpu.data.arrays_table import Writer
from mnpu.data.build import new_store
from mnpu.data.importing.clocks import lag_in_words
from mnpu.data.importing.mapping import AssetSpec, DatasetSpec, Entry, SeriesRules
from mnpu.data.importing.rows import NEW, Merged, Rows, extents
from mnpu.data.importing.words import duration_ns
from mnpu.data.migrations import WAIT_SECONDS, check_file, check_version, create_schema, explain_sqlite
from mnpu.errors import ConfigError

__all__ = ["Sink", "create_store", "writing"]

CACHE_KIB = 65536
PAGE = 16384  #: Bytes of a page: a tenth of the time of an import less than with 4096.


def create_store(path: Path) -> bool:
    """An empty store at ``path``, complete when it appears; False where somebody else made one meanwhile."""
    try:
        with new_store(path, elsewhere="Choose another folder, or make room.") as connection:
            connection.execute(f"PRAGMA page_size = {PAGE}")
            create_schema(connection)
    except ConfigError:
        return False
    return True


@contextmanager
def writing(path: Path, *, has_readers: bool = True) -> Iterator[sqlite3.Connection]:
    """A connection for an import; readers are not held up meanwhile, and afterwards the store is one file again.

    A store that nobody reads yet is written without a second copy of its pages in a log.

    Raises
    ------
    DataError
        If it is no store, corrupt, or of another version.
    MnpuError
        If it is locked, read-only, or there is no room.
    """
    check_file(path)
    try:
        with closing(sqlite3.connect(path, WAIT_SECONDS, isolation_level=None, factory=Writer)) as connection:
            check_version(connection, path)
            connection.execute(f"PRAGMA journal_mode = {'WAL' if has_readers else 'DELETE'}")
            # A power cut may cost the last files of an import, never the store; a killed process costs nothing.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                with suppress(sqlite3.OperationalError):  # others still read it: the last of them tidies up
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise explain_sqlite(error, path) from error


class Sink:
    """Declarations that rows refer to: they are written on first use, and must agree with those that are there."""

    def __init__(self, connection: sqlite3.Connection, entry: Entry, where: str) -> None:
        self.connection, self.entry, self.where = connection, entry, where
        self._series: set[str] = set()
        self._bases = [(re.compile(pattern), name) for pattern, name in entry.assets.base.items()]

    def declare_dataset(self) -> None:
        """The dataset of the entry, new or with the same declaration."""
        spec = self.entry.dataset
        if not isinstance(spec, DatasetSpec):
            return
        fields = spec.model_dump()
        names = ", ".join(fields)
        row = self.connection.execute(f"SELECT {names} FROM datasets WHERE name = ?", (spec.name,)).fetchone()
        if row is None:
            marks = ", ".join("?" * len(fields))
            self.connection.execute(f"INSERT INTO datasets ({names}) VALUES ({marks})", tuple(fields.values()))
            return
        told = {key: (old, new) for (key, new), old in zip(fields.items(), row, strict=True) if old != new}
        told.pop("licence", None)
        told.pop("note", None)
        self._agree("dataset", spec.name, told)

    def before(self, rows: Rows, merged: Merged) -> None:
        """Write what the new rows refer to: their series, or their assets with the bars that they gain."""
        new = merged.status == NEW
        if rows.shape.table == "prices":
            self._gain(rows, new, new & merged.first)
        elif rows.shape.scope[0] in ("series", "source"):
            for code in np.unique(rows.code[new]).tolist():
                self._declare_series(rows.scopes[code][0])

    def _gain(self, rows: Rows, new: np.ndarray, first: np.ndarray) -> None:
        codes = rows.code[new]
        if not len(codes):
            return
        n = len(rows.scopes)
        low, high = extents(codes, rows.event[new], n)
        count = np.bincount(rows.code[first], minlength=n)
        about = []
        for code in np.unique(codes).tolist():
            symbol = rows.scopes[code][0]
            about.append(
                (rows.fixed["dataset"], symbol, int(low[code]), int(high[code]), int(count[code]), *self._asset(symbol))
            )
        self.connection.executemany(
            "INSERT INTO assets (dataset, symbol, first_bar, last_bar, n_bars, asset_class, currency, calendar, base,"
            " listed, delisted, delisting_return) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET first_bar = min(first_bar, excluded.first_bar),"
            " last_bar = max(last_bar, excluded.last_bar), n_bars = n_bars + excluded.n_bars",
            about,
        )

    def _asset(self, symbol: str) -> tuple[object, ...]:
        spec = self.entry.dataset
        assert isinstance(spec, DatasetSpec)
        own = self.entry.assets.symbols.get(symbol, AssetSpec())
        base = self._base(symbol) if own.base is None else own.base
        kind = self.entry.assets.asset_class if own.asset_class is None else own.asset_class
        return (
            kind,
            spec.currency if own.currency is None else own.currency,
            spec.calendar if own.calendar is None else own.calendar,
            base,
            _moment(own.listed, self.where),
            _moment(own.delisted, self.where),
            own.delisting_return,
        )

    def _base(self, symbol: str) -> str:
        """The name under which side data about a symbol is filed, by the first pattern that it fits."""
        for pattern, name in self._bases:
            if match := pattern.fullmatch(symbol):
                try:
                    return match.expand(name)
                except (re.error, IndexError) as error:
                    raise ConfigError(
                        f"base {name!r} does not fit its pattern {pattern.pattern!r} ({error})",
                        where=self.where,
                        expected="a name, or one with groups of the pattern such as \\1",
                    ) from None
        return symbol

    def _declare_series(self, name: str) -> None:
        if name in self._series:
            return
        self._series.add(name)
        spec = self.entry.series
        assert spec is not None
        own = spec.names.get(name[len(self.entry.prefix) :], SeriesRules())
        fields = self._declaration(name, own)
        row = self.connection.execute("SELECT kind, unit, frequency FROM series WHERE series = ?", (name,)).fetchone()
        if row is None:
            marks = ", ".join("?" * len(fields))
            self.connection.execute(
                f"INSERT INTO series ({', '.join(fields)}) VALUES ({marks})", tuple(fields.values())
            )
            return
        keys = ("kind", "unit", "frequency")
        told = {key: (old, fields[key]) for key, old in zip(keys, row, strict=True) if old != fields[key]}
        self._agree("series", name, told)

    def _declaration(self, name: str, own: SeriesRules) -> dict[str, object]:
        spec = self.entry.series
        assert spec is not None

        def said(key: str) -> object:
            value = getattr(own, key)
            return getattr(spec, key) if value is None else value

        rule = own.knowledge or spec.knowledge or self.entry.knowledge
        recorded = rule is None or rule.lag is None  # a rule stands in wherever no moment was recorded
        censored = rule is not None and bool(rule.censored or rule.censored_column)
        period = own.period or spec.period or self.entry.period
        by_table = {"calendar": "calendar", "news": "news"}
        return {
            "series": name,
            "kind": by_table.get(self.entry.table) or said("kind") or "macro",
            "frequency": said("frequency") or "irregular",
            "unit": said("unit") or "",
            "basis": ("left-censored" if censored else "observed") if recorded else "declared",
            "release_lag": "" if recorded else lag_in_words(rule, period),
            "max_age": duration_ns(str(said("max_age"))),
            "source": said("source"),
            "licence": said("licence"),
            "note": said("note") or "",
            "n_missing": 0,
        }

    def _agree(self, what: str, name: str, told: Mapping[str, tuple[object, object]]) -> None:
        if told:
            key, (old, new) = next(iter(told.items()))
            raise ConfigError(
                f"{what} {name!r} has {key} {new!r}, but {old!r} in the store",
                where=self.where,
                expected=f"one declaration of each {what}",
                next_step=f"Give the {what} another name, or declare it as it is in the store.",
            )


def _moment(text: str | None, where: str) -> int | None:
    import pandas as pd

    if text is None:
        return None
    try:
        stamp = pd.Timestamp(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no date or time", where=where, expected="such as 2016-07-27") from None
    return int((stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")).as_unit("ns").value)
