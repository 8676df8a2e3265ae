"""Arrays as a table of SQLite: the same rows as by the interpreter, and the same errors."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from mnpu.data import arrays_table, libsqlite
from mnpu.data.arrays_table import TABLE, Coded, Writer
from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_files

MAPPING = """imports:
  - files: bars.parquet
    table: prices
    dataset: {name: mine, vendor: it's me, frequency: 1h, stamp: close, calendar: CRYPTO, currency: USD, licence: none}
  - files: series.csv
    table: observations
    prefix: "é "
    series: {kind: onchain, unit: n, frequency: daily, max_age: 5d, source: me, licence: none}
    knowledge: {column: known, lag: {days: 1}, zone: UTC, censored: earliest}
    period: day
  - files: series.csv
    table: news
    series: {kind: news, source: me, licence: none, max_age: 5d}
    columns: {text: series, time: date}
    period: instant
    knowledge: {lag: {days: 1}}
    time: {zone: UTC}
    series_name: wire
"""
WAYS = {"arrays": 0, "cells": 10**9}


@pytest.fixture
def files(tmp_path):
    """Bars and observations in no order, with gaps, repeats, conflicts, and both kinds of knowledge."""
    rng = np.random.default_rng(5)
    n = 40_000
    times = pd.date_range("2020-01-01", periods=n // 4, freq="1h", tz="UTC")
    bars = pd.DataFrame({"time": np.tile(times, 4), "symbol": np.repeat(["B", "Ä'x", "c", "A"], n // 4)})
    bars["close"] = rng.normal(50, 1, n).round(3)
    bars["volume"] = np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 9, n))
    bars["open"] = np.where(rng.random(n) < 0.01, -1.0, bars["close"])
    bars["knowledge_time"] = bars["time"] + pd.to_timedelta(rng.integers(0, 3, n), unit="h")
    bars = pd.concat([bars, bars.iloc[:500], bars.iloc[:300].assign(close=1.0)])
    bars.sample(frac=1, random_state=1).to_parquet(tmp_path / "bars.parquet")
    days = pd.date_range("2000-01-01", periods=9_000, freq="D").strftime("%Y-%m-%d")
    told = pd.DataFrame({"date": np.repeat(days, 2), "series": ["x", "y"] * 9_000, "symbol": ["", "BTC"] * 9_000})
    told["value"] = rng.integers(-3, 3, len(told)) / 2
    told["known"] = np.where(rng.random(len(told)) < 0.5, pd.to_datetime(told["date"]) + pd.Timedelta("2D"), pd.NaT)
    told["known"] = pd.to_datetime(told["known"])
    told.to_csv(tmp_path / "series.csv", index=False)
    (tmp_path / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    return tmp_path


def dump(path):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        lines = [line for line in connection.iterdump() if 'INTO "imports"' not in line]
        kinds = connection.execute("SELECT DISTINCT typeof(event_time), typeof(volume), typeof(basis) FROM prices")
        return lines, kinds.fetchall()


def test_both_ways_write_the_same_store(files, monkeypatch):
    stores = []
    for name, rows in WAYS.items():
        monkeypatch.setattr(arrays_table, "MANY_ROWS", rows)
        summary = import_files(load_mapping(files / "mapping.yaml"), files / f"{name}.db")
        assert not summary.failed
        assert [outcome.n_refused > 0 for outcome in summary.files[:2]] == [True, False]
        stores.append(dump(files / f"{name}.db"))
        again = import_files(load_mapping(files / "mapping.yaml"), files / f"{name}.db")
        assert again.total("n_taken") == 0
    assert len(stores[0][0]) > 60_000
    assert stores[0] == stores[1]


def test_arrays_are_really_lent(files, monkeypatch):
    lent = []
    insert = Writer.insert_arrays
    monkeypatch.setattr(arrays_table, "MANY_ROWS", 0)
    monkeypatch.setattr(Writer, "insert_arrays", lambda *args: lent.append(insert(*args)) or lent[-1])
    import_files(load_mapping(files / "mapping.yaml"), files / "market.db")
    assert lent == [True, True, True, False]  # texts of news are objects


def test_where_sqlite_is_out_of_reach_the_interpreter_writes(files, monkeypatch):
    monkeypatch.setattr(libsqlite, "lender", lambda: None)
    monkeypatch.setattr(arrays_table, "MANY_ROWS", 0)
    assert not import_files(load_mapping(files / "mapping.yaml"), files / "market.db").failed


@pytest.fixture
def writer():
    with closing(sqlite3.connect(":memory:", isolation_level=None, factory=Writer)) as connection:
        connection.execute("CREATE TABLE t (name TEXT, at INTEGER PRIMARY KEY, x REAL NOT NULL)")
        yield connection


COPY = f"INSERT INTO t SELECT c0, c1, c2 FROM {TABLE}"


def columns(at, x, names=("a", "")):
    return [Coded(np.arange(len(at), dtype="int8") % len(names), names), np.array(at), np.array(x)]


def test_cells_arrive_as_they_are(writer):
    extreme = [np.iinfo("int64").min, np.iinfo("int64").max, 0]
    assert writer.insert_arrays(COPY, columns(extreme, [-0.0, np.inf, 5e-324], ["nul\0byte", "é", ""]))
    found = writer.execute("SELECT * FROM t ORDER BY rowid").fetchall()
    assert found == [("nul\0byte", extreme[0], -0.0), ("", 0, 5e-324), ("é", extreme[1], np.inf)]
    assert writer.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (0,)  # what was lent is given back
    assert writer.execute("SELECT name FROM sqlite_master").fetchall() == [("t",)]


def test_strided_and_small_arrays_are_lent_too(writer):
    held = np.arange(12.0).reshape(6, 2)
    assert writer.insert_arrays(COPY, [Coded(np.zeros(6, dtype="int16"), ["a"]), np.arange(12)[::2], held[:, 1]])
    assert [row[1:] for row in writer.execute("SELECT * FROM t")] == [(2 * i, 2.0 * i + 1) for i in range(6)]


@pytest.mark.parametrize(
    ("at", "x", "error", "what"),
    [
        ([1, 2, 1], [0.0, 0.0, 0.0], sqlite3.IntegrityError, "UNIQUE constraint failed: t.at"),
        ([1, 2, 3], [0.0, 0.0, np.nan], sqlite3.IntegrityError, "NOT NULL constraint failed: t.x"),
        ([1], [0.0], sqlite3.OperationalError, "no such column: c99"),
    ],
)
def test_errors_are_those_of_sqlite3_and_nothing_of_the_statement_stays(writer, at, x, error, what):
    writer.execute("BEGIN")
    writer.insert_arrays(COPY, columns([7], [7.0]))
    with pytest.raises(error, match=what):
        writer.insert_arrays(COPY.replace("c2", "c99") if "c99" in what else COPY, columns(at, x))
    assert writer.in_transaction
    assert writer.execute("SELECT at FROM t").fetchall() == [(7,)]
    writer.execute("ROLLBACK")
    assert writer.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_no_room_is_an_error(writer):
    writer.execute("PRAGMA max_page_count = 20")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        writer.insert_arrays(COPY, columns(np.arange(100_000), np.zeros(100_000)))
    assert writer.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_objects_are_not_lent(writer):
    assert not writer.insert_arrays(COPY, [np.array(["a"], dtype=object), np.array([1]), np.array([1.0])])
    assert not writer.insert_arrays(COPY, [])


def test_a_closed_connection_lends_nothing(writer):
    writer.insert_arrays(COPY, columns([1], [1.0]))
    writer.close()
    assert not writer.insert_arrays(COPY, columns([2], [1.0]))


def test_each_connection_has_its_own_handle_whoever_opens_others_meanwhile(tmp_path):
    def connect(i):
        sqlite3.connect(":memory:").close()
        with closing(sqlite3.connect(tmp_path / f"{i}.db", factory=Writer, check_same_thread=False)) as connection:
            connection.execute("CREATE TABLE t (name, at, x)")
            assert connection.insert_arrays(COPY, columns([i], [0.0]))
            connection.commit()
        with closing(sqlite3.connect(tmp_path / f"{i}.db")) as connection:
            return connection.execute("SELECT at FROM t").fetchall()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(connect, range(40))) == [[(i,)] for i in range(40)]
    assert not libsqlite._waiting


def test_a_connection_that_was_never_closed_may_go(tmp_path):
    connection = sqlite3.connect(tmp_path / "t.db", factory=Writer)
    connection.execute("CREATE TABLE t (name, at, x)")
    assert connection.insert_arrays(COPY, columns([1], [0.0]))
    cursor = connection.execute(f"SELECT * FROM {TABLE}")
    del connection
    del cursor
