"""What was known of a side series, and when: vintages, lags, late arrivals and age."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.data.clock import from_ns
from mnpu.data.history import as_of, known_windows
from mnpu.data.store import Store
from mnpu.errors import DataError
from mnpu.types import SeriesInfo, SideTable

HOUR = 3_600_000_000_000
DAY = 24 * HOUR


def side_table(rows, *, max_age_days=1000, series="x"):
    """A table from (event hour, knowledge hour, value), in the order of knowledge."""
    rows = sorted(rows, key=lambda row: (row[1], row[0]))
    event, known, value = (np.array(column) for column in zip(*rows, strict=True))
    info = SeriesInfo(series, "monthly", "u", "observed", "", pd.Timedelta(days=max_age_days), "", "")
    names = np.full(len(rows), series, dtype=object)
    return SideTable(
        from_ns(event * HOUR),
        from_ns(known * HOUR),
        names,
        np.full(len(rows), "", dtype=object),
        value.astype(float),
        {series: info},
    )


def join(table, hours, *, n=1, series="x"):
    known = known_windows(table, series, n)
    newest = known.values[:, -1]
    times = from_ns(np.array(hours) * HOUR)
    return as_of(times, known.knowledge_time, newest, known.event_time, table.info[series].max_age)[0]


def utc(text):
    return pd.Timestamp(text, tz="UTC")


def at(store, series, *times):
    table = store.side([series])
    known = known_windows(table, series, 1)
    index = pd.DatetimeIndex([utc(text) for text in times])
    return as_of(index, known.knowledge_time, known.values[:, 0], known.event_time, table.info[series].max_age)[0]


def test_a_first_print_and_two_revisions_are_seen_just_when_they_are_published():
    table = side_table([(0, 10, 1.0), (0, 20, 2.0), (0, 35, 3.0)])
    expected = {9: np.nan, 10: 1.0, 11: 1.0, 19: 1.0, 20: 2.0, 34: 2.0, 35: 3.0, 99: 3.0}
    np.testing.assert_array_equal(join(table, list(expected)), list(expected.values()))


def test_a_release_that_is_moved_is_seen_when_it_happens_and_not_when_it_was_due():
    np.testing.assert_array_equal(join(side_table([(0, 10, 1.0), (24, 70, 2.0)]), [34, 69, 70]), [1.0, 1.0, 2.0])


def test_an_observation_that_arrives_late_takes_its_place_among_the_others():
    known = known_windows(side_table([(0, 1, 1.0), (48, 50, 3.0), (24, 60, 2.0)]), "x", 3)
    np.testing.assert_array_equal(known.values, [[np.nan, np.nan, 1], [np.nan, 1, 3], [1, 2, 3]])
    assert known.event_time.tolist() == from_ns([0, 48 * HOUR, 48 * HOUR]).tolist()


def test_what_is_published_together_is_one_release():
    known = known_windows(side_table([(0, 50, 1.0), (24, 50, 2.0), (0, 60, 9.0)]), "x", 2)
    np.testing.assert_array_equal(known.values, [[1, 2], [9, 2]])
    assert len(known.knowledge_time) == 2


def test_a_value_is_void_just_after_its_maximum_age_counted_from_the_end_of_its_period():
    table = side_table([(0, 10, 1.0)], max_age_days=2)
    np.testing.assert_array_equal(join(table, [48, 49]), [1.0, np.nan])


def test_age_is_counted_in_days_from_the_end_of_the_period():
    known = known_windows(side_table([(0, 10, 1.0)]), "x")
    times = from_ns(np.array([5, 36]) * HOUR)
    _, age = as_of(times, known.knowledge_time, known.values[:, 0], known.event_time, pd.Timedelta(days=9))
    np.testing.assert_array_equal(age, [np.nan, 1.5])


def brute_force(rows, decision, n, max_age):
    """Read the table as a person would at ``decision``: newest vintage of each period, last n periods."""
    seen = {}
    for event, known, value in sorted(rows, key=lambda row: row[1]):
        if known <= decision:
            seen[event] = value
    if not seen or decision - max(seen) > max_age:
        return [np.nan] * n
    last = [seen[event] for event in sorted(seen)[-n:]]
    return [np.nan] * (n - len(last)) + last


def tables():
    keys = st.tuples(st.integers(0, 40), st.integers(0, 30))  # event, delay
    return st.dictionaries(keys, st.floats(-9, 9), min_size=1, max_size=25).map(
        lambda cells: [(event, event + delay, value) for (event, delay), value in cells.items()]
    )


@settings(max_examples=200, deadline=None)
@given(
    rows=tables(), n=st.integers(1, 4), max_age=st.integers(0, 60), decisions=st.lists(st.integers(-5, 90), min_size=1)
)
def test_windows_and_joins_agree_with_reading_the_table_by_hand(rows, n, max_age, decisions):
    table = side_table(rows)
    known = known_windows(table, "x", n)
    times = from_ns(np.array(decisions) * HOUR)
    age = pd.Timedelta(hours=max_age)
    columns = [as_of(times, known.knowledge_time, known.values[:, i], known.event_time, age)[0] for i in range(n)]
    expected = [brute_force(rows, decision, n, max_age) for decision in decisions]
    np.testing.assert_array_equal(np.stack(columns, axis=1), expected)


@settings(max_examples=100, deadline=None)
@given(rows=tables(), cut=st.integers(0, 70), n=st.integers(1, 3))
def test_rewriting_later_vintages_leaves_earlier_windows_unchanged(rows, cut, n):
    later = [(e, k, v if k <= cut else v + 100) for e, k, v in rows if k <= cut or k % 2]
    if not any(k <= cut for _, k, _ in rows):
        return
    one, other = known_windows(side_table(rows), "x", n), known_windows(side_table(later), "x", n)
    kept = int((one.knowledge_time <= from_ns([cut * HOUR])[0]).sum())
    np.testing.assert_array_equal(one.values[:kept], other.values[:kept])
    assert (one.event_time[:kept] == other.event_time[:kept]).all()


def test_both_ways_to_build_windows_agree():
    """The quick way serves series without revisions; one revision at the end sends all through the other."""
    rows = [(i, i + 3, float(i * i % 7)) for i in range(0, 60, 2)]
    quick = known_windows(side_table(rows), "x", 4)
    slow = known_windows(side_table([*rows, (0, 500, 1.0)]), "x", 4)
    np.testing.assert_array_equal(quick.values, slow.values[:-1])
    assert (quick.event_time == slow.event_time[:-1]).all()


def test_an_unknown_series_is_refused_with_those_that_exist():
    with pytest.raises(DataError, match="no series 'y', expected one of x"):
        known_windows(side_table([(0, 1, 1.0)]), "y")


# The bundle


@pytest.fixture(scope="module")
def store(demo_store):
    return Store.open(demo_store)


def test_a_vintage_of_a_date_is_known_when_the_day_is_over(store):
    """GDP of the first quarter of 2016 on 2016-06-29, and the second quarter's first print on 2016-07-29."""
    times = ["2016-06-29 23:59:58", "2016-06-29 23:59:59", "2016-07-29 20:00:00", "2016-07-29 23:59:59"]
    np.testing.assert_array_equal(at(store, "GDPC1", *times), [np.nan, 16514.6, 16514.6, 16575.1])


