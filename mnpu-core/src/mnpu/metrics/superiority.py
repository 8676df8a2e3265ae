"""Whether the best of many strategies beats a benchmark, allowing for how many there are and how they move together.

White's reality check and Hansen's test of superior predictive ability, by one stationary bootstrap of all series at
once. Sources: White (2000), "A reality check for data snooping"; Hansen (2005), "A test for superior predictive
ability". We depart in the p-values, which count the data themselves as one resample and so are never zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnpu.errors import MnpuError
from mnpu.metrics.bootstrap import LEAST, block_length, resampled
from mnpu.metrics.many import FLAT

__all__ = ["Superiority", "superiority"]

RESAMPLES = 1_000


@dataclass(frozen=True)
class Superiority:
    """P-values of "none of the N strategies has a higher mean than the benchmark".

    Attributes
    ----------
    best : int
        The strategy with the largest studentised mean difference.
    statistic : float
        That difference over its error, or 0 where all are negative: Hansen's.
    p_lower, p_consistent, p_upper : float
        Superior predictive ability: poor strategies taken for as good as the benchmark never, where they are clearly
        worse, always. ``p_consistent`` is the one to read, the others bound it.
    p_reality_check : float
        White's: differences as they are, all strategies counted.
    block : float
        Mean length of the stretches that were resampled.
    resamples : int
    """

    best: int
    statistic: float
    p_lower: float
    p_consistent: float
    p_upper: float
    p_reality_check: float
    block: float
    resamples: int


def superiority(
    returns: np.ndarray,
    benchmark: np.ndarray | float = 0.0,
    *,
    block: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Superiority:
    """Test the best of N strategies against a benchmark by mean return per bar.

    Parameters
    ----------
    returns : float64 ndarray (N, T)
        All strategies that were tried, on the same bars, at least 20.
    benchmark : float64 ndarray (T,) or float, default=0.0
    block : float, optional
        Mean length of a stretch; without it the median over the strategies of what suits each.
    resamples : int, default=1000
    seed : int, default=0

    Raises
    ------
    MnpuError
        No strategies, too few bars, or a return that is not finite.
    """
    better = np.atleast_2d(np.asarray(returns, dtype=np.float64)) - benchmark
    n, bars = better.shape
    if not n or bars < LEAST or not np.isfinite(better).all():
        raise MnpuError(f"returns of shape {better.shape} cannot be tested", expected=f"{LEAST} finite bars or more")
    if block is None:
        block = float(np.median([block_length(series) for series in better]))
    mean = better.mean(axis=1)
    spread = _long_run_deviation(better - mean[:, None], block)
    varies = spread > FLAT
    scale = np.sqrt(bars) / np.where(varies, spread, np.inf)
    studentised = mean * scale
    poor = studentised < -np.sqrt(2.0 * np.log(np.log(bars)))
    centres = {"lower": np.maximum(mean, 0.0), "consistent": np.where(poor, 0.0, mean), "upper": mean}
    statistic = max(float(studentised.max()), 0.0)
    raw = float(mean.max())
    reached = dict.fromkeys((*centres, "check"), 1)
    for rows in resampled(bars, block=block, resamples=resamples, seed=seed):
        drawn = _means(better, rows)  # (R, N)
        for name, centre in centres.items():
            reached[name] += int(np.sum(np.maximum(((drawn - centre) * scale).max(axis=1), 0.0) >= statistic))
        reached["check"] += int(np.sum((drawn - mean).max(axis=1) >= raw))
    p = {name: count / (resamples + 1) for name, count in reached.items()}
    return Superiority(
        best=int(np.argmax(studentised)),
        statistic=statistic,
        p_lower=p["lower"],
        p_consistent=p["consistent"],
        p_upper=p["upper"],
        p_reality_check=p["check"],
        block=block,
        resamples=resamples,
    )


def _means(series: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean of each of N series (N, T) over each of R resamples (R, T) of its bars, (R, N)."""
    bars = series.shape[1]
    offset = np.arange(len(rows))[:, None] * bars
    times = np.bincount((rows + offset).ravel(), minlength=rows.size).reshape(rows.shape)  # how often each bar is drawn
    return times.astype(np.float64) @ series.T / bars


def _long_run_deviation(centred: np.ndarray, block: float) -> np.ndarray:
    """Square root of T times the variance that the bootstrap gives the mean of each series (N, T), in closed form.

    Politis and Romano (1994), lemma 1: autocovariances weighted by ``(1 - k/T) (1 - p)^k + k/T (1 - p)^(T - k)``.
    """
    bars = centred.shape[1]
    size = 1 << (2 * bars - 1).bit_length()
    stay = 1.0 - 1.0 / max(block, 1.0)
    lags = np.arange(bars)
    weights = (1.0 - lags / bars) * stay**lags + lags / bars * stay ** (bars - lags)
    weights[0] = 0.5  # the others count for both signs
    found = np.empty(len(centred))
    for i, series in enumerate(centred):
        spectrum = np.fft.rfft(series, size)
        covariance = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[:bars] / bars
        found[i] = 2.0 * (weights @ covariance)
    return np.sqrt(np.maximum(found, 0.0))
