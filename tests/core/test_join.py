"""The point-in-time join against a loop that reads the table by hand, and against pandas where nothing is revised."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.data.asof import NEVER, Releases, join_panel, join_rows, windows
from mnpu.data.clock import from_ns
from mnpu.data.history import as_of, known_windows
from mnpu.errors import DataError
from mnpu.types import SeriesInfo, SideTable

HOUR = 3_600_000_000_000
N_CODES = 3

#: (code, event hour, delay) -> value: one row per vintage, in any order.
ROWS = st.dictionaries(
    st.tuples(st.integers(0, N_CODES - 1), st.integers(0, 12), st.integers(0, 9)), st.floats(-9, 9), max_size=30
).map(lambda cells: [(code, event, event + delay, value) for (code, event, delay), value in cells.items()])
DECISIONS = st.lists(st.tuples(st.integers(-3, 30), st.integers(0, N_CODES - 1)), max_size=20)
MAX_AGE = st.none() | st.integers(0, 12)
VINTAGE = st.sampled_from(["latest", "first"])


def releases(rows):
    code, event, known, value = np.array(rows, dtype=float).reshape(-1, 4).T
    instants = {"event_time": (event * HOUR).astype("int64"), "knowledge_time": (known * HOUR).astype("int64")}
    return Releases.of(code=code.astype("int32"), value=value, n_codes=N_CODES, **instants)


def hours(n):
    return None if n is None else pd.Timedelta(hours=n)


def by_hand(rows, at, code, max_age, vintage):
    """Value and period at one decision: newest period, its vintages in the order in which they became known."""
    seen = sorted((known, event, value) for who, event, known, value in rows if who == code and known <= at)
    if not seen:
        return math.nan, NEVER
    newest = max(event for _, event, _ in seen)
    vintages = [value for _, event, value in seen if event == newest]
    if max_age is not None and at - newest > max_age:
        return math.nan, NEVER
    return vintages[0 if vintage == "first" else -1], newest * HOUR


@settings(max_examples=150, deadline=None)
@given(ROWS, DECISIONS, MAX_AGE, VINTAGE)
def test_a_panel_holds_what_a_person_would_read_at_each_decision(rows, decisions, max_age, vintage):
    at = np.array([hour for hour, _ in decisions], dtype="int64")
    joined = join_panel(at * HOUR, releases(rows), max_age=hours(max_age), vintage=vintage)
    expected = [[by_hand(rows, t, code, max_age, vintage) for code in range(N_CODES)] for t in at.tolist()]
    expected = np.array(expected, dtype=object).reshape(len(at), N_CODES, 2)
    np.testing.assert_array_equal(joined.value, expected[..., 0].astype(float))
    np.testing.assert_array_equal(joined.event_time, expected[..., 1].astype("int64"))


@settings(max_examples=150, deadline=None)
@given(ROWS, DECISIONS, MAX_AGE, VINTAGE, st.sampled_from(["any", "time", "code"]))
def test_rows_of_any_order_get_what_a_person_would_read(rows, decisions, max_age, vintage, order):
    keys = {"any": None, "time": lambda row: row[0], "code": lambda row: row[::-1]}
    decisions = decisions if keys[order] is None else sorted(decisions, key=keys[order])
    at, code = np.array(decisions, dtype="int64").reshape(-1, 2).T
    joined = join_rows(at * HOUR, code, releases(rows), max_age=hours(max_age), vintage=vintage)
    expected = np.array([by_hand(rows, *row, max_age, vintage) for row in decisions], dtype=object).reshape(-1, 2)
    np.testing.assert_array_equal(joined.value, expected[:, 0].astype(float))
    np.testing.assert_array_equal(joined.event_time, expected[:, 1].astype("int64"))


@settings(max_examples=100, deadline=None)
@given(ROWS, DECISIONS, st.none() | st.integers(1, 12))
def test_without_revisions_it_is_what_pandas_joins(rows, decisions, tolerance):
    """Each row is known when its period ends, so tolerance and age are counted from the same instant."""
    rows = list({(code, known): (code, known, known, value) for code, _, known, value in rows}.values())
    left = pd.DataFrame(sorted(decisions), columns=["at", "code"], dtype="int64")
    right = pd.DataFrame(sorted(rows, key=lambda row: row[2]), columns=["code", "event", "at", "value"])
    right = right.astype({"code": "int64", "at": "int64", "value": float})
    theirs = pd.merge_asof(left, right, on="at", by="code", tolerance=tolerance)["value"]
    ours = join_rows(left["at"].to_numpy() * HOUR, left["code"].to_numpy(), releases(rows), max_age=hours(tolerance))
    np.testing.assert_array_equal(ours.value, theirs.to_numpy())


def side_table(rows):
    rows = sorted(rows, key=lambda row: (row[2], row[1]))
    code, event, known, value = np.array(rows, dtype=float).reshape(-1, 4).T
    info = SeriesInfo("x", "monthly", "u", "observed", "", pd.Timedelta(days=999), "", "")
    return SideTable(
        from_ns((event * HOUR).astype("int64")),
        from_ns((known * HOUR).astype("int64")),
        np.full(len(rows), "x", dtype=object),
        np.array([f"S{int(c)}" for c in code], dtype=object),
        value,
        {"x": info},
    )


@settings(max_examples=100, deadline=None)
@given(ROWS, DECISIONS, st.integers(0, 12), VINTAGE)
def test_the_join_and_the_windows_of_features_have_one_definition(rows, decisions, max_age, vintage):
    times = from_ns(np.array([hour for hour, _ in decisions], dtype="int64") * HOUR)
    table = side_table(rows)
    joined = join_panel(times, releases(rows), max_age=hours(max_age), vintage=vintage)
    for code in range(N_CODES):
        known = known_windows(table, "x", symbol=f"S{code}", vintage=vintage)
        newest = known.values[:, -1]
        value, age = as_of(times, known.knowledge_time, newest, known.event_time, hours(max_age))
        np.testing.assert_array_equal(joined.value[:, code], value)
        np.testing.assert_array_equal(joined.age(times)[:, code], age)


@settings(max_examples=100, deadline=None)
@given(ROWS, st.integers(1, 4), VINTAGE)
def test_windows_of_all_symbols_are_those_of_each(rows, n, vintage):
    table = side_table(rows)
    together = windows(Releases.from_table(table, "x", ("S0", "S1", "S2")), n, vintage=vintage)
    for code in range(N_CODES):
        alone = known_windows(table, "x", n, symbol=f"S{code}", vintage=vintage)
        here = together.code == code
        np.testing.assert_array_equal(together.values[here], alone.values)
        np.testing.assert_array_equal(together.knowledge_time[here], alone.knowledge_time.asi8)
        np.testing.assert_array_equal(together.event_time[here], alone.event_time.asi8)


@settings(max_examples=50, deadline=None)
@given(ROWS, DECISIONS, VINTAGE)
def test_windows_join_to_what_the_rows_join_to(rows, decisions, vintage):
    times = np.array([hour for hour, _ in decisions], dtype="int64") * HOUR
    rows = releases(rows)
    through = windows(rows, 2, vintage=vintage).join(times)
    np.testing.assert_array_equal(through.value, join_panel(times, rows, vintage=vintage).value)


def test_a_late_revision_of_an_old_period_never_displaces_a_newer_one():
    rows = [(0, 0, 1, 1.0), (0, 5, 6, 2.0), (0, 0, 7, 9.0)]
    np.testing.assert_array_equal(join_panel(np.array([1, 6, 7]) * HOUR, releases(rows)).value[:, 0], [1.0, 2.0, 2.0])


def test_what_becomes_known_at_the_instant_of_the_decision_is_visible():
    at = np.array([2 * HOUR - 1, 2 * HOUR])
    np.testing.assert_array_equal(join_panel(at, releases([(0, 0, 2, 5.0)])).value[:, 0], [np.nan, 5.0])


def test_the_first_print_stays_and_the_latest_vintage_does_not():
    rows = releases([(1, 0, 2, 5.0), (1, 0, 4, 6.0)])
    at = np.array([3, 4]) * HOUR
    np.testing.assert_array_equal(join_panel(at, rows, vintage="first").value[:, 1], [5.0, 5.0])
    np.testing.assert_array_equal(join_panel(at, rows, vintage="latest").value[:, 1], [5.0, 6.0])


def test_age_counts_days_from_the_end_of_the_period():
    joined = join_rows(np.array([36, 36]) * HOUR, np.array([0, 1]), releases([(0, 0, 10, 1.0)]))
    np.testing.assert_array_equal(joined.age(np.array([36, 36]) * HOUR), [1.5, np.nan])


def test_a_row_of_no_symbol_gets_nothing():
    joined = join_rows(np.array([9, 9]) * HOUR, np.array([-1, 2]), releases([(2, 0, 1, 4.0)]))
    np.testing.assert_array_equal(joined.value, [np.nan, 4.0])
    np.testing.assert_array_equal(joined.event_time, [NEVER, 0])


def test_a_missing_value_is_a_missing_row():
    known = np.array([1, 2]) * HOUR
    rows = Releases.of(event_time=known, knowledge_time=known, value=[3.0, np.nan])
    np.testing.assert_array_equal(join_panel(known, rows).value[:, 0], [3.0, 3.0])


def test_symbols_that_share_a_base_share_its_rows():
    rows = Releases.from_table(side_table([(0, 0, 1, 4.0), (1, 0, 1, 5.0)]), "x", ("S0", "S1", "S0", "S9"))
    np.testing.assert_array_equal(join_panel(np.array([HOUR]), rows).value, [[4.0, 5.0, 4.0, np.nan]])


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="codes from 0 to 7, expected codes from 0 to 2"):
        Releases.of(
            event_time=np.zeros(2, "i8"), knowledge_time=np.zeros(2, "i8"), value=[1, 2], code=[0, 7], n_codes=3
        )
    with pytest.raises(DataError, match="codes from 3 to 3, expected codes from -1 to 2"):
        join_rows(np.array([1]), np.array([3]), releases([]))
    with pytest.raises(DataError, match="2 times and 1 codes"):
        join_rows(np.array([1, 2]), np.array([0]), releases([]))
    with pytest.raises(DataError, match="columns of 1, 1, 1 and 2 rows"):
        Releases.of(event_time=np.zeros(1, "i8"), knowledge_time=np.zeros(1, "i8"), value=[1, 2])
    with pytest.raises(DataError, match="no vintage 'newest', expected latest or first"):
        join_panel(np.array([1]), releases([]), vintage="newest")
    with pytest.raises(DataError, match="no series 'y', expected one of x"):
        Releases.from_table(side_table([]), "y")
    with pytest.raises(DataError, match="a window of 0 periods"):
        windows(releases([]), 0)
    with pytest.raises(DataError, match="times without a zone"):
        join_panel(pd.DatetimeIndex(["2020-01-01"]), releases([]))
