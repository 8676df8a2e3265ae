"""Whether forecasts keep their word in every regime: calibration measured on the decisions of each one alone.

A forecast that is right on average may be too narrow in a storm and too wide in a calm. The numbers are those of
``metrics.forecast``, ``metrics.distribution`` and ``metrics.classes``, of fewer decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mnpu.errors import MnpuError
from mnpu.metrics.classes import Reliability, class_metrics, reliability
from mnpu.metrics.distribution import crps, interval_score, pit_ks
from mnpu.metrics.forecast import coverage, pinball
from mnpu.types import Forecast, Metric

__all__ = ["RegimeReliability", "reliability_by_regime"]


@dataclass(frozen=True)
class RegimeReliability:
    """How forecasts kept their word in one regime.

    Attributes
    ----------
    regime : str
    decisions : int
        Of the regime, with or without a forecast.
    cells : int
        Forecasts with a known outcome, first horizon.
    metrics : dict of str to Metric
        ``coverage_*``, ``interval_score_*``, ``pit_ks``, ``crps``, ``pinball``, ``brier``, ``nll_dirichlet``, ``ece``.
    classes : Reliability or None
        What was said and what came, by bins, where the forecast names classes.
    """

    regime: str
    decisions: int
    cells: int
    metrics: dict[str, Metric]
    classes: Reliability | None


def reliability_by_regime(
    forecast: Forecast, labels: np.ndarray, regimes: Sequence[object] | np.ndarray
) -> dict[str, RegimeReliability]:
    """Calibration and scores of a forecast in each regime.

    Parameters
    ----------
    forecast : Forecast
    labels : float64 ndarray (T, A, H)
        NaN where unknown.
    regimes : sequence (T,)
        The regime of each decision, known at it: a name or a number. None, NaN and the empty text are no regime, and
        their decisions are left out.

    Returns
    -------
    reliability : dict of str to RegimeReliability
        In the order of the names; numbers in their own order.

    Raises
    ------
    MnpuError
        There are not as many regimes as decisions.
    """
    if len(regimes) != len(forecast.times):
        raise MnpuError(f"{len(regimes)} regimes for {len(forecast.times)} decisions", expected="one for each decision")
    of = np.array([_name(regime) for regime in regimes], dtype=object)
    named = {name for name in of if name}
    found = {}
    for name in sorted(named, key=_order):
        rows = np.flatnonzero(of == name)
        part, outcome = _rows(forecast, rows), labels[rows]
        metrics = [
            *coverage(part, outcome).values(),
            *interval_score(part, outcome).values(),
            pit_ks(part, outcome),
            crps(part, outcome),
            pinball(part, outcome),
            *class_metrics(part, outcome),
        ]
        known = np.isfinite(part.quantiles[:, :, 0]).all(axis=-1) & np.isfinite(outcome[:, :, 0])
        by_name = {metric.name: metric for metric in metrics}
        found[name] = RegimeReliability(name, len(rows), int(known.sum()), by_name, reliability(part, outcome))
    return found


def _rows(forecast: Forecast, rows: np.ndarray) -> Forecast:
    """The decisions of ``rows``, which need not be neighbours."""
    cut = lambda x: None if x is None else x[rows]  # noqa: E731
    return replace(
        forecast,
        times=forecast.times[rows],
        quantiles=forecast.quantiles[rows],
        probabilities=cut(forecast.probabilities),
        evidence=cut(forecast.evidence),
        thresholds=cut(forecast.thresholds),
        uncalibrated=None,
    )


def _name(regime: object) -> str:
    """The name of a regime; whole numbers without a point, what is missing as the empty text."""
    if regime is None or (isinstance(regime, (float, np.floating)) and not np.isfinite(regime)):
        return ""
    if isinstance(regime, (float, np.floating)) and float(regime).is_integer():
        return str(int(regime))
    return str(regime)


def _order(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
