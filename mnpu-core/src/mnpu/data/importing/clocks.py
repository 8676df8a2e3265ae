"""Both clocks of a row: when what it describes was over, and when it could first be read.

Every function returns instants in ns, with ``NO_TIME`` where a row gets none; the caller says why it refuses the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from mnpu.data.bundled import event_end
from mnpu.data.calendars import Calendar, get_calendar
from mnpu.data.clock import DAY_NS, from_ns
from mnpu.data.importing.mapping import DatasetSpec, DayEnds, Entry, Knowledge, Lag, TimeFormat
from mnpu.data.importing.parse import NO_TIME, Instants, dates_alone, instants
from mnpu.errors import DataError
from mnpu.frequencies import length_ns

__all__ = [
    "NO_TIME",
    "bar_close",
    "event_times",
    "lag_in_words",
    "lagged",
    "localised",
    "recorded",
    "session_open",
]

DAY = np.timedelta64(1, "D")


def closes(calendar: Calendar, dates: np.ndarray) -> np.ndarray:
    """When the session of each date closes (ns); NO_TIME for a date that is none."""
    return _at_sessions(calendar, dates, calendar.session_close)


def opens(calendar: Calendar, dates: np.ndarray) -> np.ndarray:
    """When the session of each date opens (ns); NO_TIME for a date that is none."""
    return _at_sessions(calendar, dates, calendar.session_open)


def _at_sessions(calendar: Calendar, dates: np.ndarray, ask: Callable[[np.ndarray], pd.DatetimeIndex]) -> np.ndarray:
    unique, place = np.unique(dates, return_inverse=True)
    at = np.full(len(unique), NO_TIME)
    if len(unique):
        trading = np.isin(unique, calendar.between(unique[0], unique[-1]))
        at[trading] = ask(unique[trading]).asi8
    return at[place]


def contains(calendar: Calendar, ns: np.ndarray) -> np.ndarray:
    """Whether a bar may close at each instant; never beyond the years that the calendar covers."""
    inside = np.zeros(len(ns), dtype=bool)
    if not len(ns):
        return inside
    days = ns // DAY_NS
    low, high = int(days.min()), int(days.max())
    first, last = np.array([low, high]).astype("datetime64[D]")
    sessions = calendar.between(first - DAY, last + DAY)  # a session may begin or end on another date of UTC
    trading = np.zeros(high - low + 3, dtype=bool)
    trading[np.asarray(sessions).astype("datetime64[D]").astype(np.int64) - (low - 1)] = True
    near = (trading[:-2] | trading[1:-1] | trading[2:])[days - low]
    inside[near] = np.asarray(calendar.contains(from_ns(ns[near])))
    return inside


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


def recorded(column: pa.Array, zone: str | None, *, where: str) -> tuple[Instants, np.ndarray]:
    """The recorded moments of knowledge, as they stand and as instants (ns, UTC).

    A date without a time of day is known when it is over, at its last second: at its first nobody had read it.
    """
    told = instants(column, TimeFormat(zone=zone))
    whole_day = dates_alone(column) & ~(told.bad | told.missing)
    told = replace(told, ns=np.where(whole_day, told.ns + DAY_NS - 10**9, told.ns))
    return told, localised(told, zone, where=where, key="knowledge")


def dates_of(times: Instants) -> np.ndarray:
    """The date that each time names, datetime64[D]; 1970-01-01 where there is none."""
    usable = ~(times.bad | times.missing)
    return (np.where(usable, times.ns, 0) // DAY_NS).astype("datetime64[D]")


def bar_close(times: Instants, spec: DatasetSpec, zone: str | None, *, where: str) -> np.ndarray:
    """When each bar closed; NO_TIME for a bar outside the calendar of its dataset."""
    calendar = get_calendar(spec.calendar)
    usable = ~(times.bad | times.missing)
    if spec.stamp == "session_date":
        return np.where(usable, closes(calendar, dates_of(times)), NO_TIME)
    at = localised(times, zone, where=where, key="time")
    usable &= at != NO_TIME
    at = np.where(usable, at + (length_ns(spec.frequency) if spec.stamp == "open" else 0), 0)
    return np.where(usable & contains(calendar, at), at, NO_TIME)


def session_open(times: Instants, calendar: str) -> np.ndarray:
    """When the session of each date opens, at which a corporate action takes effect."""
    usable = ~(times.bad | times.missing)
    return np.where(usable, opens(get_calendar(calendar), dates_of(times)), NO_TIME)


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