def test_a_revision_of_the_bundle_is_seen_in_the_window_from_its_day_on(store):
    """The first quarter of 2016 was 16514.6 and became 16525.0 when the second was published."""
    known = known_windows(store.side(["GDPC1"]), "GDPC1", 3)
    np.testing.assert_array_equal(known.values, [[16414.0, 16470.6, 16514.6], [16490.7, 16525.0, 16575.1]])
    assert list(known.event_time) == [utc("2016-03-31 23:59:59"), utc("2016-06-30 23:59:59")]


def test_unchanged_repeats_are_no_release(store):
    assert len(known_windows(store.side(["ULCNFB"]), "ULCNFB", 1).knowledge_time) == 1


def test_surveys_are_published_within_their_month(store):
    table = store.side(["GACDFSA066MSFRBPHI"])
    assert table.event_time[-1] == utc("2016-07-15 23:59:59")
    assert (table.knowledge_time >= table.event_time).all()


@pytest.mark.parametrize(
    ("series", "period_end", "known", "value"),
    [
        ("core_cpi", "2018-10-31 23:59:59", "2018-12-03 23:59:59", None),
        ("moodys_aaa_yield", "2018-11-30 23:59:59", "2018-12-07 23:59:59", None),
        ("us_realgdp", "2009-09-30 23:59:59", "2009-11-29 23:59:59", 12990.341),
        ("wti_spot", "2018-12-28 23:59:59", "2019-01-06 23:59:59", None),
        ("vix_close", "2018-07-02 20:15:00", "2018-07-02 20:15:00", None),
        ("vix_close", "2018-12-03 21:15:00", "2018-12-03 21:15:00", None),
    ],
)
def test_declared_lags_count_from_the_end_of_the_period(store, series, period_end, known, value):
    table = store.side([series])
    row = int(np.flatnonzero(table.event_time == utc(period_end))[0])
    assert table.knowledge_time[row] == utc(known)
    if value is not None:
        assert table.value[row] == value


