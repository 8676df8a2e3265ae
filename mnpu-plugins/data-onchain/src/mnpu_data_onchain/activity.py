"""How much a chain is used: addresses, transactions, what they carry and what they pay."""

from __future__ import annotations

import numpy as np

from mnpu import View, feature
from mnpu_data_onchain._metrics import Observations, SeveralObservations, last, log_change, named, positive, score

__all__ = [
    "active_addresses_change",
    "active_addresses_zscore",
    "fee_share",
    "fees_zscore",
    "metric_change",
    "metric_zscore",
    "transaction_count_change",
    "transaction_value_change",
]


@feature(
    series=named("series"),
    unit="fraction",
    tags=("onchain", "activity", "momentum"),
    kind="onchain",
    memory=last("window", 1),
)
def active_addresses_change(view: View, *, window: Observations = 30, series: str = "AdrActCnt") -> np.ndarray:
    """Log change of the number of active addresses over the last ``window`` published observations.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    window : int, default=30
        Observations between the two counts.
    series : str, default="AdrActCnt"
        Addresses that sent or received on a day (Coin Metrics), or ``n-unique-addresses`` (Blockchain.com).

    Returns
    -------
    change : ndarray (T, A)
        ``ln(x[d] / x[d - window])`` with d the newest known day, a fraction.

    Notes
    -----
    A day is complete at its end in UTC, and is known after the lag that the series declares. NaN with fewer than
    ``window + 1`` known observations, where either is not positive, and where the newest is older than its maximum age.
    Source: Coin Metrics, network data; as a predictor, Liu & Tsyvinski (2021), network growth.
    """
    return log_change(view, series, window)


@feature(
    series=named("series"),
    unit="standard deviations",
    tags=("onchain", "activity", "zscore"),
    kind="onchain",
    memory=last("window"),
)
def active_addresses_zscore(view: View, *, window: SeveralObservations = 90, series: str = "AdrActCnt") -> np.ndarray:
    """Number of active addresses, in standard deviations from its mean of the last ``window`` observations.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    window : int, default=90
        Observations in the mean and the deviation, the newest included.
    series : str, default="AdrActCnt"
        Addresses that sent or received on a day.

    Returns
    -------
    score : ndarray (T, A)
        ``(y[d] - mean(y)) / std(y)`` with ``y = ln x`` over the window and ddof 1; in standard deviations.

    Notes
    -----
    Known as for ``active_addresses_change``. NaN with fewer than ``window`` known observations, where one is not
    positive or all are equal, and where the newest is older than its maximum age.
    Source: Coin Metrics, network data; Liu & Tsyvinski (2021).
    """
    return _log_score(view, series, window)


@feature(
    series=named("series"),
    unit="fraction",
    tags=("onchain", "activity", "momentum"),
    kind="onchain",
    memory=last("window", 1),
)
def transaction_count_change(view: View, *, window: Observations = 30, series: str = "TxCnt") -> np.ndarray:
    """Log change of the number of transactions over the last ``window`` published observations.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    window : int, default=30
        Observations between the two counts.
    series : str, default="TxCnt"
        Transactions of a day (Coin Metrics), or ``n-transactions`` (Blockchain.com).

    Returns
    -------
    change : ndarray (T, A)
        ``ln(x[d] / x[d - window])`` with d the newest known day, a fraction.

    Notes
    -----
    Known as for ``active_addresses_change``. NaN with fewer than ``window + 1`` known observations, where either is not
    positive, and where the newest is older than its maximum age. Source: Coin Metrics, network data; Liu & Tsyvinski
    (2021).
    """
    return log_change(view, series, window)


@feature(
    series=named("series"),
    unit="fraction",
    tags=("onchain", "activity", "momentum"),
    kind="onchain",
    memory=last("window", 1),
)
def transaction_value_change(view: View, *, window: Observations = 30, series: str = "TxTfrValAdjUSD") -> np.ndarray:
    """Log change of the value that a chain moved over the last ``window`` published observations.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    window : int, default=30
        Observations between the two values.
    series : str, default="TxTfrValAdjUSD"
        Value of a day's transfers in USD, without those that are change or noise (Coin Metrics), or ``output-volume``
        in coins (Blockchain.com).

    Returns
    -------
    change : ndarray (T, A)
        ``ln(x[d] / x[d - window])`` with d the newest known day, a fraction.

    Notes
    -----
    Known as for ``active_addresses_change``. NaN with fewer than ``window + 1`` known observations, where either is not
    positive, and where the newest is older than its maximum age. Source: Coin Metrics, network data.
    """
    return log_change(view, series, window)


