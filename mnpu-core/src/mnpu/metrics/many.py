"""Statistics of many series of simple returns at once: arrays (..., T) in, one number for each series out.

These are the definitions. ``metrics.returns`` gives the same numbers of one series with a unit, and with a reason where
there is none; here the undefined is NaN, and so is every number of a series that holds a NaN.

Sources: Mertens (2002) for the error of the Sharpe ratio, Sortino and Price (1994) for the downside deviation over all
bars, Keating and Shadwick (2002) for omega, Rockafellar and Uryasev (2002) for the exact tail of the shortfall.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "Moments",
    "cagr",
    "calmar",
    "drawdown",
    "equity",
    "expected_shortfall",
    "max_drawdown",
    "moments",
    "omega",
    "sharpe_bar",
    "sharpe_error",
    "simple_statistics",
    "sortino",
    "stability",
    "tail_ratio",
    "total_return",
    "value_at_risk",
]

FLAT = 1e-15  #: A standard deviation below this is rounding.
TAIL = 0.05
CELLS = 2**15  #: Returns at a time, so that what is read again is still in the processor's cache.


@dataclass(frozen=True)
class Moments:
    """The first four moments of each series: ``n`` bars, the others (...,).

    ``deviation`` is the standard deviation with ddof 1; ``skew`` and ``kurtosis`` (3 for a normal law, not 0) are those
    of the sample, with ddof 0. Of a series that does not vary these two are NaN.
    """

    n: int
    mean: np.ndarray
    deviation: np.ndarray
    skew: np.ndarray
    kurtosis: np.ndarray


def moments(returns: np.ndarray) -> Moments:
    """The first four moments of returns (..., T), T at least 2."""
    n = returns.shape[-1]
    mean = np.mean(returns, axis=-1)
    centred = returns - mean[..., None]
    squares = centred * centred
    total = squares.sum(axis=-1)
    deviation = np.sqrt(total / (n - 1)) if n > 1 else np.full_like(mean, np.nan)
    second = np.where(deviation > FLAT, total / n, np.nan)
    third, fourth = np.vecdot(squares, centred) / n, np.vecdot(squares, squares) / n
    return Moments(n, mean, deviation, third / second**1.5, fourth / second**2)


def sharpe_bar(of: Moments) -> np.ndarray:
    """Sharpe ratio per bar at a risk-free rate of 0, ``mean / std(ddof=1)``; NaN where the returns do not vary."""
    return of.mean / np.where(of.deviation > FLAT, of.deviation, np.nan)


def sharpe_error(sharpe: np.ndarray, n: float, skew: np.ndarray, kurtosis: np.ndarray) -> np.ndarray:
    """Standard error of a Sharpe ratio per bar if its true value is ``sharpe``: Mertens', for independent returns.

    ``sqrt((1 - skew * SR + (kurtosis - 1) / 4 * SR^2) / (n - 1))`` with non-excess kurtosis: for normal returns Lo's
    ``sqrt((1 + SR^2 / 2) / n)``. ``n`` may be an array like the others.
    """
    variance = (1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2) / (np.asarray(n) - 1.0)
    return np.sqrt(np.maximum(variance, 0.0))


def total_return(returns: np.ndarray) -> np.ndarray:
    """Compound return over the whole period, ``prod(1 + r) - 1``."""
    return np.prod(1.0 + returns, axis=-1) - 1.0


def cagr(total: np.ndarray, years: float) -> np.ndarray:
    """Compound growth per calendar year of a total return; NaN below one year."""
    if years < 1.0:
        return np.full(np.shape(total), np.nan)
    return np.maximum(1.0 + total, 0.0) ** (1.0 / years) - 1.0


def equity(returns: np.ndarray) -> np.ndarray:
    """Net asset value (..., T + 1) that starts with the capital put in, 1."""
    value = np.empty((*returns.shape[:-1], returns.shape[-1] + 1))
    value[..., 0] = 1.0
    np.add(returns, 1.0, out=value[..., 1:])
    return np.cumprod(value, axis=-1, out=value)


def drawdown(value: np.ndarray) -> np.ndarray:
    """Distance from the running peak, ``NAV / cummax(NAV) - 1``, (..., T + 1), at most 0."""
    return value / np.maximum.accumulate(value, axis=-1) - 1.0


def max_drawdown(value: np.ndarray) -> np.ndarray:
    """Deepest drawdown, at most 0, of the net asset value (..., T + 1) that starts with the capital put in."""
    return (value / np.maximum.accumulate(value, axis=-1)).min(axis=-1) - 1.0


def calmar(growth: np.ndarray, deepest: np.ndarray) -> np.ndarray:
    """Growth per year over the size of the deepest drawdown; NaN without one."""
    return growth / np.where(deepest < 0.0, -deepest, np.nan)


def sortino(returns: np.ndarray, periods_per_year: float) -> np.ndarray:
    """Annualised mean over annualised downside deviation, ``sqrt(mean(min(r, 0)^2))`` over all bars."""
    losses = np.minimum(returns, 0.0)
    downside = np.sqrt(np.vecdot(losses, losses) / returns.shape[-1])
    root = np.sqrt(periods_per_year)
    return np.mean(returns, axis=-1) * root / np.where(downside > FLAT, downside, np.nan)


def omega(returns: np.ndarray) -> np.ndarray:
    """Sum of the gains over the sum of the losses, at a threshold of 0; NaN without a loss."""
    losses = -np.minimum(returns, 0.0).sum(axis=-1)
    return np.maximum(returns, 0.0).sum(axis=-1) / np.where(losses > FLAT, losses, np.nan)


def stability(value: np.ndarray) -> np.ndarray:
    """Share of the variance of log equity (..., T + 1), after the start, that a straight line explains: R squared.

    NaN where the equity does not vary or is not positive.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(value[..., 1:])  # of nothing left, minus infinity, and then all is NaN
    time = np.arange(log.shape[-1]) - (log.shape[-1] - 1) / 2.0
    with np.errstate(invalid="ignore"):
        log -= log.mean(axis=-1, keepdims=True)
    spread = np.vecdot(log, log)
    return (log @ time) ** 2 / np.where(spread > FLAT**2, spread, np.nan) / (time @ time)


