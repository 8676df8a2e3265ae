"""Four honesty gates: a run whose numbers do not depend on its forecasts, or whose features see the future, fails.

The first three look at the per-bar gross return series of the policy's positions before any guardrail:

* ``permuted``: forecasts shuffled over time within each symbol must change it;
* ``constant``: one forecast for every cell must change it, and so must one size for every cell with the sign kept;
* ``negated``: mirrored forecasts must flip the sign of its mean (long-only: of its mean active return against
  equal weight of the same mean gross exposure, so that a bet on when to be invested counts too);
* ``future``: every feature, recomputed with everything after a decision replaced, must not change up to it; nor must
  the policy's positions, which are decided on whole arrays and could look ahead in them.

They answer the question that most backtests never ask: would this number have been different with another model?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mnpu.features.leaks import (
    AHEAD,
    choose_cuts,
    choose_nearby,
    future_perturbation,
    longest_warmup,
    nearby,
    remembered,
)
from mnpu.types import Forecast, GateOutcome, Panel, PolicyContext, Positions, SideTable

if TYPE_CHECKING:
    from mnpu.assembly import Parts
    from mnpu.features.plan import PlannedFeature
    from mnpu.pipeline import Prepared

__all__ = [
    "Trial",
    "all_equal",
    "constant",
    "foresight",
    "future",
    "mirrored",
    "negated",
    "permuted",
    "same_size",
    "shuffled_within_symbol",
    "unforeseen",
]

#: How many instants the future is replaced after, in the gate on features.
CUTS = 10

#: How many more at random, on a short stretch of bars each, beside those that the calendar and large moves suggest.
NEARBY = 20

#: Two gross series closer than this, bar by bar, are the same series.
SAME = 1e-12

#: Scores closer than this are ties, here as in the policies.
TIE = 1e-6


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
    classes, edges = forecast.probabilities, forecast.thresholds  # from down to up: turning them round is the mirror
    return replace(
        forecast,
        quantiles=-forecast.quantiles[..., ::-1],
        probabilities=None if classes is None else classes[..., ::-1],
        thresholds=None if edges is None else -edges[..., ::-1],
    )


def shuffled_within_symbol(forecast: Forecast, rng: np.random.Generator) -> Forecast:
    """Each symbol's forecasts in a random order over the decisions at which it has one."""
    said = {name: values.copy() for name, values in _said(forecast).items()}
    available = forecast.available
    for a in range(available.shape[1]):
        rows = np.flatnonzero(available[:, a])
        taken = rng.permutation(rows)
        for values in said.values():  # all that was said of a decision moves together
            values[rows, a] = values[taken, a]
    return replace(forecast, **said)


def all_equal(forecast: Forecast) -> Forecast:
    """The mean distribution, class probabilities and evidence in every cell that has a forecast."""
    every = {name: np.broadcast_to(_mean(forecast, values), values.shape) for name, values in _said(forecast).items()}
    return _available_only(forecast, **every)


def same_size(forecast: Forecast) -> Forecast:
    """One distribution for every cell, mirrored where the cell's median is negative: the sign without the size.

    The sign of class probabilities is their own: whether up is likelier than down. Evidence has no sign.
    """
    cell, median = _mean(forecast, forecast.quantiles), forecast.median()
    middle = forecast.levels.index(0.5)
    cell = cell - cell[:, [middle]] + np.abs(median[forecast.available]).mean()
    sized = np.where((median >= 0)[..., None, None], cell, -cell[:, ::-1])
    # A median that counts as a tie with zero has no sign to keep; to give it one would be another change.
    undecided = (np.abs(median) <= TIE)[..., None, None]
    made = {"quantiles": np.where(undecided, forecast.quantiles, sized)}
    if forecast.probabilities is not None:
        made["probabilities"] = _same_lean(forecast, forecast.probabilities)
    if forecast.evidence is not None:
        made["evidence"] = np.broadcast_to(_mean(forecast, forecast.evidence), forecast.evidence.shape)
    return _available_only(forecast, **made)


