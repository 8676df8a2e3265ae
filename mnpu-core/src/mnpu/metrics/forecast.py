"""Metrics of forecasts against what happened: skill, order, sharpness and calibration.

Cells without a forecast or without a known outcome are left out everywhere. Sources: Koenker and Bassett (1978) for
the pinball loss, Gneiting and Raftery (2007) for scoring.
"""

from __future__ import annotations

import numpy as np

from mnpu.metrics.dependence import newey_west_lags, newey_west_se
from mnpu.types import Forecast, Metric

__all__ = [
    "coverage",
    "hit_rate",
    "information_coefficient",
    "pinball",
    "rank_information_coefficient",
    "t_of",
]

MIN_CROSS_SECTION = 3  #: With two symbols a correlation is always plus or minus one.
NO_OUTCOMES = "no forecast has a known outcome"


def hit_rate(forecast: Forecast, labels: np.ndarray) -> tuple[Metric, Metric]:
    """How often the sign of the median of the first horizon is right, and the base rate.

    Parameters
    ----------
    forecast : Forecast
    labels : float64 ndarray (T, A, H)

    Returns
    -------
    hit_rate, hit_rate_base : Metric
        The base rate is that of always naming the more frequent sign, on the same cells. Outcomes and medians of
        exactly zero have no sign and are left out.
    """
    median, outcome = forecast.median(), labels[:, :, 0]
    cells = forecast.available & np.isfinite(outcome) & (outcome != 0) & (median != 0)
    if not cells.any():
        known = (forecast.available & np.isfinite(outcome)).any()
        reason = "no forecast with a known outcome has a sign" if known else NO_OUTCOMES
        empty = [Metric(name, None, "fraction", reason=reason) for name in ("hit_rate", "hit_rate_base")]
        return empty[0], empty[1]
    right = float(np.mean(np.sign(median[cells]) == np.sign(outcome[cells])))
    up = float(np.mean(outcome[cells] > 0))
    return Metric("hit_rate", right, "fraction"), Metric("hit_rate_base", max(up, 1.0 - up), "fraction")


def information_coefficient(forecast: Forecast, labels: np.ndarray) -> Metric:
    """Mean over dates of the cross-sectional Pearson correlation of median and outcome, first horizon (``ic``)."""
    return _mean_correlation("ic", forecast, labels, ranked=False)


def rank_information_coefficient(forecast: Forecast, labels: np.ndarray) -> Metric:
    """Mean over dates of the cross-sectional Spearman correlation of median and outcome (``rank_ic``).

    Notes
    -----
    The standard error is Newey and West's, because outcomes over h bars overlap. A date counts with at least three
    symbols and neither side constant. Undefined for one or two symbols.
    """
    return _mean_correlation("rank_ic", forecast, labels, ranked=True)


def t_of(coefficient: Metric) -> Metric:
    """An information coefficient over its Newey-West error (``ic_t``, ``rank_ic_t``): lags of the overlap or more.

    Within 2 of zero there is no sign of skill. Where dates are few the error is itself uncertain, and the t too large:
    the intervals of ``mnpu features stats`` allow for that.
    """
    name, unit = f"{coefficient.name}_t", "t-statistic"
    if coefficient.value is None:
        return Metric(name, None, unit, reason=coefficient.reason)
    if not coefficient.se:
        return Metric(name, None, unit, reason="the coefficient is the same at every date")
    return Metric(name, coefficient.value / coefficient.se, unit)


def pinball(forecast: Forecast, labels: np.ndarray) -> Metric:
    """Mean pinball loss over cells, horizons and levels, in units of the outcome.

    Parameters
    ----------
    forecast : Forecast
    labels : float64 ndarray (T, A, H)
    """
    cells = forecast.available & np.isfinite(labels).all(axis=2)
    if not cells.any():
        return Metric("pinball", None, "return", reason=NO_OUTCOMES)
    levels = np.asarray(forecast.levels)
    error = labels[cells][:, :, None] - forecast.quantiles[cells]  # (N, H, Q)
    return Metric("pinball", float(np.mean(np.maximum(levels * error, (levels - 1.0) * error))), "return")


