"""Bars against the exchange calendar: holes, sessions that never were, days that are half there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mnpu.data.calendars import Calendar, get_calendar
from mnpu.data.clock import DAY_NS, from_ns
from mnpu.data.rows import PriceRows
from mnpu.errors import MnpuError
from mnpu.types import Panel
from mnpu.validation.bars import Table, bars_of, found, no_volume, step_of
from mnpu.validation.findings import Context, Finding, Rule

__all__ = ["Sessions", "calendar_of", "expected_bars"]

PHANTOM = Rule(
    "bars belong to sessions of the calendar",
    "error",
    "A bar on a holiday or a week-end is a copy or an invention, and a fill at its price never happened.",
    "Leave out the bars, or declare the calendar that the symbols really trade by.",
)
PHANTOM_INDEX = Rule(
    "an index has values in sessions of its calendar",
    "warning",
    "An index of options or futures is published on days on which its stocks do not trade.",
    "Declare the calendar of the exchange that publishes it.",
)
OFF_HOURS = Rule(
    "bars close while the market is open",
    "warning",
    "A bar after the close of a half day, or before the open, was known at another moment than it says.",
    "Stamp daily bars at the close of their session; leave out bars of other hours, which a panel does not take.",
)
GAP = Rule(
    "a symbol has a bar in every session between its first and its last",
    "warning",
    "Returns over a hole span many sessions and look like one; nothing is filled, so features are missing there.",
    "Fetch the sessions, or record the halt; where the ticker was renamed, join its other name.",
)
TWO_BARS = Rule(
    "a session has one daily bar",
    "warning",
    "Sunday evening as a day of its own makes a week of six days, and its volatility too small.",
    "Merge the two bars, or declare another calendar.",
)
PARTIAL_DAY = Rule(
    "a session has all of its bars",
    "warning",
    "A day that was downloaded while it went on, or in which half of the symbols are missing, is not that day.",
    "Fetch the day again. Hours without a trade have no bar: then this is only said.",
)

FEW = 5  #: symbols, below which a thin day says nothing


class Sessions:
    """Gaps, phantom sessions, two daily bars in one session, and partial days, against the dataset's calendar.

    Parameters
    ----------
    thin : float, default=0.5
        A session in which fewer than this share of the symbols has a bar is a partial day.

    Notes
    -----
    The calendar is that of the context, else that which the dataset names; one that is unknown is not checked.
    """

    reads = (Panel, PriceRows)
    rules = (PHANTOM, PHANTOM_INDEX, OFF_HOURS, GAP, TWO_BARS, PARTIAL_DAY)

    def __init__(self, thin: float = 0.5) -> None:
        self.thin = thin

    def check(self, table: Table, context: Context | None = None) -> list[Finding]:
        """Bars that the calendar does not know, and sessions without a bar; nothing for a side table."""
        read = bars_of(table)
        if read is None:
            return []
        bars, origin = read
        calendar = calendar_of(bars, context)
        if calendar is None:
            return []
        instants, which = np.unique(bars.event_time, return_inverse=True)
        known = calendar.contains(from_ns(instants))
        names = calendar.sessions(from_ns(instants))
        inside, session = known[which], names[which].astype("int64")
        kept = np.flatnonzero(inside)
        regular, origin_of = (bars, origin) if inside.all() else (bars.take(kept), origin[kept])
        day = step_of(bars) >= DAY_NS
        real = _are_sessions(names, calendar)[which]
        phantom, index = ~inside & ~real, no_volume(bars, context)[bars.code]
        nowhere = f"is no session of {calendar.name}"
        findings = [
            *found(PHANTOM, bars, phantom & ~index, lambda i: nowhere, origin=origin),
            *found(PHANTOM_INDEX, bars, phantom & index, lambda i: nowhere, origin=origin),
            *found(OFF_HOURS, bars, ~inside & real, lambda i: f"is outside {calendar.name} hours", origin=origin),
        ]
        findings += _gaps(regular, session[kept], calendar, origin_of)
        if day:
            return findings + self._daily(regular, session[kept], calendar, origin_of)
        return findings + _short_days(regular, session[kept], calendar, origin_of)

    def _daily(self, bars: PriceRows, session: np.ndarray, calendar: Calendar, origin: np.ndarray) -> list[Finding]:
        twice = bars.same_symbol.copy()
        twice[1:] &= session[1:] == session[:-1]
        date = session.astype("datetime64[D]")
        return [
            *found(TWO_BARS, bars, twice, lambda i: f"is a second bar of session {date[i]}", origin=origin),
            *found(PARTIAL_DAY, bars, *_thin(bars, session, self.thin), origin=origin),
        ]


def _are_sessions(dates: np.ndarray, calendar: Calendar) -> np.ndarray:
    """Boolean (N,): whether the market opens at all on each of ``dates``, in any zone."""
    days = np.unique(dates)
    hours = np.unique(days.astype("datetime64[h]")[:, None] + np.arange(-14, 38))
    instants = from_ns(hours.astype("datetime64[ns]").astype("int64"))
    open_days = np.unique(calendar.sessions(instants[calendar.contains(instants)]))
    return np.isin(dates, open_days)


def calendar_of(bars: PriceRows, context: Context | None) -> Calendar | None:
    """The calendar of the context, else that of the dataset; None if it is unknown or does not reach so far."""
    try:
        calendar = context.calendar if context is not None and context.calendar is not None else None
        calendar = calendar or get_calendar(bars.info.calendar)
        calendar.contains(from_ns([bars.event_time.min(), bars.event_time.max()]))
    except MnpuError:
        return None
    return calendar


def expected_bars(bars: PriceRows, calendar: Calendar) -> np.ndarray:
    """Every instant at which a bar could close between the first and the last, int64 ns, increasing.

    For daily bars: the instants at which any symbol closed, and noon UTC of sessions in which none did, but for
    weekdays on which a market that is always open by its calendar never has a bar. Within the day:
    the steps at which the market is open; on an exchange that closes, those at which any symbol has a bar.
    """
    step, first, last = step_of(bars), int(bars.event_time.min()), int(bars.event_time.max())
    seen = np.unique(bars.event_time)
    if step >= DAY_NS:
        hours = np.arange(first - first % DAY_NS, last + DAY_NS, DAY_NS // 24)
        open_hours = hours[calendar.contains(from_ns(hours))]
        all_sessions = np.unique(calendar.sessions(from_ns(open_hours)))
        held = calendar.sessions(from_ns(seen))
        empty = np.setdiff1d(all_sessions[(all_sessions > held.min()) & (all_sessions < held.max())], held)
        if calendar.continuous:  # days of UTC of a market with week-ends: a weekday without any bar is none of its days
            empty = empty[np.isin(_weekday(empty), _weekday(held))]
        _, one = np.unique(held, return_index=True)
        return np.sort(np.r_[seen[one], empty.astype("datetime64[ns]").astype("int64") + DAY_NS // 2])
    if not calendar.continuous:
        return seen
    grid = np.arange(first, last + 1, step)
    return grid[calendar.contains(from_ns(grid))]


def _weekday(sessions: np.ndarray) -> np.ndarray:
    return (sessions.astype("datetime64[D]").astype("int64") + 3) % 7


def _gaps(bars: PriceRows, session: np.ndarray, calendar: Calendar, origin: np.ndarray) -> list[Finding]:
    """Holes within each symbol's own span, the longest first; the count is of missing bars."""
    if not len(bars):
        return []
    expected = expected_bars(bars, calendar)
    step = step_of(bars)
    if step >= DAY_NS:  # by session: a half day closes at another hour
        place = np.searchsorted(calendar.sessions(from_ns(expected)).astype("int64"), session)
    else:
        place = np.searchsorted(expected, bars.event_time + step // 2)  # jitter of a stamp is no gap
    missing = np.zeros(len(bars), dtype="int64")
    missing[1:] = np.where(bars.same_symbol[1:], np.maximum(np.diff(place) - 1, 0), 0)
    holes = np.flatnonzero(missing)
    worst = holes[np.argsort(-missing[holes], kind="stable")]
    unit = "sessions" if step >= DAY_NS else "bars"
    before = from_ns(np.roll(bars.event_time, 1))
    return found(
        GAP,
        bars,
        worst,
        lambda i: f"comes after {missing[i]} missing {unit}, since {before[i]:%Y-%m-%d %H:%M}",
        origin=origin,
    )


def _short_days(bars: PriceRows, session: np.ndarray, calendar: Calendar, origin: np.ndarray) -> list[Finding]:
    """Sessions of an exchange that have fewer bars than their hours hold."""
    if calendar.continuous or not len(bars):
        return []
    begins = np.flatnonzero(~(bars.same_symbol & (np.r_[session[:1] - 1, session[:-1]] == session)))
    n_bars = np.diff(np.r_[begins, len(bars)])
    dates, which = np.unique(session[begins].astype("datetime64[D]"), return_inverse=True)
    length = (calendar.session_close(dates).asi8 - calendar.session_open(dates).asi8)[which]
    full = -(-length // step_of(bars))
    short = n_bars < full
    say = {int(b): (int(n), int(f)) for b, n, f in zip(begins[short], n_bars[short], full[short], strict=True)}
    date = session.astype("datetime64[D]")
    worst = begins[short][np.argsort(n_bars[short] - full[short], kind="stable")]
    return found(
        PARTIAL_DAY,
        bars,
        worst,
        lambda i: f"begins session {date[i]} with {say[i][0]} of {say[i][1]} bars",
        origin=origin,
    )


def _thin(bars: PriceRows, session: np.ndarray, share: float) -> tuple[np.ndarray, Callable[[int], str]]:
    """First row of each session in which too few of the symbols that are listed have a bar."""
    if not len(bars):
        return np.zeros(0, dtype="int64"), str
    dates, which = np.unique(session, return_inverse=True)
    held = np.bincount(which)
    order = np.searchsorted(dates, session)
    begins = np.flatnonzero(~bars.same_symbol)
    ends = np.r_[begins[1:], len(bars)] - 1
    alive = np.zeros(len(dates) + 1, dtype="int64")
    np.add.at(alive, order[begins], 1)
    np.add.at(alive, order[ends] + 1, -1)
    alive = np.cumsum(alive)[:-1]
    usual = alive.copy()
    usual[1:] = np.maximum(usual[1:], alive[:-1])  # the last day of a cut download ends most symbols
    thin = (usual >= FEW) & (held < share * usual)
    day = which[:, None].ravel()
    first_row = np.full(len(dates), -1, dtype="int64")
    first_row[day[::-1]] = np.arange(len(bars))[::-1]
    rows = first_row[np.flatnonzero(thin)]
    name = dates.astype("datetime64[D]")
    return (
        rows,
        lambda i: f"is one of {held[day[i]]} bars of session {name[day[i]]}; {usual[day[i]]} symbols are listed",
    )