def _same_lean(forecast: Forecast, probabilities: np.ndarray) -> np.ndarray:
    """One set of probabilities (T, A, H, C), turned round where down is likelier than up; ties stay as they are."""
    lean = (probabilities[..., -1] - probabilities[..., 0])[..., None]  # (T, A, H, 1)
    cell = _mean(forecast, np.where(lean >= 0, probabilities, probabilities[..., ::-1]))  # (H, C)
    sized = np.where(lean >= 0, cell, cell[:, ::-1])
    return np.where(np.abs(lean) <= TIE, probabilities, sized)


def _said(forecast: Forecast) -> dict[str, Any]:
    """Every array of a forecast that says something of a decision and a symbol, (T, A, ...)."""
    arrays = {name: getattr(forecast, name) for name in ("quantiles", "probabilities", "evidence")}
    return {name: values for name, values in arrays.items() if values is not None}


def _mean(forecast: Forecast, values: np.ndarray) -> np.ndarray:
    """The mean of ``values`` (T, A, ...) over the cells that have a forecast."""
    return np.asarray(values[forecast.available].mean(axis=0))


def _available_only(forecast: Forecast, **said: np.ndarray) -> Forecast:
    """The forecast with other arrays (T, A, ...), NaN where it has none."""
    there = forecast.available

    def kept(values: np.ndarray) -> np.ndarray:
        return np.where(there.reshape(*there.shape, *[1] * (values.ndim - 2)), values, np.nan)

    changed: dict[str, Any] = {name: kept(values) for name, values in said.items()}
    return replace(forecast, **changed)


def permuted(trial: Trial, forecast: Forecast, rng: np.random.Generator) -> GateOutcome:
    """Forecasts permuted within each symbol over time must change the gross series."""
    base, other = trial.gross(forecast), trial.gross(shuffled_within_symbol(forecast, rng))
    changed = _changed(base, other)
    detail = f"{changed:.1%} of bars change; mean gross per bar {_bps(base)} becomes {_bps(other)}"
    return GateOutcome("permuted", changed > 0, detail)


def constant(trial: Trial, forecast: Forecast) -> GateOutcome:
    """Constant forecasts, and forecasts of constant size, must change the gross series."""
    if not forecast.available.any():
        return GateOutcome("constant", False, "there is no forecast")
    base = trial.gross(forecast)
    flat, sized = _changed(base, trial.gross(all_equal(forecast))), _changed(base, trial.gross(same_size(forecast)))
    detail = f"{flat:.1%} of bars change with one forecast for all, {sized:.1%} with one size for all"
    return GateOutcome("constant", flat > 0 and sized > 0, detail)


def negated(trial: Trial, forecast: Forecast, *, long_only: bool) -> GateOutcome:
    """Mirrored forecasts must flip the sign of the mean gross (long-only: mean active) return."""
    base, other = trial.positions(forecast), trial.positions(mirrored(forecast))
    before, after = trial.gross_of(base), trial.gross_of(other)
    if long_only:
        invested = (np.abs(base.weights) + np.abs(other.weights)).sum(axis=1) > 0
        before, after = before - _equal_weight(trial, base, invested), after - _equal_weight(trial, other, invested)
    flips = bool(np.mean(before) * np.mean(after) < 0)
    what = "mean active return against equal weight" if long_only else "mean gross return"
    return GateOutcome("negated", flips, f"{what} per bar {_bps(before)} becomes {_bps(after)}")


def future(
    planned: Sequence[PlannedFeature],
    panel: Panel,
    side: SideTable,
    *,
    cuts: Sequence[int],
    near: Sequence[int] = (),
    rng: np.random.Generator,
) -> GateOutcome:
    """No feature at or before a cut may change when everything after the cut is replaced.

    Everything up to the end is recomputed for each of ``cuts``, a short stretch of bars for each of the many ``near``.
    """
    leaks = [*future_perturbation(planned, panel, side, cuts=cuts, rng=rng)]
    leaks += nearby(planned, panel, side, cuts=near, rng=rng)
    if leaks:
        return GateOutcome("future", False, f"{len(leaks)} leaks: {'; '.join(map(str, leaks[:3]))}")
    if deaf := remembered(planned, panel, side, rng=rng):
        what = "do not change when all data that they read is replaced, so nothing can be said of the future"
        return GateOutcome("future", False, f"{', '.join(deaf)} {what}")
    days = ", ".join(f"{panel.times[cut]:%Y-%m-%d}" for cut in cuts)
    nearly = f", and around {len(near)} more" if near else ""
    return GateOutcome("future", True, f"{len(planned)} features unchanged at {len(cuts)} cuts ({days}){nearly}")


