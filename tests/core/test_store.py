"""The store that ``init_store`` builds, and what a broken one gets."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from functools import partial
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest

from mnpu.data import bundled, migrations
from mnpu.data.build import init_store
from mnpu.data.store import Store
from mnpu.errors import ConfigError, DataError, MnpuError


def bundle(name: str) -> pd.DataFrame:
    return pd.read_parquet(str(files("mnpu.data") / "bundle" / name))


def query(path, text, *values):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(text, values).fetchall()


def change(path, text, *values):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(text, values)


def test_every_row_of_the_bundle_arrives(demo_store):
    counts = {name: query(demo_store, f"SELECT count(*) FROM {name}")[0][0] for name in ("prices", "assets", "series")}
    prices = ("prices_adjclose_daily.parquet", "prices_ohlcv_daily.parquet", "fx_hourly.parquet")
    assert counts == {"prices": sum(len(bundle(name)) for name in prices), "assets": 33, "series": 40}


def test_macro_rows_are_the_values_that_are_there_and_the_news_among_the_vintages(demo_store):
    plain = bundle("macro_series.parquet")["value"].notna().sum()
    vintages = bundle("macro_vintages.parquet").pivot_table(
        index=["series", "timestamp"], columns="available_at", values="value"
    )
    first, second = vintages.columns
    news = vintages[first].notna().sum() + (vintages[second].notna() & (vintages[second] != vintages[first])).sum()
    assert query(demo_store, "SELECT count(*) FROM observations")[0][0] == plain + news


def test_eighty_five_cells_were_revised_and_wti_and_vix_have_holidays(demo_store):
    series = Store.open(demo_store).info().series
    assert sum(s.n_revisions for s in series) == 85
    assert {s.info.series: s.n_missing for s in series if s.n_missing} == {"vix_close": 46, "wti_spot": 290}


def test_observed_and_left_censored_knowledge_are_told_apart(demo_store):
    rows = query(demo_store, "SELECT basis, min(knowledge_time), max(knowledge_time) FROM observations GROUP BY basis")
    known = {basis: (pd.Timestamp(low, tz="UTC"), pd.Timestamp(high, tz="UTC")) for basis, low, high in rows}
    assert known["left-censored"] == (pd.Timestamp("2016-06-29 23:59:59", tz="UTC"),) * 2
    assert known["observed"] == (pd.Timestamp("2016-07-29 23:59:59", tz="UTC"),) * 2


def test_two_builds_are_equal_byte_for_byte(demo_store, tmp_path):
    init_store(tmp_path / "again.db")
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (demo_store, tmp_path / "again.db")}
    assert len(digests) == 1


def test_a_store_is_never_overwritten(store_copy):
    before = store_copy.read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        init_store(store_copy)
    assert store_copy.read_bytes() == before


def test_a_build_that_is_interrupted_leaves_nothing(tmp_path):
    def interrupt(done, total, what):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        init_store(tmp_path / "market.db", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_name_is_not_taken_from_someone_who_was_faster(tmp_path):
    target = tmp_path / "market.db"

    def other_writer(done, total, what):
        if done == total:
            target.write_text("mine")

    with pytest.raises(ConfigError, match="exists already"):
        init_store(target, progress=other_writer)
    assert target.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [target]


def test_progress_counts_to_the_end(tmp_path):
    seen = []
    init_store(tmp_path / "market.db", progress=lambda *step: seen.append(step))
    assert [done for done, _, _ in seen] == list(range(seen[0][1] + 1))
    assert seen[-1][2] == "done"


def test_a_folder_that_cannot_be_written_is_an_error_with_a_next_step(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MnpuError, match="cannot be written") as caught:
        init_store(tmp_path / "file" / "market.db")
    assert caught.value.exit_code == 1


def test_the_schema_enforces_its_own_rules(store_copy):
    bars = "INSERT INTO prices VALUES ('us_ohlcv_daily', ?, ?, ?, NULL, NULL, NULL, ?, NULL, NULL, 'declared')"
    change(store_copy, bars, "IBM", 10, 20, 5.0)
    for values in [("IBM", 20, 10, 5.0), ("IBM", 30, 30, None), ("IBM", 10, 20, 5.0), ("IBM", 40, 40, "cheap")]:
        with pytest.raises(sqlite3.IntegrityError):
            change(store_copy, bars, *values)
    with closing(sqlite3.connect(store_copy)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(bars, ("NOBODY", 50, 50, 1.0))


def test_the_schema_is_written_without_strict_tables_for_an_old_sqlite(monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 0))
    with closing(sqlite3.connect(":memory:")) as connection:
        migrations.create_schema(connection)
        texts = [row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")]
    assert len(texts) == 12
    assert not any("STRICT" in text for text in texts)


def test_the_store_opens_by_path_and_by_url(demo_store):
    assert Store.open(f"sqlite:///{demo_store}").symbols("eurusd_hourly") == ("EURUSD",)
    assert Store.open(str(demo_store)).symbols("us_ohlcv_daily") == ("AAPL", "FB", "GOOG", "IBM", "MSFT")


def test_a_relative_url_starts_from_the_working_folder(demo_store, monkeypatch):
    monkeypatch.chdir(demo_store.parent)
    assert len(Store.open("sqlite:///market.db").datasets()) == 5


@pytest.mark.parametrize("url", ["postgres://x/y", "sqlite://market.db", "sqlite:///"])
def test_an_url_of_something_else_is_refused(url):
    with pytest.raises(ConfigError, match="no store URL"):
        Store.open(url)


def test_a_missing_file_is_not_created(tmp_path):
    with pytest.raises(DataError, match="mnpu init"):
        Store.open(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_no_store(tmp_path):
    (tmp_path / "empty.db").touch()
    with pytest.raises(DataError, match="the file is empty"):
        Store.open(tmp_path / "empty.db")


def test_a_file_of_something_else_is_no_store(tmp_path):
    (tmp_path / "text.db").write_text("hello " * 1000)
    with pytest.raises(DataError, match="cannot be read as a store"):
        Store.open(tmp_path / "text.db")


def test_another_sqlite_file_is_no_store(tmp_path):
    change(tmp_path / "other.db", "CREATE TABLE prices (x)")
    with pytest.raises(DataError, match="no store"):
        Store.open(tmp_path / "other.db")


def test_a_truncated_store_is_an_error_when_it_is_read(store_copy):
    store_copy.write_bytes(store_copy.read_bytes()[:200_000])
    with pytest.raises(DataError, match="cannot be read as a store"):
        Store.open(store_copy).panel(["EURUSD"], start="2017-01-01", end="2017-12-31", frequency="1h")


def test_overwritten_pages_are_an_error_when_they_are_read(store_copy):
    content = bytearray(store_copy.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    store_copy.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a store"):
        Store.open(store_copy).info()
    with pytest.raises(DataError, match="cannot be read as a store"):
        Store.open(store_copy).table("assets")


def test_a_store_without_a_table_is_refused_by_the_name_of_the_table(store_copy):
    change(store_copy, "DROP TABLE observations")
    with pytest.raises(DataError, match="tables are missing: observations"):
        Store.open(store_copy)


def test_a_store_of_a_newer_version_asks_for_an_upgrade(store_copy):
    change(store_copy, "PRAGMA user_version = 4")
    with pytest.raises(DataError, match=r"schema version 4, expected version 3\. Upgrade mnpu-core"):
        Store.open(store_copy)


def test_reading_never_changes_the_file(demo_store):
    before = hashlib.sha256(demo_store.read_bytes()).hexdigest()
    store = Store.open(demo_store)
    store.info()
    store.panel(["IBM"], start="2001-01-01", end="2001-12-31")
    with store._reading() as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM prices")
    assert hashlib.sha256(demo_store.read_bytes()).hexdigest() == before


def test_what_datasets_declare(demo_store):
    declared = {info.name: info for info in Store.open(demo_store).datasets()}
    assert {(d.name, d.adjustment, d.adjusted_as_of, d.stamp, d.calendar) for d in declared.values()} == {
        ("eurusd_hourly", "none", "", "open", "FX"),
        ("googl_daily", "split", "2018-08-29", "session_date", "XNYS"),
        ("us_adjclose_daily", "split+dividend", "2022-12-28", "session_date", "XNYS"),
        ("us_indices_daily", "none", "", "session_date", "XNYS"),
        ("us_ohlcv_daily", "none", "", "session_date", "XNYS"),
    }
    assert "hindsight" in declared["us_adjclose_daily"].note


def test_every_split_is_where_the_vendor_adjusted_for_one(demo_store):
    """Independent route: on a 2:1 split the ratio of traded to adjusted close halves, and nowhere else."""
    prices = bundle("prices_ohlcv_daily.parquet")
    found = set()
    for symbol, bars in prices[prices["quotes"] == "as traded"].groupby("symbol"):
        ratio = (bars["close"] / bars["adj_close"]).to_numpy()
        for i in np.flatnonzero(ratio[1:] / ratio[:-1] < 0.85) + 1:
            found.add((symbol, str(bars["timestamp"].iloc[i].date()), round(ratio[i - 1] / ratio[i], 6)))
    assert found == {(s["symbol"], s["ex_date"], float(s["ratio"])) for s in bundled.splits()}
    assert query(demo_store, "SELECT count(*) FROM corporate_actions")[0][0] == 3


def test_every_source_is_credited():
    notice = (files("mnpu.data") / "bundle" / "NOTICE").read_text("utf-8")
    for holder in ("skfolio developers", "Bokeh Contributors", "Mohammad Amin Haghpanah", "Kevin Sheppard"):
        assert holder in notice
    assert "statsmodels Developers" in notice
    assert "Federal Reserve Bank of New York" in notice
    for file in (files("mnpu.data") / "bundle").iterdir():
        if file.name.endswith(".parquet"):
            assert file.name in notice


def test_a_store_without_any_row_is_refused_as_data(tmp_path):
    path = tmp_path / "market.db"
    with closing(sqlite3.connect(path)) as connection:
        migrations.create_schema(connection)
    with pytest.raises(DataError, match="the store holds no dataset"):
        Store.open(path).panel(["KO"], start="2010-01-01", end="2010-12-31", dataset="us_adjclose_daily")


def test_a_store_that_is_in_use_is_not_called_broken(demo_store, tmp_path, monkeypatch):
    path = tmp_path / "market.db"
    path.write_bytes(demo_store.read_bytes())
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, timeout=0))
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DataError, match=r"is in use .* Wait for the program") as caught:
            Store.open(path).info()
        assert "Move it away" not in str(caught.value)
    assert Store.open(path).info().datasets
