"""A universe by date: nobody belongs before it was known, nobody longer than was known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.data.clock import from_ns
from mnpu.data.universe import Membership, belonging, membership
from mnpu.errors import DataError
from mnpu.pipeline import context_of

DAYS = from_ns(np.arange(10) * 86_400_000_000_000)


def day(n: float) -> int:
    return int(n * 86_400_000_000_000)


def of(*rows: Membership, symbols: tuple[str, ...] = ("A",)) -> list[list[int]]:
    return [np.flatnonzero(column).tolist() for column in membership(DAYS, symbols, rows).T]


def test_a_member_is_one_from_its_start_until_its_end_which_is_excluded():
    assert of(Membership("A", day(2), day(5), day(0))) == [[2, 3, 4]]
    assert of(Membership("A", day(8), None, day(0))) == [[8, 9]]


def test_nobody_is_a_member_before_it_was_known():
    assert of(Membership("A", day(2), None, day(6))) == [[6, 7, 8, 9]]
    assert of(Membership("A", day(2), None, day(6.01))) == [[7, 8, 9]]


def test_an_end_that_becomes_known_late_takes_nothing_back():
    joined, left = Membership("A", day(1), None, day(1)), Membership("A", day(1), day(4), day(6))
    assert of(joined, left) == [[1, 2, 3, 4, 5]]
    assert of(left, joined) == [[1, 2, 3, 4, 5]]


def test_an_announcement_counts_from_its_day():
    assert of(Membership("A", day(1), None, day(0)), Membership("A", day(1), day(7), day(3))) == [[1, 2, 3, 4, 5, 6]]


def test_a_symbol_may_come_back_and_others_are_passed_over():
    rows = [Membership("A", day(0), day(2), day(0)), Membership("A", day(5), day(6), day(5))]
    assert of(*rows, Membership("Z", day(0), None, day(0)), symbols=("A", "B")) == [[0, 1, 5], []]


@st.composite
def stories(draw):
    rows, seen = [], set()
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, 9))
        row = Membership(
            draw(st.sampled_from("AB")),
            day(start),
            draw(st.one_of(st.none(), st.integers(start + 1, 12).map(day))),
            day(draw(st.integers(-2, 20)) / 2),
        )
        if (row.symbol, row.start, row.knowledge_time) not in seen:
            seen.add((row.symbol, row.start, row.knowledge_time))
            rows.append(row)
    return rows


def test_who_left_before_the_start_is_not_asked_for_prices():
    left = [Membership("OLD", day(0), None, day(0)), Membership("OLD", day(0), day(4), day(3))]
    stayed = Membership("NEW", day(0), None, day(0))
    told_later = Membership("LATE", day(6), day(7), day(40))
    assert belonging([*left, stayed, told_later], (), start="1970-01-06", end="1970-01-09") == ["NEW"]
    assert belonging([*left, stayed], (), start="1970-01-04", end="1970-01-09") == ["NEW", "OLD"]
    with pytest.raises(DataError, match="OLD never belonged"):
        belonging([*left, stayed], ("OLD",), start="1970-01-06", end="1970-01-09")


@given(stories())
@settings(max_examples=100, deadline=None)
def test_everyone_who_is_a_member_at_a_decision_belongs(rows):
    member = {symbol for symbol, ever in zip("AB", membership(DAYS, ("A", "B"), rows).any(axis=0), strict=True) if ever}
    try:
        found = set(belonging(rows, (), start="1970-01-01", end="1970-01-10"))
    except DataError:
        found = set()
    assert member <= found <= {row.symbol for row in rows}


@given(stories())
@settings(max_examples=200, deadline=None)
def test_membership_equals_a_loop_over_what_was_known_at_each_decision(rows):
    found = membership(DAYS, ("A", "B"), rows)
    for t, now in enumerate(DAYS.asi8):
        for a, symbol in enumerate("AB"):
            newest = {}
            for row in sorted((r for r in rows if r.symbol == symbol), key=lambda r: r.knowledge_time):
                if row.knowledge_time <= now:
                    newest[row.start] = row
            expected = any(r.start <= now and (r.end is None or now < r.end) for r in newest.values())
            assert found[t, a] == expected


def test_rows_that_contradict_themselves_are_refused():
    with pytest.raises(DataError, match=r"A leaves at 1970-01-03.*not after it joins"):
        of(Membership("A", day(2), day(2), day(0)))
    with pytest.raises(DataError, match="two rows that became known"):
        of(Membership("A", day(2), day(3), day(0)), Membership("A", day(2), day(4), day(0)))
    with pytest.raises(DataError, match="without a zone"):
        membership(pd.DatetimeIndex(["2020-01-01"]), ("A",), [])


def test_who_left_the_universe_is_no_choice_but_still_trades(make_panel):
    from dataclasses import replace

    panel = make_panel([[10.0, 20.0], [11.0, 21.0], [12.0, 22.0]])
    member = np.array([[True, True], [True, False], [True, False]])
    panel = replace(panel, member=member)
    assert panel.tradable.all()
    np.testing.assert_array_equal(context_of(panel).tradable, member)
    np.testing.assert_array_equal(panel.rows(1, 3).decidable, member[1:])
