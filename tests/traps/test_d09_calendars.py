"""D9: bars are known at the close that the exchange's own clock says, in summer and in winter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from mnpu.data.calendars import get_calendar
from mnpu.data.clock import utc
from mnpu.data.resample import last_finished, resample
from mnpu.errors import DataError, MnpuError
from tests.core.test_resample import bars_of
from tests.traps.planting import fails

UTC = ZoneInfo("UTC")
YEAR = (np.datetime64("2018-01-01"), np.datetime64("2018-12-31"))

#: What the exchanges published for 2018: days without trading, and early closes, on the wall clock.
NEW_YORK = (
    ZoneInfo("America/New_York"),
    time(16),
    ["01-01", "01-15", "02-19", "03-30", "05-28", "07-04", "09-03", "11-22", "12-05", "12-25"],
    {"07-03": time(13), "11-23": time(13), "12-24": time(13)},
)
LONDON = (
    ZoneInfo("Europe/London"),
    time(16, 30),
    ["01-01", "03-30", "04-02", "05-07", "05-28", "08-27", "12-25", "12-26"],
    {"12-24": time(12, 30), "12-31": time(12, 30)},
)
EXCHANGES = {"XNYS": NEW_YORK, "XLON": LONDON}

Closes = Callable[[str], list[datetime]]


def ours(name: str) -> list[datetime]:
    calendar = get_calendar(name)
    return [at.to_pydatetime() for at in calendar.session_close(calendar.between(*YEAR))]


def on_the_wall(
    name: str, *, holidays: bool = True, half_days: bool = True, zone: ZoneInfo | None = None
) -> list[datetime]:
    """The closes of 2018 by the standard library's time zones, from what was published; or with a fault in them."""
    own, usual, shut, early = EXCHANGES[name]
    found, day = [], date(2018, 1, 1)
    while day.year == 2018:
        key = f"{day:%m-%d}"
        if day.weekday() < 5 and not (holidays and key in shut):
            at = early.get(key, usual) if half_days else usual
            found.append(datetime.combine(day, at, tzinfo=zone or own).astimezone(UTC))
        day += timedelta(days=1)
    return found


def closes_are_those_of_the_exchanges(closes: Closes) -> None:
    """Two zones whose clocks change two to three weeks apart; 251 and 253 sessions, five half days."""
    for name, expected in (("XNYS", 251), ("XLON", 253)):
        found = closes(name)
        assert len(found) == expected
        assert found == on_the_wall(name)
    summer = {
        name: [at.strftime("%H:%M") for at in closes(name) if at.date() == date(2018, 3, 20)] for name in EXCHANGES
    }
    assert summer == {"XNYS": ["20:00"], "XLON": ["16:30"]}  # New York has changed its clocks, London has not


WINTER = {"XNYS": timedelta(hours=-5), "XLON": timedelta(0)}


def always_winter(name: str) -> list[datetime]:
    """The fault: one distance from UTC for the whole year."""
    own = EXCHANGES[name][0]
    return [at + at.astimezone(own).utcoffset() - WINTER[name] for at in on_the_wall(name)]


FAULTS = {
    "one distance from UTC": always_winter,
    "the clocks of New York for all": lambda name: on_the_wall(name, zone=EXCHANGES["XNYS"][0]),
    "wall time taken for UTC": lambda name: on_the_wall(name, zone=UTC),
    "without holidays": lambda name: on_the_wall(name, holidays=False),
    "without half days": lambda name: on_the_wall(name, half_days=False),
    "midnight of the date": lambda name: [datetime.combine(at.date(), time(), tzinfo=UTC) for at in on_the_wall(name)],
}


def test_closes_follow_two_clocks_half_days_and_holidays() -> None:
    closes_are_those_of_the_exchanges(ours)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_calendar_is_found(fault: str) -> None:
    fails(closes_are_those_of_the_exchanges, FAULTS[fault])


def a_year_has_the_bars_of_its_calendar(count: Callable[[str, str], int]) -> None:
    """24/7 has every hour of 365 days; foreign exchange 52 weeks of 120 hours, less none for the change of clocks."""
    assert count("24/7", "1h") == 365 * 24
    assert count("24/7", "1d") == 365
    start, end = datetime(2018, 1, 1, tzinfo=UTC), datetime(2019, 1, 1, tzinfo=UTC)
    hours, at = 0, start
    while at < end:  # an hour that ends within the week of New York, from Sunday 17:00 to Friday 17:00
        at += timedelta(hours=1)
        wall = at.astimezone(EXCHANGES["XNYS"][0]) - timedelta(seconds=1)
        hours += (
            wall.weekday() in (0, 1, 2, 3)
            or (wall.weekday() == 4 and wall.hour < 17)
            or (wall.weekday() == 6 and wall.hour >= 17)
        )
    assert abs(count("FX", "1h") - hours) <= 24  # the sessions of the year's two ends
    assert count("FX", "1d") == 261


def counted(name: str, frequency: str) -> int:
    calendar = get_calendar(name)
    return len(calendar.bar_closes(calendar.between(*YEAR), frequency))


def test_markets_that_never_close_have_every_bar() -> None:
    a_year_has_the_bars_of_its_calendar(counted)
    fails(a_year_has_the_bars_of_its_calendar, lambda name, frequency: counted("XNYS", frequency))
    fails(a_year_has_the_bars_of_its_calendar, lambda name, frequency: counted("24/7", frequency))


def times_have_a_zone(instants: Callable[[pd.DatetimeIndex], pd.DatetimeIndex]) -> None:
    naive = pd.DatetimeIndex(["2018-03-11 02:30"])
    assert instants(naive.tz_localize("UTC"))[0] == pd.Timestamp("2018-03-11 02:30", tz="UTC")
    refused = ""
    try:
        instants(naive)
    except MnpuError as error:
        refused = str(error)
    assert "without a zone" in refused


def test_a_time_without_a_zone_is_refused() -> None:
    times_have_a_zone(utc)
    fails(times_have_a_zone, lambda times: times if times.tz else times.tz_localize("UTC"))
    with pytest.raises(DataError, match="without a zone"):
        get_calendar("XNYS").contains(pd.DatetimeIndex(["2018-03-12 16:00"]))


def a_day_is_seen_when_it_is_over(seen: Callable[[pd.DatetimeIndex, pd.DatetimeIndex], np.ndarray]) -> None:
    """At each hour, the newest finished day: the half day ends at 13:00, the others at 16:00 New York."""
    calendar = get_calendar("XNYS")
    hours = calendar.bar_closes(calendar.between(np.datetime64("2018-11-19"), np.datetime64("2018-11-27")), "1h")
    panel = bars_of(hours, "XNYS", "1h", np.random.default_rng(0), symbols=1)
    days = resample(panel, "1d")
    rows = seen(panel.times, days.times)
    for t, at in enumerate(panel.times):
        wall = at.tz_convert("America/New_York")
        end = 13 if wall.date() == date(2018, 11, 23) else 16
        over = [
            day
            for day in days.sessions.astype(object)
            if day < wall.date() or (day == wall.date() and wall.hour >= end)
        ]
        assert rows[t] == len(over) - 1


def test_a_longer_bar_is_invisible_until_it_is_closed() -> None:
    a_day_is_seen_when_it_is_over(last_finished)
    by_date = lambda times, closes: np.searchsorted(closes.normalize(), times, side="right") - 1  # stamped at its start
    a_bar_late = lambda times, closes: np.searchsorted(closes, times, side="left") - 1
    fails(a_day_is_seen_when_it_is_over, by_date)
    fails(a_day_is_seen_when_it_is_over, a_bar_late)
