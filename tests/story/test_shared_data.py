"""One mapping brings everything of the shared market data into one store, and every row is accounted for."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from mnpu.commands import data
from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_files
from mnpu.data.store import Store

MAPPING = Path(__file__).with_name("shared_data.yaml")


@pytest.fixture(scope="module")
def root():
    folder = Path(os.environ.get("MNPU_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the shared market data is not here; MNPU_SHARED_DATA may name its folder")
    return folder


@pytest.fixture(scope="module")
def imported(root, tmp_path_factory):
    store = tmp_path_factory.mktemp("shared") / "market.db"
    return import_files(load_mapping(MAPPING), store, root=root)


def test_every_row_of_every_file_is_accounted_for(imported, root):
    assert not imported.failed
    for outcome in imported.files:
        n = pq.ParquetFile(outcome.file).metadata.num_rows
        assert outcome.n_read + outcome.n_elsewhere == n
        assert outcome.n_read == outcome.n_taken + outcome.n_present + outcome.n_refused
        assert sum(outcome.reasons.values()) == outcome.n_refused
    folders = ("prices-daily", "prices-hourly", "crypto-intraday", "fx", "onchain", "macro", "news", "fundamentals")
    files = {path for folder in folders for path in (root / folder).glob("*.parquet")}
    assert files <= {outcome.file for outcome in imported.files}


def test_what_is_refused_are_the_defects_that_the_source_lists(imported):
    refused = {outcome.file.stem: dict(outcome.reasons) for outcome in imported.files if outcome.n_refused}
    assert refused == {
        "tweet_stocks_2012_2017": {"missing": 3},  # bars of 2016-06-29 without a price
        "vix_ohlc": {"calendar": 33},  # days on which New York was closed
        "lean_us_hour_unadjusted": {"calendar": 94},  # bars after an early close
        "us_reports_2015_2017": {"conflict": 84, "order": 1},  # repeated keys, and a period that ends after its filing
        "lean_us_factors": {"unknown": 1317},  # computed afterwards: nobody knew them when they say
    }


def test_the_store_is_whole(imported):
    with closing(sqlite3.connect(imported.store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]  # every constraint holds
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_the_store_serves_it(imported):
    store = Store.open(imported.store)
    symbols = [asset.symbol for asset in store.assets() if asset.dataset == "us_adjusted_daily"]
    assert len(symbols) == 141
    funding = store.side(["funding_rate", "mark_close"])
    assert {"BTCUSDT-PERP", "XRPUSDT-PERP"} <= set(funding.symbol)
    assert (funding.knowledge_time >= funding.event_time).all()
    assert {a.base for a in store.assets() if a.dataset == "binance_perp_1h"} >= {"BTC", "ETH"}
    hashes = store.side(["HashRate"])
    lags = hashes.knowledge_time - hashes.event_time
    assert (lags.total_seconds() == 6 * 3600).all()


def test_info_shows_it(imported):
    answer = json.loads(CliRunner().invoke(data.command, ["info", str(imported.store), "--json"]).output)
    kinds = {row["kind"]: row["n_series"] for row in answer["kinds"]}
    assert set(kinds) == {"benchmark", "calendar", "fundamental", "funding", "macro", "news", "onchain"}
    assert (kinds["funding"], kinds["fundamental"], kinds["news"]) == (2, 14, 2)
    assert sum(row["n_taken"] for row in answer["imports"]) == imported.total("n_taken")
    shown = CliRunner().invoke(data.command, ["info", str(imported.store)]).output
    assert "rows were refused" in shown


def test_raw_files_as_they_were_found(root, tmp_path):
    summary = import_files(load_mapping(MAPPING.with_name("messy_data.yaml")), tmp_path / "market.db", root=root)
    told = {outcome.file.name: dict(outcome.reasons) for outcome in summary.files if outcome.n_refused}
    assert told == {
        "evstc.us.txt": {"calendar": 18},  # week-ends
        "pystock_20150609.tar.gz": {"conflict": 3159},  # yesterday's prices again, with the noise of floats
        "pystock_20160216.tar.gz": {"calendar": 8},  # sessions on a holiday
    }
    (empty,) = summary.failed
    assert empty.file.name == "bolt.us.txt"
    assert "empty" in str(empty.error)
    store = Store.open(tmp_path / "market.db")
    uso = store.panel(["USO"], start="1998-01-01", end="1998-01-31", dataset="uso")
    assert uso["close"][0, 0] == 0.25  # 2500 / 10000
    spans = {asset.symbol: asset.n_bars for asset in store.assets() if asset.dataset == "messy"}
    assert spans == {"cxdc": 2203, "evstc": 349, "ite": 2603}
