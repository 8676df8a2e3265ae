"""Levels of the economy in the vintages in which they were published: inflation, growth, and what was revised."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mnpu import View, feature
from mnpu.features.trailing import trailing_mean
from mnpu_data_macro._series import Months, Observations, last, named, positive

__all__ = ["core_inflation_gap", "growth", "revision", "revision_momentum", "vintage_surprise"]

MONTHS_IN_YEAR = 12
Vintage = Literal["latest", "first"]


@feature(
    series=named("series"),
    scope="market",
    unit="fraction per year",
    tags=("macro", "inflation"),
    memory=last("months", MONTHS_IN_YEAR),
)
def core_inflation_gap(view: View, *, months: Months = 36, series: str = "core_cpi") -> np.ndarray:
    """Core inflation over the past year against its own mean of the last ``months`` months.

    Parameters
    ----------
    view : View
        Uses ``series``.
    months : int, default=36
        Months in the mean, the newest included.
    series : str, default="core_cpi"
        A monthly index of prices.

    Returns
    -------
    gap : ndarray (T,)
        With ``p[m] = cpi[m] / cpi[m - 12] - 1``, ``p[m]`` less the mean of ``p[m - months + 1] ... p[m]``, for the
        newest published month m; fraction per year.

    Notes
    -----
    Published about the middle of the following month. NaN with fewer than ``months + 12`` known observations and
    where the newest is older than its maximum age. Source: US Bureau of Labor Statistics, CPI less food and energy.
    """
    known = view.known(series, months + MONTHS_IN_YEAR)
    inflation = known.values[:, MONTHS_IN_YEAR:] / known.values[:, :-MONTHS_IN_YEAR] - 1  # (K, months)
    return view.at_decision(known, inflation[:, -1] - inflation.mean(axis=1))


@feature(series=named("series"), scope="market", unit="fraction", tags=("macro", "growth"), memory=last("periods", 1))
def growth(view: View, *, series: str = "INDPRO", periods: Observations = 1, vintage: Vintage = "latest") -> np.ndarray:
    """Log growth of a series over its last ``periods`` published periods, in the vintage of the time.

    Parameters
    ----------
    view : View
        Uses ``series``.
    series : str, default="INDPRO"
        A positive series that is stored with its vintages; the default is US industrial production.
    periods : int, default=1
        Periods between the two values.
    vintage : {"latest", "first"}, default="latest"
        Values as revised until the decision, or the first print of each period.

    Returns
    -------
    growth : ndarray (T,)
        ``ln(x[m] / x[m - periods])`` with m the newest published period, a fraction over those periods.

    Notes
    -----
    Known when it was published, with the dates of the vintages. First prints of two periods may differ by a benchmark
    revision between them, which is no growth. NaN with fewer than ``periods + 1`` known observations, where a value is
    not positive, and where the newest is older than its maximum age. Source: Croushore & Stark (2001), who keep every
    vintage apart.
    """
    known = view.known(series, periods + 1, vintage=vintage)
    level = positive(known.values)
    return view.at_decision(known, np.log(level[:, -1] / level[:, 0]))


@feature(series=named("series"), scope="market", unit="unit of the series", tags=("macro", "revision"), memory=2)
def revision(view: View, *, series: str = "INDPRO") -> np.ndarray:
    """What the newest publication of a series changed about the period that was newest before it.

    Parameters
    ----------
    view : View
        Uses ``series``.
    series : str, default="INDPRO"
        A series that is stored with its vintages; the default is US industrial production.

    Returns
    -------
    revision : ndarray (T,)
        ``x[m; k] - x[m; k - 1]``: the value of period m as published in k, less as published before, where m is the
        newest period of publication k - 1. In the unit of the series; 0 where it was left alone.

    Notes
    -----
    Known with the publication. NaN before the second one, so wherever vintages are not known, and where the newest
    observation is older than its maximum age.
    Source: Mankiw & Shapiro (1986); on data as they were at the time, Croushore & Stark (2001).
    """
    known = view.revised(series)
    return view.at_decision(known, known.values[:, 1] - known.values[:, 0])


@feature(
    series=named("series"),
    scope="market",
    unit="fraction",
    tags=("macro", "revision", "momentum"),
    memory=last("publications", 1),
)
def revision_momentum(view: View, *, series: str = "INDPRO", publications: Observations = 3) -> np.ndarray:
    """Mean relative revision of the last ``publications`` publications: whether news about the past keeps one sign.

    Parameters
    ----------
    view : View
        Uses ``series``.
    series : str, default="INDPRO"
        A positive series that is stored with its vintages.
    publications : int, default=3
        Publications in the mean, the newest included.

    Returns
    -------
    momentum : ndarray (T,)
        Mean of ``ln(x[m; k] / x[m; k - 1])`` over the last publications k, with m the newest period of publication
        k - 1; a fraction. A publication that left its period alone counts as 0.

    Notes
    -----
    Known with the publication. NaN with fewer than ``publications + 1`` known ones, where a value is not positive, and
    where the newest observation is older than its maximum age. Source: Aruoba (2008): revisions of US series are biased
    and can be predicted.
    """
    known = view.revised(series)
    value = positive(known.values)
    return view.at_decision(known, trailing_mean(np.log(value[:, 1] / value[:, 0]), publications))


@feature(series=named("series"), scope="market", unit="fraction", tags=("macro", "surprise", "revision"), memory=2)
def vintage_surprise(view: View, *, series: str = "INDPRO") -> np.ndarray:
    """Growth as the newest publication tells it, against growth as the vintage before told it.

    Parameters
    ----------
    view : View
        Uses ``series``.
    series : str, default="INDPRO"
        A positive series that is stored with its vintages, such as ``CPIAUCSL`` for inflation, ``PAYEMS`` for
        employment or ``GDPC1`` for growth; a list makes a column of each.

    Returns
    -------
    surprise : ndarray (T,)
        ``g[k] - g[k - 1]`` with ``g[k] = ln(x[m; k] / x[m - 1; k])`` for the newest period m of publication k; a
        fraction of one period. Where no forecast is at hand, no change is the forecast; a publication that brings no
        new period shows how it revised the growth.

    Notes
    -----
    Known with the publication. NaN before the second one, where a value is not positive, and where the newest
    observation is older than its maximum age. Source: the random-walk forecast of Atkeson & Ohanian (2001), on
    vintages as in Croushore & Stark (2001).
    """
    known = view.known(series, 2)
    level = positive(known.values)
    told = np.log(level[:, 1] / level[:, 0])  # (K,)
    return view.at_decision(known, np.diff(told, prepend=np.nan))
