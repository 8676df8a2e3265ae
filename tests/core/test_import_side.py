"""Side data on its way into a store: series, vintages, the calendar, news, corporate actions, universes, assets."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mnpu.data.importing.clocks import recorded
from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_files
from mnpu.data.store import Store
from mnpu.errors import ConfigError, DataError
from mnpu.features import View
from tests.side_tables import decisions

NOW = pd.Timestamp("2024-06-01", tz="UTC")
DAY = 86_400 * 10**9
SERIES = "series: {kind: macro, frequency: monthly, unit: index, max_age: 75d, source: me, licence: none}"
PRICES = """
  - files: prices.csv
    table: prices
    dataset: {name: mine, vendor: me, frequency: 1d, stamp: session_date, calendar: XNYS, currency: USD, licence: none}
"""


@pytest.fixture
def bring(tmp_path):
    """``bring(text, lines...)`` imports one CSV by one entry, beside the entries of ``first``."""

    def bring(text, *lines, first=""):
        (tmp_path / "file.csv").write_text(text)
        (tmp_path / "prices.csv").write_text("date,symbol,close\n2024-03-08,AAA,1\n2024-03-11,AAA,2\n")
        entry = "\n".join(f"    {line}" for line in lines)
        (tmp_path / "mapping.yaml").write_text(f"imports:{first}\n  - files: file.csv\n{entry}\n")
        summary = import_files(load_mapping(tmp_path / "mapping.yaml"), tmp_path / "market.db", now=NOW)
        outcome = summary.files[-1]
        if outcome.error is not None:
            raise outcome.error
        return outcome

    bring.store = tmp_path / "market.db"
    return bring


def rows(store, query):
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute(query).fetchall()


def at(text):
    return int(pd.Timestamp(text).value)


def test_a_release_lag_counts_from_the_end_of_the_period(bring):
    bring(
        "date,series,value\n2024-01-01,cpi,1\n2024-02-01,cpi,2\n",
        *("table: observations", "period: month", SERIES),
        "knowledge: {lag: {days: 12, time: '08:30', zone: America/New_York}}",
    )
    assert rows(bring.store, "SELECT event_time, knowledge_time, basis FROM observations") == [
        (at("2024-01-31 23:59:59"), at("2024-02-12 13:30"), "declared"),
        (at("2024-02-29 23:59:59"), at("2024-03-12 12:30"), "declared"),  # summer time has begun
    ]
    declared = rows(bring.store, "SELECT kind, basis, release_lag, max_age FROM series")
    assert declared == [("macro", "declared", "period end + 12 days, 08:30 America/New_York", 75 * 86400 * 10**9)]


@pytest.mark.parametrize(
    ("period", "end"),
    [
        ("instant", "2024-02-01 00:00"),
        ("day", "2024-02-01 23:59:59"),
        ("mid_month", "2024-02-15 23:59:59"),
        ("month", "2024-02-29 23:59:59"),
        ("quarter", "2024-03-31 23:59:59"),
        ("year", "2024-12-31 23:59:59"),
    ],
)
def test_periods_are_over_at_their_end(bring, period, end):
    outcome = bring(
        "date,series,value\n2024-02-01,x,1\n",
        *("table: observations", f"period: {period}", SERIES, "knowledge: {lag: {}}", "time: {zone: UTC}"),
    )
    if period == "year":
        assert outcome.reasons == {"future": 1}
    else:
        assert rows(bring.store, "SELECT event_time FROM observations") == [(at(end),)]


@pytest.mark.parametrize("spelt", ["2024-02-13", "20240213", " 2024-02-13 "])
def test_a_date_of_publication_is_known_when_it_is_over(bring, spelt):
    bring(
        f"date,series,value,seen\n2024-01-01,cpi,1,{spelt}\n",
        *("table: observations", "period: month", SERIES, "knowledge: {column: seen, zone: America/New_York}"),
    )
    assert rows(bring.store, "SELECT knowledge_time, basis FROM observations") == [
        (at("2024-02-14 04:59:59"), "observed")
    ]


@pytest.mark.parametrize(
    ("cells", "known"),
    [
        (pa.array([dt.date(2024, 2, 13)]), "2024-02-13 23:59:59"),
        (pa.array([20240213]), "2024-02-13 23:59:59"),
        (pa.array([dt.datetime(2024, 2, 13)], pa.timestamp("ns")), "2024-02-13 00:00"),  # midnight is a moment
        (pa.array([at("2024-02-13")]), "2024-02-13 00:00"),
        (pa.array([None, dt.date(2024, 2, 13)]), "2024-02-13 23:59:59"),
    ],
)
def test_dates_of_any_type_are_known_when_they_are_over(cells, known):
    told, instants = recorded(cells, "UTC", where="here")
    np.testing.assert_array_equal(instants[~told.missing], [at(known)])


def test_recording_that_began_on_a_date_began_when_it_was_over(bring):
    bring(
        "date,series,value,seen\n2024-01-01,cpi,1,2024-02-13\n2024-02-01,cpi,2,2024-03-12\n",
        *("table: observations", "period: month", SERIES),
        'knowledge: {column: seen, zone: UTC, censored: "2024-02-13"}',
    )
    assert rows(bring.store, "SELECT basis FROM observations") == [("left-censored",), ("observed",)]


def test_a_moment_that_its_zone_does_not_have_is_said_to_be_none(bring):
    outcome = bring(
        "date,series,value,seen\n2024-01-01,a,1,2024-03-10 02:30\n2024-01-01,b,2,2024-03-10 03:30\n",
        *("table: observations", "period: month", SERIES, "knowledge: {column: seen, zone: America/New_York}"),
    )
    assert outcome.reasons == {"time": 1}
    [told] = outcome.quarantine.read_text().splitlines()[1:]
    assert "the moment of its knowledge does not exist, or exists twice, in its zone" in told


def test_a_date_is_no_instant_from_which_a_lag_could_count(bring):
    lines = ("table: observations", SERIES, "time: {zone: UTC}", "knowledge: {column: seen, lag: {hours: 6}}")
    outcome = bring("date,series,value,seen\n2024-02-01,a,1,\n2024-02-01,b,2,2024-02-02 08:00\n", *lines)
    assert outcome.reasons == {"time": 1}  # six hours after its first moment, three quarters of the day are to come
    assert "say period: day" in outcome.quarantine.read_text()
    outcome = bring("date,series,value,seen\n2024-02-01,a,1,\n", *lines, "period: instant")
    assert (outcome.n_taken, outcome.reasons) == (1, {})


def test_rows_with_neither_a_moment_nor_a_rule_are_unknown(bring):
    outcome = bring(
        "date,series,value,available_at\n2024-01-01,a,1,2024-02-03T00:00Z\n2024-01-01,b,2,\n",
        *("table: observations", "period: month", SERIES),
    )
    assert outcome.reasons == {"unknown": 1}
    assert rows(bring.store, "SELECT series, basis FROM observations") == [("a", "observed")]


def test_a_rule_stands_in_where_no_moment_was_recorded(bring):
    bring(
        "date,series,value,seen\n2024-01-01,a,1,2024-02-03T00:00Z\n2024-02-01,a,2,\n",
        *("table: observations", "period: month", SERIES, "knowledge: {column: seen, lag: {days: 30}}"),
    )
    assert [basis for (basis,) in rows(bring.store, "SELECT basis FROM observations")] == ["observed", "declared"]


def test_revisions_are_rows_repeats_are_none_and_the_first_vintage_is_left_censored(bring):
    text = "date,series,value,seen\n" + "".join(
        f"2024-01-01,a,{value},{seen}\n"
        for value, seen in ((1.0, "2024-02-05"), (1.0, "2024-03-05"), (1.5, "2024-04-05"), (1.0, "2024-05-05"))
    )
    lines = ("table: observations", "period: month", SERIES, "knowledge: {column: seen, zone: UTC, censored: earliest}")
    outcome = bring(text, *lines)
    assert (outcome.n_taken, outcome.n_present) == (3, 1)
    found = rows(bring.store, "SELECT value, basis FROM observations ORDER BY knowledge_time")
    assert found == [(1.0, "left-censored"), (1.5, "observed"), (1.0, "observed")]
    again = bring(text, *lines)
    assert (again.n_taken, again.n_present) == (0, 4)


def test_one_column_for_each_series(bring):
    outcome = bring(
        "day,rate,spread\n2024-01-01,5.25,\n2024-01-02,.,0.5\n",
        *("table: observations", "wide: {policy_rate: rate, term_spread: spread}", "period: day", SERIES),
        *("knowledge: {lag: {days: 1}}", "missing: ['.']"),
    )
    assert (outcome.n_read, outcome.n_taken, outcome.reasons) == (3, 2, {"missing": 1})
    assert rows(bring.store, "SELECT series, value FROM observations") == [("policy_rate", 5.25), ("term_spread", 0.5)]


def test_a_series_may_have_rules_of_its_own_and_others_may_be_refused(bring):
    outcome = bring(
        "date,series,value\n2024-01-02,vix,13\n2024-01-01,cpi,2\n2024-01-01,odd,3\n",
        *("table: observations", "period: month", "prefix: us_", "knowledge: {lag: {days: 30}}"),
        "series: {max_age: 75d, source: me, licence: none, only: true, names: {cpi: {unit: index}, vix: {period: day,"
        " day_ends: {time: '16:15', zone: America/New_York}, knowledge: {lag: {}}, kind: benchmark}}}",
    )
    assert outcome.reasons == {"undeclared": 1}
    assert rows(bring.store, "SELECT series, event_time, knowledge_time FROM observations") == [
        ("us_cpi", at("2024-01-31 23:59:59"), at("2024-03-01 23:59:59")),
        ("us_vix", at("2024-01-02 21:15"), at("2024-01-02 21:15")),
    ]
    assert rows(bring.store, "SELECT series, kind, unit FROM series") == [
        ("us_cpi", "macro", "index"),
        ("us_vix", "benchmark", ""),
    ]


def test_an_event_is_announced_and_then_released(bring):
    outcome = bring(
        "timestamp,series,symbol,value,forecast,previous,impact\n"
        "2024-03-12 12:30,CPI m/m,USD,0.4,0.3,0.3,High\n"
        "2024-03-13 15:00,Speech,EUR,,,,Low\n"
        "2024-06-05 12:30,CPI m/m,USD,,0.2,,High\n"
        "2024-07-05 12:30,CPI m/m,USD,,,,High\n",
        *("table: calendar", "time: {zone: UTC}", "knowledge: {lead: 7d, lag: {}}"),
        "series: {max_age: 100d, source: me, licence: none}",
    )
    assert (outcome.n_read, outcome.n_taken, outcome.reasons) == (4, 3, {"future": 1})
    columns = "series, event_time, knowledge_time, released, forecast, actual, previous, impact, basis"
    release, soon = at("2024-03-12 12:30"), at("2024-06-05 12:30")
    week = 7 * 86400 * 10**9
    assert rows(bring.store, f"SELECT {columns} FROM calendar_events WHERE series LIKE 'USD%'") == [
        ("USD CPI m/m", release, release - week, None, 0.3, None, None, "High", "declared"),
        ("USD CPI m/m", release, release, release, 0.3, 0.4, 0.3, "High", "declared"),
        ("USD CPI m/m", soon, soon - week, None, 0.2, None, None, "High", "declared"),
    ]
    side = Store.open(bring.store).side(["USD CPI m/m/scheduled", "USD CPI m/m/actual"])
    assert list(side.series) == ["USD CPI m/m/scheduled", "USD CPI m/m/actual", "USD CPI m/m/scheduled"]


def test_scores_of_texts_are_found_by_their_words_and_read_as_a_series(bring):
    texts = """
  - files: texts.csv
    table: news
    time: {zone: UTC}
    knowledge: {lag: {}}
    series: {max_age: 30d, source: me, licence: none}
