"""Columns that are kept: quick when nothing changed, read anew when anything did, and never wrong numbers."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mnpu.data import cache
from mnpu.data.cache import cached, folder
from mnpu.data.store import Store

QUERY = ["SELECT value FROM t", 7]


class Reader:
    """Reads a table, and counts how often."""

    def __init__(self, path):
        self.path, self.n_reads = path, 0

    def __call__(self):
        self.n_reads += 1
        with closing(sqlite3.connect(self.path)) as connection:
            values = [row[0] for row in connection.execute("SELECT value FROM t")]
        return [np.array(values), np.arange(len(values)), np.zeros(0)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache that keeps everything at once."""
    monkeypatch.setenv("MNPU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_WORTH_IT", 0)
    monkeypatch.setattr(cache, "SETTLED", -3600.0)
    return tmp_path / "cache"


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "t.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (value REAL)")
        connection.executemany("INSERT INTO t VALUES (?)", [(i / 3,) for i in range(2_000)])
    return path


def kept(home):
    return sorted(home.iterdir()) if home.exists() else []


def same(found, expected):
    assert [array.dtype for array in found] == [array.dtype for array in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_unchanged_data_is_read_once(home, database):
    read = Reader(database)
    first = cached(database, QUERY, read)
    same(cached(database, QUERY, read), first)
    assert read.n_reads == 1
    assert len(kept(home)) == 1


def test_another_query_is_another_entry(home, database):
    read = Reader(database)
    cached(database, QUERY, read)
    cached(database, [*QUERY, "more"], read)
    assert read.n_reads == 2
    assert len(kept(home)) == 2


def test_two_ways_to_name_a_store_are_one(home, database, monkeypatch):
    read = Reader(database)
    cached(database, QUERY, read)
    monkeypatch.chdir(database.parent)
    cached(database.relative_to(database.parent), QUERY, read)
    assert read.n_reads == 1


def update(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE t SET value = -1 WHERE rowid = 5")


def vacuum(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM")


def replace(path):
    shutil.copy2(path, path.with_suffix(".new"))  # with the same size and time
    update(path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def in_place(path):
    content = path.read_bytes()
    told = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))  # whoever sets the clock back is seen all the same


@pytest.mark.parametrize("change", [update, vacuum, replace, in_place])
def test_any_change_of_the_store_is_seen(home, database, change):
    read = Reader(database)
    cached(database, QUERY, read)
    time.sleep(0.02)  # longer than a tick of any file system's clock; SETTLED is for those who do not wait
    change(database)
    same(cached(database, QUERY, read), Reader(database)())
    assert read.n_reads == 2


def test_a_commit_that_is_only_in_the_write_ahead_log_is_seen(home, database):
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        read = Reader(database)
        for value in (-1.0, -2.0):
            time.sleep(0.02)
            with writer:
                writer.execute("UPDATE t SET value = ? WHERE rowid = 5", (value,))
            assert cached(database, QUERY, read)[0][4] == value
            assert cached(database, QUERY, read)[0][4] == value
        assert read.n_reads == 2


def test_what_was_written_a_moment_ago_is_not_kept(home, database, monkeypatch):
    """Two writes within a tick of the clock leave the same trace, so a state is trusted after a while only."""
    monkeypatch.setattr(cache, "SETTLED", 2.0)
    cached(database, QUERY, Reader(database))
    assert kept(home) == []


def test_a_store_that_changes_while_it_is_read_is_not_kept(home, database):
    def read():
        found = Reader(database)()
        time.sleep(0.02)
        update(database)
        return found

    cached(database, QUERY, read)
    assert kept(home) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_entry_never_changes_a_number(home, database, place, flip, cut):
    read = Reader(database)
    expected = [array.copy() for array in cached(database, QUERY, read)]
    [entry] = kept(home)
    content = bytearray(entry.read_bytes())
    at = int(place * len(content))
    content[at] ^= flip
    entry.unlink()  # not in place: others may have it mapped
    entry.write_bytes(content[:at] if cut else content)
    same(cached(database, QUERY, read), expected)


@pytest.mark.parametrize("length", [b"7fffffff00000000", b"-000000000000001", b"not a number at "])
def test_an_entry_that_asks_for_more_than_it_holds_is_not_read(home, database, length):
    read = Reader(database)
    expected = [array.copy() for array in cached(database, QUERY, read)]
    [entry] = kept(home)
    content = entry.read_bytes()
    at = content.index(b"\n") + 1
    entry.write_bytes(content[:at] + length + content[at + 16 :])
    same(cached(database, QUERY, read), expected)
    assert read.n_reads == 2


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_each_byte_of_an_array_counts(home, data):
    array = np.arange(3_000, dtype="int64")
    damaged = array.copy()
    raw = damaged.view("uint8")
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert cache.checksum(array) != cache.checksum(damaged)
    assert cache.checksum(array) != cache.checksum(np.roll(array, 512))  # a page that was moved


def test_an_entry_of_another_store_is_not_taken(home, database, tmp_path):
    cached(database, QUERY, Reader(database))
    [entry] = kept(home)
    other = tmp_path / "other.db"
    shutil.copy2(database, other)
    update(other)
    home_of_other = home / f"{cache._digest(str(other.resolve()))}{entry.name[16:]}"
    shutil.copy2(entry, home_of_other)
    assert cached(other, QUERY, Reader(other))[0][4] == -1


def test_without_a_folder_that_can_be_written_the_store_is_read(home, database):
    home.write_text("no folder")
    read = Reader(database)
    same(cached(database, QUERY, read), cached(database, QUERY, read))
    assert read.n_reads == 2


def test_without_room_the_store_is_read_and_nothing_is_left(home, database):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    expected = Reader(database)()
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        same(cached(database, QUERY, Reader(database)), expected)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert kept(home) == []


def test_readers_at_once_get_the_same(home, database):
    expected = Reader(database)()
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: cached(database, QUERY, Reader(database)), range(40)):
            same(found, expected)
    assert len(kept(home)) == 1


def test_processes_at_once_get_the_same(home, database):
    code = (
        "import sys, sqlite3, numpy as np; from pathlib import Path; from mnpu.data import cache\n"
        "cache._WORTH_IT, cache.SETTLED = 0, -3600.0\n"
        "read = lambda: [np.array([v for v, in sqlite3.connect(sys.argv[1]).execute('SELECT value FROM t')])]\n"
        "print({cache.cached(Path(sys.argv[1]), ['q'], read)[0].sum() for _ in range(50)})"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, database], stdout=subprocess.PIPE) for _ in range(3)]
    told = {process.communicate()[0] for process in started}
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(told) == 1
    assert [entry.suffix for entry in kept(home)] == [".columns"]


