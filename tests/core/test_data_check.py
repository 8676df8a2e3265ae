"""``mnpu data check``: every table of a store is checked, and what was found is said, written and drawn."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from mnpu import log
from mnpu.commands import data
from mnpu.data.parquet import export_parquet
from mnpu.data.store import Store
from mnpu.errors import DataError
from mnpu.plugins.registry import Registry
from mnpu.types import Panel, SideTable
from mnpu.validation.check import check_store, findings_frame
from mnpu.validation.coverage import coverage_svg, price_coverage
from mnpu.validation.findings import Finding, log_findings, refuse_errors
from mnpu.validation.ohlcv import Ohlcv
from mnpu.validation.schema import Schema, validate
from tests.core.market_rows import AlwaysOpen, market_frame, to_rows


def run(*arguments):
    return CliRunner().invoke(data.command, ["check", *map(str, arguments)])


def shipped():
    registry = Registry.discover()
    names = [c.name for c in registry.components("validator") if c.dist == "mnpu-core"]
    return {name: registry.build("validator", name, {}) for name in names}


def spoil(path, sql):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)


SLIP = (
    "UPDATE prices SET close = close * 10, open = open * 10, high = high * 10, low = low * 10"
    " WHERE dataset = 'us_ohlcv_daily' AND symbol = 'IBM' AND event_time ="
    " (SELECT min(event_time) FROM prices WHERE symbol = 'IBM' AND event_time > 1100000000000000000)"
)


def test_price_rows_are_the_table_as_it_is(demo_store):
    rows = Store.open(demo_store).price_rows("us_ohlcv_daily")
    with closing(sqlite3.connect(demo_store)) as connection:
        stored = connection.execute(
            "SELECT symbol, event_time, close, volume FROM prices WHERE dataset = 'us_ohlcv_daily'"
            " ORDER BY symbol, event_time, knowledge_time"
        ).fetchall()
    symbol, event, close, volume = zip(*stored, strict=True)
    assert [rows.symbols[code] for code in rows.code] == list(symbol)
    np.testing.assert_array_equal(rows.event_time, event)
    np.testing.assert_array_equal(rows["close"], close)
    np.testing.assert_array_equal(rows["volume"], volume)
    assert rows.starts.tolist() == [*(symbol.index(name) for name in rows.symbols), len(rows)]


def test_columns_without_a_value_are_left_out(demo_store):
    assert set(Store.open(demo_store).price_rows("us_adjclose_daily").columns) == {"close"}
    with pytest.raises(DataError, match="no dataset 'nothing'"):
        Store.open(demo_store).price_rows("nothing")


def test_the_bundled_data_has_warnings_and_no_error(demo_store, tmp_path):
    answer = run(demo_store, "--out", tmp_path / "out", "--json")
    assert answer.exit_code == 0
    said = json.loads(answer.stdout)
    assert said["n_errors"] == 0
    assert said["n_warnings"] == len(said["findings"]) > 0
    assert {row["table"] for row in said["coverage"]} >= {"prices of us_ohlcv_daily", "side data, macro"}


def test_an_error_ends_with_code_3_and_is_said_written_logged_and_drawn(store_copy, tmp_path):
    spoil(store_copy, SLIP)
    answer = run(store_copy, "--out", tmp_path / "out")
    assert answer.exit_code == 3
    for text in ("error", "prices of us_ohlcv_daily", "spikes", "IBM on 2004-11", "decimal point"):
        assert text in answer.stdout
    table = pd.read_parquet(tmp_path / "out" / "findings.parquet")
    (found,) = table[table["severity"] == "error"].itertuples()
    assert (found.validator, found.count) == ("spikes", 1)
    assert json.loads(found.rows)[0]["symbol"] == "IBM"
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text("utf-8").splitlines()]
    (logged,) = [line for line in lines if line["level"] == "error"]
    assert (logged["event"], logged["validator"], logged["rows"][0]["symbol"]) == ("finding", "spikes", "IBM")
    picture = ElementTree.parse(tmp_path / "out" / "coverage.svg").getroot()
    assert picture.tag.endswith("svg")
    assert "IBM" in "".join(picture.itertext())


def test_a_split_that_is_recorded_is_no_finding_and_one_that_is_not_is(store_copy):
    def jumps():
        checked = check_store(Store.open(store_copy), {"jumps": shipped()["jumps"]})
        return {r["symbol"] for f in checked.reported if "ohlcv" in f.table for r in f.finding.records}

    assert jumps() == {"AAPL"}  # 2000-09-29, a fall of half without a split
    spoil(store_copy, "DELETE FROM corporate_actions WHERE symbol = 'MSFT'")
    assert jumps() == {"AAPL", "MSFT"}


def test_a_stranger_is_given_panels_and_side_tables_as_before(demo_store):
    class Stranger:
        seen: list = []

        def check(self, table, context=None):
            self.seen.append((type(table), context.name))
            return [Finding("it is Tuesday", "warning", 1, "always")]

    checked = check_store(Store.open(demo_store), {"stranger": Stranger()})
    assert {kind for kind, _ in Stranger.seen} == {Panel, SideTable}
    assert (Panel, "prices of us_ohlcv_daily") in Stranger.seen
    assert findings_frame(checked)["rows"].unique().tolist() == ["[]"]
    assert not checked.errors


def test_the_store_is_only_read(demo_store):
    before = demo_store.read_bytes()
    check_store(Store.open(demo_store), shipped())
    assert demo_store.read_bytes() == before


def test_a_copy_in_parquet_is_checked_to_the_same_findings(store_copy, tmp_path):
    spoil(store_copy, SLIP)
    export_parquet(Store.open(store_copy), tmp_path / "copy")
    stored, copied = (run(name, "--json", "--out", tmp_path / "out") for name in (store_copy, tmp_path / "copy"))
    assert stored.exit_code == copied.exit_code == 3
    found = [
        sorted((f["table"], f["validator"], f["rule"], f["count"]) for f in json.loads(answer.stdout)["findings"])
        for answer in (stored, copied)
    ]
    assert found[0] == found[1]
    assert len(found[0]) > 5


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("UPDATE datasets SET frequency = '7x' WHERE name = 'eurusd_hourly'", "eurusd_hourly has '7x'"),
        ("UPDATE datasets SET calendar = 'NOPE' WHERE name = 'eurusd_hourly'", "eurusd_hourly has 'NOPE'"),
        ("INSERT INTO observations VALUES ('nobody', '', 1, 2, 3.0, 'observed')", "1 do not"),
        ("INSERT INTO prices SELECT 'lost', symbol, 1, 1, 1, 1, 1, 1, 1, 1, basis FROM prices LIMIT 1", "1 do not"),
    ],
)
def test_what_no_table_shows_alone_is_an_error(store_copy, tmp_path, sql, told):
    spoil(store_copy, sql)
    answer = run(store_copy, "--json", "--out", tmp_path / "out")
    assert answer.exit_code == 3
    assert told in [f["sample"] for f in json.loads(answer.stdout)["findings"] if f["validator"] == "structure"]


@pytest.mark.parametrize("edge", [-(2**63), 2**63 - 1])
def test_times_that_cannot_be_reckoned_with_are_told_and_the_rest_is_checked(store_copy, tmp_path, edge):
    spoil(store_copy, SLIP)
    for table in ("prices", "observations"):
        with closing(sqlite3.connect(store_copy)) as connection, connection:
            connection.execute(f"CREATE TEMP TABLE one AS SELECT * FROM {table} LIMIT 1")
            connection.execute("UPDATE one SET event_time = ?, knowledge_time = ?", (edge, edge))
            connection.execute(f"INSERT INTO {table} SELECT * FROM one")
    answer = run(store_copy, "--json", "--out", tmp_path / "out")
    assert answer.exit_code == 3
    found = json.loads(answer.stdout)["findings"]
    outside = [f for f in found if f["rule"] == "times lie between 1700 and 2200"]
    assert [(f["validator"], f["count"]) for f in outside] == [("structure", 1)] * 2
    assert any("IBM" in f["sample"] and f["validator"] != "structure" for f in found)
    for flag in ([], ["--json"]):
        assert CliRunner().invoke(data.command, ["info", str(store_copy), *flag]).exit_code == 0


def test_folders_that_cannot_be_written_are_an_error(demo_store, tmp_path):
    (tmp_path / "file").write_text("")
    answer = run(demo_store, "--out", tmp_path / "file" / "out")
    assert answer.exit_code == 1
    assert "--out" in str(answer.exception)


def test_coverage_tells_there_from_missing_from_refused():
    frame = market_frame(n=240)
    at = frame.index[frame["symbol"] == "BB"]
    rows = to_rows(frame.drop(at[60:120]))
    refused = np.flatnonzero((rows.code == 3) & (rows.event_time == rows.event_time.max()))
    covered = price_coverage(rows, None, [refused])
    states = covered.states
    assert set(states[0]) == {"there"}
    assert 28 <= list(states[1]).count("missing") <= 31  # 60 of 240 bars in 120 stretches, cut at its edges
    assert list(states[3]).count("refused") == 1
    assert covered.share == pytest.approx(1 - 60 / (6 * 240))


def test_coverage_of_a_market_that_never_closes_counts_what_is_expected():
    times = pd.date_range("2024-01-01", periods=1000, freq="h", tz="UTC").delete(slice(100, 350))
    frame = pd.DataFrame({"symbol": "C", "event_time": times, "close": 1.0})
    covered = price_coverage(to_rows(frame, frequency="1h"), AlwaysOpen(), [])
    assert (covered.there.sum(), covered.expected.sum()) == (750, 1000)


def test_a_picture_of_many_symbols_stays_readable_and_repeats_itself():
    rows = to_rows(market_frame(n=60, symbols=tuple(f"S{i:04d}" for i in range(700))))
    covered = price_coverage(rows, None, [])
    picture = coverage_svg([covered], title="a < b")
    assert picture == coverage_svg([covered], title="a < b")
    assert picture.count("<g>") == 234  # three symbols share a row
    assert ElementTree.fromstring(picture) is not None


@pytest.mark.parametrize(
    ("name", "row", "says"),
    [
        ("corporate_actions", {"kind": "merger"}, "kind: isin"),
        ("corporate_actions", {"ratio": np.nan}, "a split has a ratio"),
        ("corporate_actions", {"event_time": 1_500_000_000}, "instants are nanoseconds"),
        ("assets", {"symbol": "B B"}, "symbol: str_matches"),
        ("assets", {"listed": 5.0, "delisted": 4.0}, "listed before it is delisted"),
        ("calendar_events", {"actual": 1.0, "released": 2e18, "knowledge_time": 10**18}, "known when it was released"),
        ("calendar_events", {"forecast": "1.5%"}, "forecast: dtype"),
        ("news", {"text": ""}, "text: str_length"),
        ("news", {"knowledge_time": 10**17}, "knowledge_time >= event_time"),
        ("observations", {"value": np.inf}, "value: less_than_or_equal_to"),
        ("series", {"kind": "gossip"}, "kind: isin"),
        ("universes", {"end": 10.0}, "a membership starts before it ends"),
    ],
)
def test_every_table_has_a_model_that_refuses_what_it_may_not_hold(name, row, says):
    base = {"event_time": 10**18, "knowledge_time": 10**18, "basis": "observed"}
    sound = {
        "corporate_actions": {
            **base,
            "dataset": "d",
            "symbol": "S",
            "kind": "split",
            "label": "",
            "ratio": 2.0,
            "amount": np.nan,
        },
        "assets": {"dataset": "d", "symbol": "S", "asset_class": "equity", "listed": 1.0, "delisted": np.nan},
        "calendar_events": {**base, "series": "USD CPI", "forecast": 1.0, "actual": np.nan, "released": np.nan},
        "news": {**base, "source": "wire", "id": "1", "symbol": "", "text": "words"},
        "observations": {**base, "series": "x", "symbol": "", "value": 1.0},
        "series": {"series": "x", "basis": "observed", "max_age": 10**15, "kind": "macro"},
        "universes": {"universe": "u", "symbol": "S", "start": 10**18, "end": np.nan, "knowledge_time": 10**18},
    }[name]
    key = "source" if name == "news" else "series" if "series" in sound else "symbol"
    rows = [{**sound, key: f"{sound[key]}{i}"} for i in range(4)]
    assert validate(name, pd.DataFrame(rows)) == []
    wrong = [{**r, **row} for r in rows] if "event_time" in row else [*rows[:3], {**rows[3], **row}]
    found = validate(name, pd.DataFrame(wrong))
    assert any(says in finding.rule for finding in found), [finding.rule for finding in found]
    assert {finding.severity for finding in found} == {"error"}


def test_repeated_keys_missing_columns_and_empty_tables(demo_store):
    frame = Store.open(demo_store).table("assets")
    assert validate("assets", frame) == []
    assert validate("assets", frame.iloc[:0]) == []
    assert [f.rule for f in validate("assets", pd.concat([frame, frame.iloc[[2]]], ignore_index=True))] == [
        "rows have different keys"
    ]
    assert "there is a column symbol" in {f.rule for f in validate("assets", frame.drop(columns="symbol"))}
    assert Schema().check(frame, None) == []


def test_every_error_of_a_table_is_said_at_once():
    findings = [Finding(f"rule {i}", "error", 1, "here", "Mend it.") for i in range(3)]
    with pytest.raises(DataError, match="rule 0") as caught:
        refuse_errors(findings, where="prices")
    assert len(caught.value.others) == 2
    assert caught.value.exit_code == 3


def test_findings_go_to_the_log_of_a_run_and_nowhere_else(tmp_path, capsys):
    frame = market_frame(n=30)
    frame.loc[3, "volume"] = -1.0
    findings = Ohlcv().check(to_rows(frame))
    log_findings(findings, table="prices", validator="ohlcv")
    assert capsys.readouterr().err == ""
    with log.to_file(tmp_path / "log.jsonl", run_id="a-1"):
        log_findings(findings, table="prices", validator="ohlcv")
    line = json.loads((tmp_path / "log.jsonl").read_text("utf-8").splitlines()[1])
    assert (line["run_id"], line["rule"], line["count"], line["level"]) == ("a-1", "volume is not negative", 1, "error")
    assert line["rows"][0]["volume"] == -1.0
