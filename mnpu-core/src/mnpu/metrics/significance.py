"""Whether a Sharpe ratio is more than luck: how probable it is, after how many trials, and how long it takes to know.

Everything is per bar, and kurtosis is that of the fourth moment, 3 for a normal law. Sources: Bailey and Lopez de
Prado (2012), "The Sharpe ratio efficient frontier", for the probabilistic ratio and the minimum track record; the same
(2014), "The deflated Sharpe ratio"; Bailey, Borwein, Lopez de Prado and Zhu (2014), "Pseudo-mathematics and financial
charlatanism", for the minimum backtest length.
"""

from __future__ import annotations

from math import e
from statistics import NormalDist

import numpy as np

from mnpu.errors import MnpuError
from mnpu.metrics import many
from mnpu.types import Metric

__all__ = [
    "deflated_sharpe",
    "dsr",
    "expected_best",
    "min_backtest_length",
    "min_track_record",
    "min_trl",
    "probabilistic_sharpe",
    "psr",
]

CONFIDENCE = 0.95
EULER = float(np.euler_gamma)
_NORMAL = NormalDist()


def probabilistic_sharpe(sharpe_bar: float, n: float, skew: float, kurtosis: float, *, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio exceeds ``benchmark``, both per bar: the PSR.

    ``Phi((SR - SR*) / se)`` with the error of Mertens.

    Parameters
    ----------
    sharpe_bar, skew, kurtosis : float
        Of the n returns; ``metrics.many`` says how they are measured.
    n : float
        Bars.
    benchmark : float, default=0.0

    Returns
    -------
    psr : float
        In [0, 1]; NaN where a number is, and for fewer than two bars.
    """
    if not n > 1:
        return float("nan")
    error = float(many.sharpe_error(np.float64(sharpe_bar), n, np.float64(skew), np.float64(kurtosis)))
    return _NORMAL.cdf((sharpe_bar - benchmark) / error) if error > 0.0 else float("nan")


def expected_best(n_trials: float) -> float:
    """Expected largest of ``n_trials`` independent standard normal numbers: by how much luck alone wins.

    ``(1 - g) Z[1 - 1 / N] + g Z[1 - 1 / (N e)]`` with Euler's constant g and the normal quantile Z: an approximation
    from extreme value theory, within 0.05 from two trials on. One trial has nothing to choose from: 0.
    """
    if not n_trials >= 1:
        raise MnpuError(f"the number of trials is {n_trials}", expected="1 or more: the result itself is a trial")
    if n_trials == 1:
        return 0.0
    found = (1.0 - EULER) * _NORMAL.inv_cdf(1.0 - 1.0 / n_trials) + EULER * _NORMAL.inv_cdf(1.0 - 1.0 / (n_trials * e))
    return max(found, 0.0)  # an effective number may lie between 1 and 2


def deflated_sharpe(
    sharpe_bar: float,
    n: float,
    skew: float,
    kurtosis: float,
    trials_sharpe_variance: float,
    n_trials: float,
) -> float:
    """Probability that the true Sharpe ratio of the best of many trials exceeds zero: the DSR.

    The probabilistic Sharpe ratio whose benchmark is what the best of ``n_trials`` worthless trials would have:
    ``sqrt(V) * expected_best(N)``.

    Parameters
    ----------
    sharpe_bar, skew, kurtosis : float
        Of the n returns of the chosen strategy.
    n : float
        Bars.
    trials_sharpe_variance : float
        Variance over the trials of their Sharpe ratios per bar.
    n_trials : float
        Trials, every one that was ever looked at; or how many independent ones they amount to (`effective_trials`).

    Returns
    -------
    dsr : float
        In [0, 1]; NaN where a number is.

    Raises
    ------
    MnpuError
        Fewer than one trial, or a negative variance.
    """
    if trials_sharpe_variance < 0:
        raise MnpuError(f"the variance of the trials is {trials_sharpe_variance}", expected="a number from 0 up")
    benchmark = float(np.sqrt(trials_sharpe_variance)) * expected_best(n_trials)
    return probabilistic_sharpe(sharpe_bar, n, skew, kurtosis, benchmark=benchmark)


def min_track_record(
    sharpe_bar: float, skew: float, kurtosis: float, *, benchmark: float = 0.0, confidence: float = CONFIDENCE
) -> float:
    """Bars after which such a record would show, at ``confidence``, a true Sharpe ratio above ``benchmark``: MinTRL.

    ``1 + (1 - skew SR + (kurtosis - 1) / 4 SR^2) (Z[confidence] / (SR - SR*))^2``: the n at which the probabilistic
    Sharpe ratio reaches the confidence. Infinite for a ratio that is not above the benchmark.
    """
    if not sharpe_bar > benchmark:
        return float("nan") if np.isnan(sharpe_bar) else float("inf")
    unit = float(many.sharpe_error(np.float64(sharpe_bar), 2, np.float64(skew), np.float64(kurtosis)))  # n - 1 = 1
    return 1.0 + (unit * _NORMAL.inv_cdf(confidence) / (sharpe_bar - benchmark)) ** 2


def min_backtest_length(n_trials: float, *, sharpe: float = 1.0) -> float:
    """Years a backtest needs so that the best of ``n_trials`` worthless trials is not expected to reach ``sharpe``.

    ``(expected_best(N) / SR)^2`` with the annualised ratio SR: MinBTL.
    """
    if not sharpe > 0:
        raise MnpuError(f"the Sharpe ratio is {sharpe}", expected="a positive annualised ratio")
    return (expected_best(n_trials) / sharpe) ** 2


def psr(returns: np.ndarray) -> Metric:
    """Probability that the true Sharpe ratio of returns (T,) is above zero, one trial assumed."""
    known = _sharpe(returns)
    if isinstance(known, str):
        return Metric("psr", None, "probability", reason=known)
    found = probabilistic_sharpe(known[0], len(returns), *known[1:])
    if np.isnan(found):
        return Metric("psr", None, "probability", reason="the returns take two values only")
    return Metric("psr", found, "probability")


def dsr(returns: np.ndarray, *, trials_sharpe_variance: float, n_trials: float) -> Metric:
    """Probability that the true Sharpe ratio of returns (T,), the best of many trials, is above zero.

    Parameters and errors are those of `deflated_sharpe`.
    """
    known = _sharpe(returns)
    if isinstance(known, str):
        return Metric("dsr", None, "probability", reason=known)
    ratio, skew, kurtosis = known
    found = deflated_sharpe(ratio, len(returns), skew, kurtosis, trials_sharpe_variance, n_trials)
    if np.isnan(found):
        return Metric("dsr", None, "probability", reason="the returns take two values only")
    return Metric("dsr", found, "probability")


def min_trl(returns: np.ndarray) -> Metric:
    """Bars that a record with the moments of returns (T,) needs to show a Sharpe ratio above zero at 95 %."""
    known = _sharpe(returns)
    if isinstance(known, str):
        return Metric("min_trl", None, "bars", reason=known)
    found = min_track_record(*known)
    if np.isinf(found):
        return Metric("min_trl", None, "bars", reason="the Sharpe ratio is not above zero: no length would do")
    return Metric("min_trl", found, "bars")


def _sharpe(returns: np.ndarray) -> tuple[float, float, float] | str:
    """Sharpe ratio per bar, skew and kurtosis; or why there is none."""
    if len(returns) < 3:
        return "fewer than three returns"
    known = many.moments(returns)
    ratio = float(many.sharpe_bar(known))
    return (ratio, float(known.skew), float(known.kurtosis)) if np.isfinite(ratio) else "the returns do not vary"
