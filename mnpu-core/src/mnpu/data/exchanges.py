"""Stock exchanges, by the package exchange_calendars: holidays, half days, lunch breaks and daylight saving.

Its calendars reach only twenty years back and one ahead by default, so they are always built for a range of decades
that holds what is asked for, and kept: asking again takes microseconds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from mnpu.data.calendars import NEW_YORK, Calendar
from mnpu.data.clock import from_ns, utc
from mnpu.errors import DataError
from mnpu.frequencies import length_ns

__all__ = ["Exchange", "Xnys", "exchange_names"]

#: Years that sessions and their usual length are counted over.
COUNTED = ((2010, 2019), (2021, 2025))


class Schedule(NamedTuple):
    """Sessions of an exchange (datetime64[D]) with their instants (ns), breaks -1 where there is none."""

    zone: str
    days: np.ndarray
    opens: np.ndarray
    break_starts: np.ndarray
    break_ends: np.ndarray
    closes: np.ndarray


@lru_cache(maxsize=1)
def exchange_names() -> tuple[str, ...]:
    """Codes of the exchanges whose calendar is known."""
    import exchange_calendars  # a second to import, so only where sessions are needed

    return tuple(exchange_calendars.get_calendar_names(include_aliases=False))


@lru_cache(maxsize=16)
def _schedule(name: str, first: str, last: str) -> Schedule:
    """The calendar from ``first`` to ``last``, both included."""
    import exchange_calendars

    calendar = exchange_calendars.get_calendar(name, start=first, end=last)
    table = calendar.schedule
    ns = lambda column: _ns(table[column])  # noqa: E731
    days = table.index.to_numpy().astype("datetime64[D]")
    return Schedule(str(calendar.tz), days, ns("open"), ns("break_start"), ns("break_end"), ns("close"))


@lru_cache(maxsize=16)
def _bounds(name: str) -> tuple[np.datetime64, np.datetime64]:
    """The first and last date that the calendar can say anything about, within 1985 to 2030."""
    import exchange_calendars

    kind = type(exchange_calendars.get_calendar(name))
    low, high = kind.bound_min(), kind.bound_max()
    first = "1985-01-02" if low is None else max("1985-01-02", f"{low:%Y-%m-%d}")
    last = "2030-12-31" if high is None else min("2030-12-31", f"{high:%Y-%m-%d}")
    return np.datetime64(first, "D"), np.datetime64(last, "D")


def _ns(column: pd.Series) -> np.ndarray:
    instants = utc(pd.DatetimeIndex(column.array))
    return np.where(instants.isna(), -1, instants.asi8)


class Exchange(Calendar):
    """A stock exchange, 1985 to 2030 where its calendar reaches that far.

    Parameters
    ----------
    name : str
        Code in exchange_calendars, such as ``XLON``.
    """

    continuous = False

    def __init__(self, name: str) -> None:
        self.name = name

    def session_open(self, sessions: np.ndarray) -> pd.DatetimeIndex:
        """When each session opens, as UTC."""
        schedule, rows = self._rows(sessions)
        return from_ns(schedule.opens[rows])

    def session_close(self, sessions: np.ndarray) -> pd.DatetimeIndex:
        """When each session closes, as UTC; earlier on a half day."""
        schedule, rows = self._rows(sessions)
        return from_ns(schedule.closes[rows])

    def sessions(self, times: pd.DatetimeIndex) -> np.ndarray:
        """The session that each bar close lies in, or else its date in the zone of the exchange."""
        times = utc(times)
        if not len(times):
            return np.zeros(0, dtype="datetime64[D]")
        schedule = self._around(times)
        row = np.minimum(np.searchsorted(schedule.closes, times.asi8), len(schedule.days) - 1)
        inside = (times.asi8 > schedule.opens[row]) & (times.asi8 <= schedule.closes[row])
        return np.where(inside, schedule.days[row], _local_dates(times, schedule.zone))

    def contains(self, times: pd.DatetimeIndex) -> np.ndarray:
        """Whether each of ``times`` lies in a session: after its open, not after its close, and in no break."""
        times = utc(times)
        if not len(times):
            return np.zeros(0, dtype=bool)
        schedule = self._around(times)
        row, at = np.minimum(np.searchsorted(schedule.closes, times.asi8), len(schedule.days) - 1), times.asi8
        pause = (at > schedule.break_starts[row]) & (at <= schedule.break_ends[row]) & (schedule.break_starts[row] >= 0)
        return (at > schedule.opens[row]) & (at <= schedule.closes[row]) & ~pause

    def between(self, first: np.datetime64, last: np.datetime64) -> np.ndarray:
        """The trading days of the exchange."""
        low, high = self._bounds()
        first, last = max(first, low), min(last, high)
        if last < first:
            return np.zeros(0, dtype="datetime64[D]")
        days = self._decades(first, last).days
        return days[np.searchsorted(days, first) : np.searchsorted(days, last, side="right")]

    def sessions_per_year(self) -> float:
        """Sessions in the average of ten calendar years, rounded: 252 in New York."""
        first, last = self._counted()
        days = self.between(np.datetime64(f"{first}-01-01", "D"), np.datetime64(f"{last}-12-31", "D"))
        return float(round(len(days) / (last - first + 1)))

    def _counted(self) -> tuple[int, int]:
        """First and last of the years that are counted."""
        low, high = (int(str(day)[:4]) for day in self._bounds())
        return next(((a, b) for a, b in COUNTED if low < a and high > b), COUNTED[-1])

    def _typical_session(self) -> np.ndarray:
        first, last = self._counted()
        schedule = self._decades(np.datetime64(f"{first}-01-01", "D"), np.datetime64(f"{last}-12-31", "D"))
        lengths = schedule.closes - schedule.opens
        values, counts = np.unique(lengths, return_counts=True)
        return schedule.days[np.flatnonzero(lengths == values[counts.argmax()])[-1:]]

    def _anchor(self, sessions: np.ndarray) -> np.ndarray:
        schedule, rows = self._rows(sessions)
        midnight = pd.DatetimeIndex(schedule.days[rows]).as_unit("ns")
        local = midnight.tz_localize(schedule.zone, ambiguous=True, nonexistent="shift_forward")
        return utc(local).asi8

    def _stretches(self, sessions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        schedule, rows = self._rows(sessions)
        pause = schedule.break_starts[rows] >= 0
        index = np.concatenate([np.arange(len(rows)), np.flatnonzero(pause)])
        opens = np.concatenate([schedule.opens[rows], schedule.break_ends[rows][pause]])
        first_close = np.where(pause, schedule.break_starts[rows], schedule.closes[rows])
        closes = np.concatenate([first_close, schedule.closes[rows][pause]])
        order = np.argsort(opens, kind="stable")
        return index[order], opens[order], closes[order]

    def _bounds(self) -> tuple[np.datetime64, np.datetime64]:
        return _bounds(self.name)

    def _around(self, times: pd.DatetimeIndex) -> Schedule:
        """The schedule that holds ``times``, with a day on either side for the zone."""
        days = times.asi8 // length_ns("1d")
        low, high = (np.datetime64(int(day), "D") for day in (days.min() - 1, days.max() + 1))
        return self._decades(*self._inside(low, high, slack=np.timedelta64(1, "D")))

    def _rows(self, sessions: np.ndarray) -> tuple[Schedule, np.ndarray]:
        """The schedule and the row of each session in it; DataError for a date that is none."""
        sessions = np.asarray(sessions, dtype="datetime64[D]")
        if not len(sessions):
            nothing = np.zeros(0, dtype=np.int64)
            return Schedule("UTC", sessions, *[nothing] * 4), nothing
        schedule = self._decades(*self._inside(sessions.min(), sessions.max()))
        rows = np.minimum(np.searchsorted(schedule.days, sessions), len(schedule.days) - 1)
        missing = schedule.days[rows] != sessions
        if missing.any():
            raise DataError(
                f"{sessions[missing][0]} is not a session ({missing.sum()} of {len(sessions)} dates are none)",
                where=self.name,
                expected="trading days only",
            )
        return schedule, rows

    def _inside(
        self, low: np.datetime64, high: np.datetime64, *, slack: np.timedelta64 | None = None
    ) -> tuple[np.datetime64, np.datetime64]:
        """Both dates, if the calendar reaches them; those of ``slack`` beyond its bounds are moved to them."""
        first, last = self._bounds()
        slack = np.timedelta64(0, "D") if slack is None else slack
        if low + slack < first or high - slack > last:
            raise DataError(
                f"session {low + slack if low + slack < first else high - slack} is outside the calendar",
                where=self.name,
                expected=f"a date from {first} to {last}",
            )
        return max(low, first), min(high, last)

    def _decades(self, low: np.datetime64, high: np.datetime64) -> Schedule:
        """The schedule of the decades from ``low`` to ``high``: few ranges, so that most are built once."""
        first, last = self._bounds()
        start = max(np.datetime64(f"{int(str(low)[:3])}0-01-01", "D"), first)
        end = min(np.datetime64(f"{int(str(high)[:3])}9-12-31", "D"), last)
        return _schedule(self.name, str(start), str(end))


class Xnys(Exchange):
    """The New York Stock Exchange. Dates and bars in a year need no look at its holidays."""

    def __init__(self) -> None:
        super().__init__("XNYS")

    def sessions(self, times: pd.DatetimeIndex) -> np.ndarray:
        """The New York date of each bar close."""
        return _local_dates(utc(times), NEW_YORK)

    def sessions_per_year(self) -> float:
        """The customary 252."""
        return 252.0

    def _bounds(self) -> tuple[np.datetime64, np.datetime64]:
        return np.datetime64("1985-01-02", "D"), np.datetime64("2030-12-31", "D")


def _local_dates(times: pd.DatetimeIndex, zone: str) -> np.ndarray:
    return times.tz_convert(zone).tz_localize(None).to_numpy().astype("datetime64[D]")