"""
    (bring.store.parent / "texts.csv").write_text(
        "time,source,symbol,text\n2024-03-12 12:30,wire,AAA,good\n2024-03-12 13:30,wire,,bad\n"
    )
    declared = ("table: news_scores", "model: lab", "knowledge: {column: computed, zone: UTC}")
    text = (
        "source,text,computed,score\nwire,good,2024-03-12 12:31,0.8\nwire,bad,2024-03-12 13:00,-1\n"
        "wire,bad,2024-03-12 14:00,3\nelse,bad,2024-03-12 14:00,0\nwire,bad,2024-07-12 14:00,0\nwire,bad,,0\n"
    )
    outcome = bring(text, *declared, first=texts)
    assert (outcome.target, outcome.n_taken) == ("news_scores", 2)
    assert outcome.reasons == {"number": 1, "orphan": 1, "future": 1, "unknown": 1}
    side = Store.open(bring.store).side(["wire/lab"])
    assert list(zip(side.symbol, side.value, side.knowledge_time.asi8, strict=True)) == [
        ("AAA", 0.8, at("2024-03-12 12:31")),
        ("", -1.0, at("2024-03-12 13:30")),  # scored before it was published: known with the text
    ]
    again = bring(text.replace("0.8", "0.7"), *declared, first=texts)
    assert (again.n_taken, again.n_present, again.reasons["conflict"]) == (0, 1, 1)


def test_scores_may_name_their_texts_and_follow_a_rule(bring):
    texts = """
  - files: texts.csv
    table: news
    time: {zone: UTC}
    knowledge: {lag: {}}
    series: {max_age: 30d, source: me, licence: none}
