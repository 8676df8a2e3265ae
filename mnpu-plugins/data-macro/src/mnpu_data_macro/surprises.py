"""Releases of the economic calendar: the outcome against its forecast, what it revised, and how far away they are.

An event is named as the calendar names it, ``USD CPI m/m``; it is read as its parts, ``/actual``, ``/forecast``,
``/previous`` and ``/scheduled``. An outcome is compared with what was known of *the same* event when it came out: a
forecast of the next one, which may be out already, is never taken for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mnpu import View, feature
from mnpu.data.history import Known
from mnpu.features.trailing import delayed, trailing_moments
from mnpu_data_macro._series import FRACTION, Unit, last, named

__all__ = [
    "announced_revision",
    "days_since_release",
    "days_to_release",
    "employment_surprise",
    "growth_surprise",
    "inflation_surprise",
    "release_age",
    "surprise_zscore",
]

#: Dates in the past that are remembered: so many in a row may be called off, even after they have come.
CALLED_OFF = 12

Releases = Annotated[int, Field(ge=3, le=1_000)]


def _parts(*parts: str) -> Callable[[Mapping[str, Any]], Sequence[str]]:
    return lambda params: tuple(f"{params['event']}/{part}" for part in parts)


@feature(
    series=_parts("actual", "forecast"),
    scope="market",
    unit="fraction",
    tags=("macro", "surprise", "inflation"),
    kind="calendar",
    memory=1,
)
def inflation_surprise(view: View, *, event: str = "USD CPI m/m", unit: Unit = "percent") -> np.ndarray:
    """Inflation as released, less its forecast.

    Parameters
    ----------
    view : View
        Uses ``<event>/actual`` and ``<event>/forecast``.
    event : str, default="USD CPI m/m"
        Event of the economic calendar.
    unit : {"fraction", "percent"}, default="percent"
        How the calendar quotes.

    Returns
    -------
    surprise : ndarray (T,)
        ``actual - forecast`` of the newest released event, a fraction over its period.

    Notes
    -----
    Known at the moment of the release; a decision at that moment sees it. The forecast is the last one known by then
    for that event. NaN before the first release, where an event had no forecast, and where the newest event is older
    than its maximum age. Source: Balduzzi, Elton & Green (2001).
    """
    return _surprise(view, event) / FRACTION[unit]


@feature(
    series=_parts("actual", "forecast"),
    scope="market",
    unit="persons",
    tags=("macro", "surprise", "employment"),
    kind="calendar",
    memory=1,
)
def employment_surprise(view: View, *, event: str = "USD Non-Farm Employment Change") -> np.ndarray:
    """Change of employment as released, less its forecast.

    Parameters
    ----------
    view : View
        Uses ``<event>/actual`` and ``<event>/forecast``.
    event : str, default="USD Non-Farm Employment Change"
        Event of the economic calendar.

    Returns
    -------
    surprise : ndarray (T,)
        ``actual - forecast`` of the newest released event, in the unit of the calendar: persons.

    Notes
    -----
    Known at the moment of the release; a decision at that moment sees it. NaN before the first release, where an event
    had no forecast, and where the newest event is older than its maximum age. Source: Balduzzi, Elton & Green (2001).
    """
    return _surprise(view, event)


@feature(
    series=_parts("actual", "forecast"),
    scope="market",
    unit="fraction",
    tags=("macro", "surprise", "growth"),
    kind="calendar",
    memory=1,
)
def growth_surprise(view: View, *, event: str = "USD Industrial Production m/m", unit: Unit = "percent") -> np.ndarray:
    """Growth as released, less its forecast.

    Parameters
    ----------
    view : View
        Uses ``<event>/actual`` and ``<event>/forecast``.
    event : str, default="USD Industrial Production m/m"
        Event of the economic calendar; ``USD Advance GDP q/q`` comes only once a quarter.
    unit : {"fraction", "percent"}, default="percent"
        How the calendar quotes.

    Returns
    -------
    surprise : ndarray (T,)
        ``actual - forecast`` of the newest released event, a fraction over its period.

    Notes
    -----
    Known at the moment of the release; a decision at that moment sees it. NaN before the first release, where an event
    had no forecast, and where the newest event is older than its maximum age. Source: Balduzzi, Elton & Green (2001).
    """
    return _surprise(view, event) / FRACTION[unit]


@feature(
    series=_parts("actual", "forecast"),
    scope="market",
    unit="standard deviations",
    tags=("macro", "surprise"),
    kind="calendar",
    memory=last("releases", 1),
)
def surprise_zscore(view: View, *, event: str = "USD Unemployment Claims", releases: Releases = 12) -> np.ndarray:
    """Surprise of the newest release, in standard deviations of the surprises before it.

    Parameters
    ----------
    view : View
        Uses ``<event>/actual`` and ``<event>/forecast``.
    event : str, default="USD Unemployment Claims"
        Event of the economic calendar.
    releases : int, default=12
        Earlier releases whose surprises give the standard deviation, at least 3.

    Returns
    -------
    score : ndarray (T,)
        ``s[e] / std(s[e - releases] ... s[e - 1])`` with ``s = actual - forecast`` and ddof 1; in standard deviations.

    Notes
    -----
    Known at the moment of the release. NaN with fewer than ``releases + 1`` surprises, where those before were all
    equal, and where the newest event is older than its maximum age. Source: Balduzzi, Elton & Green (2001), who divide
    by the deviation of the whole sample, which nobody knew; here by that of earlier surprises only.
    """
    actual = _releases(view, event)
    surprise = actual.values[:, -1] - _told(view, actual, f"{event}/forecast")
    _, squares = trailing_moments(surprise, releases)
    spread = delayed(np.sqrt(squares / (releases - 1)), 1)
    return view.at_decision(actual, surprise / np.where(spread > 0, spread, np.nan))


@feature(
    series=_parts("actual", "previous"),
    scope="market",
    unit="unit of the calendar",
    tags=("macro", "surprise", "revision"),
    kind="calendar",
    memory=2,
)
def announced_revision(view: View, *, event: str = "USD Non-Farm Employment Change") -> np.ndarray:
    """What a release said of the outcome before it, less that outcome as it was first published.

    Parameters
    ----------
    view : View
        Uses ``<event>/actual`` and ``<event>/previous``.
    event : str, default="USD Non-Farm Employment Change"
        Event of the economic calendar.

    Returns
    -------
    revision : ndarray (T,)
        ``previous[e] - actual[e - 1]`` with e the newest released event, in the unit of the calendar.

    Notes
    -----
    Known at the moment of the release. NaN before the second one, where an event told no previous outcome, and where
    the newest event is older than its maximum age. Source: Mankiw & Shapiro (1986).
    """
    actual = _releases(view, event, 2)
    return view.at_decision(actual, _told(view, actual, f"{event}/previous") - actual.values[:, 0])


@feature(series=_parts("scheduled"), scope="market", unit="days", tags=("macro", "calendar"), kind="calendar", memory=1)
def days_to_release(view: View, *, event: str = "USD CPI m/m") -> np.ndarray:
    """Days until the next release whose date was known at the decision.

    Parameters
    ----------
    view : View
        Uses ``<event>/scheduled``.
    event : str, default="USD CPI m/m"
        Event of the economic calendar.

    Returns
    -------
    days : ndarray (T,)
        ``schedule - t`` of the next event, days of 24 hours, more than 0.

    Notes
    -----
    A date is known from its announcement on, by default a lead that is declared with the calendar. NaN where none was
    known. Source: Savor & Wilson (2013), whose premium is earned on days of announcements.
    """
    return view.until_next(f"{event}/scheduled")


@feature(
    series=_parts("scheduled"),
    scope="market",
    unit="days",
    tags=("macro", "calendar"),
    kind="calendar",
    memory=CALLED_OFF,
)
def days_since_release(view: View, *, event: str = "USD CPI m/m") -> np.ndarray:
    """Days since the last release that had come at the decision.

    Parameters
    ----------
    view : View
        Uses ``<event>/scheduled``.
    event : str, default="USD CPI m/m"
        Event of the economic calendar.

    Returns
    -------
    days : ndarray (T,)
        ``t - schedule`` of the last event, days of 24 hours; 0 at the very moment.

    Notes
    -----
    NaN before the first event whose date was known. Source: Savor & Wilson (2013).
    """
    return view.since_last(f"{event}/scheduled")


@feature(series=named("series"), scope="market", unit="days", tags=("macro", "staleness"), memory=1)
def release_age(view: View, *, series: str = "INDPRO") -> np.ndarray:
    """Age of what is known of a series: days since the end of its newest published period.

    Parameters
    ----------
    view : View
        Uses ``series``.
    series : str, default="INDPRO"
        A series with periods, such as US industrial production.

    Returns
    -------
    days : ndarray (T,)
        ``t - event_time`` of the newest published period, days of 24 hours.

    Notes
    -----
    NaN before the first publication and where the newest period is older than its maximum age. Source: the publication
    lags that nowcasting is about, Giannone, Reichlin & Small (2008).
    """
    return view.age(series)


def _surprise(view: View, event: str) -> np.ndarray:
    """Outcome less forecast of the newest released event, in the unit of the calendar, (T,)."""
    actual = _releases(view, event)
    return view.at_decision(actual, actual.values[:, -1] - _told(view, actual, f"{event}/forecast"))


def _releases(view: View, event: str, n: int = 1) -> Known:
    """The outcomes as first published, one row for each release."""
    return view.known(f"{event}/actual", n, vintage="first")


def _told(view: View, actual: Known, series: str) -> np.ndarray:
    """For each release, what ``series`` told of the same event when it came out, (K,); NaN where it did not."""
    other = view.known(series)
    event, known, value = other.event_time.asi8, other.knowledge_time.asi8, other.values[:, -1]
    order = np.lexsort((known, event))
    found = np.full(len(actual.values), np.nan)
    first, stop = (np.searchsorted(event[order], actual.event_time.asi8, side=side) for side in ("left", "right"))
    for k, at in enumerate(actual.knowledge_time.asi8.tolist()):
        rows = order[first[k] : stop[k]]  # what was told of this event, in order of knowledge
        n_known = int(np.searchsorted(known[rows], at, side="right"))
        found[k] = value[rows[n_known - 1]] if n_known else np.nan
    return found
