"""Rows of a store as columns: compiled code and the interpreter read the same, and say the same about what is wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from mnpu.data import columns
from mnpu.data.bars import Bars, align
from mnpu.data.columns import read_rows
from mnpu.data.libsqlite import library
from mnpu.data.store import Store
from mnpu.errors import DataError

QUERY = "SELECT at, a, b FROM t WHERE key = ? AND at >= ? ORDER BY at"
WAYS = {"compiled": 0, "interpreted": 10**9}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request, monkeypatch):
    """Read small tables as if they were large, or large ones as if they were small."""
    monkeypatch.setattr(columns, "MANY_ROWS", request.param)
    monkeypatch.setattr(columns, "_SOME_ROWS", request.param)
    return request.param


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (key, at, a, b)")
        rows = [("x", 3, 1.5, None), ("x", 1, 2, -0.0), ("y", 9, None, 4.25), ("y", 2, float("inf"), 1e-300)]
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
    return path


def read(path, keys, query=QUERY, n_floats=2, at_most=100):
    with closing(sqlite3.connect(path)) as connection:
        return read_rows(connection, path, query, keys, n_ints=1, n_floats=n_floats, at_most=at_most)


def test_python_has_sqlite_within_reach_here():
    """Where it has not, everything is read by the interpreter; on the systems that run these tests it has."""
    assert library() is not None


@pytest.mark.usefixtures("way")
def test_rows_come_key_by_key_with_nan_for_null(database):
    rows = read(database, [("y", 0), ("nobody", 0), ("x", 2), ("x", 0)])
    assert rows.bounds.tolist() == [0, 2, 2, 3, 5]
    assert rows.ints[0].tolist() == [2, 9, 3, 1, 3]
    np.testing.assert_array_equal(rows.floats[0], [np.inf, np.nan, 1.5, 2.0, 1.5])
    np.testing.assert_array_equal(rows.floats[1], [1e-300, 4.25, np.nan, 0.0, np.nan])
    assert np.signbit(rows.floats[1][3])


@pytest.mark.usefixtures("way")
def test_no_keys_are_no_rows(database):
    assert len(read(database, [])) == 0


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("at_most", [0, 1, 10**6, None])
def test_a_wrong_guess_of_how_many_there_are_costs_no_row(database, at_most):
    """More rows than any buffer holds."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany("INSERT INTO t VALUES ('z', ?, ?, NULL)", ((i, i / 7) for i in range(30_000)))
    rows = read(database, [("z", 0), ("x", 0), ("z", 29_999)], at_most=at_most)
    assert rows.bounds.tolist() == [0, 30_000, 30_002, 30_003]
    np.testing.assert_array_equal(rows.floats[0][:30_000], np.arange(30_000) / 7)


@pytest.mark.usefixtures("way")
def test_a_text_among_the_numbers_is_no_number(database):
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO t VALUES ('x', 5, '7 dollars', 0)")
    with pytest.raises(ValueError, match="7 dollars"):
        read(database, [("x", 0)])


@pytest.mark.usefixtures("way")
def test_a_query_of_something_else_is_an_error(database):
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        read(database, [("x", 0)], "SELECT at, a, b FROM missing WHERE key = ? AND at > ?")


@pytest.mark.usefixtures("way")
def test_a_panel_of_a_truncated_store_is_an_error(store_copy):
    store_copy.write_bytes(store_copy.read_bytes()[:200_000])
    with pytest.raises(DataError, match="cannot be read as a store"):
        Store.open(store_copy).panel(["EURUSD"], start="2017-01-01", end="2017-12-31", frequency="1h")


@pytest.mark.usefixtures("way")
def test_a_store_that_someone_writes_exclusively_is_an_error(store_copy, monkeypatch):
    monkeypatch.setattr(columns, "_BUSY_MS", 1)
    connect = sqlite3.connect
    with closing(connect(store_copy, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: connect(*args, **{**kwargs, "timeout": 0}))
        with pytest.raises(DataError, match="database is locked"):
            Store(store_copy)._bars([("us_ohlcv_daily", "IBM")], 0, 2**62)


def test_both_ways_make_the_same_panel(demo_store, monkeypatch):
    """Symbols with splits, gaps, different spans and a missing volume."""
    panels = []
    for rows in WAYS.values():
        monkeypatch.setattr(columns, "MANY_ROWS", rows)
        monkeypatch.setattr(columns, "_SOME_ROWS", rows)
        store = Store.open(demo_store)
        panels.append(
            store.panel(["AAPL", "FB", "GOOG", "IBM"], start="2000-01-01", end="2013-12-31", dataset="us_ohlcv_daily")
        )
    one, other = panels
    assert one.fields.keys() == other.fields.keys()
    for name in one.fields:
        np.testing.assert_array_equal(one[name], other[name])
    np.testing.assert_array_equal(one.tradable, other.tradable)


def test_bars_lie_on_the_rows_of_their_closes():
    """One symbol on every row, one with a gap, one that begins outside, one with a close that the others lack."""
    parts = [[10, 20, 30, 40], [10, 40], [5, 10, 20], [35, 40, 50], []]
    bounds = np.cumsum([0, *map(len, parts)])
    times = np.concatenate(parts).astype("int64")
    bars = Bars(bounds[:-1], bounds[1:], times, {"close": times.astype(float), "volume": np.full(len(times), np.nan)})
    assert bars.union().tolist() == [5, 10, 20, 30, 35, 40, 50]
    rows = np.array([10, 20, 30, 40])
    fields, tradable = align(rows, bars)
    expected = [[t if t in part else np.nan for part in parts] for t in rows.tolist()]
    np.testing.assert_array_equal(fields["close"], expected)
    np.testing.assert_array_equal(tradable, np.isfinite(expected))
    assert set(fields) == {"close"}


def test_the_closes_of_one_symbol_that_holds_all_are_the_union():
    bars = Bars(np.array([0, 2]), np.array([2, 5]), np.array([2, 3, 1, 2, 3]), {})
    assert bars.union().tolist() == [1, 2, 3]
    assert Bars(np.array([0]), np.array([0]), np.zeros(0, dtype="int64"), {}).union().tolist() == []
