"""An import that is killed leaves whole files or none; a rerun completes it, and nothing is lost or doubled."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_files
from mnpu.data.store import Store, _unreadable

MAPPING = """imports:
  - files: "*.csv"
    table: prices
    dataset: {name: mine, vendor: me, frequency: 1h, stamp: close, calendar: CRYPTO, currency: USD, licence: none}
    time: {zone: UTC}
"""
COMMAND = "from mnpu.cli import main; main()"
SIZES = {"a": 20_000, "b": 30_000, "c": 10_000}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three files, each with rows to refuse."""
    folder = tmp_path_factory.mktemp("files")
    for name, n in SIZES.items():
        times = pd.date_range("2015-01-01", periods=n, freq="1h")
        close = np.where(np.arange(n) % 1000 == 7, -1.0, 2.0)
        frame = pd.DataFrame({"time": times, "symbol": name.upper(), "close": close})
        frame.to_csv(folder / f"{name}.csv", index=False)
    (folder / "mapping.yaml").write_text(MAPPING)
    return folder


def counts(store):
    with closing(sqlite3.connect(store)) as connection:
        found = dict(connection.execute("SELECT symbol, count(*) FROM prices GROUP BY 1"))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert dict(connection.execute("SELECT symbol, n_bars FROM assets")) == found
        recorded = {row[0] for row in connection.execute("SELECT file FROM imports")}
    assert recorded == {f"{symbol.lower()}.csv" for symbol in found}
    return found


@pytest.mark.parametrize("has_store", [True, False])
def test_killed_at_ten_random_moments(folder, tmp_path, has_store):
    whole = {name.upper(): n - n // 1000 for name, n in SIZES.items()}
    store, moments = tmp_path / "market.db", random.Random(20240229)
    arguments = ["data", "import", str(folder / "mapping.yaml"), "--store", str(store)]
    if has_store:
        import_files(load_mapping(folder / "mapping.yaml"), store, files=[folder / "a.csv"])
    seen = set()
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], stdout=subprocess.DEVNULL)
        started = time.monotonic()
        while not (store.exists() and list(tmp_path.glob("market.db-*"))) and process.poll() is None:
            time.sleep(0.002)  # until it has begun to write
            assert time.monotonic() - started < 100
        time.sleep(moments.uniform(0, 0.5))
        process.kill()
        process.wait()
        if store.exists() and store.stat().st_size:
            found = counts(store)
            assert all(n == whole[symbol] for symbol, n in found.items())
            seen.add(len(found))
    summary = import_files(load_mapping(folder / "mapping.yaml"), store)
    assert not summary.failed
    assert counts(store) == whole
    assert summary.total("n_refused") == sum(n // 1000 for n in SIZES.values())
    waste = sorted((tmp_path / "quarantine").glob("*.csv"))
    assert [len(path.read_text().splitlines()) - 1 for path in waste] == [n // 1000 for n in SIZES.values()]


WRITER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 10")  # so that pages are written before the end
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE prices SET close = 2 * close")
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_what_a_killed_writer_had_begun_is_undone_for_a_reader(folder, tmp_path):
    store = tmp_path / "market.db"
    import_files(load_mapping(folder / "mapping.yaml"), store)
    before = store.read_bytes()
    subprocess.run([sys.executable, "-c", WRITER, str(store)], check=False)
    assert store.read_bytes() != before
    assert (tmp_path / "market.db-journal").stat().st_size
    assert Store.open(store).symbols() == ("A", "B", "C")
    assert store.read_bytes() == before


def test_a_reader_who_may_not_undo_it_is_told_what_to_keep(tmp_path):
    told = _unreadable(tmp_path / "market.db", sqlite3.OperationalError("attempt to write a readonly database"))
    assert "market.db-journal" in told.next_step
    assert "build a new one" not in str(told)
