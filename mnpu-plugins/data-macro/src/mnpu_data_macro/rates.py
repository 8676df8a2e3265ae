"""Rates: the Treasury curve, the policy rate, and what corporations pay above one another."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from mnpu import View, feature
from mnpu.features.trailing import delayed
from mnpu_data_macro._series import Months, Observations, Unit, change, last, named, newest

__all__ = [
    "credit_spread",
    "credit_spread_change",
    "policy_rate",
    "policy_rate_change",
    "yield_change",
    "yield_curvature",
    "yield_level",
    "yield_slope",
]


@feature(series=named("series"), scope="market", unit="fraction per year", tags=("macro", "rates", "curve"), memory=1)
def yield_level(view: View, *, series: str = "ust_10year", unit: Unit = "fraction") -> np.ndarray:
    """Level of the yield curve: its newest known long yield.

    Parameters
    ----------
    view : View
        Uses ``series``.
    series : str, default="ust_10year"
        A yield, by default of ten-year Treasuries at constant maturity, one observation a trading day.
    unit : {"fraction", "percent"}, default="fraction"
        How the series quotes: 0.05 or 5 for five percent.

    Returns
    -------
    level : ndarray (T,)
        ``y[d]`` with d the newest published day, fraction per year.

    Notes
    -----
    Treasury publishes the par curve after the close of the day, so a decision at the close sees the day before. NaN
    before the first and where the newest is older than its maximum age. Source: US Treasury, par yield curve; as a
    level, Diebold & Li (2006).
    """
    return newest(view, series, unit)


@feature(
    series=named("long", "short"), scope="market", unit="fraction per year", tags=("macro", "rates", "curve"), memory=1
)
def yield_slope(
    view: View, *, long: str = "ust_10year", short: str = "ust_3month", unit: Unit = "fraction"
) -> np.ndarray:
    """Slope of the yield curve: the newest known long yield above the short one.

    Parameters
    ----------
    view : View
        Uses ``long`` and ``short``.
    long, short : str, default="ust_10year", "ust_3month"
        Yields of two maturities.
    unit : {"fraction", "percent"}, default="fraction"
        How the series quote.

    Returns
    -------
    slope : ndarray (T,)
        ``long - short``, fraction per year; negative where the curve is inverted.

    Notes
    -----
    Known as the yields are. NaN where either has no valid value. Source: Estrella & Mishkin (1998), with the ten-year
    and the three-month yield.
    """
    return newest(view, long, unit) - newest(view, short, unit)


@feature(
    series=named("long", "medium", "short"),
    scope="market",
    unit="fraction per year",
    tags=("macro", "rates", "curve"),
    memory=1,
)
def yield_curvature(
    view: View,
    *,
    long: str = "ust_10year",
    medium: str = "ust_2year",
    short: str = "ust_3month",
    unit: Unit = "fraction",
) -> np.ndarray:
    """Curvature of the yield curve: twice a medium yield less a long and a short one.

    Parameters
    ----------
    view : View
        Uses ``long``, ``medium`` and ``short``.
    long, medium, short : str, default="ust_10year", "ust_2year", "ust_3month"
        Yields of three maturities.
    unit : {"fraction", "percent"}, default="fraction"
        How the series quote.

    Returns
    -------
    curvature : ndarray (T,)
        ``2 medium - long - short``, fraction per year; positive where the curve is humped.

    Notes
    -----
    Known as the yields are. NaN where one of the three has no valid value. Source: Diebold & Li (2006), the empirical
    counterpart of their third factor.
    """
    return 2 * newest(view, medium, unit) - newest(view, long, unit) - newest(view, short, unit)


@feature(
    series=named("series"),
    scope="market",
    unit="fraction per year",
    tags=("macro", "rates", "curve", "momentum"),
    memory=last("window", 1),
)
def yield_change(
    view: View, *, series: str = "ust_10year", window: Observations = 21, unit: Unit = "fraction"
) -> np.ndarray:
    """Change of a yield over its last ``window`` published observations.

    Parameters
    ----------
    view : View
        Uses ``series``.
    series : str, default="ust_10year"
        A yield.
    window : int, default=21
        Observations between the two yields.
    unit : {"fraction", "percent"}, default="fraction"
        How the series quotes.

    Returns
    -------
    change : ndarray (T,)
        ``y[d] - y[d - window]`` with d the newest published day, fraction per year.

    Notes
    -----
    Known as the yield is. NaN with fewer than ``window + 1`` known observations and where the newest is older than its
    maximum age. Source: US Treasury, par yield curve; as the shock to rates that prices react to, Flannery & James
    (1984).
    """
    return change(view, series, window, unit)


@feature(series=named("series"), scope="market", unit="fraction per year", tags=("macro", "rates", "policy"), memory=1)
def policy_rate(view: View, *, series: str = "us_primary_credit_rate", unit: Unit = "percent") -> np.ndarray:
    """Interest rate that the central bank has set, as known at the decision.

    Parameters
    ----------
    view : View
        Uses ``series``.
    series : str, default="us_primary_credit_rate"
        A policy rate, one observation for each change; by default the discount rate of the Federal Reserve.
    unit : {"fraction", "percent"}, default="percent"
        How the series quotes.

    Returns
    -------
    rate : ndarray (T,)
        The newest known ``r``, fraction per year.

    Notes
    -----
    A change counts from the moment that is stored with it, by default the day on which it takes effect; it is announced
    the afternoon before. The rate holds until the next change, so the series' maximum age has to be years. Source:
    Federal Reserve, primary credit rate.
    """
    return newest(view, series, unit)


@feature(
    series=named("series"),
    scope="market",
    warmup=lambda params: params["window"] + 1,
    unit="fraction per year",
    tags=("macro", "rates", "policy", "momentum"),
    memory=1,
)
def policy_rate_change(
    view: View,
    *,
    series: str = "us_primary_credit_rate",
    window: Annotated[int, Field(ge=1, le=100_000)] = 63,
    unit: Unit = "percent",
) -> np.ndarray:
    """Change of the policy rate over the last ``window`` bars.

    Parameters
    ----------
    view : View
        Uses ``series``.
    series : str, default="us_primary_credit_rate"
        A policy rate, one observation for each change.
    window : int, default=63
        Bars between the two decisions; a quarter of sessions. Bars, since there is an observation only where the rate
        changes.
    unit : {"fraction", "percent"}, default="percent"
        How the series quotes.

    Returns
    -------
    change : ndarray (T,)
        The rate as known at t less the rate as known at ``t - window``, fraction per year.

    Notes
    -----
    Known as the rate is. NaN in the first ``window`` bars and where either rate was not known. Source: Federal Reserve,
    primary credit rate; as a measure of policy, Jensen, Mercer & Johnson (1996), who use changes of the discount rate.
    """
    rate = newest(view, series, unit)
    return rate - delayed(rate, window)


@feature(series=named("baa", "aaa"), scope="market", unit="fraction per year", tags=("macro", "credit"), memory=1)
def credit_spread(view: View, *, baa: str = "moodys_baa_yield", aaa: str = "moodys_aaa_yield") -> np.ndarray:
    """Yield of Moody's BAA corporate bonds above that of AAA bonds.

    Parameters
    ----------
    view : View
        Uses ``baa`` and ``aaa``.
    baa, aaa : str, default="moodys_baa_yield", "moodys_aaa_yield"
        Monthly averages in percent per year.

    Returns
    -------
    spread : ndarray (T,)
        ``(baa - aaa) / 100`` of the newest published month, fraction per year.

    Notes
    -----
    Published in the first days of the following month. NaN before the first publication and where either yield is
    older than its maximum age. Source: Moody's seasoned yields; as a predictor, Fama & French (1989).
    """
    return newest(view, baa) - newest(view, aaa)


@feature(
    series=named("baa", "aaa"),
    scope="market",
    unit="fraction per year",
    tags=("macro", "credit", "momentum"),
    memory=last("months", 1),
)
def credit_spread_change(
    view: View, *, months: Months = 3, baa: str = "moodys_baa_yield", aaa: str = "moodys_aaa_yield"
) -> np.ndarray:
    """Change of the credit spread over the last ``months`` published months.

    Parameters
    ----------
    view : View
        Uses ``baa`` and ``aaa``.
    months : int, default=3
        Observations between the two spreads.
    baa, aaa : str, default="moodys_baa_yield", "moodys_aaa_yield"
        Monthly averages in percent per year.

    Returns
    -------
    change : ndarray (T,)
        ``spread[m] - spread[m - months]`` with m the newest published month, fraction per year.

    Notes
    -----
    Published in the first days of the following month. NaN with fewer than ``months + 1`` known observations and
    where either yield is older than its maximum age.
    Source: Moody's seasoned yields; as a factor of returns, Chen, Roll & Ross (1986).
    """
    return change(view, baa, months) - change(view, aaa, months)