def value_at_risk(ordered: np.ndarray, *, tail: float = TAIL) -> np.ndarray:
    """Loss at the ``tail`` quantile of returns in ascending order (..., T), loss positive; linear between two bars."""
    return 0.0 - _quantile(ordered, tail)


def expected_shortfall(ordered: np.ndarray, *, tail: float = TAIL) -> np.ndarray:
    """Mean loss of the worst ``tail`` of returns in ascending order (..., T), loss positive, the tail taken exactly.

    The tail holds ``k = n * tail`` bars: the last of them counts with the fraction that fits.
    """
    n = ordered.shape[-1]
    size = tail_size(n, tail)
    whole = int(np.floor(size))
    partial = (size - whole) * ordered[..., whole] if whole < n else 0.0
    return 0.0 - (ordered[..., :whole].sum(axis=-1) + partial) / size  # from zero: no loss is 0, not -0


def tail_size(n: int, tail: float) -> float:
    """Bars in the tail, with a fraction: 0.05 * 20 is not exactly 1 in binary, and must not open a new bar."""
    return round(n * tail, 12)


def tail_ratio(ordered: np.ndarray, *, tail: float = TAIL) -> np.ndarray:
    """Size of the upper over that of the lower ``tail`` quantile of returns in ascending order (..., T)."""
    lower = np.abs(_quantile(ordered, tail))
    return np.abs(_quantile(ordered, 1.0 - tail)) / np.where(lower > FLAT, lower, np.nan)


def simple_statistics(returns: np.ndarray, *, periods_per_year: float, years: float) -> dict[str, np.ndarray]:
    """The fourteen simple statistics of every series, by the name of the metric.

    Parameters
    ----------
    returns : float64 ndarray (N, T)
        Simple, per bar, T at least 3.
    periods_per_year : float
        Bars per year.
    years : float
        Elapsed calendar years, the same for all.

    Returns
    -------
    statistics : dict of str to float64 ndarray (N,)
        ``total_return_net``, ``cagr``, ``ann_vol``, ``sharpe``, ``sortino``, ``calmar``, ``max_drawdown``, ``omega``,
        ``stability``, ``tail_ratio``, ``var_0.05``, ``cvar_0.05``, ``skew``, ``kurtosis``.

    Raises
    ------
    ValueError
        The array has not two axes, or fewer than three bars.
    """
    returns = np.ascontiguousarray(returns, dtype=np.float64)
    if returns.ndim != 2 or returns.shape[1] < 3:
        raise ValueError(
            f"returns have the shape {returns.shape}, expected (strategies, bars) with three bars or more."
        )
    step = max(1, CELLS // returns.shape[1])
    parts = [
        _chunk(returns[first : first + step], periods_per_year, years) for first in range(0, len(returns), step)
    ] or [_chunk(returns, periods_per_year, years)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _chunk(returns: np.ndarray, periods_per_year: float, years: float) -> dict[str, np.ndarray]:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        known = moments(returns)
        value = equity(returns)
        ordered = np.sort(returns, axis=-1)
        root = np.sqrt(periods_per_year)
        total = total_return(returns)
        growth, deepest = cagr(total, years), max_drawdown(value)
        found = {
            "total_return_net": total,
            "cagr": growth,
            "ann_vol": known.deviation * root,
            "sharpe": sharpe_bar(known) * root,
            "sortino": sortino(returns, periods_per_year),
            "calmar": calmar(growth, deepest),
            "max_drawdown": deepest,
            "omega": omega(returns),
            "stability": stability(value),
            "tail_ratio": tail_ratio(ordered),
            f"var_{TAIL:g}": value_at_risk(ordered),
            f"cvar_{TAIL:g}": expected_shortfall(ordered),
            "skew": known.skew,
            "kurtosis": known.kurtosis,
        }
        whole = np.isfinite(known.mean)
    return {name: np.where(whole, number, np.nan) for name, number in found.items()}


def _quantile(ordered: np.ndarray, level: float) -> np.ndarray:
    """The quantile of numbers in ascending order, a straight line between neighbours."""
    place = level * (ordered.shape[-1] - 1)
    low = int(np.floor(place))
    high = min(low + 1, ordered.shape[-1] - 1)
    return ordered[..., low] + (place - low) * (ordered[..., high] - ordered[..., low])
