"""Metrics of a series of simple returns per bar: growth, risk, and their ratio with its error.

The numbers are those of ``metrics.many``, which holds the definitions and their sources; here each has its unit, and a
reason where it is undefined.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mnpu.metrics import many
from mnpu.metrics.many import drawdown
from mnpu.types import Metric

__all__ = [
    "ann_vol",
    "cagr",
    "calmar",
    "drawdown",
    "elapsed_years",
    "expected_shortfall",
    "kurtosis",
    "max_drawdown",
    "omega",
    "sharpe",
    "sharpe_bar",
    "skew",
    "sortino",
    "stability",
    "tail_ratio",
    "total_return",
    "value_at_risk",
]

MIN_TAIL = 10  #: Fewer bars in a tail are too few for its mean to say much.
NO_RETURNS, NO_LOSS = "no returns", "no return is negative"
FEW = "fewer than three returns"


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
        return Metric(name, None, "fraction", reason=NO_RETURNS)
    return Metric(name, float(many.total_return(returns)), "fraction")


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
    return Metric(name, float(many.cagr(np.asarray(total.value), years)), unit)


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
    if len(returns) < 3:
        return Metric(name, None, unit, reason=FEW)
    known = many.moments(returns)
    ratio = many.sharpe_bar(known)
    if not np.isfinite(ratio):
        return Metric(name, None, unit, reason="the returns do not vary")
    error = many.sharpe_error(ratio, known.n, known.skew, known.kurtosis)
    return Metric(name, float(ratio), unit, se=float(error))


def sharpe(returns: np.ndarray, periods_per_year: float) -> Metric:
    """Annualised Sharpe ratio and its standard error: both are those per bar times ``sqrt(q)``."""
    bar = sharpe_bar(returns)
    if bar.value is None or bar.se is None:
        return Metric("sharpe", None, "ratio, annualised", reason=bar.reason)
    root = float(np.sqrt(periods_per_year))
    return Metric("sharpe", bar.value * root, "ratio, annualised", se=bar.se * root)


def sortino(returns: np.ndarray, periods_per_year: float) -> Metric:
    """Annualised mean over annualised downside deviation, ``sqrt(mean(min(r, 0)^2))`` over all bars."""
    ratio = many.sortino(returns, periods_per_year) if len(returns) else np.nan
    return _known("sortino", ratio, "ratio, annualised", NO_LOSS)


def max_drawdown(equity: np.ndarray) -> Metric:
    """Deepest drawdown, at most 0, of the net asset value (T + 1,) that starts with the capital put in."""
    return Metric("max_drawdown", float(many.max_drawdown(equity)), "fraction")


def calmar(growth: Metric, deepest: Metric) -> Metric:
    """Growth per year over the size of the deepest drawdown."""
    if growth.value is None:
        return Metric("calmar", None, "ratio", reason=growth.reason)
    if not deepest.value:
        return Metric("calmar", None, "ratio", reason="there was no drawdown")
    return Metric("calmar", float(many.calmar(np.asarray(growth.value), np.asarray(deepest.value))), "ratio")


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
        return Metric(name, None, unit, reason=NO_RETURNS)
    size = many.tail_size(len(returns), tail)
    reason = "" if size >= MIN_TAIL else f"only {size:g} bars in the tail"
    return Metric(name, float(many.expected_shortfall(np.sort(returns), tail=tail)), unit, reason=reason)


def value_at_risk(returns: np.ndarray, *, tail: float = 0.05) -> Metric:
    """Loss at the ``tail`` quantile of the returns, historical, loss positive, horizon one bar (``var_0.05``)."""
    name, unit = f"var_{tail:g}", "fraction per bar, loss positive"
    if not len(returns):
        return Metric(name, None, unit, reason=NO_RETURNS)
    return Metric(name, float(many.value_at_risk(np.sort(returns), tail=tail)), unit)


def skew(returns: np.ndarray) -> Metric:
    """Third central moment over the cube of the standard deviation, both with ddof 0; below 0, losses are larger."""
    return _moment("skew", returns)


def kurtosis(returns: np.ndarray) -> Metric:
    """Fourth central moment over the squared variance, both with ddof 0: 3 for a normal law, more with fat tails."""
    return _moment("kurtosis", returns)


def omega(returns: np.ndarray) -> Metric:
    """Sum of the gains over the sum of the losses, at a threshold of 0."""
    return _known("omega", many.omega(returns) if len(returns) else np.nan, "ratio", NO_LOSS)


def stability(equity: np.ndarray) -> Metric:
    """R squared of a straight line through the log of the net asset value (T + 1,), the start left out."""
    found = many.stability(equity) if len(equity) > 3 else np.nan
    return _known("stability", found, "fraction", "the net asset value does not vary, or all was lost")


def tail_ratio(returns: np.ndarray) -> Metric:
    """Size of the 95 % quantile of the returns over that of the 5 % quantile."""
    found = many.tail_ratio(np.sort(returns)) if len(returns) else np.nan
    return _known("tail_ratio", found, "ratio", "the 5 % quantile is zero")


def _moment(name: str, returns: np.ndarray) -> Metric:
    if len(returns) < 3:
        return Metric(name, None, "score", reason=FEW)
    return _known(name, getattr(many.moments(returns), name), "score", "the returns do not vary")


def _known(name: str, value: np.ndarray | float, unit: str, reason: str) -> Metric:
    """The metric, or the reason for there being none where the value is NaN."""
    return Metric(name, float(value), unit) if np.isfinite(value) else Metric(name, None, unit, reason=reason)
