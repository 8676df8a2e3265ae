"""What a chain is worth against what it moves and what its holders paid, and what they bring to exchanges."""

from __future__ import annotations

import numpy as np

from mnpu import View, feature
from mnpu_data_onchain._metrics import Observations, SeveralObservations, deviation, last, named, positive

__all__ = ["exchange_net_flow", "mvrv", "mvrv_zscore", "nvt", "nvt_signal"]


@feature(series=named("cap", "value"), unit="days", tags=("onchain", "valuation"), kind="onchain", memory=1)
def nvt(view: View, *, cap: str = "CapMrktCurUSD", value: str = "TxTfrValAdjUSD") -> np.ndarray:
    """Network value to transactions: market capitalisation over the value moved in a day.

    Parameters
    ----------
    view : View
        Uses ``cap`` and ``value`` of each symbol.
    cap : str, default="CapMrktCurUSD"
        Price times coins, USD.
    value : str, default="TxTfrValAdjUSD"
        Value of a day's transfers, USD.

    Returns
    -------
    ratio : ndarray (T, A)
        ``cap / value`` of the newest known day, in days.

    Notes
    -----
    A day is complete at its end in UTC, and is known after the lag that the series declares. NaN where either is
    missing or older than its maximum age, and where nothing was moved. Source: Woo (2017), NVT ratio.
    """
    return view.by_symbol(cap) / positive(view.by_symbol(value))


@feature(
    series=named("cap", "value"), unit="days", tags=("onchain", "valuation"), kind="onchain", memory=last("window")
)
def nvt_signal(
    view: View, *, window: Observations = 90, cap: str = "CapMrktCurUSD", value: str = "TxTfrValAdjUSD"
) -> np.ndarray:
    """NVT signal: market capitalisation over the mean value moved in the last ``window`` days.

    Parameters
    ----------
    view : View
        Uses ``cap`` and ``value`` of each symbol.
    window : int, default=90
        Daily observations in the mean, the newest included.
    cap : str, default="CapMrktCurUSD"
        Price times coins, USD.
    value : str, default="TxTfrValAdjUSD"
        Value of a day's transfers, USD.

    Returns
    -------
    ratio : ndarray (T, A)
        ``cap[d] / mean(value[d - window + 1] ... value[d])``, in days.

    Notes
    -----
    Known as for ``nvt``. NaN with fewer than ``window`` known values, where their mean is not positive, and where
    either is older than its maximum age. Source: Kalichkin (2018), NVT signal.
    """
    return view.by_symbol(cap) / view.by_symbol(value, lambda past: positive(past.mean(axis=1)), window)


@feature(series=named("series"), unit="ratio", tags=("onchain", "valuation"), kind="onchain", memory=1)
def mvrv(view: View, *, series: str = "CapMVRVCur") -> np.ndarray:
    """Market value to realised value: capitalisation at the price of today over that at the price of each last move.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    series : str, default="CapMVRVCur"
        The ratio itself, as Coin Metrics publishes it: ``CapMrktCurUSD / CapRealUSD``.

    Returns
    -------
    ratio : ndarray (T, A)
        ``cap / realised`` of the newest known day, as published; above 1 where holders are in profit on the whole.

    Notes
    -----
    Known as for ``nvt``. NaN where it is missing or older than its maximum age. Source: Mahmudov & Puell (2018).
    """
    return view.by_symbol(series)


@feature(
    series=named("cap", "realised"),
    unit="standard deviations",
    tags=("onchain", "valuation"),
    kind="onchain",
    memory=last("window"),
)
def mvrv_zscore(
    view: View, *, window: SeveralObservations = 365, cap: str = "CapMrktCurUSD", realised: str = "CapRealUSD"
) -> np.ndarray:
    """Market value above realised value, in standard deviations of the market value.

    Parameters
    ----------
    view : View
        Uses ``cap`` and ``realised`` of each symbol.
    window : int, default=365
        Observations of the market value in the deviation, the newest included.
    cap : str, default="CapMrktCurUSD"
        Price times coins, USD.
    realised : str, default="CapRealUSD"
        Coins at the price at which each last moved, USD.

    Returns
    -------
    score : ndarray (T, A)
        ``(cap[d] - realised[d]) / std(cap[d - window + 1] ... cap[d])`` with ddof 1; in standard deviations.

    Notes
    -----
    Known as for ``nvt``. NaN with fewer than ``window`` known market values, where they are all equal, and where either
    is missing or older than its maximum age. Source: Awe & Wonder (2018), MVRV Z-score, whose deviation is over all of
    history; a window of its own makes it independent of where the data begins.
    """
    return (view.by_symbol(cap) - view.by_symbol(realised)) / view.by_symbol(cap, deviation, window)


@feature(
    series=named("inflow", "outflow", "supply"),
    unit="fraction",
    tags=("onchain", "flows", "exchanges"),
    kind="onchain",
    memory=last("window"),
)
def exchange_net_flow(
    view: View,
    *,
    window: Observations = 7,
    inflow: str = "FlowInExNtv",
    outflow: str = "FlowOutExNtv",
    supply: str = "SplyCur",
) -> np.ndarray:
    """Coins that went to exchanges less those that left them in the last ``window`` days, for each coin there is.

    Parameters
    ----------
    view : View
        Uses ``inflow``, ``outflow`` and ``supply`` of each symbol.
    window : int, default=7
        Daily observations that are added up, the newest included.
    inflow, outflow : str, default="FlowInExNtv", "FlowOutExNtv"
        Coins that went to and from the addresses of exchanges on a day.
    supply : str, default="SplyCur"
        Coins there are at the end of a day.

    Returns
    -------
    flow : ndarray (T, A)
        ``(sum(inflow) - sum(outflow)) / supply``, a fraction; positive where coins come to be sold.

    Notes
    -----
    Known as for ``nvt``. Which addresses belong to exchanges is found out later, so history is rewritten: without
    vintages, these values are better than what was known. NaN with fewer than ``window`` known observations, where the
    supply is not positive, and where the newest of one is older than its maximum age. Source: Coin Metrics, exchange
    flows; Hoang & Baur (2022), exchange reserves and prices.
    """
    net = view.by_symbol(inflow, _total, window) - view.by_symbol(outflow, _total, window)
    return net / positive(view.by_symbol(supply))


def _total(past: np.ndarray) -> np.ndarray:
    return past.sum(axis=1)
