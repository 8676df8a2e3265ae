"""Macroeconomic features, one number for the whole market, joined by the moment each value became known.

A feature is computed from the observations *as known at a publication*, revisions included, and a decision sees the
newest publication at or before it. Release lags and maximum ages belong to the series and are declared where they are
stored (``mnpu data info``); a value whose newest observation is older than its series' maximum age is NaN.
Rates and yields are fractions per year, though the sources quote percent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mnpu import View, feature

__all__ = [
    "core_inflation_gap",
    "credit_spread",
    "credit_spread_change",
    "oil_momentum",
    "revision",
    "vix_change",
    "vix_level",
]

AAA, BAA, CORE_CPI, OIL, VIX = "moodys_aaa_yield", "moodys_baa_yield", "core_cpi", "wti_spot", "vix_close"
MONTHS_IN_YEAR = 12
PERCENT = 100.0

Months = Annotated[int, Field(ge=1, le=600)]
Observations = Annotated[int, Field(ge=1, le=5_000)]


@feature(series=(BAA, AAA), scope="market", unit="fraction per year", tags=("macro", "credit"))
def credit_spread(view: View) -> np.ndarray:
    """Yield of Moody's BAA corporate bonds above that of AAA bonds.

    Parameters
    ----------
    view : View
        Uses ``moodys_baa_yield`` and ``moodys_aaa_yield``, monthly averages in percent per year.

    Returns
    -------
    spread : ndarray (T,)
        ``(baa - aaa) / 100`` of the newest published month, fraction per year.

    Notes
    -----
    Published in the first days of the following month. NaN before the first publication and where either yield is
    older than its maximum age. Source: Moody's seasoned yields; as a predictor, Fama & French (1989).
    """
    return _newest(view, BAA) - _newest(view, AAA)


@feature(series=(BAA, AAA), scope="market", unit="fraction per year", tags=("macro", "credit"))
def credit_spread_change(view: View, *, months: Months = 3) -> np.ndarray:
    """Change of the credit spread over the last ``months`` published months.

    Parameters
    ----------
    view : View
        Uses ``moodys_baa_yield`` and ``moodys_aaa_yield``, monthly averages in percent per year.
    months : int, default=3
        Observations between the two spreads.

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
    return _change(view, BAA, months) - _change(view, AAA, months)


@feature(series=(CORE_CPI,), scope="market", unit="fraction per year", tags=("macro", "inflation"))
def core_inflation_gap(view: View, *, months: Months = 36) -> np.ndarray:
    """Core inflation over the past year against its own mean of the last ``months`` months.

    Parameters
    ----------
    view : View
        Uses ``core_cpi``, a monthly index.
    months : int, default=36
        Months in the mean, the newest included.

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
    known = view.known(CORE_CPI, months + MONTHS_IN_YEAR)
    inflation = known.values[:, MONTHS_IN_YEAR:] / known.values[:, :-MONTHS_IN_YEAR] - 1  # (K, months)
    return view.at_decision(known, inflation[:, -1] - inflation.mean(axis=1))


@feature(series=(OIL,), scope="market", unit="fraction", tags=("macro", "oil", "momentum"))
def oil_momentum(view: View, *, window: Observations = 60) -> np.ndarray:
    """Log change of the oil price over the last ``window`` published observations.

    Parameters
    ----------
    view : View
        Uses ``wti_spot``, USD per barrel, one observation a trading day.
    window : int, default=60
        Observations between the two prices.

    Returns
    -------
    change : ndarray (T,)
        ``ln(price[d] / price[d - window])`` with d the newest published day, a fraction.

    Notes
    -----
    Published once a week, so a price is known days after its own. NaN with fewer than ``window + 1`` known
    observations, where either price is not positive, and where the newest is older than its maximum age.
    Source: US Energy Information Administration, West Texas Intermediate at Cushing.
    """
    known = view.known(OIL, window + 1)
    price = np.where(known.values > 0, known.values, np.nan)
    return view.at_decision(known, np.log(price[:, -1] / price[:, 0]))


@feature(series=(VIX,), scope="market", unit="fraction per year", tags=("macro", "volatility"))
def vix_level(view: View) -> np.ndarray:
    """Implied volatility of the S&P 500 over the next 30 days: the newest known close of the VIX.

    Parameters
    ----------
    view : View
        Uses ``vix_close``, percent per year, one observation a trading day.

    Returns
    -------
    level : ndarray (T,)
        ``vix / 100``, fraction per year.

    Notes
    -----
    Known a quarter of an hour after the close of US equities, so a decision at that close sees the day before. NaN
    before the first and where the newest is older than its maximum age. Source: Cboe.
    """
    return _newest(view, VIX)


@feature(series=(VIX,), scope="market", unit="fraction per year", tags=("macro", "volatility"))
def vix_change(view: View, *, window: Observations = 5) -> np.ndarray:
    """Change of the VIX over the last ``window`` known closes.

    Parameters
    ----------
    view : View
        Uses ``vix_close``, percent per year, one observation a trading day.
    window : int, default=5
        Observations between the two closes.

    Returns
    -------
    change : ndarray (T,)
        ``(vix[d] - vix[d - window]) / 100`` with d the newest known day, fraction per year.

    Notes
    -----
    Known a quarter of an hour after the close of US equities. NaN with fewer than ``window + 1`` known observations
    and where the newest is older than its maximum age.
    Source: Cboe; as a factor of returns, Ang, Hodrick, Xing & Zhang (2006).
    """
    return _change(view, VIX, window)


def _revised_series(params: Mapping[str, Any]) -> tuple[str, ...]:
    return (params["series"],)


@feature(series=_revised_series, scope="market", unit="unit of the series", tags=("macro", "revision"))
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
    NaN before the second publication, so wherever vintages are not known, and where the newest observation is older
    than its maximum age.
    Source: Croushore & Stark (2001), on data as they were at the time.
    """
    known = view.revised(series)
    return view.at_decision(known, known.values[:, 1] - known.values[:, 0])


def _newest(view: View, series: str) -> np.ndarray:
    """The newest known value of a series in percent, as a fraction, (T,)."""
    known = view.known(series, 1)
    return view.at_decision(known, known.values[:, -1]) / PERCENT


def _change(view: View, series: str, n: int) -> np.ndarray:
    """Change over the last ``n`` known observations of a series in percent, as a fraction, (T,)."""
    known = view.known(series, n + 1)
    return view.at_decision(known, known.values[:, -1] - known.values[:, 0]) / PERCENT
