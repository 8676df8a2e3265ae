"""Both clocks of a row: when what it describes was over, and when it could first be read.

Every function returns instants in ns, with ``NO_TIME`` where a row gets none; the caller says why it refuses the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mnpu.data.bundled import event_end
from mnpu.data.calendars import Calendar, get_calendar
from mnpu.data.clock import DAY_NS, from_ns
from mnpu.data.importing.mapping import DatasetSpec, DayEnds, Entry, Knowledge, Lag, frequency_ns
from mnpu.data.importing.parse import NO_TIME, Instants
from mnpu.errors import DataError

__all__ = [
    "NO_TIME",
    "bar_close",
    "event_times",
    "find_calendar",
    "lag_in_words",
    "lagged",
    "localised",
    "session_open",
]

ALWAYS = ("CRYPTO", "24/7")


@dataclass(frozen=True)
class Hours:
    """What an import asks of a calendar; ``calendar`` is None for a market that never closes (its day is UTC)."""

    calendar: Calendar | None

    def closes(self, dates: np.ndarray) -> np.ndarray:
        """When the session of each date closes (ns); NO_TIME for a date that is none."""
        if self.calendar is None:
            return _midnight(dates) + DAY_NS
        return self._at(dates, "session_close")

    def opens(self, dates: np.ndarray) -> np.ndarray:
        """When the session of each date opens (ns); NO_TIME for a date that is none."""
        return _midnight(dates) if self.calendar is None else self._at(dates, "session_open")

    def contains(self, ns: np.ndarray) -> np.ndarray:
        """Whether a bar may close at each instant."""
        if self.calendar is None:
            return np.ones(len(ns), dtype=bool)
        days, place = np.unique(ns // DAY_NS, return_inverse=True)
        inside = np.zeros(len(ns), dtype=bool)
        covered = _covered(self.calendar, days.astype("datetime64[D]"))[place]
        inside[covered] = np.asarray(self.calendar.contains(from_ns(ns[covered])))
        return inside

    def _at(self, dates: np.ndarray, what: str) -> np.ndarray:
        unique, place = np.unique(dates, return_inverse=True)
        is_session = _are_sessions(self.calendar, unique)  # type: ignore[arg-type]
        at = np.full(len(unique), NO_TIME)
        if is_session.any():
            at[is_session] = getattr(self.calendar, what)(unique[is_session]).asi8
        return at[place]


def find_calendar(name: str) -> Hours:
    """The hours of the calendar called ``name``; ``CRYPTO`` or ``24/7`` never closes. ConfigError if there is none."""
    return Hours(None if name in ALWAYS else get_calendar(name))


def _midnight(dates: np.ndarray) -> np.ndarray:
    return dates.astype("datetime64[ns]").astype("int64")


def _covered(calendar: Calendar, dates: np.ndarray) -> np.ndarray:
    """Which dates the calendar knows about, with a day to spare."""
    first, last = getattr(calendar, "first", None), getattr(calendar, "last", None)
    if first is None or last is None:
        return np.ones(len(dates), dtype=bool)
    spare = np.timedelta64(2, "D")
    covered: np.ndarray = (dates >= first + spare) & (dates <= last - spare)
    return covered


def _are_sessions(calendar: Calendar, dates: np.ndarray) -> np.ndarray:
    """Which of ``dates``, ascending, are sessions."""
    covered = _covered(calendar, dates)
    result = np.zeros(len(dates), dtype=bool)
    if not covered.any():
        return result
    asked = dates[covered]
    between = getattr(calendar, "between", None)
    if between is not None:
        result[covered] = np.isin(asked, between(asked[0], asked[-1]))
    elif calendar.continuous:
        result[covered] = np.is_busday(asked)
    else:
        noon = pd.DatetimeIndex(asked).as_unit("ns") + pd.Timedelta(hours=12)
        result[covered] = calendar.contains(noon.tz_localize("America/New_York").tz_convert("UTC"))
    return result


def localised(times: Instants, zone: str | None, *, where: str, key: str) -> np.ndarray:
    """Instants (ns, UTC); NO_TIME where there is none, or where the clock of the zone skips or repeats it.

    DataError if the times carry no zone and none is declared: which instants they are would be a guess.
    """
    if times.aware or (times.bad | times.missing).all():
        return times.ns
    if zone is None:
        raise DataError(
            "its times carry no zone", where=where, expected="a declared one", next_step=f"Say {key}: {{zone: ...}}."
        )
    if zone == "UTC":
        return times.ns
    usable = ~(times.bad | times.missing)
    wall = pd.DatetimeIndex(times.ns[usable].view("datetime64[ns]"))
    at = np.full(len(times.ns), NO_TIME)
    at[usable] = wall.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").tz_convert("UTC").asi8
    return at


def dates_of(times: Instants) -> np.ndarray:
    """The date that each time names, datetime64[D]; 1970-01-01 where there is none."""
    usable = ~(times.bad | times.missing)
    return (np.where(usable, times.ns, 0) // DAY_NS).astype("datetime64[D]")


def bar_close(times: Instants, spec: DatasetSpec, zone: str | None, *, where: str) -> np.ndarray:
    """When each bar closed; NO_TIME for a bar outside the calendar of its dataset."""
    hours = find_calendar(spec.calendar)
    usable = ~(times.bad | times.missing)
    if spec.stamp == "session_date":
        return np.where(usable, hours.closes(dates_of(times)), NO_TIME)
    at = localised(times, zone, where=where, key="time")
    usable &= at != NO_TIME
    at = np.where(usable, at + (frequency_ns(spec.frequency) if spec.stamp == "open" else 0), 0)
    return np.where(usable & hours.contains(at), at, NO_TIME)


def session_open(times: Instants, calendar: str) -> np.ndarray:
    """When the session of each date opens, at which a corporate action takes effect."""
    usable = ~(times.bad | times.missing)
    return np.where(usable, find_calendar(calendar).opens(dates_of(times)), NO_TIME)


def event_times(times: Instants, entry: Entry, period: str, day_ends: DayEnds | None, *, where: str) -> np.ndarray:
    """When the period that each time stands for was over; an instant is over when it comes."""
    if period == "instant":
        return localised(times, entry.time.zone, where=where, key="time")
    usable = ~(times.bad | times.missing)
    dates, place = np.unique(dates_of(times), return_inverse=True)
    days = pd.DatetimeIndex(dates).as_unit("ns")
    if period == "year":
        end = event_end((days + pd.offsets.YearEnd(0)).tz_localize("UTC"), "day")
    else:
        end = event_end(days.tz_localize("UTC"), period)
    if day_ends is not None:
        end = _at_clock(end.tz_localize(None).normalize(), day_ends.time, day_ends.zone)
    return np.where(usable, end.asi8[place], NO_TIME)


def lagged(event: np.ndarray, lag: Lag) -> np.ndarray:
    """Knowledge by a release rule: so long after the event, or at a time of day that many days after its date."""
    usable = event != NO_TIME
    if lag.time is None:
        return np.where(usable, event + lag.days * DAY_NS + round(lag.hours * 3600) * 10**9, NO_TIME)
    unique, place = np.unique(np.where(usable, event, 0), return_inverse=True)
    local = from_ns(unique).tz_convert(lag.zone).tz_localize(None).normalize()
    at = _at_clock(local + pd.Timedelta(days=lag.days), lag.time, lag.zone)
    return np.where(usable, at.asi8[place] + round(lag.hours * 3600) * 10**9, NO_TIME)


def _at_clock(days: pd.DatetimeIndex, clock: str, zone: str) -> pd.DatetimeIndex:
    wall = days + pd.Timedelta(clock if clock.count(":") == 2 else f"{clock}:00")
    # A clock that is set forward skips an hour at night: the first instant after it is later, so safe.
    local = wall.tz_localize(zone, ambiguous=np.zeros(len(wall), dtype=bool), nonexistent="shift_forward")
    return local.tz_convert("UTC").as_unit("ns")


def lag_in_words(knowledge: Knowledge | None, period: str) -> str:
    """The release rule as people read it; empty where the moments were recorded."""
    if knowledge is None or knowledge.lag is None:
        return ""
    lag = knowledge.lag
    start = "event" if period == "instant" else "event day" if period == "day" else "period end"
    parts = [f"{lag.days} days" if lag.days != 1 else "1 day"] if lag.days else []
    parts += [f"{lag.hours:g} h"] if lag.hours else []
    words = f"{start} + {' '.join(parts)}" if parts else ("same day" if lag.time else start)
    return f"{words}, {lag.time} {lag.zone}" if lag.time else words