def test_a_monthly_value_is_not_seen_before_its_lag_and_is_void_after_its_maximum_age(store):
    seen = at(
        store, "core_cpi", "2019-01-02 23:59:58", "2019-01-02 23:59:59", "2019-02-13 23:59:59", "2019-02-14 00:00:00"
    )
    october, november, still, void = seen
    assert np.isfinite([october, november, still]).all()
    assert october != november
    assert still == november  # period end 2018-11-30 and 75 days
    assert np.isnan(void)


@pytest.mark.parametrize(
    "series", ["core_cpi", "moodys_aaa_yield", "us_realgdp", "us_tbilrate", "wti_spot", "vix_close"]
)
def test_maximum_ages_let_a_regular_series_live_until_its_next_value(store, series):
    table = store.side([series])
    known = known_windows(table, series, 1)
    year = known.knowledge_time[-300 if series in ("wti_spot", "vix_close") else -4 :]
    just_before = year[1:] - pd.Timedelta(1, "ns")
    value, _ = as_of(
        just_before, known.knowledge_time, known.values[:, 0], known.event_time, table.info[series].max_age
    )
    assert np.isfinite(value).all()


def test_side_tables_come_in_the_order_of_knowledge_and_without_gaps(store):
    table = store.side(["wti_spot", "core_cpi", "GDPC1"])
    assert np.isfinite(table.value).all()
    order = np.lexsort((table.event_time.asi8, table.knowledge_time.asi8))
    assert (table.knowledge_time[order] == table.knowledge_time).all()
    assert (table.event_time[order] == table.event_time).all()
    assert set(table.info) == {"wti_spot", "core_cpi", "GDPC1"}
    assert set(table.symbol) == {""}


def test_a_side_table_ends_with_what_was_known_at_its_end(store):
    day = store.side(["GDPC1"], end="2016-06-29")
    assert (day.knowledge_time == utc("2016-06-29 23:59:59")).all()
    assert len(store.side(["GDPC1"], end=utc("2016-06-29 23:59:58"))) == 0
    assert len(store.side(["GDPC1"], end=utc("2016-07-29 23:59:59"))) == len(store.side(["GDPC1"]))


def test_no_series_make_an_empty_table(store):
    assert len(store.side([])) == 0


def test_an_unknown_series_of_the_store_is_refused_with_a_guess(store):
    with pytest.raises(DataError, match="Did you mean 'core_cpi'"):
        store.side(["corecpi"])


def test_rewriting_later_vintages_in_the_store_changes_nothing_before(store_copy, store):
    cut = utc("2016-07-01").value
    with closing(sqlite3.connect(store_copy)) as connection, connection:
        connection.execute("UPDATE observations SET value = value * -3 WHERE knowledge_time > ?", (cut,))
        connection.execute(
            "INSERT INTO observations VALUES ('GDPC1', '', ?, ?, 1.0, 'observed')", (cut - DAY, cut + DAY)
        )
    changed = Store.open(store_copy)
    for series in ("GDPC1", "INDPRO", "RSAFS"):
        times = ["2016-06-29 23:59:59", "2016-06-30 20:00", "2016-07-01"]
        np.testing.assert_array_equal(at(store, series, *times), at(changed, series, *times))
        assert not np.array_equal(at(store, series, "2016-07-30"), at(changed, series, "2016-07-30"))
