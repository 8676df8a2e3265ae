"""Cells that could be taken for something else: they are read as what they say, or not at all."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mnpu.data.importing.mapping import TimeFormat
from mnpu.data.importing.parse import instants, numbers, text_of

PLAIN = TimeFormat()
NEW_YEAR = pd.Timestamp("2024-01-01", tz="UTC").value


def cells(*values):
    return pa.array([None if value is None else value.encode() for value in values], pa.binary())


def test_a_point_is_no_number_where_the_comma_is_the_decimal_mark():
    values, bad = numbers(cells("1,5", "1.234", "1.234,5", "7", None), decimal=",")
    assert bad.tolist() == [False, True, True, False, False]
    np.testing.assert_array_equal(values[[0, 3]], [1.5, 7.0])


def test_an_offset_of_hours_alone_is_a_zone():
    read = instants(cells("2024-01-02 10:00:00-05", "2024-01-02 10:00:00+00"), PLAIN)
    assert read.aware
    assert pd.to_datetime(read.ns).strftime("%H").tolist() == ["15", "10"]


@pytest.mark.parametrize(
    "column",
    [
        cells("9999-12-31", "1500-01-01", "2024-01-01"),
        pa.array([dt.date(9999, 12, 31), dt.date(1500, 1, 1), dt.date(2024, 1, 1)]),
        pa.array([dt.datetime(9999, 12, 31), dt.datetime(1500, 1, 1), dt.datetime(2024, 1, 1)], pa.timestamp("us")),
    ],
    ids=["text", "date", "timestamp"],
)
def test_a_time_that_nanoseconds_do_not_reach_cannot_be_read(column):
    read = instants(column, PLAIN)
    assert read.bad.tolist() == [True, True, False]
    assert read.ns[2] == NEW_YEAR


def test_a_number_of_another_unit_than_most_cannot_be_read():
    seconds = NEW_YEAR // 10**9
    written = [seconds, seconds + 60, seconds * 10**9, seconds + 120, 45000]
    for column in (cells(*map(str, written)), pa.array(written)):
        read = instants(column, PLAIN)
        assert read.bad.tolist() == [False, False, True, False, True]
        assert read.ns[1] == NEW_YEAR + 60 * 10**9


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.float64(), pa.string()])
def test_a_date_of_eight_digits_is_a_date_whatever_its_type(kind):
    read = instants(pa.array([20240101, None]).cast(kind), PLAIN)
    assert read.ns[0] == NEW_YEAR
    assert not read.aware
    assert read.missing.tolist() == [False, True]
    assert not read.bad.any()


def test_numbers_that_could_be_dates_or_counts_are_left_to_the_mapping():
    assert instants(pa.array([45292, 45293]), PLAIN).bad.all()  # days of a spreadsheet
    assert instants(cells("202401010304", "202401010305"), PLAIN).bad.all()  # milliseconds in 1976, or a minute
    told = instants(cells("202401010304"), TimeFormat(format="%Y%m%d%H%M"))
    assert told.ns[0] == pd.Timestamp("2024-01-01 03:04").value
    assert instants(pa.array([45292]), TimeFormat(unit="s")).ns[0] == 45292 * 10**9


def test_a_name_of_a_zone_in_a_format_is_not_applied_twice():
    assert instants(cells("2024-01-01 10:00 UTC"), TimeFormat(format="%Y-%m-%d %H:%M %Z")).aware


@pytest.mark.parametrize(
    "column",
    [
        pa.array([{"a": 1.0}, None]),
        pa.array([[1.0], None]),
        pa.array([True, None]),
        pa.array([dt.timedelta(1), None]),
        pa.array([dt.time(1), None]),
    ],
    ids=["struct", "list", "boolean", "duration", "time"],
)
def test_a_column_of_another_kind_holds_neither_numbers_nor_times(column):
    assert numbers(column)[1].tolist() == [True, False]
    read = instants(column, PLAIN)
    assert (read.bad | read.missing).tolist() == [True, True]
    assert not read.bad[1]


def test_dictionaries_are_read_as_their_values():
    assert numbers(pa.array(["1.5", "x"]).dictionary_encode())[1].tolist() == [False, True]
    assert instants(pa.array(["2024-01-01"]).dictionary_encode(), PLAIN).ns.tolist() == [NEW_YEAR]
    assert text_of(pa.array([["A"], None]))[1].tolist() == [True, False]