@feature(
    series=named("series"),
    unit="standard deviations",
    tags=("onchain", "fees", "zscore"),
    kind="onchain",
    memory=last("window"),
)
def fees_zscore(view: View, *, window: SeveralObservations = 90, series: str = "FeeTotUSD") -> np.ndarray:
    """Fees that users paid, in standard deviations from their mean of the last ``window`` observations.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    window : int, default=90
        Observations in the mean and the deviation, the newest included.
    series : str, default="FeeTotUSD"
        Fees of a day in USD (Coin Metrics), or ``transaction-fees`` in coins (Blockchain.com).

    Returns
    -------
    score : ndarray (T, A)
        ``(y[d] - mean(y)) / std(y)`` with ``y = ln x`` over the window and ddof 1; in standard deviations.

    Notes
    -----
    Known as for ``active_addresses_change``. NaN with fewer than ``window`` known observations, where one is not
    positive or all are equal, and where the newest is older than its maximum age. Source: Coin Metrics, network data;
    fees as the price of a congested chain, Easley, O'Hara & Basu (2019).
    """
    return _log_score(view, series, window)


@feature(series=named("fees", "issuance"), unit="fraction", tags=("onchain", "fees"), kind="onchain", memory=1)
def fee_share(view: View, *, fees: str = "FeeTotUSD", issuance: str = "IssTotUSD") -> np.ndarray:
    """Share of fees in what miners earn.

    Parameters
    ----------
    view : View
        Uses ``fees`` and ``issuance`` of each symbol.
    fees : str, default="FeeTotUSD"
        Fees of a day.
    issuance : str, default="IssTotUSD"
        Value of the coins issued that day, in the same unit.

    Returns
    -------
    share : ndarray (T, A)
        ``fees / (fees + issuance)`` of the newest known day, a fraction from 0 to 1.

    Notes
    -----
    Known as for ``active_addresses_change``. NaN where either is missing or older than its maximum age, and where both
    are 0. Source: Coin Metrics, fee revenue (FeeRevPct); Easley, O'Hara & Basu (2019).
    """
    paid = view.by_symbol(fees)
    return paid / positive(paid + view.by_symbol(issuance))


@feature(
    series=named("series"), unit="fraction", tags=("onchain", "momentum"), kind="onchain", memory=last("window", 1)
)
def metric_change(view: View, *, window: Observations = 30, series: str = "TxTfrCnt") -> np.ndarray:
    """Log change of any positive metric over the last ``window`` published observations.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    window : int, default=30
        Observations between the two values.
    series : str, default="TxTfrCnt"
        A metric that is filed under each symbol; by default the transfers of a day. A list makes a column of each.

    Returns
    -------
    change : ndarray (T, A)
        ``ln(x[d] / x[d - window])`` with d the newest known observation, a fraction.

    Notes
    -----
    Known after the lag that the series declares. NaN with fewer than ``window + 1`` known observations, where either is
    not positive, and where the newest is older than its maximum age. Source: Coin Metrics, network data.
    """
    return log_change(view, series, window)


@feature(
    series=named("series"),
    unit="standard deviations",
    tags=("onchain", "zscore"),
    kind="onchain",
    memory=last("window"),
)
def metric_zscore(view: View, *, window: SeveralObservations = 90, series: str = "TxTfrCnt") -> np.ndarray:
    """Any metric, in standard deviations from its mean of the last ``window`` observations.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    window : int, default=90
        Observations in the mean and the deviation, the newest included.
    series : str, default="TxTfrCnt"
        A metric that is filed under each symbol, of either sign; by default the transfers of a day.

    Returns
    -------
    score : ndarray (T, A)
        ``(x[d] - mean(x)) / std(x)`` over the window with ddof 1; in standard deviations.

    Notes
    -----
    Known after the lag that the series declares. NaN with fewer than ``window`` known observations, where all are
    equal, and where the newest is older than its maximum age. Source: Coin Metrics, network data.
    """
    return view.by_symbol(series, score, window)


def _log_score(view: View, series: str, window: int) -> np.ndarray:
    return view.by_symbol(series, lambda past: score(np.log(positive(past))), window)
