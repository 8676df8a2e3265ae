"""The stationary bootstrap: resampled series that keep the dependence of the bars, and intervals made of them.

A resample strings together stretches of the series, taken round its end, whose lengths are geometric. Sources: Politis
and Romano (1994) for the bootstrap; Politis and White (2004), with the correction of Patton, Politis and White (2009),
for the mean length of a stretch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mnpu.errors import MnpuError
from mnpu.metrics import many
from mnpu.metrics.dependence import autocorrelations, influence_on_sharpe

__all__ = ["Interval", "block_length", "resampled", "stationary_bootstrap_interval"]

RESAMPLES = 2_000
LEVEL = 0.95
LEAST = 20  #: Bars.
CELLS = 2**20  #: Bars of resamples at a time.


@dataclass(frozen=True)
class Interval:
    """A number of a series with the interval that the bootstrap gives it, all three in ``unit``.

    ``block`` is the mean length of a stretch.
    """

    value: float
    low: float
    high: float
    level: float
    block: float
    resamples: int
    unit: str


def stationary_bootstrap_interval(
    returns: np.ndarray,
    *,
    of: Literal["sharpe_bar", "mean"] = "sharpe_bar",
    level: float = LEVEL,
    block: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Interval for the Sharpe ratio or the mean of returns that depend on one another, both per bar.

    Parameters
    ----------
    returns : float64 ndarray (T,)
        At least 20.
    of : {"sharpe_bar", "mean"}
        Times ``sqrt(q)``, or q, the ends are those of the annualised number.
    level : float, default=0.95
        Share of the resamples inside; as many lie above as below.
    block : float, optional
        Mean length of a stretch; without it that of `block_length` for what each bar adds to the number.
    resamples : int, default=2000
    seed : int, default=0

    Raises
    ------
    MnpuError
        Too few bars, one that is not finite, or returns that do not vary.
    """
    returns = np.asarray(returns, dtype=np.float64)
    if returns.ndim != 1 or len(returns) < LEAST or not np.isfinite(returns).all():
        raise MnpuError(
            f"returns of shape {returns.shape} cannot be resampled", expected=f"{LEAST} finite ones or more"
        )
    whole = many.moments(returns)
    if not whole.deviation > many.FLAT:
        raise MnpuError("the returns do not vary", expected="some that do", next_step="They have no interval.")
    statistic = many.sharpe_bar if of == "sharpe_bar" else _mean
    if block is None:
        block = block_length(influence_on_sharpe(returns) if of == "sharpe_bar" else returns)
    parts = resampled(len(returns), block=block, resamples=resamples, seed=seed)
    drawn = np.concatenate([statistic(many.moments(returns[rows])) for rows in parts])
    low, high = np.nanquantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    unit = "ratio per bar" if of == "sharpe_bar" else "fraction per bar"
    return Interval(float(statistic(whole)), float(low), float(high), level, block, resamples, unit)


def resampled(n: int, *, block: float, resamples: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Bars of each resample of n bars, int64 (R, n) in parts: stretches of mean length ``block``, at least 1."""
    rng = np.random.default_rng(seed)
    place = np.arange(n)
    step = max(1, CELLS // n)
    for first in range(0, resamples, step):
        shape = (min(step, resamples - first), n)
        begins = rng.random(shape) < 1.0 / max(block, 1.0)
        begins[:, 0] = True
        start = np.maximum.accumulate(np.where(begins, place, 0), axis=1)  # where the stretch of each bar begins
        source = np.take_along_axis(rng.integers(0, n, shape), start, axis=1)
        yield (source + place - start) % n


def block_length(values: np.ndarray) -> float:
    """Mean length of a stretch that estimates the variance of the mean of a series (N,) best; at least 1.

    Notes
    -----
    ``(2 G^2 / D)^(1/3) N^(1/3)`` with G the sum of ``|k| gamma_k`` and D twice the square of the sum of the
    autocovariances ``gamma_k``, both through a flat-top window as wide as twice the first lag from which five (or more)
    autocorrelations in a row are within ``2 sqrt(log10(N) / N)``. At most the smaller of ``3 sqrt(N)`` and ``N / 3``.
    """
    n = len(values)
    run = max(5, int(np.sqrt(np.log10(n))))  # 5, for any series that there is
    most = int(np.ceil(np.sqrt(n))) + run
    rho = autocorrelations(values, lags=min(most, n - 1))
    if not np.isfinite(rho).all():
        return 1.0
    small = np.abs(rho) < 2.0 * np.sqrt(np.log10(n) / n)
    runs = [lag for lag in range(1, len(rho) - run + 2) if small[lag - 1 : lag - 1 + run].all()]
    width = min(2 * runs[0], len(rho)) if runs else len(rho)
    lags = np.arange(1, width + 1)
    window = np.minimum(1.0, 2.0 * (1.0 - lags / width)) * rho[:width]
    total, first = 1.0 + 2.0 * window.sum(), 2.0 * (lags * window).sum()
    if total == 0.0:
        return 1.0
    length = (first**2 / total**2 * n) ** (1.0 / 3.0)
    return float(min(max(length, 1.0), np.ceil(min(3.0 * np.sqrt(n), n / 3.0))))


def _mean(of: many.Moments) -> np.ndarray:
    return of.mean
