"""What is forecast, over which ranges of time, from which windows, and the forecast itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Fold", "Forecast", "History", "Labels", "Split", "WindowBatch", "join_forecasts", "join_history"]


@dataclass(frozen=True)
class Labels:
    """What is forecast: ``values`` float64 (T, A, H), NaN where unknown, with the interval each one spans.

    ``start`` (T,) is the fill time; ``end`` (T, H) the instant of the last price inside the label. Rows too
    close to the end of the data have NaT intervals and NaN values. ``learnt`` float64 (H, K) is what the labels of a
    fold took from its training range, thresholds of classes for one; None where they took nothing, or do not tell.
    """

    values: np.ndarray
    start: pd.DatetimeIndex
    end: tuple[pd.DatetimeIndex, ...]
    horizons: tuple[int, ...]
    name: str
    learnt: np.ndarray | None = None


@dataclass(frozen=True)
class Fold:
    """Half-open ranges of bar indices that are trained on, validated on and tested, already purged and embargoed.

    Of a walk-forward fold there is one of each, in time order: no label of ``train`` ends at or after the first
    decision of ``validation``, none of ``validation`` at or after the first decision of ``test``. In cross-validation
    training lies around what is tested: the further ranges, in time order, are in ``also_train`` and ``also_test``,
    and no label of a range that is learnt from intersects one of a range that is tested.
    """

    number: int
    train: tuple[int, int]
    validation: tuple[int, int]
    test: tuple[int, int]
    also_train: tuple[tuple[int, int], ...] = ()
    also_test: tuple[tuple[int, int], ...] = ()

    @property
    def training(self) -> tuple[tuple[int, int], ...]:
        """Every range that is trained on, in time order."""
        return (self.train, *self.also_train)

    @property
    def testing(self) -> tuple[tuple[int, int], ...]:
        """Every range that is tested, in time order."""
        return (self.test, *self.also_test)

    @property
    def crossed(self) -> bool:
        """Whether something that is learnt from is later than something that is tested: nobody could have had it."""
        return max(self.training[-1][1], self.validation[1]) > self.test[0]

    def trained(self, values: np.ndarray) -> np.ndarray:
        """The rows of ``values`` (T, ...) that are trained on; a view where they lie together."""
        parts = [values[start:stop] for start, stop in self.training]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Fold:
        """A fold from its fields as plain lists; one of an older version has single ranges."""
        train, validation, test = ((state[name][0], state[name][1]) for name in ("train", "validation", "test"))
        also_train, also_test = (tuple((a, b) for a, b in state.get(name, ())) for name in ("also_train", "also_test"))
        return cls(state["number"], train, validation, test, also_train, also_test)


#: A whole out-of-sample history: the number of the fold that forecasts each range, in time order.
History = tuple[tuple[int, tuple[int, int]], ...]


@dataclass(frozen=True)
class Split:
    """Ordered folds over ``times``; a shuffled split cannot be expressed.

    ``times`` are the decision times that the ranges of the folds index, None where they are not recorded. ``paths`` are
    the histories of a split that tests every decision several times, empty where there is one.
    """

    folds: tuple[Fold, ...]
    purge_bars: int
    embargo_bars: int
    times: pd.DatetimeIndex | None = None
    paths: tuple[History, ...] = ()

    @property
    def histories(self) -> tuple[History, ...]:
        """Every out-of-sample history; each decision that is tested is in each of them once."""
        return self.paths or (tuple((fold.number, rows) for fold in self.folds for rows in fold.testing),)

    @property
    def tested(self) -> tuple[int, int]:
        """From the first row that is tested to the last."""
        return min(fold.test[0] for fold in self.folds), max(fold.testing[-1][1] for fold in self.folds)


@dataclass(frozen=True)
class WindowBatch:
    """A batch of model inputs: ``x`` (B, L, F'), ``y`` (B, H), and the bar and symbol index of each, (B,)."""

    x: Any
    y: Any
    time: Any
    symbol: Any


@dataclass(frozen=True)
class Forecast:
    """Predictive distribution: ``quantiles`` float64 (T, A, H, Q), never crossing, NaN where none was possible.

    ``levels`` (Q,) are increasing and symmetric around 0.5, which is one of them. ``probabilities`` (T, A, H, C)
    and ``evidence`` (T, A, H) are optional. ``thresholds`` (T, H, C - 1), in units of the label, part its classes, so
    that an outcome can be told which class it was; they differ between folds. ``uncalibrated`` is what the head itself
    said, where a calibration has moved it; a policy does not see it.
    """

    times: pd.DatetimeIndex
    symbols: tuple[str, ...]
    horizons: tuple[int, ...]
    levels: tuple[float, ...]
    quantiles: np.ndarray
    probabilities: np.ndarray | None = None
    evidence: np.ndarray | None = None
    thresholds: np.ndarray | None = None
    uncalibrated: Forecast | None = None

    @property
    def available(self) -> np.ndarray:
        """Boolean (T, A): where a forecast exists for every horizon."""
        return np.isfinite(self.quantiles).all(axis=(2, 3))

    @property
    def final(self) -> Forecast:
        """Itself without what was said before calibration: all that a policy may see."""
        return replace(self, uncalibrated=None)

    def median(self, horizon: int = 0) -> np.ndarray:
        """The median of the ``horizon``-th horizon, (T, A)."""
        return self.quantiles[:, :, horizon, self.levels.index(0.5)]

    def width(self, horizon: int = 0) -> np.ndarray:
        """Outermost quantile minus innermost, (T, A): the width of the widest interval."""
        return self.quantiles[:, :, horizon, -1] - self.quantiles[:, :, horizon, 0]

    def rows(self, start: int, stop: int) -> Forecast:
        """The decisions ``start <= t < stop``."""
        cut = lambda x: None if x is None else x[start:stop]  # noqa: E731
        return replace(
            self,
            times=self.times[start:stop],
            quantiles=self.quantiles[start:stop],
            probabilities=cut(self.probabilities),
            evidence=cut(self.evidence),
            thresholds=cut(self.thresholds),
            uncalibrated=None if self.uncalibrated is None else self.uncalibrated.rows(start, stop),
        )


def join_forecasts(forecasts: Sequence[Forecast], join: Callable[[list[np.ndarray]], np.ndarray]) -> Forecast:
    """The last of ``forecasts``, each array joined from those of all; where one names no classes, its are NaN."""
    joined: dict[str, Any] = {"uncalibrated": None}
    for name, keys in (("quantiles", 2), ("probabilities", 2), ("evidence", 2), ("thresholds", 1)):
        parts = [getattr(forecast, name) for forecast in forecasts]
        given = [part for part in parts if part is not None]
        if not given:
            joined[name] = None
            continue
        cell = given[0].shape[keys:]
        empty = [np.full((*forecast.quantiles.shape[:keys], *cell), np.nan) for forecast in forecasts]
        joined[name] = join([e if part is None else part for part, e in zip(parts, empty, strict=True)])
    if any(forecast.uncalibrated is not None for forecast in forecasts):
        joined["uncalibrated"] = join_forecasts([forecast.uncalibrated or forecast for forecast in forecasts], join)
    return replace(forecasts[-1], **joined)


def join_history(forecasts: Sequence[Forecast], history: History) -> Forecast:
    """One forecast over the ranges of a history, each from the forecast at its number; NaN elsewhere."""

    def own_rows(parts: list[np.ndarray]) -> np.ndarray:
        joined = np.full_like(parts[0], np.nan)
        for number, rows in history:
            joined[slice(*rows)] = parts[number][slice(*rows)]
        return joined

    return join_forecasts(forecasts, own_rows)
