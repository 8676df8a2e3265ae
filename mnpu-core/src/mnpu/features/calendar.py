"""Seasonality: where a decision stands in the year, the quarter, the month and the session.

Only the trading days so far and the plain calendar are used; `price` has the day of the week and the hour of the day.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from mnpu.data.calendars import get_calendar
from mnpu.features.api import View, feature
from mnpu.features.arrays import Phase, on_circle

#: More days than any market was closed in a row.
LONGEST = 40
HOUR_NS = 3_600_000_000_000


@feature(unit="cycle", scope="market", tags=("calendar",))
def month(view: View, *, phase: Phase = "sin") -> np.ndarray:
    """Month of the session on the circle of the year.

    Parameters
    ----------
    view : View
        Uses the decision times (T,).
    phase : {"sin", "cos"}, default="sin"
        Which coordinate; ``[sin, cos]`` makes a column of each, which together tell all apart.

    Returns
    -------
    phase : ndarray (T,)
        ``sin`` or ``cos`` of ``2 pi m / 12``, January is m = 0.

    Notes
    -----
    Never NaN.
    Source: Rozeff & Kinney (1976), seasonality of months.
    """
    return on_circle(view.sessions.astype("datetime64[M]").astype(np.int64) % 12 / 12, phase)


@feature(unit="cycle", scope="market", tags=("calendar",))
def day_of_year(view: View, *, phase: Phase = "sin") -> np.ndarray:
    """Day of the session on the circle of the year.

    Parameters
    ----------
    view : View
        Uses the decision times (T,).
    phase : {"sin", "cos"}, default="sin"
        Which coordinate; ``[sin, cos]`` makes a column of each, which together tell all apart.

    Returns
    -------
    phase : ndarray (T,)
        ``sin`` or ``cos`` of ``2 pi d / 366``, the 1st of January is d = 0.

    Notes
    -----
    Never NaN.
    Source: Heston & Sadka (2008), seasonality of returns within the year.
    """
    years = view.sessions.astype("datetime64[Y]")
    return on_circle((view.sessions - years.astype("datetime64[D]")).astype(np.int64) / 366, phase)


@feature(unit="fraction", scope="market", tags=("calendar",))
def day_of_month(view: View) -> np.ndarray:
    """Day of the session within its month: 0 on the first, 1 on the last day.

    Parameters
    ----------
    view : View
        Uses the decision times (T,).

    Returns
    -------
    place : ndarray (T,)
        ``(d - 1) / (n - 1)``, d the day of the month and n its days.

    Notes
    -----
    Never NaN.
    Source: Ariel (1987), returns within the month.
    """
    first, following = _period(view, "M", 1)
    return (view.sessions - first).astype(np.int64) / ((following - first).astype(np.int64) - 1)


@feature(unit="days", scope="market", tags=("calendar",))
def days_to_month_end(view: View) -> np.ndarray:
    """Calendar days from the session to the last day of its month.

    Parameters
    ----------
    view : View
        Uses the decision times (T,).

    Returns
    -------
    days : ndarray (T,)
        ``n - d``, d the day of the month and n its days.

    Notes
    -----
    Never NaN.
    Source: Lakonishok & Smidt (1988), the turn of the month.
    """
    return (_period(view, "M", 1)[1] - view.sessions).astype(np.int64) - 1.0


@feature(unit="days", scope="market", tags=("calendar",))
def days_to_quarter_end(view: View) -> np.ndarray:
    """Calendar days from the session to the last day of its quarter.

    Parameters
    ----------
    view : View
        Uses the decision times (T,).

    Returns
    -------
    days : ndarray (T,)
        Days from the session to the last day of March, June, September or December.

    Notes
    -----
    Never NaN.
    Source: Carhart et al. (2002), prices at the ends of quarters.
    """
    return (_period(view, "M", 3)[1] - view.sessions).astype(np.int64) - 1.0


@feature(unit="days", scope="market", tags=("calendar",))
def days_since_session(view: View) -> np.ndarray:
    """Calendar days from the session before to this one: 3 on Mondays, more after holidays.

    Parameters
    ----------
    view : View
        Uses the decision times (T,).

    Returns
    -------
    days : ndarray (T,)
        Days between the sessions of the panel's calendar.

    Notes
    -----
    NaN: where the calendar knows no session before.
    Source: French (1980), week-ends; Ariel (1990), holidays. The next holiday is not used, as closures are not all
    known before.
    """
    calendar, sessions = get_calendar(view.calendar), view.sessions.astype("datetime64[D]")
    opened = calendar.between(sessions[0] - np.timedelta64(LONGEST, "D"), sessions[-1])
    before = opened[np.maximum(np.searchsorted(opened, sessions) - 1, 0)]
    gap = (sessions - before).astype(np.int64).astype(float)
    return np.where(gap > 0, gap, np.nan)


@feature(unit="hours", scope="market", tags=("calendar",))
def hours_since_open(view: View) -> np.ndarray:
    """Hours from the open of the session to the decision.

    Parameters
    ----------
    view : View
        Uses the decision times (T,).

    Returns
    -------
    hours : ndarray (T,)
        Hours from the session's scheduled open to t.

    Notes
    -----
    Never NaN.
    Source: Wood, McInish & Ord (1985), returns over the day; unlike `price.hour_of_day`, with daylight saving and each
    market's own hours.
    """
    new, hours = slice(view.first, None), np.full(view.shape[0], np.nan)
    sessions = view.sessions[new]
    if len(sessions) == 1:
        opened = _open(view.calendar, int(sessions[0].astype("datetime64[D]").astype(np.int64)))
        hours[-1] = (view.instants[-1] - opened) / HOUR_NS
    else:
        hours[new] = (view.instants[new] - get_calendar(view.calendar).session_open(sessions).asi8) / HOUR_NS
    return hours


@lru_cache(maxsize=64)
def _open(calendar: str, day: int) -> int:
    """When a session opens, in nanoseconds: the bars of a day ask for it one by one."""
    return int(get_calendar(calendar).session_open(np.array([day]).astype("datetime64[D]")).asi8[0])


def _period(view: View, unit: Literal["M"], months: int) -> tuple[np.ndarray, np.ndarray]:
    """First day of the month or quarter of each session, and of the next one."""
    number = view.sessions.astype(f"datetime64[{unit}]").astype(np.int64) // months * months
    first = number.astype(f"datetime64[{unit}]")
    return first.astype("datetime64[D]"), (first + months).astype("datetime64[D]")
