"""What is forecast, over which ranges of time, from which windows, and the forecast itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Fold", "Forecast", "Labels", "Split", "WindowBatch", "join_forecasts"]


@dataclass(frozen=True)
class Labels:
    """What is forecast: ``values`` float64 (T, A, H), NaN where unknown, with the interval each one spans.

    ``start`` (T,) is the fill time; ``end`` (T, H) the instant of the last price inside the label. Rows too
    close to the end of the data have NaT intervals and NaN values.
    """

    values: np.ndarray
    start: pd.DatetimeIndex
    end: tuple[pd.DatetimeIndex, ...]
    horizons: tuple[int, ...]
    name: str


@dataclass(frozen=True)
class Fold:
    """Three half-open ranges of bar indices, in time order, already purged and embargoed.

    No label of ``train`` ends at or after the first decision of ``validation``, none of ``validation`` at or
    after the first decision of ``test``.
    """

    number: int
    train: tuple[int, int]
    validation: tuple[int, int]
    test: tuple[int, int]


@dataclass(frozen=True)
class Split:
    """Ordered folds over ``times``; a shuffled split cannot be expressed.

    ``times`` are the decision times that the ranges of the folds index, None where they are not recorded.
    """

    folds: tuple[Fold, ...]
    purge_bars: int
    embargo_bars: int
    times: pd.DatetimeIndex | None = None


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
