"""Scale features with what the training range knew, and tell the network where values were missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from mnpu.data.clock import utc
from mnpu.errors import DataError

__all__ = ["Scaler"]

_BLOCK = 256  #: Bars that are scaled at a time, so that little is held in float64.
_WIDTH = 4  #: Features whose moments are computed at a time.


@dataclass(frozen=True)
class Scaler:
    """Zero mean and unit deviation per feature, over all symbols of the training range.

    Attributes
    ----------
    mean, std : float64 (F,)
        Fitted on finite values only; ``std`` is 1 for a constant feature.
    has_gaps : bool (F,)
        Features with missing values in the training range: each brings a mask column.
    fit_start, fit_end : Timestamp
        First and last decision of the training range.
    around : tuple of (Timestamp, Timestamp)
        First and last decision of each training range of a fold of cross-validation, which lie around what it tests:
        such a scaler scores whatever is in none of them. Empty for a fold that trains on the past alone, which scores
        what is later.
    """

    mean: np.ndarray
    std: np.ndarray
    has_gaps: np.ndarray
    fit_start: pd.Timestamp
    fit_end: pd.Timestamp
    around: tuple[tuple[pd.Timestamp, pd.Timestamp], ...] = ()

    @classmethod
    def fit(
        cls,
        values: np.ndarray,
        *,
        times: pd.DatetimeIndex,
        rows: tuple[int, int],
        also: Sequence[tuple[int, int]] = (),
        crossed: bool = False,
        where: np.ndarray | None = None,
    ) -> Scaler:
        """Fit on the bars ``rows[0] <= t < rows[1]`` of ``values`` (T, A, F) and on nothing else but ``also``.

        Parameters
        ----------
        values : ndarray (T, A, F)
            NaN where missing.
        times : DatetimeIndex (T,)
        rows : (start, stop)
        also : sequence of (start, stop), optional
            Further ranges, later, in time order.
        crossed : bool, default=False
            What is not fitted on may be scored even where it is earlier: cross-validation.
        where : bool ndarray (T, A), optional
            Cells that count, usually where a symbol is tradable: a symbol that is not listed yet is no gap.

        Raises
        ------
        DataError
            If a feature has no finite value in the range.
        """
        ranges = (rows, *also)
        start, stop = rows[0], ranges[-1][1]

        def joined(array: np.ndarray) -> np.ndarray:
            return array[start:stop] if not also else np.concatenate([array[a:b] for a, b in ranges])

        used = joined(values)
        counted = np.ones(used.shape[:2], dtype=bool) if where is None else joined(where)
        n, mean, variance = (np.concatenate(part) for part in zip(*_moments(used, counted), strict=True))
        if (n == 0).any():
            column = int(np.argmin(n))
            raise DataError(
                f"feature column {column} has no value in the training range (bars {start} to {stop})",
                where="scaling",
                expected="at least one finite value",
                next_step="Start the training range later, or drop the feature.",
            )
        std = np.sqrt(variance)
        constant = std <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
        gaps = n < np.count_nonzero(counted)
        around = tuple((times[a], times[b - 1]) for a, b in ranges) if crossed else ()
        return cls(mean, np.where(constant, 1.0, std), gaps, times[start], times[stop - 1], around)

    @property
    def n_columns(self) -> int:
        """F': the features and their masks."""
        return len(self.mean) + int(self.has_gaps.sum())

    def scale(self, values: np.ndarray) -> np.ndarray:
        """Scaled ``values`` (T, A, F) followed by the mask columns, float32 (T, A, F'), no NaN.

        A missing value becomes 0, the mean of the training range; its mask is 1 where the value is present. This
        does not look at the clock: use it for inputs that a window looks back on, and ``transform`` to score.
        """
        n_times, n_assets, n_features = values.shape
        out = np.empty((n_assets, n_times, self.n_columns), dtype=np.float32)  # the windows of a symbol lie together
        for start in range(0, n_times, _BLOCK):
            block = values[start : start + _BLOCK]
            finite = np.isfinite(block)
            target = out[:, start : start + _BLOCK].transpose(1, 0, 2)
            target[..., :n_features] = np.where(finite, (block - self.mean) / self.std, 0.0)
            target[..., n_features:] = finite[..., self.has_gaps]
        return out.transpose(1, 0, 2)

    def transform(self, values: np.ndarray, times: pd.DatetimeIndex, *, training: bool = False) -> np.ndarray:
        """``scale``, refused for decisions inside or before the training range unless ``training``.

        Raises
        ------
        DataError
            If a time is not after ``fit_end``: such a score would not be out of sample.
        """
        if not training:
            self.check_scoring(times)
        return self.scale(values)

    def check_scoring(self, times: pd.DatetimeIndex) -> None:
        """Raise DataError unless every decision in ``times`` is after the training range, or ``around`` it."""
        if self.around:
            self._check_between(utc(times))
            return
        early = utc(times) <= self.fit_end
        if early.any():
            raise DataError(
                f"a decision at {times[early][0]} would be scored with a scaler fitted up to {self.fit_end}",
                where="scaling",
                expected="decisions after the training range",
            )

    def _check_between(self, times: pd.DatetimeIndex) -> None:
        for first, last in self.around:
            inside = (times >= first) & (times <= last)
            if inside.any():
                raise DataError(
                    f"a decision at {times[inside][0]} would be scored with a scaler fitted on {first} to {last}",
                    where="scaling",
                    expected="decisions outside every training range",
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, exact for float64, for a JSON file."""
        return {
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "has_gaps": self.has_gaps.tolist(),
            "fit_start": self.fit_start.isoformat(),
            "fit_end": self.fit_end.isoformat(),
            **({"around": [[a.isoformat(), b.isoformat()] for a, b in self.around]} if self.around else {}),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Scaler:
        """The scaler that ``to_dict`` described."""
        return cls(
            np.asarray(state["mean"], dtype="float64"),
            np.asarray(state["std"], dtype="float64"),
            np.asarray(state["has_gaps"], dtype=bool),
            pd.Timestamp(state["fit_start"]),
            pd.Timestamp(state["fit_end"]),
            tuple((pd.Timestamp(a), pd.Timestamp(b)) for a, b in state.get("around", ())),
        )


def _moments(used: np.ndarray, counted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Number, mean and variance of the finite values of some features after the other, of ``used`` (T, A, F).

    Each feature is summed row by row, in one order for any layout and any number of features beside it; a lone one
    at the end would be summed in pairs, so it goes with those before it.
    """
    n_features = used.shape[-1]
    cuts = [*range(0, max(n_features - 1, 1), _WIDTH), n_features]
    for first, stop in pairwise(cuts):
        cells = np.ascontiguousarray(used[..., first:stop][counted], dtype="float64")  # (N, some of F)
        finite = np.isfinite(cells)
        n = finite.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):  # no value at all is refused by whoever asked
            mean = np.where(finite, cells, 0.0).sum(axis=0) / n
            yield n, mean, (np.where(finite, cells - mean, 0.0) ** 2).sum(axis=0) / n
