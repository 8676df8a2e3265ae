"""A store of Parquet files: the same answers as the database that it was made from, whole or not there at all.

What a store answers is tested over both forms, by the fixture ``any_store``: see test_panel and test_asof.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from mnpu import hashing
from mnpu.commands import data
from mnpu.data import parquet
from mnpu.data.parquet import ParquetStore, export_parquet
from mnpu.data.store import Store
from mnpu.errors import ConfigError, DataError, MnpuError
from mnpu.execute import _data, with_store


@pytest.fixture
def folder_copy(demo_folder, tmp_path):
    return shutil.copytree(demo_folder, tmp_path / "copy")


def test_both_forms_say_the_same_of_themselves(demo_store, demo_folder):
    one, other = Store.open(demo_store), Store.open(demo_folder)
    assert isinstance(other, ParquetStore)
    assert replace(other.info(), path=one.path) == one.info()
    assert other.symbols() == one.symbols()


def test_a_run_has_the_same_data_hash_over_both(demo_store, demo_folder):
    hashes = set()
    for path in (demo_store, demo_folder):
        store = Store.open(path)
        panel = store.panel(["AAPL", "IBM"], start="2005-01-01", end="2012-12-31", dataset="us_ohlcv_daily")
        hashes.add(hashing.hash_arrays(_data(panel, store.side(["GDPC1", "vix_close"], end="2016-07-01"))))
    assert len(hashes) == 1


def test_every_row_of_every_table_arrives(demo_store, demo_folder):
    with closing(sqlite3.connect(demo_store)) as database, Store.open(demo_folder)._reading() as folder:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert "prices" in names
        for name in names:
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
            query = f"SELECT * FROM {name} ORDER BY {', '.join(columns)}"
            assert folder.execute(query).fetchall() == database.execute(query).fetchall(), name


def test_a_table_is_the_same_frame_over_both(demo_store, demo_folder):
    one, other = Store.open(demo_store), Store.open(demo_folder)
    names = [name for name in one.tables() if name != "prices"]
    assert other.tables() == one.tables()
    for name in names:
        frames = [store.table(name) for store in (one, other)]
        pd.testing.assert_frame_equal(*(frame.sort_values(list(frame), ignore_index=True) for frame in frames))
    assert len(other.table("observations")) == pq.read_metadata(demo_folder / "observations.parquet").num_rows > 0


def test_prices_are_read_from_the_buckets_of_their_symbols(demo_store, tmp_path, monkeypatch):
    """Many small buckets, row groups and batches, so that a symbol spans several."""
    monkeypatch.setattr(parquet, "ROWS_PER_BUCKET", 10_000)
    monkeypatch.setattr(parquet, "_ROW_GROUP", 1_000)
    monkeypatch.setattr(parquet, "_ROWS_AT_ONCE", 700)
    target = export_parquet(Store.open(demo_store), tmp_path / "small").path
    names = [path.name for path in (target / "prices" / "dataset=us_adjclose_daily").iterdir()]
    assert len(names) > 5
    arguments = {"start": "1995-01-01", "end": "2018-12-31", "dataset": "us_adjclose_daily"}
    symbols = Store.open(demo_store).symbols("us_adjclose_daily")[::-1]
    one, other = (Store.open(path).panel(symbols, **arguments) for path in (demo_store, target))
    np.testing.assert_array_equal(one["close"], other["close"])
    np.testing.assert_array_equal(one.tradable, other.tradable)
    assert (one.times == other.times).all()


def test_a_bar_that_became_known_after_its_close_is_missing_in_both(store_copy, tmp_path):
    with closing(sqlite3.connect(store_copy)) as connection, connection:
        where = "dataset = 'us_ohlcv_daily' AND symbol = 'IBM' AND event_time % 7 = 0"
        assert connection.execute(f"UPDATE prices SET knowledge_time = event_time + 1 WHERE {where}").rowcount > 0
    target = export_parquet(Store.open(store_copy), tmp_path / "folder").path
    arguments = {"start": "2000-01-01", "end": "2013-12-31", "dataset": "us_ohlcv_daily"}
    one, other = (Store.open(path).panel(["IBM", "AAPL"], **arguments) for path in (store_copy, target))
    assert not one.tradable[:, 0].all()
    np.testing.assert_array_equal(one["close"], other["close"])


def test_names_with_any_letters_become_paths(store_copy, tmp_path):
    with closing(sqlite3.connect(store_copy)) as connection, connection:
        connection.execute("UPDATE datasets SET name = '../a b/Ω' WHERE name = 'eurusd_hourly'")
        for table in ("assets", "prices"):
            connection.execute(f"UPDATE {table} SET dataset = '../a b/Ω' WHERE dataset = 'eurusd_hourly'")
    target = export_parquet(Store.open(store_copy), tmp_path / "folder").path
    assert all(path.is_relative_to(target) for path in target.rglob("*.parquet"))
    panel = Store.open(target).panel(["EURUSD"], start="2017-01-03", end="2017-01-05", frequency="1h")
    assert panel.shape[0] > 24


def test_other_tools_read_it(demo_folder):
    """It is plain Parquet: hive partitions, instants in nanoseconds, NULL where something is missing."""
    frame = pd.read_parquet(demo_folder / "prices" / "dataset=eurusd_hourly")
    table = pq.read_table(demo_folder / "assets.parquet")
    assert len(frame) == dict(zip(table["symbol"].to_pylist(), table["n_bars"].to_pylist(), strict=True))["EURUSD"]
    assert frame["close"].between(0.5, 2).all()


def test_a_folder_opens_by_path_and_by_url(demo_folder, monkeypatch):
    monkeypatch.chdir(demo_folder.parent)
    for url in (demo_folder, str(demo_folder), f"parquet:///{demo_folder}", "parquet:///market", "market"):
        assert Store.open(url).symbols("eurusd_hourly") == ("EURUSD",)


def test_a_run_remembers_which_form_it_read(demo_store, demo_folder):
    resolved = {"data": {"store": "x"}}
    assert with_store(resolved, str(demo_folder))["data"]["store"] == f"parquet:///{demo_folder}"
    assert with_store(resolved, str(demo_store))["data"]["store"] == f"sqlite:///{demo_store}"


def test_what_somebody_added_to_a_store_stays_where_it_is(store_copy, tmp_path):
    with closing(sqlite3.connect(store_copy)) as database, database:
        database.execute('CREATE TABLE "my notes" (x)')
        database.execute("ALTER TABLE assets ADD COLUMN colour text")
    export_parquet(Store.open(store_copy), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*notes*"))
    assert Store.open(tmp_path / "out").symbols() == Store.open(store_copy).symbols()
    assert "colour" not in Store.open(tmp_path / "out").table("assets")


def test_an_export_never_overwrites(demo_store, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigError, match="exists already"):
        export_parquet(Store.open(demo_store), tmp_path / "there")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("stop", [0, 4, 7])
def test_an_export_that_is_interrupted_leaves_nothing(demo_store, tmp_path, stop):
    def interrupt(done, total, what):
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_parquet(Store.open(demo_store), tmp_path / "folder", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error_with_a_next_step(demo_store, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MnpuError, match=r"cannot be written .* Choose another folder"):
        export_parquet(Store.open(demo_store), tmp_path / "file" / "folder")


def test_a_missing_or_shortened_file_is_named(folder_copy):
    assets = folder_copy / "assets.parquet"
    assets.write_bytes(assets.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"assets\.parquet: the file is \d+ bytes, expected \d+ bytes"):
        Store.open(folder_copy)
    assets.unlink()
    with pytest.raises(DataError, match="the file is missing"):
        Store.open(folder_copy)


def test_an_overwritten_file_is_an_error_when_it_is_read(folder_copy):
    for path in [folder_copy / "assets.parquet", *folder_copy.rglob("bucket=*.parquet")]:
        path.write_bytes(b"\xff" * path.stat().st_size)
    store = Store.open(folder_copy)
    with pytest.raises(DataError, match="cannot be read as a store"):
        store.assets()
    with pytest.raises(DataError, match="cannot be read as a store"):
        store._bars([("eurusd_hourly", "EURUSD")], 0, 2**62)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1}', "{"])
def test_a_folder_with_another_manifest_is_no_store(folder_copy, text):
    (folder_copy / "store.json").write_text(text)
    with pytest.raises(DataError):
        Store.open(folder_copy)


def test_a_folder_without_a_manifest_is_no_store(tmp_path):
    with pytest.raises(DataError, match="no store there"):
        Store.open(f"parquet:///{tmp_path}")


def test_another_version_is_refused_with_what_to_do(folder_copy):
    manifest = json.loads((folder_copy / "store.json").read_text())
    for version, advice in ((manifest["schema_version"] + 1, "Upgrade mnpu-core"), (0, "Export the store again")):
        (folder_copy / "store.json").write_text(json.dumps({**manifest, "schema_version": version}))
        with pytest.raises(DataError, match=rf"schema version {version}.*{advice}"):
            Store.open(folder_copy)


def test_nothing_is_written_through_a_question(demo_folder):
    with Store.open(demo_folder)._reading() as connection:
        connection.execute("SELECT count(*) FROM datasets")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM datasets")


def test_the_command_exports_and_shows_it(demo_store, tmp_path):
    run = lambda *arguments: CliRunner().invoke(data.command, list(map(str, arguments)), catch_exceptions=False)
    told = json.loads(run("export", tmp_path / "p", "--store", demo_store, "--format", "parquet", "--json").output)
    assert told["n_rows"]["prices"] == 200_043
    answers = [json.loads(run("info", path, "--json").output) for path in (demo_store, tmp_path / "p")]
    assert {**answers[0], "path": ""} == {**answers[1], "path": ""}