def test_what_was_not_used_for_the_longest_time_goes_first(home, database, monkeypatch):
    read = Reader(database)
    for query in ("a", "b"):
        cached(database, [query], read)
    (size,) = {entry.stat().st_size for entry in kept(home)}
    monkeypatch.setattr(cache, "LIMIT", 2 * size)
    old = {entry: i for i, entry in enumerate(kept(home))}
    for entry, i in old.items():
        os.utime(entry, (1_000 + i, 1_000 + i))
    (home / "left-behind.tmp").touch()
    os.utime(home / "left-behind.tmp", (1_000, 1_000))
    cached(database, ["c"], read)
    assert len(kept(home)) == 2
    assert next(iter(old)) not in kept(home)


def test_an_array_belongs_to_its_reader(home, database):
    for _ in range(2):
        found = cached(database, QUERY, Reader(database))
        assert found[0][4] == 4 / 3
        found[0][4] = 99


@pytest.mark.parametrize("word", ["off", "", "0", "OFF", "no"])
def test_it_can_be_switched_off(database, monkeypatch, word):
    monkeypatch.setenv("MNPU_CACHE", word)
    assert folder() is None
    read = Reader(database)
    cached(database, QUERY, read)
    cached(database, QUERY, read)
    assert read.n_reads == 2


def test_small_reads_are_not_worth_it(home, database, monkeypatch):
    monkeypatch.setattr(cache, "_WORTH_IT", 10**6)
    cached(database, QUERY, Reader(database))
    assert kept(home) == []


def test_a_kept_panel_is_the_panel(home, store_copy):
    store = Store.open(store_copy)
    arguments = {"start": "2000-01-01", "end": "2013-12-31", "dataset": "us_ohlcv_daily"}
    one = store.panel(["AAPL", "FB", "GOOG", "IBM"], **arguments)
    assert len(kept(home)) == 1
    other = store.panel(["AAPL", "FB", "GOOG", "IBM"], **arguments)
    for name in one.fields:
        np.testing.assert_array_equal(one[name], other[name])
    time.sleep(0.02)
    with closing(sqlite3.connect(store_copy)) as connection, connection:
        connection.execute("UPDATE prices SET close = close * 2 WHERE symbol = 'IBM'")
    np.testing.assert_array_equal(store.panel(["IBM"], **arguments)["close"][:, 0], 2 * one["close"][:, 3])
