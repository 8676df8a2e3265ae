"""Four honesty gates: a run whose numbers do not depend on its forecasts, or whose features see the future, fails.

The first three look at the per-bar gross return series of the policy's positions before any guardrail:

* ``permuted``: forecasts shuffled over time within each symbol must change it;
* ``constant``: one forecast for every cell must change it, and so must one size for every cell with the sign kept;
* ``negated``: mirrored forecasts must flip the sign of its mean (long-only: of its mean active return against
  equal weight of the same gross exposure);
* ``future``: every feature, recomputed with everything after a decision replaced, must not change up to it.

They answer the question that most backtests never ask: would this number have been different with another model?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mnpu.features.leaks import future_perturbation
from mnpu.types import Forecast, GateOutcome, Panel, PolicyContext, Positions, SideTable

if TYPE_CHECKING:
    from mnpu.features.plan import PlannedFeature

__all__ = [
    "Trial",
    "all_equal",
    "constant",
    "future",
    "mirrored",
    "negated",
    "permuted",
    "same_size",
    "shuffled_within_symbol",
]

#: Two gross series closer than this, bar by bar, are the same series.
SAME = 1e-12


@dataclass(frozen=True)
class Trial:
    """How a forecast becomes a gross return series: the policy, what it may know, and what the market then did.

    ``gross_of`` maps positions to their per-bar gross returns, (T,).
    """

    policy: Callable[[Forecast, PolicyContext], Positions]
    context: PolicyContext
    gross_of: Callable[[Positions], np.ndarray]

    def positions(self, forecast: Forecast) -> Positions:
        """The policy's positions for ``forecast``, before guardrails."""
        return self.policy(forecast, self.context)

    def gross(self, forecast: Forecast) -> np.ndarray:
        """Per-bar gross returns of the policy on ``forecast``, (T,)."""
        return self.gross_of(self.positions(forecast))


def mirrored(forecast: Forecast) -> Forecast:
    """The forecast of minus the quantity: quantile q becomes minus quantile 1 - q."""
    return replace(forecast, quantiles=-forecast.quantiles[..., ::-1])


def shuffled_within_symbol(forecast: Forecast, rng: np.random.Generator) -> Forecast:
    """Each symbol's forecasts in a random order over the decisions at which it has one."""
    quantiles = forecast.quantiles.copy()
    available = forecast.available
    for a in range(quantiles.shape[1]):
        rows = np.flatnonzero(available[:, a])
        quantiles[rows, a] = quantiles[rng.permutation(rows), a]
    return replace(forecast, quantiles=quantiles)


def all_equal(forecast: Forecast) -> Forecast:
    """The mean distribution in every cell that has a forecast."""
    return _in_every_cell(forecast, _mean_cell(forecast), np.ones(forecast.quantiles.shape[:2], dtype=bool))


def same_size(forecast: Forecast) -> Forecast:
    """One distribution for every cell, mirrored where the cell's median is negative: the sign without the size."""
    cell = _mean_cell(forecast)
    middle = forecast.levels.index(0.5)
    cell = cell - cell[:, [middle]] + np.abs(forecast.median()[forecast.available]).mean()
    return _in_every_cell(forecast, cell, forecast.median() >= 0)


def _mean_cell(forecast: Forecast) -> np.ndarray:
    return forecast.quantiles[forecast.available].mean(axis=0)  # (H, Q)


def _in_every_cell(forecast: Forecast, cell: np.ndarray, upright: np.ndarray) -> Forecast:
    """``cell`` (H, Q) where ``upright`` (T, A), its mirror image elsewhere, NaN where there was no forecast."""
    filled = np.where(upright[..., None, None], cell, -cell[:, ::-1])
    return replace(forecast, quantiles=np.where(forecast.available[..., None, None], filled, np.nan))


def permuted(trial: Trial, forecast: Forecast, rng: np.random.Generator) -> GateOutcome:
    """Forecasts permuted within each symbol over time must change the gross series."""
    base, other = trial.gross(forecast), trial.gross(shuffled_within_symbol(forecast, rng))
    changed = _changed(base, other)
    detail = f"{changed:.1%} of bars change; mean gross per bar {_bps(base)} becomes {_bps(other)}"
    return GateOutcome("permuted", changed > 0, detail)


def constant(trial: Trial, forecast: Forecast) -> GateOutcome:
    """Constant forecasts, and forecasts of constant size, must change the gross series."""
    base = trial.gross(forecast)
    flat, sized = _changed(base, trial.gross(all_equal(forecast))), _changed(base, trial.gross(same_size(forecast)))
    detail = f"{flat:.1%} of bars change with one forecast for all, {sized:.1%} with one size for all"
    return GateOutcome("constant", flat > 0 and sized > 0, detail)


def negated(trial: Trial, forecast: Forecast, *, long_only: bool) -> GateOutcome:
    """Mirrored forecasts must flip the sign of the mean gross (long-only: mean active) return."""
    base, other = trial.positions(forecast), trial.positions(mirrored(forecast))
    what = "mean active return against equal weight" if long_only else "mean gross return"
    measure = _active if long_only else _plain
    before, after = float(np.mean(measure(trial, base))), float(np.mean(measure(trial, other)))
    flips = bool(before * after < 0)
    detail = f"{what} per bar {before * 1e4:+.3f} bps becomes {after * 1e4:+.3f} bps"
    return GateOutcome("negated", flips, detail)


def future(
    planned: Sequence[PlannedFeature], panel: Panel, side: SideTable, *, cuts: Sequence[int], rng: np.random.Generator
) -> GateOutcome:
    """No feature at or before a cut may change when everything after the cut is replaced."""
    leaks = future_perturbation(planned, panel, side, cuts=cuts, rng=rng)
    if leaks:
        return GateOutcome("future", False, f"{len(leaks)} leaks: {'; '.join(map(str, leaks[:3]))}")
    days = ", ".join(f"{panel.times[cut]:%Y-%m-%d}" for cut in cuts)
    return GateOutcome("future", True, f"{len(planned)} features unchanged at {len(cuts)} cuts ({days})")


def _plain(trial: Trial, positions: Positions) -> np.ndarray:
    return trial.gross_of(positions)


def _active(trial: Trial, positions: Positions) -> np.ndarray:
    """Gross return less that of an equal-weight book with the same gross exposure on the same decisions."""
    tradable = trial.context.tradable.astype(float)
    share = tradable / np.maximum(tradable.sum(axis=1, keepdims=True), 1)
    equal = share * np.abs(positions.weights).sum(axis=1, keepdims=True)
    return trial.gross_of(positions) - trial.gross_of(replace(positions, weights=equal))


def _changed(base: np.ndarray, other: np.ndarray) -> float:
    """Fraction of bars on which two gross series differ."""
    return float(np.mean(np.abs(base - other) > SAME))


def _bps(series: np.ndarray) -> str:
    return f"{float(np.mean(series)) * 1e4:+.3f} bps"
