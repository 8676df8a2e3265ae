"""What secures a chain and what it costs its holders: hash rate, difficulty and new coins."""

from __future__ import annotations

import numpy as np

from mnpu import View, feature
from mnpu_data_onchain._metrics import (
    Observations,
    SeveralObservations,
    last,
    log_change,
    log_ratio_of_means,
    named,
    positive,
    shorter_first,
)

__all__ = [
    "difficulty_ribbon",
    "difficulty_ribbon_width",
    "hash_rate_change",
    "hash_ribbon",
    "issuance_rate",
    "puell_multiple",
]

#: Observations in the means of the difficulty ribbon, as Woo drew it.
RIBBON = (9, 14, 25, 40, 60, 90, 128, 200)
DAYS_IN_YEAR = 365


@feature(
    series=named("series"),
    unit="fraction",
    tags=("onchain", "mining", "momentum"),
    kind="onchain",
    memory=last("window", 1),
)
def hash_rate_change(view: View, *, window: Observations = 30, series: str = "HashRate") -> np.ndarray:
    """Log change of the hash rate over the last ``window`` published observations.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    window : int, default=30
        Observations between the two rates.
    series : str, default="HashRate"
        Mean hashes per second of a day (Coin Metrics), or ``hash-rate`` (Blockchain.com).

    Returns
    -------
    change : ndarray (T, A)
        ``ln(x[d] / x[d - window])`` with d the newest known day, a fraction.

    Notes
    -----
    A day is complete at its end in UTC, and is known after the lag that the series declares. NaN with fewer than
    ``window + 1`` known observations, where either is not positive, and where the newest is older than its maximum age.
    Source: Coin Metrics, network data; Pagnotta & Buraschi (2018), who tie the price to the hash rate.
    """
    return log_change(view, series, window)


@feature(series=shorter_first, unit="log ratio", tags=("onchain", "mining"), kind="onchain", memory=last("long"))
def hash_ribbon(
    view: View, *, short: Observations = 30, long: SeveralObservations = 60, series: str = "HashRate"
) -> np.ndarray:
    """Short mean of the hash rate against its long mean: negative while miners give up.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    short, long : int, default=30, 60
        Observations in the two means, the newest included; ``short`` is less than ``long``.
    series : str, default="HashRate"
        Mean hashes per second of a day.

    Returns
    -------
    ribbon : ndarray (T, A)
        ``ln(mean(x, short) / mean(x, long))``, a log ratio.

    Notes
    -----
    Known as for ``hash_rate_change``. NaN with fewer than ``long`` known observations, where a mean is not positive,
    and where the newest is older than its maximum age. Source: Edwards (2019), Hash Ribbons.
    """
    return log_ratio_of_means(view, series, short, long)


@feature(series=shorter_first, unit="log ratio", tags=("onchain", "mining"), kind="onchain", memory=last("long"))
def difficulty_ribbon(
    view: View, *, short: Observations = 9, long: SeveralObservations = 200, series: str = "DiffMean"
) -> np.ndarray:
    """Fastest mean of the difficulty ribbon against its slowest: negative while the ribbon is turned over.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    short, long : int, default=9, 200
        Observations in the two means, the newest included; ``short`` is less than ``long``.
    series : str, default="DiffMean"
        Mean difficulty of a day (Coin Metrics), or ``difficulty`` (Blockchain.com).

    Returns
    -------
    ribbon : ndarray (T, A)
        ``ln(mean(x, short) / mean(x, long))``, a log ratio.

    Notes
    -----
    Known as for ``hash_rate_change``. NaN with fewer than ``long`` known observations, where a mean is not positive,
    and where the newest is older than its maximum age. Source: Woo (2019), Difficulty Ribbon.
    """
    return log_ratio_of_means(view, series, short, long)


@feature(series=named("series"), unit="fraction", tags=("onchain", "mining"), kind="onchain", memory=max(RIBBON))
def difficulty_ribbon_width(view: View, *, series: str = "DiffMean") -> np.ndarray:
    """Width of the difficulty ribbon: how far its means lie apart, small where it is compressed.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    series : str, default="DiffMean"
        Mean difficulty of a day.

    Returns
    -------
    width : ndarray (T, A)
        Standard deviation (ddof 1) over mean of the means of the last 9, 14, 25, 40, 60, 90, 128 and 200 observations;
        a fraction.

    Notes
    -----
    Known as for ``hash_rate_change``. NaN with fewer than 200 known observations and where the newest is older than
    its maximum age. Source: Woo (2019), Difficulty Ribbon; its compression as the ratio of deviation to mean.
    """

    def width(past: np.ndarray) -> np.ndarray:
        means = np.stack([past[:, -length:].mean(axis=1) for length in RIBBON])  # (8, K)
        return means.std(axis=0, ddof=1) / positive(means.mean(axis=0))

    return view.by_symbol(series, width, max(RIBBON))


@feature(
    series=named("issuance", "supply"),
    unit="fraction per year",
    tags=("onchain", "supply"),
    kind="onchain",
    memory=last("window"),
)
def issuance_rate(
    view: View, *, window: Observations = 30, issuance: str = "IssContNtv", supply: str = "SplyCur"
) -> np.ndarray:
    """New coins of the last ``window`` days for each coin there is, per year: the inflation of the supply.

    Parameters
    ----------
    view : View
        Uses ``issuance`` and ``supply`` of each symbol.
    window : int, default=30
        Daily observations that are added up, the newest included.
    issuance : str, default="IssContNtv"
        Coins issued on a day.
    supply : str, default="SplyCur"
        Coins there are at the end of a day.

    Returns
    -------
    rate : ndarray (T, A)
        ``sum(issuance, window) / supply * 365 / window``, fraction per year.

    Notes
    -----
    Known as for ``hash_rate_change``. NaN with fewer than ``window`` known observations, where the supply is not
    positive, and where the newest of either is older than its maximum age. Source: Coin Metrics, continuous issuance
    (IssContPctAnn, of one day).
    """
    issued = view.by_symbol(issuance, lambda past: past.sum(axis=1), window)
    return issued / positive(view.by_symbol(supply)) * (DAYS_IN_YEAR / window)


@feature(
    series=named("series"), unit="ratio", tags=("onchain", "supply", "valuation"), kind="onchain", memory=last("window")
)
def puell_multiple(view: View, *, window: SeveralObservations = 365, series: str = "IssContUSD") -> np.ndarray:
    """Value of a day's new coins against its own mean of the last ``window`` observations.

    Parameters
    ----------
    view : View
        Uses ``series`` of each symbol.
    window : int, default=365
        Observations in the mean, the newest included.
    series : str, default="IssContUSD"
        Value of the coins issued on a day, USD (Coin Metrics), or ``miners-revenue`` (Blockchain.com).

    Returns
    -------
    multiple : ndarray (T, A)
        ``x[d] / mean(x[d - window + 1] ... x[d])``, a ratio.

    Notes
    -----
    Known as for ``hash_rate_change``. NaN with fewer than ``window`` known observations, where the mean is not
    positive, and where the newest is older than its maximum age. Source: Puell (2019), Puell Multiple.
    """
    return view.by_symbol(series, lambda past: past[:, -1] / positive(past.mean(axis=1)), window)
