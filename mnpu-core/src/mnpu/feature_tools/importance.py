"""What a fitted network makes of each column: how much worse it gets when the column tells it nothing.

Permutation importance (Breiman, 2001; Fisher, Rudin and Dominici, 2019) for decisions in time: a column's values are
exchanged between blocks of test decisions and between symbols (see ``donors``), each fold's network, as it was fitted,
forecasts again, and the fall of the rank information coefficient, of the pinball loss and of the net Sharpe ratio is
reported. Nothing is fitted again, and no training row is touched. An adaptive calibration begins each test range with
what it knew in the run, and from there on follows the forecasts of the exchange and what came of them, as it would have
if the column had told nothing; a calibration that was fitted once stays as it was.

The error of a fall has two parts. What the test range happens to hold: Newey and West's error of the difference,
decision by decision, between the forecasts as they were and their mean over the repeats. And which exchanges were
drawn: the standard deviation over the repeats by the root of their number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mnpu import pipeline
from mnpu.accounts import account, guarded, market
from mnpu.feature_tools.donors import exchange
from mnpu.feature_tools.finished import Finished
from mnpu.metrics.information import Estimate, by_decision, interval, outcome_order
from mnpu.simulation.simulate import simulate
from mnpu.types import Forecast

__all__ = ["FALLS", "Importance", "Measured", "Measurer", "block_length", "importance"]

#: What falls, with its unit.
FALLS = {"rank_ic": "correlation", "pinball": "unit of the outcome", "sharpe": "ratio, annualised"}


@dataclass(frozen=True)
class Measured:
    """How good some forecasts are: numbers, and what each evaluated decision adds to them, (T',) each."""

    rank_ic: np.ndarray
    pinball: np.ndarray
    net: np.ndarray


@dataclass(frozen=True)
class Importance:
    """The fall of each measure when a group of columns tells nothing; positive where the columns helped.

    ``by_fold`` holds the same by the number of the fold, ``left_out`` the folds whose network has none of them.
    """

    name: str
    columns: tuple[str, ...]
    falls: dict[str, Estimate]
    by_fold: dict[str, list[float | None]]
    left_out: tuple[int, ...]


class Measurer:
    """Measures forecasts on the evaluated decisions of a run."""

    def __init__(self, finished: Finished) -> None:
        self.finished = finished
        prepared = finished.prepared
        self.first, self.stop = prepared.rows
        self.outcome = np.ascontiguousarray(prepared.labels.values[self.first : self.stop])  # (T', A, H)
        self.order = outcome_order(self.outcome[..., 0])
        self.periods_per_year = prepared.panel.periods_per_year

    def __call__(self, forecast: Forecast) -> Measured:
        """Rank IC and pinball loss by decision, and net returns of the judged strategy."""
        own = forecast.rows(self.first, self.stop)
        _, ranked = by_decision(
            np.ascontiguousarray(own.median()), np.ascontiguousarray(self.outcome[..., 0]), own.available, self.order
        )
        return Measured(ranked, self._pinball(own), self._net(forecast))

    def _pinball(self, forecast: Forecast) -> np.ndarray:
        """What each decision adds to the mean over all cells, so that the mean of these is that mean."""
        cells = forecast.available & np.isfinite(self.outcome).all(axis=2)
        levels = np.asarray(forecast.levels)
        error = self.outcome[..., None] - forecast.quantiles  # (T', A, H, Q)
        loss = np.maximum(levels * error, (levels - 1.0) * error).mean(axis=(2, 3))
        total = np.where(cells, loss, 0.0).sum(axis=1)
        return np.asarray(total * len(total) / max(int(cells.sum()), 1))

    def _net(self, forecast: Forecast) -> np.ndarray:
        finished = self.finished
        context = pipeline.decisions(finished.prepared, [forecast])
        context = replace(context, tradable=context.tradable & finished.everyone)
        positions = finished.parts.strategies[0].policy(forecast, context).rows(self.first, self.stop)
        parts, prepared = finished.parts, finished.prepared
        guards = guarded(parts, prepared, forecast)
        return simulate(positions, **market(prepared), **account(parts, prepared), **guards).net


def block_length(finished: Finished) -> int:
    """Decisions in a block: a window and an outcome together."""
    labels = finished.prepared.labels
    return int(finished.parts.config.model.lookback + labels.horizons[-1])


def importance(
    finished: Finished,
    groups: Sequence[tuple[str, Sequence[str]]],
    *,
    repeats: int,
    seed: int,
    base: Measured,
    block: int,
    quantiles: Sequence[np.ndarray],
    measurer: Measurer,
    each: Callable[[str], None] = lambda name: None,
) -> list[Importance]:
    """Exchange each group of columns and measure the fall.

    Parameters
    ----------
    finished : Finished
    groups : sequence of (name, columns)
    repeats : int
        Exchanges, the same ones for every group, so that groups are compared on equal terms.
    seed : int
        Every random number follows from it, the fold and the repeat.
    base : Measured
        Of the forecasts as they were.
    block : int
        Decisions in a block, at least.
    quantiles : sequence of float64 (N, H, Q)
        The forecasts as they were, by fold.
    measurer : Measurer
    each : callable
        Called with the name of a group at every repeat that is done.
    """
    drawn = [
        [
            exchange(
                inputs.time,
                inputs.symbol,
                block=block,
                rng=np.random.default_rng([seed, fold.number, repeat]),
                where=f"fold {fold.number + 1}",
            )
            for inputs, fold in zip(finished.inputs, finished.folds, strict=True)
        ]
        for repeat in range(repeats)
    ]
    found = []
    for name, columns in groups:
        measured = []
        for donors in drawn:
            pieces = []
            for k, inputs in enumerate(finished.inputs):
                own = [finished.names[k].index(column) for column in columns if column in finished.names[k]]
                pieces.append(inputs.quantiles(own, donors[k]) if own else quantiles[k])
            measured.append(measurer(finished.forecast(pieces)))
            each(name)
        found.append(_judged(finished, name, tuple(columns), base, measured, measurer))
    return found


def _judged(
    finished: Finished,
    name: str,
    columns: tuple[str, ...],
    base: Measured,
    measured: Sequence[Measured],
    measurer: Measurer,
) -> Importance:
    horizon, q = int(finished.prepared.labels.horizons[0]), measurer.periods_per_year
    whole = slice(0, measurer.stop - measurer.first)
    left_out = tuple(k for k, names in enumerate(finished.names) if not set(columns) & set(names))
    falls, by_fold = {}, {}
    if len(left_out) == len(finished.names):
        nothing = Estimate(None, reason="no network of the run has it")
        return Importance(name, columns, dict.fromkeys(FALLS, nothing), {}, left_out)
    for measure in FALLS:
        value, influence, repeated = _fall(measure, base, measured, whole, q)
        beside = float(np.std(repeated, ddof=1) / np.sqrt(len(repeated))) if len(repeated) > 1 else 0.0
        if value is None:
            falls[measure] = Estimate(None, reason=_why(measure))
        else:
            falls[measure] = interval(value, influence, horizon=horizon, beside=beside)
        by_fold[measure] = [
            None if k in left_out else _fall(measure, base, measured, _rows(fold.test, measurer), q)[0]
            for k, fold in enumerate(finished.folds)
        ]
    return Importance(name, columns, falls, by_fold, left_out)


def _rows(test: tuple[int, int], measurer: Measurer) -> slice:
    return slice(test[0] - measurer.first, min(test[1], measurer.stop) - measurer.first)


def _fall(
    measure: str, base: Measured, measured: Sequence[Measured], rows: slice, q: float
) -> tuple[float | None, np.ndarray, np.ndarray]:
    """The fall over some decisions, what each of them adds to it, and the fall of each repeat."""
    before = getattr(base, measure if measure != "sharpe" else "net")[rows]
    after = np.stack([getattr(m, measure if measure != "sharpe" else "net")[rows] for m in measured])  # (R, T')
    if measure == "sharpe":
        return _fall_of_sharpe(before, after, q)
    sign = 1.0 if measure == "rank_ic" else -1.0  # a loss that rises is a fall
    difference = sign * (before - after)
    known = np.isfinite(difference).all(axis=0)
    if not known.any():
        return None, np.zeros(0), np.zeros(0)
    influence = difference[:, known].mean(axis=0)
    return float(influence.mean()), influence, difference[:, known].mean(axis=1)


def _fall_of_sharpe(before: np.ndarray, after: np.ndarray, q: float) -> tuple[float | None, np.ndarray, np.ndarray]:
    """Difference of two Sharpe ratios, with what each return adds to it (Ledoit and Wolf, 2008)."""
    parts = [_sharpe(series, q) for series in (before, *after)]
    if any(part is None for part in parts) or len(before) < 3:
        return None, np.zeros(0), np.zeros(0)
    ratios = np.array([part[0] for part in parts if part is not None])
    influence = np.stack([part[1] for part in parts if part is not None])
    repeated = ratios[0] - ratios[1:]
    return float(repeated.mean()), influence[0] - influence[1:].mean(axis=0), repeated


def _sharpe(returns: np.ndarray, q: float) -> tuple[float, np.ndarray] | None:
    spread = float(np.std(returns, ddof=1)) if len(returns) > 2 else 0.0
    if spread <= 1e-15:
        return None
    z = (returns - returns.mean()) / spread
    ratio = float(returns.mean()) / spread
    root = float(np.sqrt(q))
    return ratio * root, root * (z - 0.5 * ratio * (z * z - 1.0))


def _why(measure: str) -> str:
    if measure == "rank_ic":
        return "there is no cross-section of three symbols"
    return "the returns do not vary" if measure == "sharpe" else "no forecast has a known outcome"
