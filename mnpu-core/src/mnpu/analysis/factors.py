"""Which known bets explain the return: least squares on factors, with errors that bear autocorrelation.

``y_t = alpha + sum_k beta_k f_kt + e_t``; the covariance of the coefficients is that of Newey and West (1987) with
Bartlett weights, ``(X'X)^-1 S (X'X)^-1`` with ``S = sum_l w_l sum_t (x_t e_t)(x_{t-l} e_{t-l})'``, without a
small-sample correction. Betas are of the whole period: alpha is what was left, not what a hedge would have earned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from mnpu.analysis.benchmarks import equal_weight, universe_returns
from mnpu.analysis.replay import Replay
from mnpu.errors import DataError
from mnpu.metrics.dependence import newey_west_lags

__all__ = ["Coefficient", "Regression", "factor_regression", "regress", "universe_factors"]

YEAR, MONTH, FEWEST_SYMBOLS = 252, 21, 6


class Coefficient(NamedTuple):
    """A factor: its beta with error and t, and its part of the mean return per year (alpha: all of its own)."""

    name: str
    beta: float
    se: float
    t: float
    mean_ann: float


class Regression(NamedTuple):
    """A regression; the ``mean_ann`` of all coefficients, alpha among them, sum to that of the returns."""

    coefficients: tuple[Coefficient, ...]
    r_squared: float
    n: int
    lags: int
    left_out: int


def factor_regression(
    returns: np.ndarray, factors: Mapping[str, np.ndarray], *, periods_per_year: float, lags: int | None = None
) -> Regression:
    """Explain returns by factors.

    Parameters
    ----------
    returns : float64 ndarray (T,)
    factors : mapping of name to float64 ndarray (T,)
        Returns of the factors over the same bars. A bar in which one is NaN is left out.
    periods_per_year : float
    lags : int, optional
        Of the errors. Default: the rule of Newey and West.

    Raises
    ------
    DataError
        Too few bars, or factors that say the same.
    """
    names = ("alpha", *factors)
    x = np.column_stack([np.ones(len(returns)), *factors.values()])
    known = np.isfinite(x).all(axis=1) & np.isfinite(returns)
    x, y = x[known], returns[known]
    if len(y) < 2 * x.shape[1] + 2:
        raise DataError(f"{len(y)} bars for {len(factors)} factors", where="factor regression", expected="many more")
    used = newey_west_lags(len(y)) if lags is None else lags
    beta, covariance = regress(y, x, lags=used)
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    spread = float(((y - y.mean()) ** 2).sum())
    rest = y - x @ beta
    return Regression(
        tuple(
            Coefficient(
                name,
                float(beta[k]),
                float(error[k]),
                float(beta[k] / error[k]) if error[k] > 0 else float("nan"),
                float(beta[k] * x[:, k].mean() * periods_per_year),
            )
            for k, name in enumerate(names)
        ),
        r_squared=1.0 - float(rest @ rest) / spread if spread > 0 else float("nan"),
        n=len(y),
        lags=used,
        left_out=int((~known).sum()),
    )


def regress(y: np.ndarray, x: np.ndarray, *, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (K,) of least squares, and their Newey-West covariance (K, K).

    Parameters
    ----------
    y : float64 ndarray (N,)
    x : float64 ndarray (N, K)
        With a column of ones, if a constant is wanted.
    lags : int
        0 allows for unequal variances alone (White, 1980).
    """
    scale = np.sqrt((x**2).mean(axis=0))
    if (scale == 0).any() or np.linalg.cond(x / np.where(scale > 0, scale, 1.0)) > 1e8:
        raise DataError("the factors say the same as one another", where="factor regression", expected="different ones")
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ (x.T @ y)
    scores = x * (y - x @ beta)[:, None]
    middle = scores.T @ scores
    for lag in range(1, min(lags, len(y) - 1) + 1):
        cross = scores[lag:].T @ scores[:-lag]
        middle += (1.0 - lag / (lags + 1.0)) * (cross + cross.T)
    return beta, inverse @ middle @ inverse


def universe_factors(replay: Replay) -> dict[str, np.ndarray]:
    """Factors made of the run's own universe, (T,) each: the market, and three styles where there are six symbols.

    ``market``: equal weight. ``momentum``: the return of the past 252 bars without the last 21; ``reversal``: minus
    that of the last 21; ``low_volatility``: minus the deviation of the past 252. A style is long the symbols with high
    values and short those with low ones, by ranks, gross 1, formed at each decision from the bars up to it and held
    from fill to fill, free of cost. They are not the factors of the literature, which are made of all stocks.
    """
    found = {"market": equal_weight(replay)}
    if len(replay.symbols) < FEWEST_SYMBOLS:
        return found
    moved, _ = universe_returns(replay)
    logs = pd.DataFrame(np.log1p(np.maximum(moved, -0.999999)))
    total = lambda bars: logs.rolling(bars, min_periods=bars * 3 // 4).sum()  # noqa: E731
    signals = {
        "momentum": total(YEAR - MONTH).shift(MONTH),
        "reversal": -total(MONTH),
        "low_volatility": -logs.rolling(YEAR, min_periods=YEAR * 3 // 4).std(),
    }
    for name, signal in signals.items():
        made = _long_short(replay, replay.at_decisions(signal.to_numpy()))
        if np.isfinite(made).any():
            found[name] = made
    return found


def _long_short(replay: Replay, signal: np.ndarray) -> np.ndarray:
    """Return of a book of ranks, NaN where fewer than six symbols can be ranked."""
    usable = np.isfinite(signal) & np.isfinite(replay.known)
    ranks = pd.DataFrame(np.where(usable, signal, np.nan)).rank(axis=1).to_numpy()
    counts = np.maximum(usable.sum(axis=1, keepdims=True), 1)
    mean = np.nan_to_num(ranks).sum(axis=1, keepdims=True) / counts
    centred = np.where(usable, np.nan_to_num(ranks) - mean, 0.0)
    gross = np.abs(centred).sum(axis=1, keepdims=True)
    weights = np.divide(centred, gross, out=np.zeros_like(centred), where=gross > 0)
    enough = (usable.sum(axis=1) >= FEWEST_SYMBOLS) & (gross[:, 0] > 0)
    return np.where(enough, (weights * np.nan_to_num(replay.known)).sum(axis=1), np.nan)
