"""Prices that the whole market watches: implied volatility, oil and gold."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from mnpu import View, feature
from mnpu_data_macro._series import Observations, change, last, named, newest, positive

__all__ = ["gold_momentum", "oil_momentum", "vix_change", "vix_level", "vix_term"]

Several = Annotated[int, Field(ge=2, le=5_000)]


@feature(series=named("series"), scope="market", unit="fraction per year", tags=("macro", "volatility"), memory=1)
def vix_level(view: View, *, series: str = "vix_close") -> np.ndarray:
    """Implied volatility of the S&P 500 over the next 30 days: the newest known close of the VIX.

    Parameters
    ----------
    view : View
        Uses ``series``.
    series : str, default="vix_close"
        Percent per year, one observation a trading day.

    Returns
    -------
    level : ndarray (T,)
        ``vix / 100``, fraction per year.

    Notes
    -----
    Known a quarter of an hour after the close of US equities, so a decision at that close sees the day before. NaN
    before the first and where the newest is older than its maximum age. Source: Cboe.
    """
    return newest(view, series)


@feature(
    series=named("series"),
    scope="market",
    unit="fraction per year",
    tags=("macro", "volatility", "momentum"),
    memory=last("window", 1),
)
def vix_change(view: View, *, window: Observations = 5, series: str = "vix_close") -> np.ndarray:
    """Change of the VIX over the last ``window`` known closes.

    Parameters
    ----------
    view : View
        Uses ``series``.
    window : int, default=5
        Observations between the two closes.
    series : str, default="vix_close"
        Percent per year, one observation a trading day.

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
    return change(view, series, window)


@feature(
    series=named("series"),
    scope="market",
    unit="log ratio",
    tags=("macro", "volatility", "term-structure"),
    memory=last("window"),
)
def vix_term(view: View, *, window: Several = 63, series: str = "vix_close") -> np.ndarray:
    """Proxy of the term structure of implied volatility: the VIX against its own mean of the last ``window`` closes.

    Parameters
    ----------
    view : View
        Uses ``series``.
    window : int, default=63
        Closes in the mean, the newest included; a quarter of sessions.
    series : str, default="vix_close"
        Percent per year, one observation a trading day.

    Returns
    -------
    term : ndarray (T,)
        ``ln(vix[d] / mean(vix[d - window + 1] ... vix[d]))``, a log ratio. Volatility reverts to its mean, so longer
        options are priced nearer to it: positive stands for an inverted term structure, negative for a rising one.

    Notes
    -----
    Known a quarter of an hour after the close of US equities. NaN with fewer than ``window`` known observations and
    where the newest is older than its maximum age. Source: the mean reversion of implied volatility in Stein
    (1989); of our own making as a proxy, for where no volatility of a longer term is stored.
    """
    known = view.known(series, window)
    level = positive(known.values)
    return view.at_decision(known, np.log(level[:, -1] / level.mean(axis=1)))


@feature(
    series=named("series"), scope="market", unit="fraction", tags=("macro", "oil", "momentum"), memory=last("window", 1)
)
def oil_momentum(view: View, *, window: Observations = 60, series: str = "wti_spot") -> np.ndarray:
    """Log change of the oil price over the last ``window`` published observations.

    Parameters
    ----------
    view : View
        Uses ``series``.
    window : int, default=60
        Observations between the two prices.
    series : str, default="wti_spot"
        USD per barrel, one observation a trading day.

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
    return _log_change(view, series, window)


@feature(
    series=named("series"),
    scope="market",
    unit="fraction",
    tags=("macro", "gold", "momentum"),
    memory=last("window", 1),
)
def gold_momentum(view: View, *, window: Observations = 3, series: str = "gold_usd") -> np.ndarray:
    """Log change of the gold price over the last ``window`` published observations.

    Parameters
    ----------
    view : View
        Uses ``series``.
    window : int, default=3
        Observations between the two prices.
    series : str, default="gold_usd"
        USD per ounce, one observation a month.

    Returns
    -------
    change : ndarray (T,)
        ``ln(price[m] / price[m - window])`` with m the newest published month, a fraction.

    Notes
    -----
    Published after the month. NaN with fewer than ``window + 1`` known observations, where either price is not
    positive, and where the newest is older than its maximum age. Source: World Bank commodity prices, monthly averages.
    """
    return _log_change(view, series, window)


def _log_change(view: View, series: str, window: int) -> np.ndarray:
    known = view.known(series, window + 1)
    price = positive(known.values)
    return view.at_decision(known, np.log(price[:, -1] / price[:, 0]))