"""
    (bring.store.parent / "texts.csv").write_text("time,source,id,text\n2024-03-12 12:30,wire,n1,good\n")
    outcome = bring(
        "time,source,id,model,score\n2024-03-12 12:30,wire,n1,a,0.5\n2024-03-12 12:30,wire,n1,,0.5\n",
        *("table: news_scores", "time: {zone: UTC}", "knowledge: {lag: {hours: 2}}"),
        first=texts,
    )
    assert (outcome.n_taken, outcome.reasons) == (1, {"name": 1})
    assert rows(bring.store, "SELECT id, model, knowledge_time, score FROM news_scores") == [
        ("n1", "a", at("2024-03-12 14:30"), 0.5)
    ]


def test_an_event_may_be_called_off_or_moved(bring):
    outcome = bring(
        "date,event,said,off,was,actual\n"
        "2024-03-12 12:30,CPI,2024-01-02,,,\n"
        "2024-04-10 12:30,CPI,2024-01-02,,,\n"
        "2024-03-12 12:30,CPI,2024-03-05,yes,,\n"
        "2024-04-11 12:30,CPI,2024-03-06,no,2024-04-10 12:30,\n"
        "2024-05-10 12:30,CPI,2024-03-06,yes,,0.3\n"
        "2024-05-10 12:30,CPI,2024-03-06,perhaps,,\n",
        *("table: calendar", "time: {zone: UTC}", "knowledge: {column: said, zone: UTC}"),
        "columns: {series: event, cancelled: off, replaces: was}",
        "series: {max_age: 100d, source: me, licence: none}",
    )
    assert (outcome.n_taken, outcome.reasons) == (4, {"order": 1, "kind": 1})
    first, second, third = at("2024-03-12 12:30"), at("2024-04-10 12:30"), at("2024-04-11 12:30")
    assert rows(bring.store, "SELECT event_time, knowledge_time, cancelled FROM calendar_events") == [
        (first, at("2024-01-02 23:59:59"), 0),
        (first, at("2024-03-05 23:59:59"), 1),
        (second, at("2024-01-02 23:59:59"), 0),
        (second, at("2024-03-06 23:59:59"), 1),
        (third, at("2024-03-06 23:59:59"), 0),
    ]
    side = Store.open(bring.store).side(["CPI/scheduled"])
    days = ["2024-03-01", "2024-03-05 23:59:59", "2024-03-06 23:59:59", "2024-04-12"]
    view = View(decisions(pd.to_datetime(days, utc=True, format="mixed")), side)
    ahead = [(event - at(day)) / DAY for event, day in zip((first, second, third), days, strict=False)]
    assert view.until_next("CPI/scheduled")[:3].tolist() == ahead
    assert view.since_last("CPI/scheduled")[3] == (at("2024-04-12") - third) / DAY


def test_an_announcement_by_rule_ends_where_the_event_is_called_off(bring):
    outcome = bring(
        "date,event,said,off\n2024-03-12 12:30,CPI,2024-03-08,true\n2024-04-12 12:30,CPI,2024-03-08,true\n",
        *("table: calendar", "time: {zone: UTC}", "knowledge: {column: said, zone: UTC, lead: 7d}"),
        "columns: {series: event, cancelled: off}",
        "series: {max_age: 100d, source: me, licence: none}",
    )
    assert (outcome.n_taken, outcome.reasons) == (2, {})
    april, march = at("2024-04-12 12:30"), at("2024-03-12 12:30")
    assert rows(bring.store, "SELECT event_time, knowledge_time, cancelled FROM calendar_events") == [
        (march, march - 7 * DAY, 0),
        (march, at("2024-03-08 23:59:59"), 1),
        (april, at("2024-03-08 23:59:59"), 1),  # it was never announced by the rule
    ]


def test_texts_of_one_moment_are_told_apart_and_repeats_are_present(bring):
    outcome = bring(
        "time,source,symbol,text,available_at\n"
        "2024-03-12T12:30Z,wire,AAA,good,2024-03-12T12:31Z\n"
        "2024-03-12T12:30Z,wire,AAA,bad,2024-03-12T12:31Z\n"
        "2024-03-12T12:30Z,wire,AAA,good,2024-03-12T12:31Z\n"
        "2024-03-12T12:30Z,wire,,market,2024-03-12T12:31Z\n"
        "2024-03-12T12:30Z,wire,AAA, ,2024-03-12T12:31Z\n",
        *("table: news", "series: {max_age: 30d, source: me, licence: none}"),
    )
    assert (outcome.n_taken, outcome.n_present, outcome.reasons) == (3, 1, {"missing": 1})
    side = Store.open(bring.store).side(["wire"])
    assert sorted(zip(side.symbol, side.text, strict=True)) == [("", "market"), ("AAA", "bad"), ("AAA", "good")]


def test_corporate_actions_take_effect_at_the_open(bring):
    outcome = bring(
        "ex_date,symbol,ratio,announced\n2024-03-11,AAA,2,2024-03-01\n2024-03-11,ZZZ,2,2024-03-01\n"
        "2024-03-10,AAA,2,2024-03-01\n2024-03-11,AAA,0,2024-03-01\n",
        *("table: corporate_actions", "dataset: mine", "kind: split", "knowledge: {column: announced, zone: UTC}"),
        first=PRICES,
    )
    assert outcome.reasons == {"orphan": 1, "calendar": 1, "price": 1}
    assert rows(bring.store, "SELECT event_time, knowledge_time, ratio, amount FROM corporate_actions") == [
        (at("2024-03-11 13:30"), at("2024-03-01 23:59:59"), 2.0, None)
    ]
    with pytest.raises(DataError, match="no dataset 'other'"):
        bring("date,symbol,amount\n", "table: corporate_actions", "dataset: other", "kind: dividend")


def test_a_fiscal_year_that_is_not_that_of_the_period_is_a_typo(bring):
    outcome = bring(
        "date,series,value,fiscal_year\n2015-12-31,cash,1,2015\n2016-01-30,cash,2,2015.0\n2015-12-31,debt,3,1215\n"
        "2015-12-31,assets,4,29953000\n2015-12-31,sales,5,\n2015-12-31,costs,6,FY15\n",
        *("table: observations", "period: day", SERIES, "knowledge: {lag: {days: 40}}"),
    )
    assert (outcome.n_taken, outcome.reasons) == (3, {"year": 3})
    assert rows(bring.store, "SELECT series, value FROM observations ORDER BY value") == [
        ("cash", 1.0),
        ("cash", 2.0),
        ("sales", 5.0),
    ]
    (quarantine,) = (bring.store.parent / "quarantine").glob("*.csv")
    assert "its fiscal year is not that of its period: 1215, ends in 2015" in quarantine.read_text()


def test_two_dividends_of_a_day_have_labels_and_are_added_up(bring):
    declared = ("table: corporate_actions", "dataset: mine", "kind: dividend", "knowledge: {column: said, zone: UTC}")
    outcome = bring(
        "ex_date,symbol,amount,said,label\n2024-03-11,AAA,0.2,2024-03-01,\n2024-03-11,AAA,1.5,2024-03-04,special\n",
        *declared,
        first=PRICES,
    )
    assert (outcome.n_taken, outcome.reasons) == (2, {})
    again = bring(
        "ex_date,symbol,amount,said\n2024-03-11,AAA,1.25,2024-03-08\n", *declared, "label: special", first=PRICES
    )
    assert (again.n_taken, again.reasons) == (1, {})
    assert rows(bring.store, "SELECT label, amount FROM corporate_actions") == [
        ("", 0.2),
        ("special", 1.5),
        ("special", 1.25),
    ]
    panel = Store.open(bring.store).panel(["AAA"], start="2024-03-08", end="2024-03-12")
    paid = dict(zip(panel.sessions.astype(str).tolist(), panel["dividend"][:, 0].tolist(), strict=True))
    assert paid == {"2024-03-08": 0.0, "2024-03-11": pytest.approx(0.2 + 1.25)}


def test_prices_that_a_vendor_adjusted_are_not_adjusted_twice(bring):
    adjusted = PRICES.replace("licence: none", 'licence: none, adjustment: split, adjusted_as_of: "2024-05-01"')
    action = ("table: corporate_actions", "dataset: mine", "kind: split", "knowledge: {column: announced, zone: UTC}")
    with pytest.raises(DataError, match="'mine' are adjusted for split already"):
        bring("date,symbol,ratio,announced\n2024-03-11,AAA,2,2024-03-01\n", *action, first=adjusted)
    with closing(sqlite3.connect(bring.store)) as connection, connection:  # by other hands
        connection.execute(
            "INSERT INTO corporate_actions (dataset, symbol, event_time, knowledge_time, kind, ratio, source, basis)"
            " VALUES ('mine', 'AAA', ?, ?, 'split', 2.0, 'me', 'declared')",
            (at("2024-03-11 13:30"), at("2024-03-01")),
        )
    with pytest.raises(DataError, match="AAA has corporate actions, but the prices of mine are adjusted"):
        Store.open(bring.store).panel(["AAA"], start="2024-03-01", end="2024-03-31")


def test_members_of_a_universe(bring):
    outcome = bring(
        "symbol,start,end\nAAA,2020-01-02,2022-01-03\nBBB,2020-01-02,\nCCC,2020-01-02,2019-01-01\n",
        *("table: universe", "universe: big", "knowledge: {lead: 5d}"),
    )
    assert outcome.reasons == {"order": 1}
    assert rows(bring.store, 'SELECT symbol, start, "end", knowledge_time FROM universes') == [
        ("AAA", at("2020-01-02"), at("2022-01-03"), at("2019-12-28")),
        ("BBB", at("2020-01-02"), None, at("2019-12-28")),
    ]


def test_what_assets_are_is_filled_in_and_never_overwritten(bring):
    text = "symbol,class,delisted,delisting_return\nAAA,equity,2024-04-01,-0.5\nZZZ,equity,,\n"
    outcome = bring(text, "table: assets", "dataset: mine", first=PRICES)
    assert (outcome.n_taken, outcome.reasons) == (1, {"orphan": 1})
    (asset,) = Store.open(bring.store).assets()
    assert (asset.asset_class, asset.delisted, asset.delisting_return) == (
        "equity",
        pd.Timestamp("2024-04-01", tz="UTC"),
        -0.5,
    )
    assert bring(text, "table: assets", "dataset: mine", first=PRICES).n_present == 1
    assert bring(text.replace("equity", "etf"), "table: assets", "dataset: mine", first=PRICES).reasons == {
        "conflict": 1,
        "orphan": 1,
    }


def test_where_leaves_rows_to_others(bring):
    outcome = bring(
        "date,series,value,kind\n2024-01-01,a,1,x\n2024-01-02,a,2,y\n2024-01-03,a,3,z\n",
        *("table: observations", "period: day", SERIES, "knowledge: {lag: {}}"),
        *("where: {kind: [x, y]}", "where_not: {value: [2]}"),
    )
    assert (outcome.n_read, outcome.n_taken, outcome.n_elsewhere) == (1, 1, 2)


def test_a_series_is_declared_in_one_way(bring):
    text = "date,series,value\n2024-01-01,a,1\n"
    bring(text, "table: observations", "period: day", SERIES, "knowledge: {lag: {}}")
    other = SERIES.replace("index", "percent")
    with pytest.raises(ConfigError, match="unit 'percent', but 'index' in the store"):
        bring(text.replace("01,a", "02,a"), "table: observations", "period: day", other, "knowledge: {lag: {}}")
