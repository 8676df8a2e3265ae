"""One mapping brings everything of the shared market data into one store, and every row is accounted for."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from mnpu.commands import data
from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_files
from mnpu.data.store import Store
from mnpu.validation import coded_missing, frozen, jumps, ohlcv, regularity, sessions, spikes, truncated

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
        # repeated keys, a fiscal year of 1215 and of 1216, and a period that ends after its filing
        "us_reports_2015_2017": {"conflict": 84, "year": 28, "order": 1},
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


#: Table, rule of a validator, rows, and names that must be among the first of them.
LISTED = [
    ("prices of alts_btc_5m", sessions.GAP, 13, {"ADABTC"}),
    ("prices of binance_btc_perp_5m", coded_missing.ZERO_VOLUME, 5, {"BTCUSDT-PERP"}),
    ("prices of binance_perp_1h", truncated.STARTS_LATE, 1, {"HYPEUSDT-PERP"}),
    ("prices of binance_perp_1h", truncated.UNEVEN, 2, {"BTCUSDT-PERP", "HYPEUSDT-PERP"}),  # against their marks
    ("prices of btcusd_daily", sessions.GAP, 8, {"BTCUSD"}),
    ("prices of eurusd_1h", coded_missing.EMPTY_VOLUME, 1, {"EURUSD"}),
    ("prices of fx_daily", coded_missing.EMPTY_VOLUME, 3, {"EURGBP", "EURUSD", "XAUUSD"}),
    ("prices of lean_us_daily", jumps.TICKER_REUSE, 2, {"USO", "EEM"}),
    ("prices of lean_us_daily", jumps.HUGE_JUMP, 2, {"USO", "AAPL"}),
    ("prices of lean_us_daily", jumps.JUMP, 12, {"AAPL", "EEM", "QQQ"}),
    ("prices of lean_us_daily", sessions.GAP, 292, {"QQQ"}),
    ("prices of lean_us_hourly", sessions.PARTIAL_DAY, 3, {"AAPL", "SPY"}),
    ("prices of sp500_daily", ohlcv.WITHIN, 10, {"CHD"}),
    ("prices of sp500_daily", spikes.CLOSE_SPIKE, 1, {"LNT"}),
    ("prices of sp500_daily", coded_missing.MISSING_CELLS, 8, {"BHF", "FTV", "O", "ES"}),
    ("prices of sp500_daily", coded_missing.ZERO_VOLUME, 3, {"FTV", "O", "UA"}),
    # of the 26 symbols that are shorter than the others, 22 start late and four have holes
    ("prices of sp500_daily", truncated.STARTS_LATE, 22, {"APTV"}),
    ("prices of sp500_daily", sessions.GAP, 10, {"ES", "ICE", "O", "ORCL"}),
    ("prices of tweet_stocks_daily", coded_missing.ZERO_VOLUME, 111, {"AGFS"}),
    ("prices of us_adjusted_daily", spikes.DECIMAL_SLIP, 2, {"HUM"}),
    ("prices of us_adjusted_daily", ohlcv.WITHIN, 2, {"HUM"}),
    ("prices of us_adjusted_daily", coded_missing.ZERO_VOLUME, 88, {"AAPL", "ABT"}),
    ("prices of us_adjusted_daily", truncated.STARTS_LATE, 50, set()),
    ("prices of us_as_seen_daily", frozen.COPIED_ROW, 32_099, set()),
    ("prices of us_as_seen_daily", frozen.NOISE_REVISION, 88, set()),
    ("prices of us_indices_1999_2018", coded_missing.ZERO_VOLUME, 2, {"^IXIC"}),
    ("prices of vix_daily", ohlcv.WITHIN_INDEX, 47, {"^VIX"}),
    ("prices of vix_daily", frozen.FLAT_BARS, 505, {"^VIX"}),
    ("side data, funding", regularity.OFF_GRID, 59, {"funding_rate"}),
    ("side data, macro", regularity.HOLE, 10, {"ust_30year", "us_cpi_u_nsa"}),
    ("side data, macro", regularity.HELD, 3, {"gold_usd"}),
    ("side data, news", regularity.REPEATED_TEXT, 608, {"tweet"}),
    ("side data, onchain", regularity.HOLE, 46, set()),
]


@pytest.fixture(scope="module")
def found(imported):
    out = imported.store.parent / "check"
    assert CliRunner().invoke(data.command, ["check", str(imported.store), "--out", str(out)]).exit_code == 3
    return pd.read_parquet(out / "findings.parquet").set_index(["table", "rule"])


@pytest.mark.parametrize(("table", "rule", "rows", "names"), LISTED)
def test_a_check_finds_what_the_source_lists(found, table, rule, rows, names):
    finding = found.loc[(table, rule.text)]
    assert finding["count"] == rows
    records = json.loads(finding["rows"])
    assert names <= {record.get(key) for record in records for key in ("symbol", "series")}


def test_a_check_finds_no_error_in_clean_data(found):
    wrong = found[found["severity"] == "error"].reset_index()
    assert set(wrong["table"]) == {
        *(f"prices of {name}" for name in ("lean_us_daily", "lean_us_hourly", "sp500_daily", "us_adjusted_daily")),
        "prices of us_as_seen_daily",  # NFLX seven for one on 2015-07-15, without a corporate action
    }


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
