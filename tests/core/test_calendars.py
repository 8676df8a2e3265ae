"""Sessions, daylight saving time, half days and bars of the calendars."""

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


@pytest.mark.parametrize(
    ("name", "frequency", "bars"),
    [
        ("XNYS", "1d", 252),
        ("XNYS", "1w", 52),
        ("XNYS", "1h", 252 * 7),  # 09:30 to 10:00, then six full hours
        ("XNYS", "15m", 252 * 26),
        ("XNYS", "1m", 252 * 390),
        ("XNYS", "4h", 252 * 2),
        ("FX", "1h", 6240),
        ("FX", "1d", 260),
        ("FX", "5m", 6240 * 12),
        ("FX", "4h", 260 * 6),
        ("CRYPTO", "1d", 365),
        ("CRYPTO", "1h", 365 * 24),
        ("CRYPTO", "5m", 365 * 288),
        ("CRYPTO", "1m", 365 * 1440),
        ("24/7", "1d", 365),
        ("XLON", "1d", 253),
        ("XLON", "1h", 253 * 9),  # 08:00 to 16:30
        ("XTKS", "1h", 245 * 6),  # 09:00 to 11:30 and, until 2024, 12:30 to 15:00
    ],
)
def test_bars_in_a_year(name, frequency, bars):
    assert get_calendar(name).periods_per_year(frequency) == bars


def test_an_unknown_frequency_or_calendar_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="'2d' is no frequency, expected one of 1m, 5m"):
        get_calendar("XNYS").periods_per_year("2d")
    with pytest.raises(ConfigError, match="Did you mean XNYS"):
        get_calendar("xnys")
    with pytest.raises(ConfigError, match="Did you mean XLON"):
        get_calendar("XLOM")


@pytest.mark.parametrize(
    ("name", "session", "open_", "close"),
    [
        ("XLON", "2018-03-23", "08:00", "16:30"),  # the week before London's clocks go forward
        ("XLON", "2018-03-26", "07:00", "15:30"),  # while New York has changed two weeks before
        ("XLON", "2018-12-24", "08:00", "12:30"),  # half day
        ("XTKS", "2018-03-26", "00:00", "06:00"),  # no summer time in Japan
    ],
)
def test_another_exchange_keeps_its_own_hours(name, session, open_, close):
    calendar = get_calendar(name)
    assert calendar.session_open(days(session))[0] == instant(f"{session} {open_}")
    assert calendar.session_close(days(session))[0] == instant(f"{session} {close}")
    assert calendar.sessions(calendar.session_close(days(session)))[0] == np.datetime64(session)


def test_a_break_for_lunch_has_no_bars():
    calendar, times = get_calendar("XTKS"), ["02:30", "02:31", "03:30", "03:31"]
    assert calendar.contains(utc([instant(f"2018-03-26 {t}") for t in times])).tolist() == [True, False, False, True]
    closes = calendar.bar_closes(days("2018-03-26"), "1h")
    assert closes.strftime("%H:%M").tolist() == ["01:00", "02:00", "02:30", "04:00", "05:00", "06:00"]


def test_a_calendar_that_begins_late_says_so():
    with pytest.raises(DataError, match="1996-12-02 is outside the calendar"):
        get_calendar("XTKS").session_close(days("1996-12-02"))
    assert len(get_calendar("XTKS").session_close(days("1997-01-06"))) == 1


def test_a_market_that_never_closes_has_every_utc_day():
    calendar = get_calendar("CRYPTO")
    assert calendar.continuous
    assert calendar.session_close(days("2020-02-29"))[0] == instant("2020-03-01 00:00")
    times = utc([instant("2020-03-01 00:00"), instant("2020-03-01 00:01")])
    assert calendar.sessions(times).astype(str).tolist() == ["2020-02-29", "2020-03-01"]
    assert len(calendar.bar_closes(calendar.between(*days("2020-01-01", "2020-12-31")), "1h")) == 366 * 24
    assert get_calendar("24/7").name == "CRYPTO"


@pytest.mark.parametrize(("name", "zone"), [("XNYS", "America/New_York"), ("XLON", "Europe/London")])
@pytest.mark.parametrize(("frequency", "minutes"), [("1h", 60), ("15m", 15), ("4h", 240)])
def test_the_bars_of_a_year_equal_a_walk_through_its_minutes(name, zone, frequency, minutes):
    """Independent route: every minute of the sessions in local time; a bar ends on the clock and with its session."""
    calendar = get_calendar(name)
    sessions = calendar.between(*days("2018-03-05", "2018-04-06"))  # both zones change their clocks in between
    sessions = np.concatenate([sessions, calendar.between(*days("2018-12-20", "2019-01-03"))])  # half days, holidays
    expected = []
    for opened, closed in zip(calendar.session_open(sessions), calendar.session_close(sessions), strict=True):
        at = opened
        while at < closed:
            at += pd.Timedelta(minutes=1)
            wall = at.tz_convert(zone)
            if at == closed or (wall.hour * 60 + wall.minute) % minutes == 0:
                expected.append(at)
    closes = calendar.bar_closes(sessions, frequency)
    assert list(closes) == expected
    assert calendar.contains(closes).all()
    assert (calendar.bar_close(closes, frequency) == closes).all()
    begins = calendar.bar_open(closes, frequency)
    same_day = calendar.sessions(closes)[1:] == calendar.sessions(closes)[:-1]
    assert (begins[1:][same_day] == closes[:-1][same_day]).all()
    assert set(begins[1:][~same_day]) == set(calendar.session_open(sessions)[1:])


def test_hourly_bars_of_a_half_day_in_new_york():
    closes = get_calendar("XNYS").bar_closes(days("2018-11-23"), "1h").tz_convert(NEW_YORK)
    assert closes.strftime("%H:%M").tolist() == ["10:00", "11:00", "12:00", "13:00"]


@pytest.mark.parametrize(
    ("name", "session", "opens", "closes"),
    [
        ("XNYS", "2018-03-28", "2018-03-26 13:30", "2018-03-29 20:00"),  # Good Friday is a holiday
        ("XNYS", "2018-09-05", "2018-09-04 13:30", "2018-09-07 20:00"),  # and so is Labour Day, a Monday
        ("FX", "2018-03-28", "2018-03-25 21:00", "2018-03-30 21:00"),
        ("CRYPTO", "2018-04-01", "2018-03-26 00:00", "2018-04-02 00:00"),
    ],
)
def test_a_week_ends_with_its_last_session(name, session, opens, closes):
    calendar = get_calendar(name)
    day = calendar.session_close(days(session))
    assert calendar.bar_close(day, "1w")[0] == instant(closes)
    assert calendar.bar_open(day, "1w")[0] == instant(opens)
    assert calendar.bar_closes(days(session), "1w")[0] == instant(closes)


def test_a_bar_while_the_market_is_shut_is_refused():
    with pytest.raises(DataError, match=r"2018-07-04 15:00.*the market is shut \(1 of 2 bars\)"):
        get_calendar("XNYS").bar_close(utc([instant("2018-07-03 15:00"), instant("2018-07-04 15:00")]), "1d")


def test_times_without_a_zone_are_refused():
    with pytest.raises(DataError, match="times without a zone"):
        get_calendar("FX").sessions(pd.DatetimeIndex(["2017-01-02 10:00"]))
