"""Metrics of a series of simple returns per bar: growth, risk, and their ratio with its error.

Sources: Lo (2002) and Mertens (2002) for the standard error of the Sharpe ratio, Rockafellar and Uryasev (2002) for
the exact tail of the expected shortfall, Sortino and Price (1994) for the downside deviation over all bars.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mnpu.types import Metric

__all__ = [
    "ann_vol",
    "cagr",
    "calmar",
    "drawdown",
    "elapsed_years",
    "expected_shortfall",
    "max_drawdown",
    "sharpe",
    "sharpe_bar",
    "sortino",
    "total_return",
]

MIN_TAIL = 10  #: Fewer bars in a tail are too few for its mean to say much.
FLAT = 1e-15  #: A standard deviation below this is rounding.


def total_return(returns: np.ndarray, *, name: str = "total_return_net") -> Metric:
    """Compound return over the whole period, ``prod(1 + r) - 1``.

    Parameters
    ----------
    returns : float64 ndarray (T,)
        Simple, per bar.
    name : str, default="total_return_net"
        ``total_return_gross`` for returns before costs.
    """
    if not len(returns):
        return Metric(name, None, "fraction", reason="no returns")
    return Metric(name, float(np.prod(1.0 + returns) - 1.0), "fraction")


def elapsed_years(times: pd.DatetimeIndex) -> float:
    """Calendar years that ``len(times)`` bars span: from the first fill to one mean bar after the last, 365.25 days.

    Parameters
    ----------
    times : DatetimeIndex (T,)
        Fill times. The last return ends at the fill after the last one, which is not part of a result.
    """
    if len(times) < 2:
        return 0.0
    span = (times[-1] - times[0]) / pd.Timedelta(days=365.25)
    return float(span * len(times) / (len(times) - 1))


def cagr(returns: np.ndarray, years: float) -> Metric:
    """Compound growth per calendar year, ``(1 + total)^(1 / years) - 1``; undefined below one year.

    Parameters
    ----------
    returns : float64 ndarray (T,)
    years : float
        Elapsed calendar years, not bars over bars per year.
    """
    name, unit = "cagr", "fraction per year"
    total = total_return(returns)
    if total.value is None:
        return Metric(name, None, unit, reason=total.reason)
    if years < 1.0:
        return Metric(name, None, unit, reason=f"{years:.2f} years are too few to annualise: see the total return")
    return Metric(name, float(max(1.0 + total.value, 0.0) ** (1.0 / years) - 1.0), unit)


def ann_vol(returns: np.ndarray, periods_per_year: float) -> Metric:
    """Annualised standard deviation, ``std(r, ddof=1) * sqrt(q)``."""
    if len(returns) < 2:
        return Metric("ann_vol", None, "fraction per year", reason="fewer than two returns")
    return Metric("ann_vol", float(np.std(returns, ddof=1) * np.sqrt(periods_per_year)), "fraction per year")


def sharpe_bar(returns: np.ndarray) -> Metric:
    """Sharpe ratio per bar at a risk-free rate of 0, ``mean / std(ddof=1)``, with the standard error of Mertens.

    Notes
    -----
    ``se = sqrt((1 - skew * SR + (kurtosis - 1) / 4 * SR^2) / (n - 1))`` with non-excess kurtosis: for normal returns
    Lo's ``sqrt((1 + SR^2 / 2) / n)``. Returns are taken as independent over time.
    """
    name, unit = "sharpe_bar", "ratio per bar"
    n = len(returns)
    if n < 3:
        return Metric(name, None, unit, reason="fewer than three returns")
    deviation = float(np.std(returns, ddof=1))
    if deviation <= FLAT:
        return Metric(name, None, unit, reason="the returns do not vary")
    ratio = float(np.mean(returns)) / deviation
    centred = returns - np.mean(returns)
    second = np.mean(centred**2)
    skew, kurtosis = np.mean(centred**3) / second**1.5, np.mean(centred**4) / second**2
    variance = (1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2) / (n - 1)
    return Metric(name, ratio, unit, se=float(np.sqrt(max(variance, 0.0))))


def sharpe(returns: np.ndarray, periods_per_year: float) -> Metric:
    """Annualised Sharpe ratio and its standard error: both are those per bar times ``sqrt(q)``."""
    bar = sharpe_bar(returns)
    if bar.value is None or bar.se is None:
        return Metric("sharpe", None, "ratio, annualised", reason=bar.reason)
    root = float(np.sqrt(periods_per_year))
    return Metric("sharpe", bar.value * root, "ratio, annualised", se=bar.se * root)


def sortino(returns: np.ndarray, periods_per_year: float) -> Metric:
    """Annualised mean over annualised downside deviation, ``sqrt(mean(min(r, 0)^2))`` over all bars."""
    downside = float(np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2))) if len(returns) else 0.0
    if downside <= FLAT:
        return Metric("sortino", None, "ratio, annualised", reason="no return is negative")
    value = float(np.mean(returns)) * np.sqrt(periods_per_year) / downside
    return Metric("sortino", float(value), "ratio, annualised")


def drawdown(equity: np.ndarray) -> np.ndarray:
    """Distance from the running peak, ``NAV / cummax(NAV) - 1``, (T + 1,), at most 0."""
    return equity / np.maximum.accumulate(equity) - 1.0


def max_drawdown(equity: np.ndarray) -> Metric:
    """Deepest drawdown, at most 0, of the net asset value (T + 1,) that starts with the capital put in."""
    return Metric("max_drawdown", float(drawdown(equity).min()), "fraction")


def calmar(growth: Metric, deepest: Metric) -> Metric:
    """Growth per year over the size of the deepest drawdown."""
    if growth.value is None:
        return Metric("calmar", None, "ratio", reason=growth.reason)
    if not deepest.value:
        return Metric("calmar", None, "ratio", reason="there was no drawdown")
    return Metric("calmar", growth.value / abs(deepest.value), "ratio")


def expected_shortfall(returns: np.ndarray, *, tail: float = 0.05) -> Metric:
    """Mean loss of the worst ``tail`` of bars, historical, loss positive, horizon one bar.

    The tail holds ``k = n * tail`` bars exactly: the last of them counts with the fraction that fits.

    Parameters
    ----------
    returns : float64 ndarray (T,)
    tail : float, default=0.05
        In (0, 1).

    Notes
    -----
    With fewer than ten bars in the tail the value stands, and ``reason`` says how few there are.
    """
    name, unit = f"cvar_{tail:g}", "fraction per bar, loss positive"
    if not len(returns):
        return Metric(name, None, unit, reason="no returns")
    worst = np.sort(returns)
    # 0.05 * 20 is not exactly 1 in binary; the rounding must not open a new bar.
    size = round(len(returns) * tail, 12)
    whole = int(np.floor(size))
    total = worst[:whole].sum() + (size - whole) * (worst[whole] if whole < len(worst) else 0.0)
    reason = "" if size >= MIN_TAIL else f"only {size:g} bars in the tail"
    return Metric(name, float(0.0 - total / size), unit, reason=reason)  # from zero: no loss is 0, not -0
