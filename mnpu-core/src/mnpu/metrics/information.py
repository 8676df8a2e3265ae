"""The information coefficient of a column of numbers against what happened, and how sure it is.

Across symbols it is a correlation at each decision, as for forecasts (``ic``, ``rank_ic``). A column that is the same
for all symbols, or a panel of one or two of them, has no cross-section; what is left is the correlation over time.

Sources: Grinold (1989) for the coefficient; Newey and West (1987) for means of overlapping outcomes; Kiefer and
Vogelsang (2005), table 1, for critical values that allow for the noise in that error itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mnpu.data.compiled import compiled
from mnpu.metrics.dependence import newey_west_lags, newey_west_se
from mnpu.metrics.forecast import MIN_CROSS_SECTION

__all__ = [
    "MIN_BLOCKS",
    "MIN_DECISIONS",
    "Estimate",
    "by_decision",
    "interval",
    "lags_for",
    "mean_of",
    "outcome_order",
    "over_time",
]

MIN_DECISIONS = 20
MIN_BLOCKS = 5  #: Stretches of lags + 1 decisions: with fewer the error of the error is as large as itself.

#: 97.5 % point of the t-statistic with a Bartlett kernel of bandwidth b = (lags + 1) / n: a cubic in b.
FIXED_B = (1.9600, 2.9694, 0.4160, -0.5324)


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and its 95 % interval; each is None, with a ``reason``, where undefined.

    ``n`` counts decisions, ``lags`` those over which the error allows for dependence.
    """

    value: float | None
    se: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    lags: int = 0
    reason: str = ""

    @property
    def t(self) -> float | None:
        """The value over its standard error."""
        return None if self.value is None or not self.se else self.value / self.se

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval; False where there is none."""
        return self.low is not None and self.high is not None and not self.low <= 0.0 <= self.high


def lags_for(horizon: int, n: int) -> int:
    """Decisions over which overlap and habit make one coefficient like the next: twice the horizon or more.

    ``max(2 horizon, 4 (n / 100)^(2/9))``: Bartlett weights fade out, so lags of the overlap alone would see half of it.
    """
    return max(2 * horizon, newey_west_lags(n))


def mean_of(series: np.ndarray, *, horizon: int, nothing: str = "no decision has a value") -> Estimate:
    """Mean of a series by decision, NaN left out, with a Newey-West error and a fixed-b interval.

    Parameters
    ----------
    series : float64 ndarray (T,)
    horizon : int
        Bars of each outcome.
    nothing : str
        The reason, where all is NaN.
    """
    known = series[np.isfinite(series)]
    if not len(known):
        return Estimate(None, reason=nothing)
    return interval(float(known.mean()), known, horizon=horizon)


def outcome_order(outcome: np.ndarray) -> np.ndarray:
    """What `by_decision` needs of an outcome (T, A) for any number of columns: where each decision's cells sort to."""
    return np.argsort(outcome, axis=1, kind="stable")


def by_decision(
    values: np.ndarray, outcome: np.ndarray, cells: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``ic`` and ``rank_ic`` of a column at each decision, (T,) both.

    Parameters
    ----------
    values : ndarray (T, A)
    outcome : float64 ndarray (T, A)
    cells : bool ndarray (T, A)
        Cells that count, if both numbers are known.
    order : int64 ndarray (T, A)
        `outcome_order` of the outcome.

    Notes
    -----
    NaN: where fewer than three symbols have both, or where either does not differ between them.
    """
    from mnpu.metrics import information_loops as loops

    linear, ranked = np.empty(len(values)), np.empty(len(values))
    compiled(loops.by_decision)(values, outcome, cells, order, MIN_CROSS_SECTION, linear, ranked)
    return linear, ranked


def over_time(values: np.ndarray, outcome: np.ndarray, *, horizon: int, ranked: bool) -> Estimate:
    """Correlation over time of S series with their outcomes, (T, S) both: the mean over the series.

    Parameters
    ----------
    values, outcome : float64 ndarray (T, S)
        NaN where unknown.
    horizon : int
    ranked : bool
        Spearman, else Pearson.

    Notes
    -----
    The error is that of the mean of the influence of each decision on the correlation,
    ``z_x z_y - r (z_x^2 + z_y^2) / 2`` with z in standard deviations, Newey and West's as above. For ranks it is the
    error at no dependence, where the part that comes from estimating the ranks vanishes.
    """
    found, parts = [], np.full(values.shape, np.nan)
    for s in range(values.shape[1]):
        both = np.isfinite(values[:, s]) & np.isfinite(outcome[:, s])
        if both.sum() < 3:
            continue
        x, y = values[both, s].astype(float), outcome[both, s].astype(float)
        x, y = (_ranks(x), _ranks(y)) if ranked else (x, y)
        zx, zy = _standardised(x), _standardised(y)
        if zx is None or zy is None:
            continue
        r = float(np.mean(zx * zy))
        found.append(r)
        parts[both, s] = zx * zy - 0.5 * r * (zx**2 + zy**2)
    if not found:
        return Estimate(None, reason="it does not vary over time where the outcome is known")
    count = np.isfinite(parts).sum(axis=1)
    influence = np.nansum(parts, axis=1)[count > 0] / count[count > 0]
    return interval(float(np.mean(found)), influence, horizon=horizon)


def interval(value: float, influence: np.ndarray, *, horizon: int, beside: float = 0.0) -> Estimate:
    """A value with the error of the mean of ``influence`` (n,), what each decision adds to it, and its interval.

    ``beside`` is a standard error from elsewhere, such as that of random numbers, independent of the decisions.
    """
    n = len(influence)
    lags = lags_for(horizon, n)
    least = max(MIN_DECISIONS, MIN_BLOCKS * (lags + 1))
    if n < least:
        reason = f"{n} decisions are too few for an interval, at least {least} are needed at a horizon of {horizon}"
        return Estimate(value, n=n, lags=lags, reason=reason)
    se = float(np.hypot(newey_west_se(influence, lags=lags), beside))
    if not se > 0.0:
        return Estimate(value, n=n, lags=lags, reason="it does not vary between decisions")
    half = critical(n, lags) * se
    return Estimate(value, se, value - half, value + half, n, lags)


def critical(n: int, lags: int) -> float:
    """How many standard errors a 95 % interval reaches to each side; 1.96 for very many decisions."""
    b = (lags + 1) / n
    return sum(coefficient * b**power for power, coefficient in enumerate(FIXED_B))


def _standardised(values: np.ndarray) -> np.ndarray | None:
    centred = values - values.mean()
    spread = float(np.sqrt(np.mean(centred**2)))
    return centred / spread if spread > 1e-12 * float(np.abs(values).max()) else None


def _ranks(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Average ranks (N,): how many are below, plus half of those that tie."""
    ordered = np.sort(values)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2