def foresight(trial: Trial, forecast: Forecast, *, cuts: Sequence[int], rng: np.random.Generator) -> str:
    """Where the policy's positions change although only what came after them did; empty where they do not.

    Forecasts, returns and tradability after each cut are replaced by noise, on the rows around it that the policy
    looks back over.
    """
    reach = max(int(getattr(trial.policy, "lookback", 1)), 1)
    for cut in cuts:
        rows = slice(max(cut - reach, 0), cut + 1 + AHEAD)
        row, known, seen = cut - rows.start, _cut_context(trial.context, rows), forecast.rows(rows.start, rows.stop)
        before, after = trial.policy(seen, known), trial.policy(*_with_noise_after(seen, known, row, rng))
        same = np.array_equal(before.weights[: row + 1], after.weights[: row + 1], equal_nan=True)
        if not same or not np.array_equal(before.rebalance[: row + 1], after.rebalance[: row + 1]):
            when = f"{trial.context.times[cut]:%Y-%m-%d %H:%M}"
            return f"the policy's positions up to {when} change when forecasts and returns after it are replaced"
    return ""


def unforeseen(
    parts: Parts, prepared: Prepared, trial: Trial, forecast: Forecast, rng: np.random.Generator
) -> GateOutcome:
    """The gate on the future: no feature sees it over the whole panel, and no position over the evaluated rows."""
    panel, side = prepared.panel, prepared.side
    warmup = longest_warmup(parts.planned)
    near = choose_nearby(panel, warmup=warmup, random=NEARBY, rng=rng)
    evaluated = choose_nearby(panel, warmup=1, random=NEARBY, rng=rng, rows=prepared.rows)
    of_features = future(
        parts.planned, panel, side, cuts=choose_cuts(panel, side, count=CUTS, rng=rng), near=near, rng=rng
    )
    seen = foresight(trial, forecast, cuts=evaluated, rng=rng)
    if not seen:
        return of_features
    return replace(of_features, passed=False, detail=seen if of_features.passed else f"{of_features.detail}; {seen}")


def _cut_context(context: PolicyContext, rows: slice) -> PolicyContext:
    return replace(context, times=context.times[rows], returns=context.returns[rows], tradable=context.tradable[rows])


def _with_noise_after(
    forecast: Forecast, context: PolicyContext, row: int, rng: np.random.Generator
) -> tuple[Forecast, PolicyContext]:
    said = {name: values.copy() for name, values in _said(forecast).items()}
    quantiles, returns, tradable = said["quantiles"], context.returns.copy(), context.tradable.copy()
    later = slice(row + 1, None)
    quantiles[later] = np.sort(0.02 * rng.standard_normal(quantiles[later].shape), axis=-1)
    returns[later] = 0.02 * rng.standard_normal(returns[later].shape)
    tradable[later] = rng.random(tradable[later].shape) < 0.5
    if "probabilities" in said:
        drawn = rng.exponential(size=said["probabilities"][later].shape)
        said["probabilities"][later] = drawn / drawn.sum(axis=-1, keepdims=True)
    if "evidence" in said:
        said["evidence"][later] = 3.0 + 100.0 * rng.random(said["evidence"][later].shape)
    return replace(forecast, **said), replace(context, returns=returns, tradable=tradable)


def _equal_weight(trial: Trial, positions: Positions, invested: np.ndarray) -> np.ndarray:
    """Gross return of equal weights on the ``invested`` rows (T,), with the mean gross exposure of ``positions``."""
    tradable = trial.context.tradable & invested[:, None]
    share = tradable / np.maximum(tradable.sum(axis=1, keepdims=True), 1)
    level = np.abs(positions.weights[invested]).sum(axis=1).mean() if invested.any() else 0.0
    return trial.gross_of(replace(positions, weights=share * level))


def _changed(base: np.ndarray, other: np.ndarray) -> float:
    """Fraction of bars on which two gross series differ."""
    return float(np.mean(np.abs(base - other) > SAME))


def _bps(series: np.ndarray) -> str:
    return f"{float(np.mean(series)) * 1e4:+.3f} bps"
