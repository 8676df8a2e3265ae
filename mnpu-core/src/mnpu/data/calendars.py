"""When markets are open: stock exchanges, the foreign-exchange week, and markets that never close.

A bar is labelled by its close, and its session is the trading day in the market's own zone: the FX session of a
Monday opens on Sunday at 17:00 New York. Bars shorter than a day end at whole multiples of their length, counted
from the calendar's anchor, and where trading pauses: the first hourly bar of New York is 09:30 to 10:00, and the last
one of a half day ends at 13:00. A week is Monday to Sunday, and its bar ends with its last session.
"""

from __future__ import annotations

import difflib
from typing import ClassVar

import numpy as np
import pandas as pd

from mnpu.data.clock import from_ns, utc
from mnpu.errors import ConfigError, DataError
from mnpu.frequencies import is_intraday, length_ns

__all__ = ["Calendar", "Crypto", "Fx", "canonical", "get_calendar"]

NEW_YORK = "America/New_York"
DAY = np.timedelta64(1, "D")

#: Names of one calendar.
ALIASES = {"24/7": "CRYPTO"}


class Calendar:
    """Sessions of a market.

    Attributes
    ----------
    name : str
    continuous : bool
        True where a bar opens at the instant at which the one before it closes.
    """

    name: str
    continuous: bool

    def session_open(self, sessions: np.ndarray) -> pd.DatetimeIndex:
        """When each session (``datetime64[D]``) opens, UTC. DataError for a date that is no session."""
        raise NotImplementedError

    def session_close(self, sessions: np.ndarray) -> pd.DatetimeIndex:
        """When each session (``datetime64[D]``) closes, UTC. DataError for a date that is no session."""
        raise NotImplementedError

    def sessions(self, times: pd.DatetimeIndex) -> np.ndarray:
        """The session that each bar close belongs to, ``datetime64[D]``; not checked, see ``contains``."""
        raise NotImplementedError

    def contains(self, times: pd.DatetimeIndex) -> np.ndarray:
        """Boolean (T,): whether a bar may close at each of ``times``."""
        raise NotImplementedError

    def between(self, first: np.datetime64, last: np.datetime64) -> np.ndarray:
        """The sessions from ``first`` to ``last``, both included, ``datetime64[D]``."""
        raise NotImplementedError

    def sessions_per_year(self) -> float:
        """Sessions in a year, for annualisation."""
        raise NotImplementedError

    def _anchor(self, sessions: np.ndarray) -> np.ndarray:
        """The instant (ns) of each session from which bars shorter than a day are counted."""
        raise NotImplementedError

    def _typical_session(self) -> np.ndarray:
        """A session (``datetime64[D]``) of the usual length, (1,)."""
        raise NotImplementedError

    def _stretches(self, sessions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Trading without a pause, in time order: index of the session, open and close (ns) of each stretch."""
        opens, closes = self.session_open(sessions).asi8, self.session_close(sessions).asi8
        return np.arange(len(sessions)), opens, closes

    def periods_per_year(self, frequency: str) -> float:
        """Bars of ``frequency`` in a year: those of a usual session times the sessions in a year; 52 weeks.

        Half days and holidays that fall on weekdays count as usual, as is the custom (252 days of 26 quarter hours
        in New York).
        """
        length_ns(frequency)
        if frequency == "1w":
            return 52.0
        if not is_intraday(frequency):
            return float(self.sessions_per_year())
        return float(self.sessions_per_year()) * len(self.bar_closes(self._typical_session(), frequency))

    def bar_closes(self, sessions: np.ndarray, frequency: str) -> pd.DatetimeIndex:
        """Closes of all bars of ``sessions``, in time order: what a complete dataset has.

        Parameters
        ----------
        sessions : datetime64[D] (N,)
            Increasing. A week counts where any of its sessions is among them.
        frequency : str
        """
        sessions = np.asarray(sessions, dtype="datetime64[D]")
        if not len(sessions) or frequency == "1d":
            return self.session_close(sessions)
        if frequency == "1w":
            return self.session_close(np.unique(self._last_of_week(sessions)))
        step = length_ns(frequency)
        row, opens, closes = self._stretches(sessions)
        anchor = self._anchor(sessions)[row]
        first, last = (
            (opens - anchor) // step + 1,
            -((anchor - closes) // step),
        )  # multiples of step, the last cut short
        count = last - first + 1
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        ends = np.repeat(anchor, count) + (np.repeat(first, count) + within) * step
        return from_ns(np.minimum(ends, np.repeat(closes, count)))

    def bar_close(self, times: pd.DatetimeIndex, frequency: str) -> pd.DatetimeIndex:
        """Close of the ``frequency`` bar that holds a shorter bar closing at each of ``times`` (T,).

        Raises
        ------
        DataError
            If a time lies in no session.
        """
        times = utc(times)
        self._check_open(times)
        sessions = self.sessions(times)
        if frequency == "1d":
            return self.session_close(sessions)
        if frequency == "1w":
            return self.session_close(self._last_of_week(sessions))
        step = length_ns(frequency)
        days, row = np.unique(sessions, return_inverse=True)
        anchor = self._anchor(days)[row]
        ends = anchor - (anchor - times.asi8) // step * step  # rounded up
        return from_ns(np.minimum(ends, self._stretch_at(days, times)[1]))

    def bar_open(self, times: pd.DatetimeIndex, frequency: str) -> pd.DatetimeIndex:
        """When the ``frequency`` bar that closes at each of ``times`` (T,) begins; DataError as in ``bar_close``."""
        times = utc(times)
        self._check_open(times)
        sessions = self.sessions(times)
        if frequency == "1d":
            return self.session_open(sessions)
        if frequency == "1w":
            return self.session_open(self._first_of_week(sessions))
        step = length_ns(frequency)
        days, row = np.unique(sessions, return_inverse=True)
        anchor = self._anchor(days)[row]
        begins = anchor + (times.asi8 - anchor - 1) // step * step
        return from_ns(np.maximum(begins, self._stretch_at(days, times)[0]))

    def _stretch_at(self, days: np.ndarray, times: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
        """Open and close (ns) of the stretch of trading that each of ``times`` lies in."""
        _, opens, closes = self._stretches(days)
        inside = np.searchsorted(closes, times.asi8, side="left")
        return opens[inside], closes[inside]

    def _last_of_week(self, sessions: np.ndarray) -> np.ndarray:
        mondays = _monday(sessions)
        known = self.between(mondays.min(), mondays.max() + 6 * DAY)
        return known[np.searchsorted(known, mondays + 6 * DAY, side="right") - 1]

    def _first_of_week(self, sessions: np.ndarray) -> np.ndarray:
        mondays = _monday(sessions)
        known = self.between(mondays.min(), mondays.max() + 6 * DAY)
        return known[np.searchsorted(known, mondays, side="left")]

    def _check_open(self, times: pd.DatetimeIndex) -> None:
        closed = ~self.contains(times)
        if closed.any():
            raise DataError(
                f"a bar closes at {times[closed][0]}, when the market is shut ({closed.sum()} of {len(times)} bars)",
                where=self.name,
                expected="bars within sessions",
                next_step="Leave those bars out, or choose the calendar that the data follows.",
            )


class Fx(Calendar):
    """The foreign-exchange week: Sunday 17:00 to Friday 17:00 New York, whatever the season.

    120 hourly bars a week and 52 weeks make 6240 bars a year; holidays are part of the week. Bars are counted from
    17:00 New York, so that none crosses from one session into the next.
    """

    name = "FX"
    continuous = True

    def session_open(self, sessions: np.ndarray) -> pd.DatetimeIndex:
        """17:00 New York on the evening before, as UTC."""
        return self._five_pm(sessions, days_before=1)

    def session_close(self, sessions: np.ndarray) -> pd.DatetimeIndex:
        """17:00 New York, as UTC."""
        return self._five_pm(sessions, days_before=0)

    def sessions(self, times: pd.DatetimeIndex) -> np.ndarray:
        """The date of the 17:00 New York at which the session of each bar closes."""
        last_instant = utc(times) - pd.Timedelta(1, "ns")  # a bar that closes at 17:00 belongs to the ending session
        wall = last_instant.tz_convert(NEW_YORK).tz_localize(None) + pd.Timedelta(hours=7)
        return wall.to_numpy().astype("datetime64[D]")

    def contains(self, times: pd.DatetimeIndex) -> np.ndarray:
        """Whether each of ``times`` lies in the week, Sunday 17:00 (excluded) to Friday 17:00 (included)."""
        return np.is_busday(self.sessions(times))

    def between(self, first: np.datetime64, last: np.datetime64) -> np.ndarray:
        """Monday to Friday, holidays included."""
        days = np.arange(first, last + DAY, dtype="datetime64[D]")
        return days[np.is_busday(days)]

    def sessions_per_year(self) -> float:
        """Five days of 52 weeks."""
        return 5.0 * 52

    def _anchor(self, sessions: np.ndarray) -> np.ndarray:
        return self.session_open(sessions).asi8

    def _typical_session(self) -> np.ndarray:
        return np.array(["2020-01-08"], dtype="datetime64[D]")

    def _five_pm(self, sessions: np.ndarray, *, days_before: int) -> pd.DatetimeIndex:
        sessions = np.asarray(sessions, dtype="datetime64[D]")
        closed = ~np.is_busday(sessions)
        if closed.any():
            raise DataError(f"{sessions[closed][0]} is not a session", where=self.name, expected="Monday to Friday")
        wall = pd.DatetimeIndex(sessions).as_unit("ns") + pd.Timedelta(hours=17) - pd.Timedelta(days=days_before)
        return utc(wall.tz_localize(NEW_YORK))


class Crypto(Calendar):
    """A market that never closes: a session is a UTC day, 365 of them are a year."""

    name = "CRYPTO"
    continuous = True
    _year: ClassVar[float] = 365.0

    def session_open(self, sessions: np.ndarray) -> pd.DatetimeIndex:
        """00:00 UTC."""
        return from_ns(self._anchor(sessions))

    def session_close(self, sessions: np.ndarray) -> pd.DatetimeIndex:
        """00:00 UTC of the day after."""
        return from_ns(self._anchor(np.asarray(sessions, dtype="datetime64[D]") + DAY))

    def sessions(self, times: pd.DatetimeIndex) -> np.ndarray:
        """The UTC date of each bar; one that closes at midnight belongs to the day that ends there."""
        ended = utc(times).tz_localize(None) - pd.Timedelta(1, "ns")
        return ended.to_numpy().astype("datetime64[D]")

    def contains(self, times: pd.DatetimeIndex) -> np.ndarray:
        """True: always."""
        return np.ones(len(utc(times)), dtype=bool)

    def between(self, first: np.datetime64, last: np.datetime64) -> np.ndarray:
        """Every day."""
        return np.arange(first, last + DAY, dtype="datetime64[D]")

    def sessions_per_year(self) -> float:
        """Every day of a common year."""
        return self._year

    def _anchor(self, sessions: np.ndarray) -> np.ndarray:
        return np.asarray(sessions, dtype="datetime64[D]").astype("datetime64[ns]").astype(np.int64)

    def _typical_session(self) -> np.ndarray:
        return np.array(["2020-01-08"], dtype="datetime64[D]")


def canonical(name: str) -> str:
    """The one name of a calendar: ``CRYPTO`` for ``24/7``."""
    return ALIASES.get(name, name)


def get_calendar(name: str) -> Calendar:
    """The calendar called ``name``.

    ``FX``, ``CRYPTO`` (or ``24/7``), or a stock exchange by its code in the package exchange_calendars, such as
    ``XNYS``, ``XLON`` or ``XTKS``.
    """
    from mnpu.data.exchanges import Exchange, Xnys, exchange_names

    known: dict[str, type[Calendar]] = {"XNYS": Xnys, "FX": Fx, "CRYPTO": Crypto}
    if canonical(name) in known:
        return known[canonical(name)]()
    names = exchange_names()
    if name in names:
        return Exchange(name)
    close = difflib.get_close_matches(name.upper(), [*known, *ALIASES, *names], n=1)
    hint = f"Did you mean {close[0]}?" if close else ""
    raise ConfigError(
        f"no calendar {name!r}",
        where="data.calendar",
        expected="FX, CRYPTO, or the code of an exchange such as XNYS",
        next_step=hint,
    )


def _monday(sessions: np.ndarray) -> np.ndarray:
    """The Monday of each session's week."""
    days = np.asarray(sessions, dtype="datetime64[D]")
    return days - (days.astype(np.int64) + 3) % 7 * DAY  # 1970-01-01 was a Thursday
