"""What it costs to hold a perpetual contract, and how far it trades from its mark: one number for each symbol.

A funding rate is a fraction of the position's value that longs pay to shorts at each settlement (shorts to longs where
it is negative). The rows are filed under the symbol of the contract or under its base. A settlement is known at its own
moment, unless the stored series declares a lag; exchanges show a predicted rate before, which is another series.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from mnpu import View, feature
from mnpu.data.history import Known
from mnpu.features.trailing import trailing_moments
from mnpu_data_onchain._metrics import Observations, SeveralObservations, last, named, positive, score

__all__ = [
    "annual_rate",
    "basis",
    "basis_zscore",
    "carry",
    "days_since_last",
    "days_to_next",
    "rate",
    "rate_change",
    "rate_zscore",
]

DAYS_IN_YEAR = 365
DAY_NS = 86_400e9
ALL_TIME = pd.Timedelta(days=36_500)

Days = Annotated[float, Field(gt=0, le=3_650)]
SeveralBars = Annotated[int, Field(ge=2, le=100_000)]


def _days(params: Mapping[str, Any]) -> pd.Timedelta:
    return pd.Timedelta(days=params["days"])


@feature(series=named("series"), unit="fraction per settlement", tags=("funding", "level"), kind="funding", memory=1)
def rate(view: View, *, series: str = "funding_rate") -> np.ndarray:
    """Funding rate of the newest known settlement.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    series : str, default="funding_rate"
        Fraction of a position's value at each settlement.

    Returns
    -------
    rate : ndarray (T, A)
        ``rate[s]`` with s the newest known settlement, fraction per settlement. Contracts that settle every four and
        every eight hours are compared by ``annual_rate``.

    Notes
    -----
    Known at the settlement; a decision at that moment sees it. NaN before the first one and where the newest is older
    than its maximum age. Source: Alexander, Choi, Park & Sohn (2020), and the exchanges' contract specifications.
    """
    return view.by_symbol(series)


@feature(
    series=named("series"),
    unit="fraction per settlement",
    tags=("funding", "momentum"),
    kind="funding",
    memory=last("settlements", 1),
)
def rate_change(view: View, *, settlements: Observations = 3, series: str = "funding_rate") -> np.ndarray:
    """Change of the funding rate over the last ``settlements`` settlements.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    settlements : int, default=3
        Settlements between the two rates; a day where they come every eight hours.
    series : str, default="funding_rate"
        Fraction of a position's value at each settlement.

    Returns
    -------
    change : ndarray (T, A)
        ``rate[s] - rate[s - settlements]`` with s the newest known settlement, fraction per settlement.

    Notes
    -----
    Known as for ``rate``. NaN with fewer than ``settlements + 1`` known ones and where the newest is older than its
    maximum age. Source: Alexander, Choi, Park & Sohn (2020).
    """
    return view.by_symbol(series, lambda past: past[:, -1] - past[:, 0], settlements + 1)


@feature(
    series=named("series"),
    unit="standard deviations",
    tags=("funding", "zscore"),
    kind="funding",
    memory=last("settlements"),
)
def rate_zscore(view: View, *, settlements: SeveralObservations = 90, series: str = "funding_rate") -> np.ndarray:
    """Funding rate in standard deviations from its mean of the last ``settlements`` settlements.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    settlements : int, default=90
        Settlements in the mean and the deviation, the newest included; a month where they come every eight hours.
    series : str, default="funding_rate"
        Fraction of a position's value at each settlement.

    Returns
    -------
    score : ndarray (T, A)
        ``(rate[s] - mean(rate)) / std(rate)`` over the settlements with ddof 1; in standard deviations.

    Notes
    -----
    Known as for ``rate``. NaN with fewer than ``settlements`` known ones, where all are equal (an exchange's default
    rate may hold for days), and where the newest is older than its maximum age.
    Source: Alexander, Choi, Park & Sohn (2020).
    """
    return view.by_symbol(series, score, settlements)


@feature(series=named("series"), unit="fraction", tags=("funding", "carry"), kind="funding", memory=_days)
def carry(view: View, *, days: Days = 7.0, series: str = "funding_rate") -> np.ndarray:
    """Cumulative carry: what a long position has paid in funding over the last ``days`` days.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    days : float, default=7
        Days of 24 hours before the decision.
    series : str, default="funding_rate"
        Fraction of a position's value at each settlement.

    Returns
    -------
    carry : ndarray (T, A)
        Sum of the rates that became known after ``t - days`` and at or before t, a fraction; negative where a long
        position was paid.

    Notes
    -----
    A window of time, so that contracts with different settlements are compared. NaN before the data has covered
    ``days``, and where the newest rate is older than its maximum age. A settlement counts once: corrections are not
    expected. Source: Koijen, Moskowitz, Pedersen & Vrugt (2018), carry; for perpetuals, Schmeling, Schrimpf & Todorov
    (2023).
    """
    return _paid(view, series, days)


@feature(
    series=named("series"), unit="fraction per year", tags=("funding", "carry", "level"), kind="funding", memory=_days
)
def annual_rate(view: View, *, days: Days = 1.0, series: str = "funding_rate") -> np.ndarray:
    """Funding of the last ``days`` days as a rate per year.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    days : float, default=1
        Days of 24 hours before the decision, at least as long as the time between two settlements.
    series : str, default="funding_rate"
        Fraction of a position's value at each settlement.

    Returns
    -------
    rate : ndarray (T, A)
        ``carry / days * 365``, a simple rate, fraction per year.

    Notes
    -----
    Known and missing as ``carry``. Source: Schmeling, Schrimpf & Todorov (2023), who compare carry across markets by
    its rate per year.
    """
    return _paid(view, series, days) * (DAYS_IN_YEAR / days)


@feature(
    fields=("close", "split_factor"),
    series=named("mark"),
    scale_free=False,
    unit="fraction",
    tags=("funding", "basis"),
    kind="funding",
    memory=1,
)
def basis(view: View, *, mark: str = "mark_close") -> np.ndarray:
    """Traded price above the mark price.

    Parameters
    ----------
    view : View
        Uses ``close`` and ``split_factor`` (T, A), and ``mark`` of each symbol.
    mark : str, default="mark_close"
        Mark price at the close of each bar, in the currency of the price.

    Returns
    -------
    basis : ndarray (T, A)
        ``close / mark - 1`` with the price as traded, a fraction. Positive where buyers are in a hurry.

    Notes
    -----
    The mark price of a bar is known at its close, as the price is. The maximum age of its series says how old a mark
    may be: one bar, or a price is held against the mark of another time. NaN where either is missing or the mark is too
    old or not positive. Source: the exchanges' contract specifications; Alexander, Choi, Park & Sohn (2020).
    """
    return _basis(view, mark)


@feature(
    fields=("close", "split_factor"),
    series=named("mark"),
    scale_free=False,
    warmup=lambda params: params["window"],
    unit="standard deviations",
    tags=("funding", "basis", "zscore"),
    kind="funding",
    memory=1,
)
def basis_zscore(view: View, *, window: SeveralBars = 168, mark: str = "mark_close") -> np.ndarray:
    """Basis between traded and mark price, in standard deviations from its mean of the last ``window`` bars.

    Parameters
    ----------
    view : View
        Uses ``close`` and ``split_factor`` (T, A), and ``mark`` of each symbol.
    window : int, default=168
        Bars in the mean and the deviation, the present one included; a week of hours.
    mark : str, default="mark_close"
        Mark price at the close of each bar.

    Returns
    -------
    score : ndarray (T, A)
        ``(basis[t] - mean(basis)) / std(basis)`` over the window with ddof 1; in standard deviations.

    Notes
    -----
    Known as for ``basis``. NaN in the first ``window - 1`` rows, where a basis in the window is missing until it has
    left, and where all are equal. Source: Alexander, Choi, Park & Sohn (2020).
    """
    values = _basis(view, mark)
    mean, squares = trailing_moments(values, window)
    return (values - mean) / np.sqrt(positive(squares / (window - 1)))


@feature(series=named("series"), unit="days", tags=("funding", "calendar"), kind="funding", memory=1)
def days_since_last(view: View, *, series: str = "funding_rate") -> np.ndarray:
    """Days since the newest known settlement.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    series : str, default="funding_rate"
        Fraction of a position's value at each settlement.

    Returns
    -------
    days : ndarray (T, A)
        ``t - event_time`` of the newest known settlement, days of 24 hours; 0 at the very moment.

    Notes
    -----
    NaN before the first settlement and where the newest is older than its maximum age. Source: the exchanges' contract
    specifications.
    """
    return view.age_by_symbol(series)


@feature(series=named("series"), unit="days", tags=("funding", "calendar"), kind="funding", memory=2)
def days_to_next(view: View, *, series: str = "funding_rate") -> np.ndarray:
    """Days until the next settlement, on the grid that the last two known ones make.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    series : str, default="funding_rate"
        Fraction of a position's value at each settlement.

    Returns
    -------
    days : ndarray (T, A)
        With g the days between the last two known settlements, ``g - age % g`` where ``age`` is that of the newest:
        days of 24 hours, more than 0 and at most g.

    Notes
    -----
    Nothing of the next settlement is read. A contract that changes from eight hours to four is on its new grid after
    the first short interval. NaN before the second settlement and where the newest is older than its maximum age.
    Source: the exchanges' contract specifications.
    """
    age, gap = view.age_by_symbol(series), np.full(view.shape, np.nan)
    for a, name in enumerate(view.filed(series)):
        if name:
            known = view.known(series, symbol=name)
            gap[:, a] = view.at_decision(known, _between_last_two(known))
    return (gap - np.rint(age * DAY_NS) % gap) / DAY_NS  # whole nanoseconds: a multiple of the gap leaves nothing


def _paid(view: View, series: str, days: float) -> np.ndarray:
    """Sum of the rates that became known in the last ``days``, (T, A); NaN where the data does not reach back."""
    window = pd.Timedelta(days=days)
    settlements = view.texts(series)  # the rows of any series in the order in which they became known
    ones = np.ones(len(settlements))
    older = view.within(settlements, ones, ALL_TIME) - view.within(settlements, ones, window)
    valid = np.isfinite(view.by_symbol(series)) & (older > 0)
    return np.where(valid, view.within(settlements, settlements.value, window), np.nan)


def _basis(view: View, mark: str) -> np.ndarray:
    return view["close"] / view["split_factor"] / positive(view.by_symbol(mark)) - 1


def _between_last_two(known: Known) -> np.ndarray:
    """For each publication, the nanoseconds between the newest settlement and the one before it, (K,)."""
    event = known.event_time.asi8
    gap = np.diff(event, prepend=event[:1]).astype(float)
    # what arrives late for an older settlement moves nothing
    last = np.maximum.accumulate(np.where(gap > 0, np.arange(len(event)), 0))
    return np.where(last > 0, gap[last], np.nan)
