"""Metrics of a whole predictive distribution: how near it is to what came, and whether it is as wide as it says.

A forecast gives a few quantiles; between them, and beyond the outermost, its quantile function is taken to be a
straight line in the standard normal quantile of the level: exact for a normal law, close for what lies near one, and
for a point, whose quantiles are one number, a step at that number. The continuous ranked probability score is then
twice the mean pinball loss over `GRID` evenly spaced levels.

Cells without a forecast or without a known outcome are left out. Sources: Gneiting and Raftery (2007), equations 21 and
43; Laio and Tamea (2007) for the score as an integral over levels; Dawid (1984) for the probability integral transform.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np

from mnpu.metrics.forecast import NO_OUTCOMES
from mnpu.types import Forecast, Metric

__all__ = ["GRID", "crps", "crps_of", "distance_from_uniform", "interval_score", "pit", "pit_ks", "pit_of"]

GRID = 200  #: Levels 0.0025, 0.0075, ..., 0.9975 of the dense grid.
CHUNK = 50_000  #: Cells at a time, so that the grid stays small in memory.

_NORMAL = NormalDist()
_MIDDLES = (np.arange(GRID) + 0.5) / GRID


def crps(forecast: Forecast, labels: np.ndarray) -> Metric:
    """Mean continuous ranked probability score over cells and horizons, in units of the outcome.

    Parameters
    ----------
    forecast : Forecast
    labels : float64 ndarray (T, A, H)
    """
    cells = forecast.available & np.isfinite(labels).all(axis=2)
    if not cells.any():
        return Metric("crps", None, "return", reason=NO_OUTCOMES)
    quantiles, outcomes = forecast.quantiles[cells], labels[cells]  # (N, H, Q), (N, H)
    of_all = crps_of(quantiles.reshape(-1, quantiles.shape[-1]), outcomes.ravel(), forecast.levels)
    return Metric("crps", float(of_all.mean()), "return")


def crps_of(quantiles: np.ndarray, outcomes: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """The score of each of N forecasts, (N,), from quantiles (N, Q) at ``levels`` (Q,) and outcomes (N,).

    Notes
    -----
    A point forecast has the absolute error. With one level, the median, the forecast is a point.
    """
    weights = _interpolation(levels)  # (Q, GRID)
    found = np.empty(len(outcomes))
    for first in range(0, len(outcomes), CHUNK):
        rows = slice(first, first + CHUNK)
        error = outcomes[rows, None] - quantiles[rows] @ weights  # (n, GRID)
        found[rows] = 2.0 * np.maximum(_MIDDLES * error, (_MIDDLES - 1.0) * error).mean(axis=1)
    return found


def pit_ks(forecast: Forecast, labels: np.ndarray) -> Metric:
    """Largest distance of the probability integral transforms from the uniform law, first horizon.

    Notes
    -----
    The statistic of Kolmogorov and Smirnov:
    0 for a calibrated forecast, 1 at the worst; for n independent outcomes it is below ``1.36 / sqrt(n)`` in 95 of 100
    cases. Outcomes that overlap, or of symbols that move together, are worth fewer.
    """
    values = pit(forecast, labels)
    if not len(values):
        return Metric("pit_ks", None, "fraction", reason=NO_OUTCOMES)
    return Metric("pit_ks", distance_from_uniform(values), "fraction")


def distance_from_uniform(values: np.ndarray) -> float:
    """Largest distance of the distribution of ``values`` (N,) in [0, 1] from the uniform one."""
    ordered, steps = np.sort(values), np.arange(len(values) + 1) / len(values)
    return float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))


def pit(forecast: Forecast, labels: np.ndarray, horizon: int = 0) -> np.ndarray:
    """Probability integral transform of every known outcome of one horizon, (N,): where in its forecast it fell.

    Parameters
    ----------
    forecast : Forecast
    labels : float64 ndarray (T, A, H)
    horizon : int, default=0
        Position among the horizons.
    """
    quantiles, outcome = forecast.quantiles[:, :, horizon], labels[:, :, horizon]
    cells = np.isfinite(quantiles).all(axis=-1) & np.isfinite(outcome)
    return pit_of(quantiles[cells], outcome[cells], forecast.levels)


def pit_of(quantiles: np.ndarray, outcomes: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """The probability that each of N forecasts gave to at most its outcome, (N,), from quantiles (N, Q)."""
    z = np.array([_NORMAL.inv_cdf(level) for level in levels])
    if len(z) == 1:
        quantiles, z = np.repeat(quantiles, 2, axis=1), np.array([-1.0, 1.0])
    upper = np.clip((quantiles <= outcomes[:, None]).sum(axis=1), 1, len(z) - 1)  # of the piece that holds the outcome
    rows = np.arange(len(outcomes))
    low, high = quantiles[rows, upper - 1], quantiles[rows, upper]
    width = high - low
    share = np.divide(outcomes - low, width, out=np.full(len(outcomes), np.inf), where=width > 0)
    share = np.where((width <= 0) & (outcomes < low), -np.inf, share)  # a step: all or nothing
    return _normal_cdf(z[upper - 1] + share * (z[upper] - z[upper - 1]))


def interval_score(forecast: Forecast, labels: np.ndarray) -> dict[str, Metric]:
    """Mean interval score (Winkler) of each central interval, first horizon: ``interval_score_0.90`` of the 90 % one.

    Notes
    -----
    ``width + 2 / alpha * distance of an outcome outside``, with alpha what the interval leaves out; smallest in
    expectation for the true quantiles.
    """
    outcome = labels[:, :, 0]
    cells = forecast.available & np.isfinite(outcome)
    y = outcome[cells]
    found = {}
    for i, level in enumerate(forecast.levels):
        if level >= 0.5:
            break
        name = f"interval_score_{1 - 2 * level:.2f}"
        low, high = forecast.quantiles[:, :, 0, i][cells], forecast.quantiles[:, :, 0, -1 - i][cells]
        outside = np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0)
        score = float((high - low + outside / level).mean()) if len(y) else None  # alpha is twice the level
        found[name] = Metric(name, score, "return", reason="" if len(y) else NO_OUTCOMES)
    return found


def _interpolation(levels: tuple[float, ...]) -> np.ndarray:
    """Weights (Q, GRID) that take quantiles at ``levels`` to those at the levels of the dense grid."""
    z = np.array([_NORMAL.inv_cdf(level) for level in levels])
    if len(z) == 1:
        return np.ones((1, GRID))
    wanted = np.array([_NORMAL.inv_cdf(level) for level in _MIDDLES])
    upper = np.clip(np.searchsorted(z, wanted), 1, len(z) - 1)
    share = (wanted - z[upper - 1]) / (z[upper] - z[upper - 1])  # outside 0 and 1 beyond the outermost levels
    weights = np.zeros((len(z), GRID))
    weights[upper - 1, np.arange(GRID)], weights[upper, np.arange(GRID)] = 1.0 - share, share
    return weights


def _normal_cdf(z: np.ndarray) -> np.ndarray:
    """The standard normal distribution function; infinite arguments give 0 and 1.

    numpy has no error function; a table on a fine grid, read with a straight line, is good to 1e-8.
    """
    return np.interp(z, *_table())


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    grid = np.linspace(-9.0, 9.0, 72_001)
    return grid, np.array([_NORMAL.cdf(x) for x in grid])
