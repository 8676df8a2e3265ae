"""When markets are open: the New York Stock Exchange and the foreign-exchange week.

A bar is labelled by its close, and its session is the trading day in the market's own zone: the FX session of a
Monday opens on Sunday at 17:00 New York. Bars in a year follow from the calendar and are written down once, here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pandas as pd

from mnpu.data.clock import utc
from mnpu.errors import ConfigError, DataError

__all__ = ["Calendar", "Fx", "Xnys", "get_calendar"]

NEW_YORK = "America/New_York"


class Calendar:
    """Sessions of a market.

    Attributes
    ----------
    name : str
    continuous : bool
        True where a bar opens at the instant at which the one before it closes.
    bars_per_year : mapping of str to float
        For annualisation, by frequency.
    """

    name: ClassVar[str]
    continuous: ClassVar[bool]
    bars_per_year: ClassVar[Mapping[str, float]]

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

    def periods_per_year(self, frequency: str) -> float:
        """Bars of ``frequency`` in a year."""
        try:
            return self.bars_per_year[frequency]
        except KeyError:
            raise ConfigError(
                f"no number of {frequency!r} bars in a year of calendar {self.name} is known",
                where="data.frequency",
                expected=f"one of {', '.join(self.bars_per_year)}",
            ) from None


class Xnys(Calendar):
    """New York Stock Exchange, by exchange_calendars, 1985 to 2030; only the range that is asked for is built."""

    name = "XNYS"
    continuous = False
    bars_per_year: ClassVar[Mapping[str, float]] = {"1d": 252.0}
    first, last = np.datetime64("1985-01-02"), np.datetime64("2030-12-31")

    def session_open(self, sessions: np.ndarray) -> pd.DatetimeIndex:
        """09:30 New York, as UTC, except where the exchange opened late."""
        return self._column(sessions, "open")

    def session_close(self, sessions: np.ndarray) -> pd.DatetimeIndex:
        """16:00 New York, as UTC, or 13:00 on a half day."""
        return self._column(sessions, "close")

    def sessions(self, times: pd.DatetimeIndex) -> np.ndarray:
        """The New York date of each bar close."""
        local = utc(times).tz_convert(NEW_YORK).tz_localize(None)
        return local.to_numpy().astype("datetime64[D]")

    def contains(self, times: pd.DatetimeIndex) -> np.ndarray:
        """Whether each of ``times`` lies in a session: after its open and not after its close."""
        times = utc(times)
        if not len(times):
            return np.zeros(0, dtype=bool)
        schedule = self._schedule(self.sessions(times))
        rows = schedule.reindex(pd.DatetimeIndex(self.sessions(times)).as_unit("ns"))
        known = rows["close"].notna().to_numpy()
        return (
            known
            & np.asarray(times > pd.DatetimeIndex(rows["open"]))
            & np.asarray(times <= pd.DatetimeIndex(rows["close"]))
        )

    def _schedule(self, sessions: np.ndarray) -> pd.DataFrame:
        """Opens and closes around ``sessions``, indexed by naive session date."""
        import exchange_calendars  # a second to import, so only where sessions are needed

        low, high = sessions.min(), sessions.max()
        if low < self.first or high > self.last:
            raise DataError(
                f"session {low if low < self.first else high} is outside the calendar",
                where=self.name,
                expected=f"a date from {self.first} to {self.last}",
            )
        week = np.timedelta64(7, "D")
        start, end = max(low - week, self.first), min(high + week, self.last)
        return exchange_calendars.get_calendar(self.name, start=str(start), end=str(end)).schedule

    def _column(self, sessions: np.ndarray, column: str) -> pd.DatetimeIndex:
        sessions = np.asarray(sessions, dtype="datetime64[D]")
        if not len(sessions):
            return utc(pd.DatetimeIndex([], tz="UTC"))
        values = self._schedule(sessions)[column].reindex(pd.DatetimeIndex(sessions).as_unit("ns"))
        missing = values.isna().to_numpy()
        if missing.any():
            raise DataError(
                f"{sessions[missing][0]} is not a session ({missing.sum()} of {len(sessions)} dates are none)",
                where=self.name,
                expected="trading days only",
            )
        return utc(pd.DatetimeIndex(values))


class Fx(Calendar):
    """The foreign-exchange week: Sunday 17:00 to Friday 17:00 New York, whatever the season.

    120 hourly bars a week and 52 weeks make 6240 bars a year; holidays are part of the week.
    """

    name = "FX"
    continuous = True
    bars_per_year: ClassVar[Mapping[str, float]] = {"1h": 120.0 * 52, "1d": 5.0 * 52}

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

    def _five_pm(self, sessions: np.ndarray, *, days_before: int) -> pd.DatetimeIndex:
        sessions = np.asarray(sessions, dtype="datetime64[D]")
        closed = ~np.is_busday(sessions)
        if closed.any():
            raise DataError(f"{sessions[closed][0]} is not a session", where=self.name, expected="Monday to Friday")
        wall = pd.DatetimeIndex(sessions).as_unit("ns") + pd.Timedelta(hours=17) - pd.Timedelta(days=days_before)
        return utc(wall.tz_localize(NEW_YORK))


def get_calendar(name: str) -> Calendar:
    """The calendar called ``name``: ``XNYS`` or ``FX``."""
    known: dict[str, type[Calendar]] = {"XNYS": Xnys, "FX": Fx}
    if name not in known:
        close = difflib.get_close_matches(name.upper(), known, n=1)
        hint = f"Did you mean {close[0]}?" if close else ""
        raise ConfigError(f"no calendar {name!r}", where="data.calendar", expected="XNYS or FX", next_step=hint)
    return known[name]()