def coverage(forecast: Forecast, labels: np.ndarray) -> dict[str, Metric]:
    """Share of outcomes inside each central interval, first horizon: ``coverage_0.90`` should be 0.9.

    Parameters
    ----------
    forecast : Forecast
        Each pair of levels tau and 1 - tau is an interval, both ends included.
    labels : float64 ndarray (T, A, H)

    Returns
    -------
    coverage : dict of str to Metric
        Widest interval first.
    """
    outcome = labels[:, :, 0]
    cells = forecast.available & np.isfinite(outcome)
    result = {}
    for low, level in enumerate(forecast.levels):
        if level >= 0.5:
            break
        name = f"coverage_{1 - 2 * level:.2f}"
        high = len(forecast.levels) - 1 - low
        inside = (outcome >= forecast.quantiles[:, :, 0, low]) & (outcome <= forecast.quantiles[:, :, 0, high])
        value = float(np.mean(inside[cells])) if cells.any() else None
        result[name] = Metric(name, value, "fraction", reason="" if cells.any() else NO_OUTCOMES)
    return result


def _mean_correlation(name: str, forecast: Forecast, labels: np.ndarray, *, ranked: bool) -> Metric:
    if len(forecast.symbols) < MIN_CROSS_SECTION:
        reason = f"{len(forecast.symbols)} symbol(s) are no cross-section, at least {MIN_CROSS_SECTION} are needed"
        return Metric(name, None, "correlation", reason=reason)
    outcome = labels[:, :, 0]
    cells = forecast.available & np.isfinite(outcome)
    score = forecast.median()
    if ranked:
        score, outcome = _ranks(score, cells), _ranks(outcome, cells)
    by_date = _correlation_by_row(score, outcome, cells)
    by_date = by_date[np.isfinite(by_date)]
    if len(by_date) < 2:
        return Metric(name, None, "correlation", reason="fewer than two dates with a cross-section that varies")
    # Bartlett weights fade out, so the overlap alone would be too few lags: the usual rule of thumb is a floor.
    lags = max(forecast.horizons[0] - 1, newey_west_lags(len(by_date)))
    return Metric(name, float(by_date.mean()), "correlation", se=newey_west_se(by_date, lags=lags))


def _ranks(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Average ranks within each row (T, A): how many cells are below, plus half of those that tie."""
    ranks = np.full(values.shape, np.nan)
    for t in np.flatnonzero(cells.any(axis=1)):
        row, ordered = values[t, cells[t]], np.sort(values[t, cells[t]])
        ranks[t, cells[t]] = (np.searchsorted(ordered, row, "left") + np.searchsorted(ordered, row, "right")) / 2
    return ranks


def _correlation_by_row(x: np.ndarray, y: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Pearson correlation within each row over ``cells``, (T,); NaN for a small or constant cross-section."""
    count = np.maximum(cells.sum(axis=1, keepdims=True), 1)
    x, y = np.where(cells, x, 0.0), np.where(cells, y, 0.0)
    dx = np.where(cells, x - x.sum(axis=1, keepdims=True) / count, 0.0)
    dy = np.where(cells, y - y.sum(axis=1, keepdims=True) / count, 0.0)
    size_x, size_y = np.sqrt((dx**2).sum(axis=1)), np.sqrt((dy**2).sum(axis=1))
    # A constant forecast differs from its own mean by rounding; that is no order.
    scale_x, scale_y = np.abs(x).max(axis=1, initial=0.0), np.abs(y).max(axis=1, initial=0.0)
    enough = (cells.sum(axis=1) >= MIN_CROSS_SECTION) & (size_x > 1e-12 * scale_x) & (size_y > 1e-12 * scale_y)
    return np.divide((dx * dy).sum(axis=1), size_x * size_y, out=np.full(len(x), np.nan), where=enough)
