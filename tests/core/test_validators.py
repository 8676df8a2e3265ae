"""Validators find planted faults, say where, and pass what is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.data.store import Store
from mnpu.errors import DataError
from mnpu.types import SeriesInfo, SideTable
from mnpu.validation.findings import Finding, refuse_errors
from mnpu.validation.ohlcv import Ohlcv
from mnpu.validation.point_in_time import PointInTime


@pytest.fixture
def panel(make_panel, rng):
    close = 50 + rng.normal(size=(20, 2)).cumsum(axis=0)
    return make_panel(close, open=close - 0.5, high=close + 1, low=close - 1, volume=np.full((20, 2), 100.0))


@pytest.fixture
def side():
    days = pd.date_range("2020-01-31", periods=6, freq="ME", tz="UTC").as_unit("ns")
    info = SeriesInfo("x", "monthly", "u", "declared", "period end + 9 days", pd.Timedelta(days=60), "", "")
    names = np.full(6, "x", dtype=object)
    return SideTable(days, days + pd.Timedelta(days=9), names, np.full(6, "", object), np.arange(6.0), {"x": info})


def with_cell(panel, name, t, a, value):
    fields = dict(panel.fields)
    fields[name] = fields[name].copy()
    fields[name][t, a] = value
    return replace(panel, fields=fields)


def errors(findings):
    return [finding for finding in findings if finding.severity == "error"]


def test_sound_tables_pass(panel, side):
    for validator in (Ohlcv(), PointInTime()):
        assert validator.check(panel, None) == []
        assert validator.check(side, None) == []


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("close", 0.0, "finite close above 0"),
        ("close", -3.0, "finite close above 0"),
        ("close", np.inf, "finite close above 0"),
        ("close", np.nan, "finite close above 0"),
        ("open", -1.0, "open is above 0"),
        ("volume", -1.0, "volume is not negative"),
        ("high", 1.0, "above its high"),
        ("low", 999.0, "below its low"),
        ("open", 999.0, "above its high"),
    ],
)
def test_a_wrong_cell_is_an_error_with_its_place_and_value(panel, name, value, rule):
    found = errors(Ohlcv().check(with_cell(panel, name, 7, 1, value), None))
    assert any(rule in finding.rule for finding in found)
    assert all(finding.sample.startswith("S1 on 2015-01-14 21:00") for finding in found)
    assert all(finding.count == 1 and finding.hint for finding in found)


def test_a_bar_may_lack_everything_but_its_close(panel):
    for name in ("open", "high", "low", "volume"):
        panel = with_cell(panel, name, 7, 1, np.nan)
    assert Ohlcv().check(panel, None) == []
    assert errors(Ohlcv().check(with_cell(panel, "volume", 3, 0, 0.0), None)) == []


def test_a_value_where_the_symbol_does_not_trade_is_an_error(panel):
    tradable = panel.tradable.copy()
    tradable[3, 0] = False
    found = errors(Ohlcv().check(replace(panel, tradable=tradable), None))
    assert {finding.rule for finding in found} == {
        f"{name} is missing where the symbol does not trade" for name in ("open", "high", "low", "close", "volume")
    }


def test_times_that_repeat_or_go_back_are_an_error(panel):
    for order in ([0, 1, 1, 2], [0, 2, 1, 3]):
        found = errors(Ohlcv().check(replace(panel.rows(0, 4), times=panel.times[order]), None))
        assert [finding.rule for finding in found] == ["times increase strictly"]


def test_a_large_move_is_a_warning_that_names_it(demo_store):
    panel = Store.open(demo_store).panel(["AAPL"], start="2000-03-01", end="2001-12-31", dataset="us_ohlcv_daily")
    (finding,) = Ohlcv().check(panel, None)
    assert finding.severity == "warning"
    assert finding.sample == "AAPL on 2000-09-29 20:00 moved by -51.9%"
    refuse_errors([finding], where="panel")


def test_every_dataset_and_series_of_the_bundle_passes(demo_store):
    store = Store.open(demo_store)
    for info in store.datasets():
        span = {"start": "1990-01-01", "end": "2022-12-31", "frequency": info.frequency, "dataset": info.name}
        panel = store.panel(store.symbols(info.name), **span)
        assert errors([*Ohlcv().check(panel, None), *PointInTime().check(panel, None)]) == []
    table = store.side([summary.info.series for summary in store.info().series])
    assert PointInTime().check(table, None) == []


def test_a_bar_known_before_its_session_is_an_error(panel):
    early = replace(panel, times=panel.times - pd.Timedelta(days=2))
    assert [finding.rule for finding in PointInTime().check(early, None)] == ["a bar closes after its session begins"]


def test_a_value_known_before_its_period_ended_is_an_error(side):
    early = replace(side, knowledge_time=side.event_time - pd.Timedelta(days=1))
    (finding,) = PointInTime().check(early, None)
    assert finding.rule == "knowledge_time >= event_time"
    assert finding.count == 6
    assert finding.sample.startswith("x, period to 2020-01-31")
    assert finding.records[0]["knowledge_time"] < finding.records[0]["event_time"]
    assert finding.index.tolist() == list(range(6))


def test_unsorted_repeated_undeclared_and_missing_rows_are_errors(side):
    def rules(table):
        return {finding.rule for finding in PointInTime().check(table, None)}

    backwards = replace(side, event_time=side.event_time[::-1], knowledge_time=side.knowledge_time[::-1])
    assert rules(backwards) == {"rows are sorted by knowledge_time, then event_time"}
    twice = [0, 0, 1, 2, 3, 4]
    assert rules(replace(side, event_time=side.event_time[twice], knowledge_time=side.knowledge_time[twice])) == {
        "one value per period and release"
    }
    assert rules(replace(side, info={})) == {"every series is declared"}
    assert rules(replace(side, value=np.array([1, np.nan, 1, 1, 1, 1]))) == {"values are finite"}


def test_an_error_finding_refuses_the_data():
    finding = Finding("high >= low", "error", 3, "KO on 2001-01-02", "Correct the bar.")
    with pytest.raises(DataError, match=r"panel: 3 rows break the rule high >= low \(first: KO on 2001-01-02\)"):
        refuse_errors([finding], where="panel")
