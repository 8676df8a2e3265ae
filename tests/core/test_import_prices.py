"""Files of prices on their way into a store: what comes in, what does not, and why."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from mnpu.commands import data
from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_files
from mnpu.data.store import Store
from mnpu.errors import ConfigError, DataError, MnpuError

NOW = pd.Timestamp("2024-06-01", tz="UTC")
DATASET = (
    """{name: mine, vendor: me, frequency: 1d, stamp: session_date, calendar: XNYS, currency: USD, licence: none}"""
)
HEADER = "date,symbol,open,high,low,close,volume\n"
GOOD = "2024-03-08,AAA,10,11,9,10.5,100\n2024-03-11,AAA,10.5,12,10,11,200\n"


@pytest.fixture
def bring(tmp_path):
    """``bring(text, "extra: lines")`` imports a CSV into a store and answers with what became of its rows."""

    def bring(text, *more, dataset=DATASET, table="prices", name="file.csv", now=NOW):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        lines = [f"  - files: {name}", f"    table: {table}", *(f"    {line}" for line in more)]
        if dataset:
            lines.append(f"    dataset: {dataset}")
        (tmp_path / "mapping.yaml").write_text("\n".join(["imports:", *lines]) + "\n")
        summary = import_files(load_mapping(tmp_path / "mapping.yaml"), tmp_path / "market.db", now=now)
        (outcome,) = summary.files
        if outcome.error is not None:
            raise outcome.error
        assert outcome.n_read == outcome.n_taken + outcome.n_present + outcome.n_refused
        return outcome

    bring.store = tmp_path / "market.db"
    bring.folder = tmp_path
    return bring


def rows(store, query):
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(query).fetchall()


def everything(store):
    with closing(sqlite3.connect(store)) as connection:
        return "\n".join(connection.iterdump())


def refused(outcome):
    with outcome.quarantine.open(newline="", encoding="utf-8") as stream:
        return [(int(row["line"]), row["rule"]) for row in csv.DictReader(stream)]


def test_a_clean_file_comes_in_with_its_clocks(bring):
    outcome = bring(HEADER + GOOD, "assets: {class: equity}")
    assert (outcome.n_taken, outcome.n_refused, outcome.quarantine) == (2, 0, None)
    closes = [int(pd.Timestamp(t).value) for t in ("2024-03-08 21:00", "2024-03-11 20:00")]  # summer time between them
    assert rows(bring.store, "SELECT event_time, knowledge_time, basis, close, adj_close FROM prices") == [
        (closes[0], closes[0], "declared", 10.5, None),
        (closes[1], closes[1], "declared", 11.0, None),
    ]
    (asset,) = Store.open(bring.store).assets()
    assert (asset.symbol, asset.n_bars, asset.asset_class, asset.base) == ("AAA", 2, "equity", "AAA")
    assert rows(bring.store, "PRAGMA integrity_check") == [("ok",)]
    assert rows(bring.store, "PRAGMA foreign_key_check") == []


def test_a_second_import_changes_nothing(bring):
    bring(HEADER + GOOD)
    before = everything(bring.store)
    outcome = bring(HEADER + GOOD)
    assert (outcome.n_taken, outcome.n_present) == (0, 2)
    assert everything(bring.store) == before


def test_what_is_wrong_with_a_row_is_told_with_its_line(bring):
    outcome = bring(
        HEADER
        + GOOD
        + "2024-03-09,AAA,1,1,1,1,1\n"  # a Saturday
        + "2024-03-12,,1,1,1,1,1\n"
        + "2024-03-12,AAA,1,1,1,abc,1\n"
        + "2024-03-12,AAA,1,1,0,1,1\n"
        + "2024-03-12,AAA,1,1,1,,1\n"
        + "2024-03-12,AAA,1,inf,1,1,1\n"
        + "12.3.2024,AAA,1,1,1,1,1\n"
        + "2024-03-12,AAA,1\n"
        + "\n"
        + "2024-03-13,AAA,1,1,1,1,-5\n"
        + "2024-03-14,AAA,1,1,1,1,1\n"
    )
    assert refused(outcome) == [
        (11, "ragged"),
        (4, "calendar"),
        (5, "name"),
        (6, "number"),
        (7, "price"),
        (8, "missing"),
        (9, "number"),
        (10, "time"),
        (13, "price"),
    ]
    assert (outcome.n_read, outcome.n_taken) == (12, 3)
    with outcome.quarantine.open(newline="", encoding="utf-8") as stream:
        row = next(row for row in csv.DictReader(stream) if row["line"] == "6")
    assert (row["file"], row["reason"], row["close"]) == ("file.csv", "close is no number: 'abc'", "abc")


def test_a_changed_value_is_a_conflict_and_never_overwrites(bring):
    bring(HEADER + GOOD)
    outcome = bring(HEADER + GOOD.replace("10.5,100", "10.6,100") + "2024-03-12,AAA,1,1,1,1,1\n")
    assert (outcome.n_taken, outcome.n_present, outcome.n_refused) == (1, 1, 1)
    assert "close is 10.6, was 10.5 before" in outcome.quarantine.read_text()
    assert rows(bring.store, "SELECT close FROM prices ORDER BY event_time LIMIT 1") == [(10.5,)]


def test_a_row_twice_in_a_file_is_present_the_second_time_and_the_first_of_two_different_ones_counts(bring):
    outcome = bring(HEADER + GOOD + GOOD + "2024-03-08,AAA,10,11,9,10.7,100\n")
    assert (outcome.n_taken, outcome.n_present, outcome.n_refused) == (2, 2, 1)
    assert refused(outcome) == [(6, "conflict")]


def test_many_duplicates_are_counted_not_stored(bring):
    outcome = bring(HEADER + GOOD * 100_000)
    assert (outcome.n_taken, outcome.n_present) == (2, 199_998)


def test_a_corrected_bar_with_a_later_knowledge_time_is_a_new_row(bring):
    text = "date,symbol,close,seen\n2024-03-08,AAA,10,2024-03-09 09:00\n2024-03-08,AAA,11,2024-03-10 09:00\n"
    outcome = bring(text, "knowledge: {column: seen, zone: America/New_York}")
    assert outcome.n_taken == 2
    found = rows(bring.store, "SELECT close, knowledge_time, basis FROM prices ORDER BY knowledge_time")
    stamps = [int(pd.Timestamp(t).value) for t in ("2024-03-09 14:00", "2024-03-10 13:00")]
    assert found == [(10.0, stamps[0], "observed"), (11.0, stamps[1], "observed")]
    (asset,) = Store.open(bring.store).assets()
    assert asset.n_bars == 1  # one bar, seen twice


def test_knowledge_must_not_precede_the_bar_nor_lie_ahead_nor_be_unknown(bring):
    text = "date,symbol,close,seen\n" + "".join(
        f"2024-03-08,{symbol},10,{seen}\n"
        for symbol, seen in (("A", "2024-03-08T20:59:59Z"), ("B", "2030-01-01T00:00:00Z"), ("C", ""), ("D", "?"))
    )
    outcome = bring(text, "knowledge: {column: seen}")
    assert [rule for _, rule in refused(outcome)] == ["order", "future", "unknown", "time"]


@pytest.mark.parametrize(
    ("stamp", "cell", "close"),
    [
        ("close", "2024-03-08 15:00", "2024-03-08 15:00"),
        ("open", "2024-03-08 15:00", "2024-03-08 16:00"),
        ("open", "2024-03-08T15:00:00+01:00", "2024-03-08 15:00"),
        ("close", "1709910000", "2024-03-08 15:00"),
        ("close", "1709910000000", "2024-03-08 15:00"),
    ],
)
def test_stamps_of_bars(bring, stamp, cell, close):
    dataset = f"{{name: c, vendor: v, frequency: 1h, stamp: {stamp}, calendar: CRYPTO, currency: USD, licence: none}}"
    bring(f"time,symbol,close\n{cell},BTC,1\n", "time: {zone: UTC}", dataset=dataset)
    assert rows(bring.store, "SELECT event_time FROM prices") == [(int(pd.Timestamp(close).value),)]


def test_times_without_a_zone_need_a_declared_one_and_hours_that_do_not_exist_are_refused(bring):
    dataset = "{name: c, vendor: v, frequency: 1h, stamp: close, calendar: CRYPTO, currency: USD, licence: none}"
    text = "time,symbol,close\n2024-03-10 01:30,BTC,1\n2024-03-10 02:30,BTC,1\n2024-03-10 03:30,BTC,1\n"
    with pytest.raises(DataError, match="no zone"):
        bring(text, dataset=dataset)
    outcome = bring(text, "time: {zone: America/New_York}", dataset=dataset)
    assert refused(outcome) == [(3, "time")]
    hours = [int(pd.Timestamp(t).value) for t in ("2024-03-10 06:30", "2024-03-10 07:30")]
    assert [row[0] for row in rows(bring.store, "SELECT event_time FROM prices ORDER BY 1")] == hours


def test_shapes_of_text_files(bring):
    text = "Vendor X\n20240308;09:30;10,5;-99,99\n".encode("utf-16")
    outcome = bring(
        text,
        "csv: {encoding: utf-16, delimiter: ;, header: [day, clock, px, open], skip_lines: 1, decimal: ','}",
        "columns: {date: day, close: px}",
        "symbol: AAA",
        "missing: [-99.99]",
        "scale: 0.0001",
    )
    assert outcome.n_taken == 1
    assert rows(bring.store, "SELECT open, close FROM prices") == [(None, 0.00105)]


def test_parquet_and_csv_give_the_same_rows(bring):
    frame = pd.DataFrame(
        {
            "timestamp": pd.to_datetime(["2024-03-08", "2024-03-11"], utc=True),
            "symbol": ["AAA", "BBB"],
            "close": [1.25, 1e-7],
            "volume": [1, 2],
        }
    )
    frame.to_parquet(bring.folder / "p.parquet")
    bring((bring.folder / "p.parquet").read_bytes(), name="p.parquet")
    outcome = bring(frame.to_csv(index=False), name="c.csv")
    assert (outcome.n_taken, outcome.n_present) == (0, 2)


def test_wrong_bytes_refuse_the_row_and_a_ticker_called_na_stays(bring):
    text = HEADER.encode() + b"2024-03-08,NA,1,1,1,1,1\n2024-03-08,M\xfcller,1,1,1,1,1\n2024-03-08,null,1,1,1,1,1\n"
    outcome = bring(text)
    assert refused(outcome) == [(3, "encoding")]
    assert [row[0] for row in rows(bring.store, "SELECT symbol FROM assets ORDER BY 1")] == ["NA", "null"]
    bring(text.replace(b"NA", b"X"), "csv: {encoding: latin-1}")
    assert ("Müller",) in rows(bring.store, "SELECT symbol FROM assets")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"\x00\x01\x02garbage\x00" * 50, "binary"),
        (bytes(range(1, 256)) * 20, "no column"),
        (HEADER.encode("utf-16"), "UTF-16"),
        (b"PAR1" + b"x" * 100, "cannot be read"),
        (b"a,b,a\n1,2,3\n", "two columns"),
        (b"when,who,close\n1,2,3\n", "symbol|time"),
    ],
)
def test_a_file_that_is_no_table_is_an_error_and_leaves_nothing(bring, content, words):
    bring(HEADER + GOOD)
    before = everything(bring.store)
    with pytest.raises(DataError, match=words):
        bring(content)
    assert everything(bring.store) == before


def test_a_header_alone_is_no_fault(bring):
    assert bring(HEADER).n_read == 0


def test_negative_prices_where_they_are_possible(bring):
    text = "date,symbol,close\n2020-04-20,WTI,-36.98\n"
    assert bring(text).n_refused == 1
    assert bring(text, "negative: true").n_taken == 1


def test_bases_and_single_assets(bring):
    dataset = (
        "{name: c, vendor: v, frequency: 1d, stamp: session_date, calendar: CRYPTO, currency: USDT, licence: none}"
    )
    text = "date,symbol,close\n2024-03-08,BTCUSDT-PERP,1\n2024-03-08,ODD,1\n"
    bring(
        text,
        'assets: {class: perpetual, base: {"(.+)USDT-PERP": "\\\\1"},'
        '  symbols: {ODD: {class: index, listed: "2020-01-01"}}}',
        dataset=dataset,
    )
    found = {asset.symbol: (asset.asset_class, asset.base, asset.listed) for asset in Store.open(bring.store).assets()}
    assert found == {
        "BTCUSDT-PERP": ("perpetual", "BTC", None),
        "ODD": ("index", "ODD", pd.Timestamp("2020-01-01", tz="UTC")),
    }


def test_a_base_that_does_not_fit_its_pattern_is_an_error(bring):
    with pytest.raises(ConfigError, match="does not fit its pattern"):
        bring(HEADER + GOOD, 'assets: {base: {"A+": "\\\\2"}}')


def test_files_are_chosen_by_the_entry_that_they_fit(bring, tmp_path):
    bring(HEADER + GOOD)
    other = tmp_path / "elsewhere" / "file.csv"
    other.parent.mkdir()
    other.write_text(HEADER + "2024-03-12,AAA,1,1,1,1,1\n")
    summary = import_files(load_mapping(tmp_path / "mapping.yaml"), bring.store, files=[other], now=NOW)
    assert [(outcome.file, outcome.n_taken) for outcome in summary.files] == [(other, 1)]
    with pytest.raises(ConfigError, match="does not exist"):
        import_files(load_mapping(tmp_path / "mapping.yaml"), bring.store, files=[tmp_path / "none.csv"])


def test_a_reader_is_not_held_up_while_an_import_writes(bring):
    from mnpu.data.importing.sink import writing

    bring(HEADER + GOOD)
    with writing(bring.store) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM prices")
        assert Store.open(bring.store).assets()[0].n_bars == 2
        assert rows(bring.store, "SELECT count(*) FROM prices") == [(2,)]
    assert rows(bring.store, "SELECT count(*) FROM prices") == [(2,)]
    assert sorted(path.name for path in bring.folder.glob("market.db*")) == ["market.db"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="an administrator may write everywhere")
def test_a_store_that_may_not_be_written_is_an_error(bring):
    bring(HEADER + GOOD)
    bring.store.chmod(0o400)
    with pytest.raises(MnpuError, match="cannot be written"):
        bring(HEADER + "2024-03-12,AAA,1,1,1,1,1\n")


def test_a_dataset_is_declared_in_one_way(bring):
    bring(HEADER + GOOD)
    with pytest.raises(ConfigError, match="currency 'EUR', but 'USD' in the store"):
        bring(HEADER + GOOD, dataset=DATASET.replace("USD", "EUR"))


def test_many_pieces_are_as_one(bring, monkeypatch, rng):
    from mnpu.data.importing import csv_files

    monkeypatch.setattr(csv_files, "BLOCK", 2000)
    days = pd.bdate_range("2015-01-02", periods=400)
    frame = pd.DataFrame({"date": np.tile(days, 3), "symbol": np.repeat(["B", "A", "C"], 400), "close": 1.0})
    shuffled = frame.sample(frac=1, random_state=0)
    outcome = bring(pd.concat([shuffled, frame]).to_csv(index=False))
    holidays = outcome.reasons["calendar"]
    assert outcome.n_taken + outcome.n_present == 2400 - holidays
    assert outcome.n_taken == outcome.n_present
    assert [asset.n_bars for asset in Store.open(bring.store).assets()] == [outcome.n_taken // 3] * 3
    with outcome.quarantine.open() as stream:
        told = pd.read_csv(stream)
    text = pd.concat([shuffled, frame]).to_csv(index=False).splitlines()
    assert [text[line - 1].split(",")[1] for line in told["line"]] == list(told["symbol"])


def test_every_import_is_recorded(bring):
    bring(HEADER + GOOD)
    bring(HEADER + GOOD + "2024-03-09,AAA,1,1,1,1,1\n")
    found = rows(bring.store, "SELECT file, target, n_read, n_taken, n_present, n_refused FROM imports ORDER BY 3")
    assert found == [("file.csv", "prices", 2, 2, 0, 0), ("file.csv", "prices", 3, 0, 2, 1)]


def run(*arguments):
    return CliRunner().invoke(data.command, ["import", *map(str, arguments)], catch_exceptions=True)


def test_the_command_tells_what_came_in_and_strict_makes_refusals_fail(bring):
    bring.store.unlink(missing_ok=True)
    bring(HEADER + GOOD + "2024-03-09,AAA,1,1,1,1,1\n")
    bring.store.unlink()
    mapping = bring.folder / "mapping.yaml"
    shown = run(mapping, "--store", bring.store)
    assert shown.exit_code == 0
    assert "3 rows read, 2 new, 0 present, 1 refused" in shown.output
    answer = json.loads(run(mapping, "--store", bring.store, "--json").output)
    assert (answer["n_present"], answer["files"][0]["reasons"]) == (2, {"calendar": 1})
    assert run(mapping, "--store", bring.store, "--strict").exit_code == 3


def test_one_unreadable_file_does_not_keep_the_others_out(bring):
    bring(HEADER + GOOD)
    (bring.folder / "mapping.yaml").write_text(
        (bring.folder / "mapping.yaml").read_text().replace("files: file.csv", "files: '*.csv'")
    )
    (bring.folder / "a.csv").write_bytes(b"")
    (bring.folder / "z.csv").write_text(HEADER + "2024-03-12,AAA,1,1,1,1,1\n")
    shown = run(bring.folder / "mapping.yaml", "--store", bring.store)
    assert shown.exit_code == 3
    assert "a.csv: the file is empty" in shown.output
    assert rows(bring.store, "SELECT count(*) FROM prices") == [(3,)]


def test_faults_of_a_mapping_have_their_place(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text("imports:\n  - files: a.csv\n    tabel: prices\n    table: prices\n")
    with pytest.raises(ConfigError, match=r"m.yaml:3:5: imports.0.tabel is not a known key. Did you mean 'table'"):
        load_mapping(path)
    path.write_text("imports:\n  - files: a.csv\n    table: prices\n    columns: {clsoe: c}\n")
    with pytest.raises(ConfigError, match=r"m.yaml:4:15: imports.0.columns.clsoe is no role. Did you mean 'close'"):
        load_mapping(path)
    path.write_text(f"imports:\n  - files: a*.csv\n    table: prices\n    dataset: {DATASET}\n")
    with pytest.raises(ConfigError, match="fits no file"):
        import_files(load_mapping(path), tmp_path / "s.db")
    assert not (tmp_path / "s.db").exists()


def test_a_store_that_cannot_be_written_is_an_error_that_says_so(bring, tmp_path):
    bring(HEADER + GOOD)
    whole = bring.store.read_bytes()
    more = HEADER + "2024-03-12,AAA,1,1,1,1,1\n"
    with closing(sqlite3.connect(bring.store)) as other:
        other.execute("PRAGMA user_version = 99")
        other.commit()
    with pytest.raises(DataError, match="schema version 99"):
        bring(more)
    bring.store.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MnpuError, match=r"cannot be read as a store|missing|malformed"):
        bring(more)
    bring.store.write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        bring(more)
    bring.store.write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match="cannot be read as a store"):
        bring(more)


def test_a_locked_store_is_left_alone(bring, monkeypatch):
    from mnpu.data.importing import sink

    monkeypatch.setattr(sink, "WAIT_SECONDS", 0.05)
    bring(HEADER + GOOD)
    with closing(sqlite3.connect(bring.store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(MnpuError, match="locked by another process"):
            bring(HEADER + "2024-03-12,AAA,1,1,1,1,1\n")
        other.execute("ROLLBACK")
    assert rows(bring.store, "SELECT count(*) FROM prices") == [(2,)]


def test_a_full_disk_undoes_the_file_and_a_rerun_completes_it(bring, monkeypatch):
    from mnpu.data.importing import run as importing

    bring(HEADER + GOOD)
    days = pd.bdate_range("2016-01-04", "2019-12-31")
    text = pd.DataFrame({"date": days, "symbol": "BBB", "close": 1.5}).to_csv(index=False)
    real = importing.writing

    def small(path, **options):
        from contextlib import contextmanager

        @contextmanager
        def opened():
            with real(path, **options) as connection:
                (used,) = connection.execute("PRAGMA page_count").fetchone()
                connection.execute(f"PRAGMA max_page_count = {used + 2}")
                yield connection

        return opened()

    monkeypatch.setattr(importing, "writing", small)
    with pytest.raises(MnpuError, match="Make room"):
        bring(text)
    assert rows(bring.store, "SELECT count(*) FROM prices") == [(2,)]
    assert rows(bring.store, "PRAGMA integrity_check") == [("ok",)]
    assert not list(bring.folder.glob("quarantine/*"))
    monkeypatch.undo()
    outcome = bring(text)
    assert outcome.n_taken == rows(bring.store, "SELECT count(*) - 2 FROM prices")[0][0] > 900


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("XNYS", "XNYZ", r"m.yaml:4:.*calendar is 'XNYZ', expected FX, CRYPTO.*Did you mean"),
        ("1d", "1 day", "frequency is '1 day', expected one of 1m, 5m"),
        ("session_date", "end", "stamp is 'end', expected close, open or session_date"),
        ("licence: none", "adjustment: split, licence: none", "adjusted_as_of"),
    ],
)
def test_faults_of_a_dataset_have_their_place(tmp_path, old, new, words):
    path = tmp_path / "m.yaml"
    path.write_text(f"imports:\n  - files: a.csv\n    table: prices\n    dataset: {DATASET.replace(old, new)}\n")
    with pytest.raises(ConfigError, match=words):
        load_mapping(path)


def test_a_market_that_never_closes_has_one_name_and_a_date_before_every_calendar_is_refused(bring):
    always = DATASET.replace("XNYS", "24/7").replace("mine", "always")
    assert bring("date,symbol,close\n1950-01-01,BTC,1\n", dataset=always).n_taken == 1
    assert rows(bring.store, "SELECT calendar, event_time FROM datasets JOIN prices ON dataset = name") == [
        ("CRYPTO", int(pd.Timestamp("1950-01-02").value))
    ]
    outcome = bring("date,symbol,close\n1950-01-03,AAA,1\n2024-03-08,AAA,1\n2099-01-05,AAA,1\n")
    assert outcome.reasons == {"calendar": 2}
    hourly = DATASET.replace("1d", "1h").replace("session_date", "close").replace("mine", "hourly")
    text = "time,symbol,close\n1950-01-03 15:00,AAA,1\n2024-03-08 15:00,AAA,1\n2024-03-08 22:00,AAA,1\n"
    assert bring(text, "time: {zone: UTC}", dataset=hourly).reasons == {"calendar": 2}


@pytest.mark.parametrize(
    ("calendar", "stamps", "closes"),
    [
        # A session of Tokyo begins on the day before in UTC: read there, Tuesday's bar would be known on Monday.
        ("XTKS", ("2024-03-12 00:00+09:00", "2024-03-13 00:00+09:00"), ("2024-03-12 06:00", "2024-03-13 06:00")),
        # Summer time has begun between the two.
        ("XLON", ("2024-03-28 00:00+00:00", "2024-04-02 00:00+01:00"), ("2024-03-28 16:30", "2024-04-02 15:30")),
        ("XNYS", ("2024-03-08 20:00-05:00", "2024-03-11 20:00-04:00"), ("2024-03-08 21:00", "2024-03-11 20:00")),
    ],
)
@pytest.mark.parametrize("written", ["text", "zone"])
def test_a_session_is_the_date_that_is_written_whatever_its_zone(bring, calendar, stamps, closes, written):
    zone = {"XTKS": "Asia/Tokyo", "XLON": "Europe/London", "XNYS": "America/New_York"}[calendar]
    dataset, name = DATASET.replace("XNYS", calendar), "file.csv"
    content: str | bytes = "date,symbol,close\n" + "".join(f"{stamp},AAA,1\n" for stamp in stamps)
    if written == "zone":
        times = pd.DatetimeIndex([pd.Timestamp(stamp).tz_convert(zone) for stamp in stamps])
        sink, name = io.BytesIO(), "file.parquet"
        pd.DataFrame({"date": times, "symbol": "AAA", "close": 1.0}).to_parquet(sink)
        content = sink.getvalue()
    assert bring(content, dataset=dataset, name=name).n_taken == 2
    known = rows(bring.store, "SELECT knowledge_time FROM prices ORDER BY 1")
    assert [int(at) for (at,) in known] == [pd.Timestamp(close).value for close in closes]


def test_a_time_of_day_in_the_session_of_another_date_is_refused(bring):
    """Midnight of the 12th in Tokyo, written in UTC, would be read as the 11th."""
    text = "date,symbol,close\n2024-03-11T15:00Z,AAA,1\n2024-03-12T06:00Z,AAA,2\n2024-03-13T00:00Z,AAA,3\n"
    outcome = bring(text, dataset=DATASET.replace("XNYS", "XTKS"))
    assert outcome.reasons == {"time": 1}
    assert "its date is one, and the session of its instant another" in outcome.quarantine.read_text()
    known = [pd.Timestamp(at, tz="UTC") for (at,) in rows(bring.store, "SELECT knowledge_time FROM prices ORDER BY 1")]
    assert known == [pd.Timestamp("2024-03-12 06:00", tz="UTC"), pd.Timestamp("2024-03-13 06:00", tz="UTC")]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("symbol_from_file: '[a-z]+'",), "expected a regular expression with a group"),
        (("time: {format: '%Q'}",), "expected a format as in strptime"),
        (("time: {format: mixed}",), "expected a format as in strptime"),
        (("knowledge: {lag: {days: 99999999999}}",), "expected a number of at most 36500"),
        (("knowledge: {lead: 99999999d}",), "expected at most 36500d"),
        (("scale: 0",), "imports.0.scale has a factor of 0"),
        (("scale: {clsoe: 2}",), "Did you mean 'close'"),
        (("csv: {header: [date, symbol, close, date]}",), "names 'date' twice"),
        (
            ("period: month",),
            "imports.0.period says nothing in a table of prices, expected it in a table of obs",
        ),
        (("wide: {rate: close}",), "imports.0.wide says nothing in a table of prices"),
        (("kind: split",), "expected it in a table of corporate_actions. Remove it."),
        (("knowledge: {lead: 7d}",), "imports.0.knowledge.lead says nothing in a table of prices"),
    ],
)
def test_a_mapping_that_no_file_could_fit_is_refused_where_it_says_so(bring, lines, words):
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        bring(HEADER + GOOD, *lines)
    assert "mapping.yaml:4:" in caught.value.where
    assert not bring.store.exists()


def test_a_header_of_thousands_of_columns_is_read_whole(bring):
    more = [f"column_{i:06d}" for i in range(8000)]
    text = f"date,symbol,close,{','.join(more)}\n2024-03-08,AAA,1,{','.join('1' for _ in more)}\n"
    assert bring(text).n_taken == 1


def test_quoted_line_breaks_beyond_one_piece_say_how_to_read_them(bring, monkeypatch):
    monkeypatch.setattr("mnpu.data.importing.csv_files.BLOCK", 200)
    text = "date,symbol,note,close\n" + "".join(f'2024-03-08,S{i},"one\ntwo, {i}\n",1\n' for i in range(50))
    with pytest.raises(DataError, match=r"quoted_newlines: true"):
        bring(text)
    assert bring(text, "csv: {quoted_newlines: true}").n_taken == 50


def test_columns_of_one_name_are_refused_in_parquet_too(bring):
    table = pa.table(
        [pa.array(["2024-03-08"]), pa.array(["AAA"]), *[pa.array([1.0])] * 2], ["date", "symbol", *["close"] * 2]
    )
    stream = io.BytesIO()
    pq.write_table(table, stream)
    with pytest.raises(DataError, match="two columns are called 'close'"):
        bring(stream.getvalue())


def test_an_archive_that_was_cut_is_an_unreadable_file(bring):
    text = HEADER + "".join(f"2024-03-08,S{i},1,1,1,1.{i},1\n" for i in range(20_000))
    packed = gzip.compress(text.encode())
    with pytest.raises(DataError, match="cannot be read"):
        bring(packed[: len(packed) // 2])


def test_a_name_with_a_control_character_and_an_hour_that_does_not_exist_are_told(bring):
    outcome = bring(HEADER + GOOD + '2024-03-08,"A\x01B",1,1,1,1,1\n')
    assert dict(outcome.reasons) == {"name": 1}
    hourly = "{name: h, vendor: me, frequency: 1h, stamp: close, calendar: 24/7, currency: USD, licence: none}"
    outcome = bring("time,symbol,close\n2024-03-10 02:00,A,1\n", "time: {zone: America/New_York}", dataset=hourly)
    assert dict(outcome.reasons) == {"time": 1}


def test_a_folder_is_no_file_and_a_link_that_leads_nowhere_is_told(bring, tmp_path):
    (tmp_path / "file.csv").mkdir()
    with pytest.raises(ConfigError, match="fits no file"):
        import_files(_mapping(tmp_path), tmp_path / "market.db", now=NOW)
    (tmp_path / "file.csv").rmdir()
    (tmp_path / "file.csv").symlink_to(tmp_path / "nowhere")
    (outcome,) = import_files(_mapping(tmp_path), tmp_path / "market.db", now=NOW).failed
    assert "cannot be read (No such file" in str(outcome.error)


def _mapping(folder):
    (folder / "m.yaml").write_text(f"imports:\n  - files: file.csv\n    table: prices\n    dataset: {DATASET}\n")
    return load_mapping(folder / "m.yaml")


def test_a_file_that_changes_while_it_is_read_is_left_for_later(bring, tmp_path):
    path = tmp_path / "file.csv"
    path.write_text(HEADER + GOOD)

    def grow(file, done, total):
        path.write_text(HEADER + GOOD + "2024-03-12,AAA,11,12,10,11,200\n")

    mapping, store = _mapping(tmp_path), tmp_path / "market.db"
    (outcome,) = import_files(mapping, store, now=NOW, progress=grow).failed
    assert "was changed while it was read" in str(outcome.error)
    assert rows(store, "SELECT count(*) FROM prices") == [(0,)]
    assert import_files(mapping, store, now=NOW).total("n_taken") == 3


def test_a_store_whose_rows_were_all_refused_is_shown(bring):
    bring(HEADER + "someday,AAA,1,1,1,1,1\n")
    shown = CliRunner().invoke(data.command, ["info", str(bring.store)])
    assert shown.exit_code == 0, shown.output
    assert "mine" in shown.output
