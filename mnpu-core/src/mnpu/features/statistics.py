"""What a column of features is like: how much of it is there, how old its values are, how they are distributed.

Only cells count in which a decision could be made. Everything here describes the column alone; what it foretells is
measured in ``metrics.information``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnpu.data.compiled import compiled

__all__ = [
    "LAGS",
    "LEVELS",
    "Coverage",
    "Distribution",
    "Staleness",
    "autocorrelation",
    "coverage",
    "distribution",
    "staleness",
]

LAGS = (1, 5, 20)
LEVELS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
FAR = 5.0  #: Robust standard deviations from the median, beyond which a value is called extreme.
MIN_PAIRS = 20
PER_MAD = 1.4826  #: Standard deviations of a normal law in one median absolute deviation.


@dataclass(frozen=True)
class Coverage:
    """Share of the cells that have a value: over all, and by year, None where a year has no cell.

    ``first`` and ``last`` are the rows of the first and last value, None where there is none.
    """

    share: float
    by_year: dict[int, float | None]
    first: int | None
    last: int | None


@dataclass(frozen=True)
class Staleness:
    """Bars since the value last changed, 0 where it is new, over all cells with a value."""

    mean: float
    median: float
    p95: float
    most: int
    unchanged: float  #: Share of the cells whose value is that of the bar before.


@dataclass(frozen=True)
class Distribution:
    """Moments and quantiles over all cells with a value; float64 sums of float32 values.

    ``skew`` and ``kurtosis`` (3 for a normal law) are those of the sample, None where it does not vary. ``zeros`` and
    ``extremes`` are shares; an extreme lies more than five robust standard deviations (1.4826 times the median
    absolute deviation) from the median, None where that deviation is 0. ``commonest`` is the share of the value that
    is there most often.
    """

    n: int
    mean: float
    sd: float
    skew: float | None
    kurtosis: float | None
    quantiles: dict[float, float]
    zeros: float
    extremes: float | None
    commonest: float

    @property
    def varies(self) -> bool:
        """Whether the standard deviation is more than rounding."""
        return self.sd > 1e-12 * abs(self.mean) and self.sd > 0.0


def coverage(values: np.ndarray, cells: np.ndarray, years: np.ndarray) -> Coverage:
    """How much of a column (T, A) is there; ``years`` (T,) is that of each row."""
    there = cells & np.isfinite(values)
    rows, wanted = there.sum(axis=1), cells.sum(axis=1)
    by_year: dict[int, float | None] = {}
    for year in np.unique(years).tolist():
        own = years == year
        count = int(wanted[own].sum())
        by_year[year] = float(rows[own].sum() / count) if count else None
    known = np.flatnonzero(rows)
    span = (int(known[0]), int(known[-1])) if len(known) else (None, None)
    total = int(wanted.sum())
    return Coverage(float(rows.sum() / total) if total else 0.0, by_year, *span)


def staleness(values: np.ndarray, cells: np.ndarray) -> Staleness | None:
    """How long the values of a column (T, A) have stood; None where there is none.

    A missing bar between two equal values does not make the second one new.
    """
    from mnpu.features import statistics_loops as loops

    age = np.empty(values.shape, dtype=np.int32)
    compiled(loops.ages)(values, cells, age)
    known = age[age >= 0]
    if not len(known):
        return None
    half, most = np.percentile(known, [50, 95])
    return Staleness(float(known.mean()), float(half), float(most), int(known.max()), float(np.mean(known > 0)))


def distribution(values: np.ndarray, cells: np.ndarray) -> Distribution | None:
    """What the values of a column (T, A) are like; None where there is none."""
    known = np.sort(values[cells & np.isfinite(values)])
    n = len(known)
    if not n:
        return None
    wide = known.astype(float)
    mean = float(wide.mean())
    centred = wide - mean
    squares = centred * centred
    variance = float(squares.mean())
    sd = float(np.sqrt(variance * n / (n - 1))) if n > 1 else 0.0
    varies = sd > 1e-12 * abs(mean) and sd > 0.0
    median = float(wide[(n - 1) // 2] + wide[n // 2]) / 2
    spread = PER_MAD * float(np.median(np.abs(wide - median)))
    edges = np.flatnonzero(np.diff(known))
    runs = np.diff(np.concatenate([[-1], edges, [n - 1]]))
    return Distribution(
        n=n,
        mean=mean,
        sd=sd,
        skew=float((squares * centred).mean() / variance**1.5) if varies else None,
        kurtosis=float((squares * squares).mean() / variance**2) if varies else None,
        quantiles=dict(zip(LEVELS, _quantiles(wide), strict=True)),
        zeros=float(np.mean(known == 0.0)),
        extremes=float(np.mean(np.abs(wide - median) > FAR * spread)) if spread > 0 else None,
        commonest=float(runs.max() / n),
    )


def autocorrelation(values: np.ndarray, cells: np.ndarray, lags: Sequence[int] = LAGS) -> list[float | None]:
    """Correlation of a column (T, A) with itself some bars earlier: the mean over its symbols at each lag.

    ``r_k = mean((x_t - m)(x_{t-k} - m)) / mean((x_t - m)^2)`` with the symbol's own mean m, over the pairs of which
    both are known. None where no symbol has at least 20 pairs, or none varies.
    """
    from mnpu.features import statistics_loops as loops

    there = cells & np.isfinite(values)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, values, 0.0).sum(axis=0, dtype=float) / count
    found, pairs = np.empty((len(lags), values.shape[1])), np.empty((len(lags), values.shape[1]), dtype=np.int64)
    compiled(loops.autocorrelation)(values, cells, np.asarray(lags), mean, found, pairs)
    usable = np.isfinite(found) & (pairs >= MIN_PAIRS)
    return [float(r[use].mean()) if use.any() else None for r, use in zip(found, usable, strict=True)]


def _quantiles(ordered: np.ndarray) -> list[float]:
    """Those of ``LEVELS``, interpolated linearly between neighbours, of values in order."""
    at = np.asarray(LEVELS) * (len(ordered) - 1)
    return [float(q) for q in np.interp(at, np.arange(len(ordered)), ordered)]
