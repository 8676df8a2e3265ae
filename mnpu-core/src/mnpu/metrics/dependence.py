"""Series that remember: their autocorrelation, the error of their mean, and the Sharpe ratio that they really have.

Sources: Newey and West (1987) for the error, Lo (2002), equations 17 to 20, for the Sharpe ratio of returns that depend
on one another over time.
"""

from __future__ import annotations

import numpy as np

from mnpu.metrics import many
from mnpu.types import Metric

__all__ = [
    "autocorrelations",
    "eta",
    "influence_on_sharpe",
    "newey_west_lags",
    "newey_west_se",
    "newey_west_t",
    "sharpe_lo",
]


def newey_west_lags(n: int) -> int:
    """The usual rule of thumb for the lags of a series of ``n`` bars, ``floor(4 (n / 100)^(2/9))``."""
    return int(4 * (n / 100) ** (2 / 9))


def newey_west_se(values: np.ndarray, *, lags: int) -> float:
    """Standard error of the mean of a serially correlated series, Bartlett weights up to ``lags``.

    Parameters
    ----------
    values : float64 ndarray (N,)
    lags : int
        0 gives ``std(ddof=0) / sqrt(N)``.
    """
    n = len(values)
    centred = values - values.mean()
    variance = centred @ centred / n
    for lag in range(1, min(lags, n - 1) + 1):
        variance += 2.0 * (1.0 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag]) / n
    return float(np.sqrt(max(variance, 0.0) / n))


def newey_west_t(values: np.ndarray, *, lags: int) -> float:
    """Mean of a serially correlated series (N,) over its Newey-West error; NaN where it does not vary."""
    se = newey_west_se(values, lags=lags)
    return float(values.mean()) / se if se > many.FLAT else float("nan")


def autocorrelations(values: np.ndarray, *, lags: int) -> np.ndarray:
    """Autocorrelations (lags,) of a series (N,) at 1, 2, ... bars; NaN where it does not vary.

    Notes
    -----
    ``sum((x_t - m)(x_{t-k} - m)) / sum((x_t - m)^2)`` with the mean of the whole series.
    """
    centred = values - values.mean()
    total = centred @ centred
    if total <= many.FLAT**2:
        return np.full(lags, np.nan)
    found = [centred[lag:] @ centred[:-lag] if lag < len(values) else 0.0 for lag in range(1, lags + 1)]
    return np.array(found) / total


def eta(autocorrelation: np.ndarray, q: float) -> float:
    """Lo's factor from the Sharpe ratio of a bar to that of ``q`` bars: sqrt(q) without autocorrelation.

    ``q / sqrt(q + 2 sum_k (q - k) rho_k)``, the sum over the lags k below q.

    Parameters
    ----------
    autocorrelation : float64 ndarray (K,)
        At 1, ..., K bars; beyond K they count as zero.
    q : float
        Bars per year, or of whatever the ratio is wanted for.

    Returns
    -------
    eta : float
        NaN where the autocorrelations are those of no series: the variance of q bars would not be positive.
    """
    lags = np.arange(1, len(autocorrelation) + 1)
    variance = q + 2.0 * float(np.sum(np.maximum(q - lags, 0.0) * autocorrelation))
    return float(q / np.sqrt(variance)) if variance > 0.0 else float("nan")


def influence_on_sharpe(returns: np.ndarray) -> np.ndarray:
    """What each bar adds to the Sharpe ratio per bar, to first order, (T,): its mean is the ratio.

    ``SR + z - SR (z^2 - 1) / 2`` with z the distance from the mean in standard deviations. For independent returns the
    variance of its mean is Mertens'.
    """
    mean, deviation = returns.mean(), returns.std()
    z = (returns - mean) / deviation
    ratio = mean / deviation
    return ratio + z - 0.5 * ratio * (z**2 - 1.0)


def sharpe_lo(returns: np.ndarray, periods_per_year: float, *, lags: int | None = None) -> Metric:
    """Annualised Sharpe ratio that allows for autocorrelation: ``sharpe_bar`` times Lo's factor.

    Parameters
    ----------
    returns : float64 ndarray (T,)
        Simple, per bar.
    periods_per_year : float
        Bars per year, q.
    lags : int, optional
        Autocorrelations that count, at most q - 1; the rest are zero. Without it the rule of Newey and West, 8 of ten
        years of days. All q - 1 are Lo's own choice for months; of daily returns their noise would move the ratio by a
        fifth and more.

    Returns
    -------
    sharpe_lo : Metric
        ``se`` is the Newey-West error of the ratio per bar times the same factor, whose own error is not in it.
    """
    name, unit = "sharpe_lo", "ratio, annualised"
    if len(returns) < 3:
        return Metric(name, None, unit, reason="fewer than three returns")
    ratio = many.sharpe_bar(many.moments(returns))
    if not np.isfinite(ratio):
        return Metric(name, None, unit, reason="the returns do not vary")
    wanted = newey_west_lags(len(returns)) if lags is None else lags
    used = max(0, min(wanted, int(np.ceil(periods_per_year)) - 1, len(returns) - 1))
    factor = eta(autocorrelations(returns, lags=used), periods_per_year)
    if not np.isfinite(factor):
        return Metric(name, None, unit, reason="the autocorrelations leave no variance over a year")
    se = newey_west_se(influence_on_sharpe(returns), lags=used)
    return Metric(name, float(ratio) * factor, unit, se=se * factor)
