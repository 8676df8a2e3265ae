"""Side data of a store, whichever table holds it: values of symbols, events of the calendar, texts."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnpu.data.migrations import create_schema
from mnpu.data.store import Store
from mnpu.errors import DataError, PluginError
from mnpu.features import View
from mnpu.features.texts import decayed_sum, window_sum
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.validation.point_in_time import PointInTime
from tests.side_tables import decisions, table

DAY = 86_400_000_000_000


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "s.db"
    series = [
        (name, "daily", "", "observed", "", 30 * DAY, "test", "none", "", 0, kind)
        for name, kind in (("fees", "onchain"), ("USD CPI m/m", "calendar"), ("wire", "news"))
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        create_schema(connection)
        connection.executemany(f"INSERT INTO series VALUES ({', '.join('?' * 11)})", series)
        connection.executemany(
            "INSERT INTO observations VALUES (?, ?, ?, ?, ?, 'observed')",
            [
                ("fees", "BTC", DAY, 2 * DAY, 1.0),
                ("fees", "ETH", DAY, 2 * DAY, 5.0),
                ("fees", "BTC", DAY, 4 * DAY, 1.5),
            ],
        )
        connection.executemany(
            "INSERT INTO calendar_events VALUES ('USD CPI m/m', ?, ?, ?, ?, ?, ?, 'High', 'declared', 0)",
            [(10 * DAY, 3 * DAY, None, 0.2, None, 0.1), (10 * DAY, 10 * DAY, 10 * DAY, 0.3, 0.4, 0.1)],
        )
        connection.executemany(
            "INSERT INTO news VALUES ('wire', ?, ?, ?, ?, ?, ?, 'observed')",
            [
                ("BTC", DAY, DAY + 5, "b", "up", ""),
                ("", DAY, DAY + 5, "a", "Fed", "holds"),
                ("BTC", 0, 1, "c", "down", ""),
            ],
        )
    return Store.open(path)


def rows(table):
    known = [int(t) for t in table.knowledge_time.asi8]
    event = [int(t) for t in table.event_time.asi8]
    return list(zip(event, known, table.series.tolist(), table.symbol.tolist(), table.value.tolist(), strict=True))


def test_values_of_symbols_come_with_their_symbol_in_order_of_knowledge(store):
    assert rows(store.side(["fees"])) == [
        (DAY, 2 * DAY, "fees", "BTC", 1.0),
        (DAY, 2 * DAY, "fees", "ETH", 5.0),
        (DAY, 4 * DAY, "fees", "BTC", 1.5),
    ]


def test_an_event_is_four_series_and_its_date_is_known_before_its_outcome(store):
    name = "USD CPI m/m"
    told = {part: rows(store.side([f"{name}/{part}"])) for part in ("scheduled", "forecast", "actual", "previous")}
    assert told["scheduled"] == [(10 * DAY, 3 * DAY, f"{name}/scheduled", "", 1.0)]
    assert [(known, value) for _, known, _, _, value in told["forecast"]] == [(3 * DAY, 0.2), (10 * DAY, 0.3)]
    assert [(known, value) for _, known, _, _, value in told["actual"]] == [(10 * DAY, 0.4)]
    assert [known for _, known, *_ in told["previous"]] == [3 * DAY, 10 * DAY]


def scheduled(states):
    """A schedule, and decisions at noon of nine days; a state is (event, known, stands), in days."""
    rows = [(pd.Timestamp(e * DAY), pd.Timestamp(k * DAY), float(stands)) for e, k, stands in states]
    noon = pd.to_datetime([(d + 0.5) * 86_400 for d in range(9)], unit="s", utc=True)
    return View(decisions(noon), table({"CPI/scheduled": rows}, kind="calendar"))


def test_an_event_that_is_called_off_vanishes_from_the_moment_at_which_that_was_known():
    nan = np.nan
    view = scheduled([(6, 1, 1), (6, 4, 0), (8, 2, 1)])
    np.testing.assert_array_equal(
        view.until_next("CPI/scheduled"), [nan, 4.5, 3.5, 2.5, 3.5, 2.5, 1.5, 0.5, nan]
    )  # of day 6 until day 4, then of day 8
    np.testing.assert_array_equal(view.since_last("CPI/scheduled"), [nan] * 8 + [0.5])


def test_a_date_that_was_moved_counts_until_the_new_one_is_known():
    nan = np.nan
    later = scheduled([(5, 0, 1), (5, 3, 0), (7, 3, 1)])
    np.testing.assert_array_equal(later.until_next("CPI/scheduled"), [4.5, 3.5, 2.5, 3.5, 2.5, 1.5, 0.5, nan, nan])
    np.testing.assert_array_equal(later.since_last("CPI/scheduled"), [nan] * 7 + [0.5, 1.5])
    sooner = scheduled([(7, 0, 1), (7, 3, 0), (5, 3, 1)])
    np.testing.assert_array_equal(sooner.until_next("CPI/scheduled"), [6.5, 5.5, 4.5, 1.5, 0.5, nan, nan, nan, nan])
    and_back = scheduled([(7, 0, 1), (7, 3, 0), (5, 3, 1), (5, 4, 0), (7, 4, 1)])
    np.testing.assert_array_equal(and_back.until_next("CPI/scheduled"), [6.5, 5.5, 4.5, 1.5, 2.5, 1.5, 0.5, nan, nan])


def test_what_did_not_come_after_all_was_not_the_last_event():
    view = scheduled([(2, 0, 1), (4, 0, 1), (4, 6, 0)])
    since = view.since_last("CPI/scheduled")
    np.testing.assert_array_equal(since, [np.nan, np.nan, 0.5, 1.5, 0.5, 1.5, 4.5, 5.5, 6.5])


@given(
    states=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.booleans()), min_size=1, max_size=14),
)
def test_schedules_are_what_a_reader_of_every_announcement_would_have_said(states):
    view = scheduled(states)
    until, since = view.until_next("CPI/scheduled"), view.since_last("CPI/scheduled")
    told = sorted(enumerate(states), key=lambda row: (row[1][1], row[1][0], row[0]))
    for day in range(9):
        stands = {}
        for _, (event, known, yes) in told:
            if known <= day + 0.5:
                stands[event] = yes
        ahead = [e - day - 0.5 for e, yes in stands.items() if yes and e > day + 0.5]
        past = [day + 0.5 - e for e, yes in stands.items() if yes and e < day + 0.5]
        np.testing.assert_array_equal([until[day], since[day]], [min(ahead, default=np.nan), min(past, default=np.nan)])


def test_texts_come_with_their_words(store):
    table = store.side(["wire"])
    assert table.text.tolist() == ["down", "Fed\nholds", "up"]
    assert table.symbol.tolist() == ["BTC", "", "BTC"]
    assert table.value.tolist() == [1.0, 1.0, 1.0]
    assert table.info["wire"].kind == "news"
    assert store.side(["fees"]).text is None


@pytest.fixture
def scored(store):
    """What two models made of the texts of the wire: one was slow, and said something else later."""
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.executemany(
            "INSERT INTO news_scores VALUES ('wire', ?, ?, ?, ?, NULL)",
            [
                ("a", "lab/v1", DAY, 0.5),  # known before the text was: the text decides
                ("b", "lab/v1", 3 * DAY, -0.25),
                ("b", "lab/v1", 4 * DAY, 0.75),
                ("c", "lab/v1", 2, 1.0),
                ("c", "other", 7, -1.0),
            ],
        )
        connection.execute("INSERT INTO news_scores VALUES ('wire', 'a', 'vectors', 5, NULL, x'00000000')")
        connection.execute("INSERT INTO news_scores VALUES ('nobody', 'a', 'lab/v1', 5, 0.1, NULL)")
    return store


def test_stored_scores_are_a_series_beside_their_texts_known_when_both_were(scored):
    assert {name for name, info in scored.series().items() if info.kind == "news"} == {
        "wire",
        "wire/lab/v1",
        "wire/other",
    }
    assert rows(scored.side(["wire/lab/v1"])) == [
        (0, 2, "wire/lab/v1", "BTC", 1.0),
        (DAY, DAY + 5, "wire/lab/v1", "", 0.5),
        (DAY, 3 * DAY, "wire/lab/v1", "BTC", -0.25),  # the first score of a text stays
    ]
    assert rows(scored.side(["wire/other"], end=pd.Timestamp(6, tz="UTC"))) == []
    both = scored.side(["wire", "wire/other"])
    assert both.text.tolist() == ["down", "", "Fed\nholds", "up"]
    assert PointInTime().check(both) == []


def test_texts_of_one_moment_may_have_one_score(scored):
    with closing(sqlite3.connect(scored.path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO news VALUES ('wire', 'BTC', 0, 1, 'd', 'out', '', 'observed')")
        connection.execute("INSERT INTO news_scores VALUES ('wire', 'd', 'other', 7, -1.0, NULL)")
    twins = scored.side(["wire/other"])
    assert [row[1:] for row in rows(twins)] == [(7, "wire/other", "BTC", -1.0)] * 2
    assert PointInTime().check(twins) == []


def test_what_became_known_later_is_left_out(store):
    assert len(store.side(["fees", "wire"], end=pd.Timestamp(DAY + 4, tz="UTC"))) == 1


def test_a_series_that_is_not_there_gets_a_suggestion(store):
    with pytest.raises(DataError, match="Did you mean 'USD CPI m/m/actual'"):
        store.side(["USD CPI m/m/actuals"])


def test_the_store_tells_about_every_kind_of_series(store):
    told = {s.info.series: (s.info.kind, s.n_observations, s.n_revisions) for s in store.info().series}
    assert told == {"fees": ("onchain", 3, 1), "USD CPI m/m": ("calendar", 2, 1), "wire": ("news", 3, 0)}


@pytest.fixture(scope="module")
def panel():
    made = synthetic_panel(np.random.default_rng(3), bars=80, symbols=4)
    return made


def test_rows_are_found_under_the_symbol_or_else_under_its_base(panel):
    from dataclasses import replace

    side = synthetic_side(["fees"], panel, np.random.default_rng(4), history=10, kind="onchain")
    named = {"S0": "S0-PERP", "S1": "BTC", "S2": "S2"}
    side = replace(side, symbol=np.array([named[s] for s in side.symbol], dtype=object))
    about = replace(panel, symbols=("S0-PERP", "S1USD", "S2", "S3"), bases=("S0", "BTC", "S2", "S3"))
    values = View(about, side).by_symbol("fees")
    plain = View(panel, synthetic_side(["fees"], panel, np.random.default_rng(4), history=10, kind="onchain"))
    assert View(about, side).filed("fees") == ("S0-PERP", "BTC", "S2", "")
    np.testing.assert_array_equal(values, plain.by_symbol("fees"))
    assert np.isnan(values[:, 3]).all()
    assert np.isfinite(values[:, :3]).all()


def test_rows_under_a_symbol_and_its_base_are_refused_before_either_is_chosen():
    """A row that is filed under the other name one day would change all that was read before it."""
    rows = [("2020-01-01", "2020-01-02", 1.0, "BTC"), ("2020-01-08", "2020-01-09", 3.0, "BTCUSD")]
    side = table({"fees": rows}, kind="onchain")
    days = decisions(pd.date_range("2020-01-02", "2020-01-12", tz="UTC"), ("BTCUSD",), ("BTC",))
    before = View(days, side.known_by(pd.Timestamp("2020-01-08", tz="UTC"))).by_symbol("fees")[:, 0]
    assert before.tolist() == [1.0] * 11
    for read in ("by_symbol", "filed", "texts", "age_by_symbol"):
        with pytest.raises(DataError, match=r"under BTCUSD and under its base BTC.*set the base of BTCUSD to BTCUSD"):
            getattr(View(days, side), read)("fees")


@pytest.mark.parametrize("vintage", ["latest", "first"])
def test_by_symbol_is_what_a_reader_of_each_symbol_would_have_had(panel, vintage):
    side = synthetic_side(["rate"], panel, np.random.default_rng(5), history=10)
    frame = pd.DataFrame({"event": side.event_time, "known": side.knowledge_time, "value": side.value})
    known = View(panel, side).known("rate", 2, vintage=vintage)
    values = View(panel, side).at_decision(known, known.values.sum(axis=1))
    for t in range(0, 80, 7):
        read = frame[frame["known"] <= panel.times[t]].sort_values("known", kind="stable").groupby("event")["value"]
        last = (read.last() if vintage == "latest" else read.first()).iloc[-2:]
        assert values[t] == last.sum()


def test_the_next_event_is_the_nearest_one_whose_date_is_known(panel):
    side = synthetic_side(["CPI/scheduled"], panel, np.random.default_rng(6), history=5, kind="calendar")
    view = View(panel, side)
    until, since = view.until_next("CPI/scheduled"), view.since_last("CPI/scheduled")
    for t in range(80):
        told = side.known_by(panel.times[t])
        states = pd.Series(told.value, index=told.event_time).groupby(level=0).last()  # in the order of knowledge
        known = states.index[states != 0]
        ahead, past = known[known > panel.times[t]], known[known <= panel.times[t]]
        expected = (ahead.min() - panel.times[t]) / pd.Timedelta(days=1) if len(ahead) else np.nan
        np.testing.assert_allclose(until[t], expected)
        np.testing.assert_allclose(since[t], (panel.times[t] - past.max()) / pd.Timedelta(days=1))
    assert np.isfinite(until).any()
    assert np.isnan(until).any()


@given(
    known=st.lists(st.integers(0, 40), max_size=30).map(sorted),
    decisions=st.lists(st.integers(0, 50), min_size=1, max_size=20).map(sorted),
    seed=st.integers(0, 99),
)
def test_sums_over_texts_equal_a_loop(known, decisions, seed):
    values = np.random.default_rng(seed).normal(size=len(known))
    values[::4] = np.nan
    at, when = (pd.to_datetime([h * 3_600 for h in hours], unit="s", utc=True) for hours in (decisions, known))
    decayed = decayed_sum(at, when, values, pd.Timedelta(hours=5))
    window = window_sum(at, when, values, pd.Timedelta(hours=7))
    for t, now in enumerate(decisions):
        seen = [(now - k, v) for k, v in zip(known, values, strict=True) if k <= now and v == v]
        np.testing.assert_allclose(decayed[t], sum(v * 0.5 ** (age / 5) for age, v in seen), atol=1e-12)
        np.testing.assert_allclose(window[t], sum(v for age, v in seen if age < 7), atol=1e-12)


def test_texts_are_summed_for_their_symbol_and_for_the_market(panel):
    side = synthetic_side(["wire"], panel, np.random.default_rng(7), history=3, kind="news")
    view = View(panel, side)
    texts = view.texts("wire")
    count = view.within(texts, texts.value, pd.Timedelta(days=4))
    total = view.within(texts, texts.value, pd.Timedelta(days=4), market=True)
    for t in range(0, 80, 9):
        now = panel.times[t]
        recent = (side.knowledge_time <= now) & (side.knowledge_time > now - pd.Timedelta(days=4))
        assert [(side.symbol[recent] == s).sum() for s in panel.symbols] == count[t].tolist()
        assert total[t] == recent.sum()


def test_a_huge_value_leaves_no_trace_once_it_is_out_of_the_window():
    hours = pd.to_datetime([3_600 * h for h in range(6)], unit="s", utc=True)
    values = np.array([1e17, 0.1, 0.2, -1e17, 0.4, 0.5])
    window = window_sum(hours, hours, values, pd.Timedelta(hours=2))
    assert window.tolist() == [math.fsum(values[max(t - 1, 0) : t + 1].tolist()) for t in range(6)]
    assert window[[2, 5]].tolist() == [0.1 + 0.2, 0.4 + 0.5]


def test_the_sum_of_a_window_does_not_depend_on_what_is_outside_of_it():
    hours = pd.to_datetime([3_600 * h for h in range(60)], unit="s", utc=True)
    values = np.random.default_rng(5).normal(size=60)
    whole = window_sum(hours, hours, values, pd.Timedelta(hours=9))
    for cut in (20, 41):
        before = window_sum(hours[:cut], hours[:cut], values[:cut], pd.Timedelta(hours=9))
        assert before.tolist() == whole[:cut].tolist()
        later = window_sum(hours[cut:], hours[cut - 9 :], values[cut - 9 :], pd.Timedelta(hours=9))
        assert later.tolist() == whole[cut:].tolist()


@pytest.mark.parametrize("length", [pd.Timedelta(0), pd.Timedelta(days=-1), pd.NaT])
def test_a_half_life_or_a_window_of_nothing_is_refused(panel, length):
    side = synthetic_side(["wire"], panel, np.random.default_rng(7), history=3, kind="news")
    view = View(panel, side, where="acme.tone")
    texts = view.texts("wire")
    with pytest.raises(PluginError, match=r"acme\.tone: the half-life of wire is .*, expected longer than nothing"):
        view.decayed(texts, texts.value, length)
    with pytest.raises(PluginError, match=r"acme\.tone: the window of wire is .*, expected longer than nothing"):
        view.within(texts, texts.value, length, market=True)


def test_sums_of_a_symbol_do_not_depend_on_the_texts_about_another():
    """Not even where the one's last text is a thousand half-lives after the other's first."""
    rng = np.random.default_rng(11)
    days = pd.date_range("2015-01-01", periods=1500, freq="D", tz="UTC").as_unit("ns")
    symbols = rng.choice(["", "A", "B", "C", "elsewhere"], size=1500).tolist()
    rows = [(str(day), str(day), 1.0, symbol) for day, symbol in zip(days, symbols, strict=True)]
    at = pd.DatetimeIndex(days[200::100])
    values = rng.normal(size=1500)

    def summed(side, asked):
        view = View(decisions(at, asked), side)
        texts = view.texts("wire")
        told = values[np.isin(np.array(symbols), side.symbol.astype(str))]
        return (
            view.decayed(texts, told, pd.Timedelta(days=1)),
            view.within(texts, told, pd.Timedelta(days=90)),
        )

    together = summed(table({"wire": rows}, kind="news"), ["A", "B", "C", "D"])
    for a, name in enumerate("ABC"):
        alone = summed(table({"wire": [row for row in rows if row[3] == name]}, kind="news"), [name])
        for one, all_of_them in zip(alone, together, strict=True):
            assert np.isfinite(one).all()
            np.testing.assert_array_equal(all_of_them[:, a], one[:, 0])
    for sums in together:
        assert (sums[:, 3] == 0).all()


@pytest.mark.parametrize("keep", [slice(20, 60), np.arange(3, 90, 2), np.arange(90)[::-1]])
def test_rows_of_a_part_are_found_as_in_a_table_of_their_own(panel, keep):
    side = synthetic_side(["wire"], panel, np.random.default_rng(7), history=30, kind="news")
    side.find("wire")  # what was found of the whole is used for the part
    part = side.rows(keep)
    for symbol in [None, "", *panel.symbols]:
        wanted = np.flatnonzero((part.symbol == symbol) | (symbol is None))
        np.testing.assert_array_equal(part.find("wire", symbol), wanted)
    other = side.revalued(side.value + 1, side.text)
    np.testing.assert_array_equal(other.find("wire", panel.symbols[1]), side.find("wire", panel.symbols[1]))


def test_what_is_computed_of_each_text_is_computed_once(panel):
    side = synthetic_side(["wire"], panel, np.random.default_rng(7), history=30, kind="news")
    asked = []

    def letters(texts):
        asked.append(len(texts))
        return np.array([len(text) for text in texts], dtype=float)

    for _ in range(2):  # two columns, each with its own view
        texts = View(panel, side).texts("wire")
        later = texts.between(panel.times[3], panel.times[9])
        np.testing.assert_array_equal(later.each(letters), [len(text) for text in later.text])
        assert ((later.knowledge_time > panel.times[3]) & (later.knowledge_time <= panel.times[9])).all()
    assert asked == [len(later)]  # a short part of them alone
    assert len(later) * 2 < len(texts)
    longer = texts.between(texts.knowledge_time[4], texts.knowledge_time[-1])
    np.testing.assert_array_equal(longer.each(letters), [len(text) for text in texts.text[5:]])
    texts.each(letters)
    assert asked == [len(later), len(texts)]  # a long part with the whole, which others ask for
