"""Instants: every time inside is UTC with nanosecond resolution; dates without a time are said to be dates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mnpu.errors import ConfigError, DataError

__all__ = ["DAY_NS", "FIRST_NS", "LAST_NS", "day_end", "from_ns", "parse_date", "utc"]

DAY_NS = 86_400_000_000_000
#: Between these, 1700 and 2200, days and years can be added to an instant in 64 bits.
FIRST_NS, LAST_NS = pd.Timestamp("1700-01-01").value, pd.Timestamp("2200-01-01").value
UTC_NS = pd.DatetimeTZDtype("ns", "UTC")


def utc(times: Any, *, where: str = "times") -> pd.DatetimeIndex:
    """``times`` as a UTC index with nanosecond resolution.

    Raises
    ------
    DataError
        If a time has no zone: which instant it means would be a guess.
    """
    if isinstance(times, pd.DatetimeIndex) and times.dtype == UTC_NS:
        return times  # as nearly always: to look at it again would take longer than most joins
    index = pd.DatetimeIndex(times)
    if index.tz is None:
        raise DataError(
            f"times without a zone (first: {index[0] if len(index) else 'none'})",
            where=where,
            expected="timezone-aware times",
            next_step='Localise them first, for example with .tz_localize("UTC").',
        )
    return index.tz_convert("UTC").as_unit("ns")


def from_ns(values: Any) -> pd.DatetimeIndex:
    """Integer nanoseconds since 1970 as a UTC index."""
    return pd.DatetimeIndex(np.asarray(values, dtype="int64").view("datetime64[ns]")).tz_localize("UTC")


def day_end(dates: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The last second of each date, UTC: a date without a time is known when it is over."""
    naive = pd.DatetimeIndex(dates).tz_localize(None) if dates.tz is not None else dates
    return (naive.normalize().as_unit("ns") + pd.Timedelta(hours=23, minutes=59, seconds=59)).tz_localize("UTC")


def parse_date(value: Any, *, where: str) -> np.datetime64:
    """A calendar date as ``datetime64[D]``; ConfigError if it is none."""
    try:
        stamp = None if isinstance(value, (int, float)) else pd.Timestamp(value)
    except (TypeError, ValueError):
        stamp = None
    if not isinstance(stamp, pd.Timestamp) or pd.isna(stamp):
        raise ConfigError(f"{value!r} is not a date", where=where, expected="a date such as 2005-01-31")
    return np.datetime64(stamp.strftime("%Y-%m-%d"), "D")
