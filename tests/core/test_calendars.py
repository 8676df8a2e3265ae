"""Sessions, daylight saving time and half days of the two calendars."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from mnpu.data.calendars import get_calendar
from mnpu.data.clock import utc
from mnpu.errors import ConfigError, DataError

NEW_YORK = ZoneInfo("America/New_York")


def days(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[D]")


def instant(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@pytest.mark.parametrize(
    ("session", "close"),
    [
        ("2018-03-09", "2018-03-09 21:00"),  # Friday before the clocks go forward
        ("2018-03-12", "2018-03-12 20:00"),  # Monday after
        ("2018-11-02", "2018-11-02 20:00"),  # Friday before the clocks go back
        ("2018-11-05", "2018-11-05 21:00"),
        ("2018-11-23", "2018-11-23 18:00"),  # day after Thanksgiving: 13:00 New York
        ("2018-12-24", "2018-12-24 18:00"),
        ("1990-01-02", "1990-01-02 21:00"),  # before the default start of the library's calendar
    ],
)
def test_the_new_york_close_follows_the_season_and_the_half_days(session, close):
    assert get_calendar("XNYS").session_close(days(session))[0] == instant(close)


def test_the_new_york_open_follows_the_season():
    opens = get_calendar("XNYS").session_open(days("2018-03-09", "2018-03-12"))
    assert list(opens) == [instant("2018-03-09 14:30"), instant("2018-03-12 13:30")]


@pytest.mark.parametrize("day", ["2018-07-04", "2001-09-11", "2012-10-29", "2018-07-07"])
def test_a_day_without_trading_is_refused_by_name(day):
    with pytest.raises(DataError, match=f"{day} is not a session"):
        get_calendar("XNYS").session_close(days("2012-10-26", day))


@pytest.mark.parametrize("day", ["1984-12-31", "2031-01-02"])
def test_a_day_outside_the_calendar_is_refused_with_its_range(day):
    with pytest.raises(DataError, match="1985-01-02 to 2030-12-31"):
        get_calendar("XNYS").session_close(days(day))


def test_no_sessions_have_no_closes():
    assert len(get_calendar("XNYS").session_close(days())) == 0


def test_a_time_is_contained_only_between_open_and_close():
    times = utc(
        pd.DatetimeIndex(["2018-11-23 14:30", "2018-11-23 14:31", "2018-11-23 18:00", "2018-11-23 18:01"], tz="UTC")
    )
    assert get_calendar("XNYS").contains(times).tolist() == [False, True, True, False]


def test_sessions_of_closes_are_the_dates_they_came_from():
    sessions = days("2018-03-09", "2018-03-12", "2018-11-23")
    calendar = get_calendar("XNYS")
    assert (calendar.sessions(calendar.session_close(sessions)) == sessions).all()


@pytest.mark.parametrize(
    ("close", "session"),
    [
        ("2017-03-12 21:01", "2017-03-13"),  # summer time began that Sunday: the week opens at 21:00 UTC
        ("2017-03-05 22:01", "2017-03-06"),
        ("2017-03-10 22:00", "2017-03-10"),  # the last bar of a winter week
        ("2017-03-17 21:00", "2017-03-17"),  # the last bar of a summer week
        ("2017-06-06 21:00", "2017-06-06"),
        ("2017-06-06 22:00", "2017-06-07"),
    ],
)
def test_an_fx_bar_belongs_to_the_session_that_closes_next(close, session):
    times = utc([instant(close)])
    assert get_calendar("FX").sessions(times)[0] == np.datetime64(session)
    assert get_calendar("FX").contains(times)[0]


@pytest.mark.parametrize("close", ["2017-03-17 21:01", "2017-03-18 12:00", "2017-03-12 21:00", "2017-03-05 22:00"])
def test_the_fx_weekend_has_no_bars(close):
    assert not get_calendar("FX").contains(utc([instant(close)]))[0]


def test_the_fx_week_agrees_with_a_walk_through_wall_time():
    """Independent route: step through two years hour by hour with the standard library's time zones."""
    at = datetime(2016, 12, 30, 0, 30, tzinfo=ZoneInfo("UTC"))
    times, expected = [], []
    for _ in range(2 * 366 * 24):
        wall = at.astimezone(NEW_YORK)
        sunday_evening = wall.weekday() == 6 and wall.hour >= 17
        friday = wall.weekday() == 4 and wall.hour < 17
        times.append(at)
        expected.append(wall.weekday() in (0, 1, 2, 3) or sunday_evening or friday)
        at += timedelta(hours=1)
    assert get_calendar("FX").contains(utc(pd.DatetimeIndex(times))).tolist() == expected


def test_fx_closes_and_opens_are_at_five_in_new_york_on_both_sides_of_a_change():
    calendar = get_calendar("FX")
    assert list(calendar.session_close(days("2017-03-10", "2017-03-13"))) == [
        instant("2017-03-10 22:00"),
        instant("2017-03-13 21:00"),
    ]
    assert calendar.session_open(days("2017-03-13"))[0] == instant("2017-03-12 21:00")
    with pytest.raises(DataError, match="2017-03-12 is not a session"):
        calendar.session_close(days("2017-03-12"))


@pytest.mark.parametrize(("name", "frequency", "bars"), [("XNYS", "1d", 252), ("FX", "1h", 6240), ("FX", "1d", 260)])
def test_bars_in_a_year(name, frequency, bars):
    assert get_calendar(name).periods_per_year(frequency) == bars


def test_an_unknown_frequency_or_calendar_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="expected one of 1d"):
        get_calendar("XNYS").periods_per_year("1w")
    with pytest.raises(ConfigError, match="Did you mean XNYS"):
        get_calendar("xnys")


def test_times_without_a_zone_are_refused():
    with pytest.raises(DataError, match="times without a zone"):
        get_calendar("FX").sessions(pd.DatetimeIndex(["2017-01-02 10:00"]))
