"""Scale features with what the training range knew, and tell the network where values were missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mnpu.data.clock import utc
from mnpu.errors import DataError

__all__ = ["Scaler"]


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
    """

    mean: np.ndarray
    std: np.ndarray
    has_gaps: np.ndarray
    fit_start: pd.Timestamp
    fit_end: pd.Timestamp

    @classmethod
    def fit(
        cls,
        values: np.ndarray,
        *,
        times: pd.DatetimeIndex,
        rows: tuple[int, int],
        where: np.ndarray | None = None,
    ) -> Scaler:
        """Fit on the bars ``rows[0] <= t < rows[1]`` of ``values`` (T, A, F) and on nothing else.

        Parameters
        ----------
        values : ndarray (T, A, F)
            NaN where missing.
        times : DatetimeIndex (T,)
        rows : (start, stop)
        where : bool ndarray (T, A), optional
            Cells that count, usually where a symbol is tradable: a symbol that is not listed yet is no gap.

        Raises
        ------
        DataError
            If a feature has no finite value in the range.
        """
        start, stop = rows
        fitted = np.ascontiguousarray(values[start:stop], dtype="float64")  # one order of summation for any layout
        counted = np.ones(fitted.shape[:2], dtype=bool) if where is None else where[start:stop]
        cells = fitted[counted]  # (N, F)
        finite = np.isfinite(cells)
        n = finite.sum(axis=0)
        if not len(cells) or (n == 0).any():
            column = int(np.argmin(n)) if len(cells) else 0
            raise DataError(
                f"feature column {column} has no value in the training range (bars {start} to {stop})",
                where="scaling",
                expected="at least one finite value",
                next_step="Start the training range later, or drop the feature.",
            )
        mean = np.where(finite, cells, 0.0).sum(axis=0) / n
        variance = (np.where(finite, cells - mean, 0.0) ** 2).sum(axis=0) / n
        std = np.sqrt(variance)
        constant = std <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
        return cls(mean, np.where(constant, 1.0, std), ~finite.all(axis=0), times[start], times[stop - 1])

    @property
    def n_columns(self) -> int:
        """F': the features and their masks."""
        return len(self.mean) + int(self.has_gaps.sum())

    def scale(self, values: np.ndarray) -> np.ndarray:
        """Scaled ``values`` (T, A, F) followed by the mask columns, float32 (T, A, F'), no NaN.

        A missing value becomes 0, the mean of the training range; its mask is 1 where the value is present. This
        does not look at the clock: use it for inputs that a window looks back on, and ``transform`` to score.
        """
        finite = np.isfinite(values)
        scaled = np.where(finite, (values - self.mean) / self.std, 0.0)
        return np.concatenate([scaled, finite[..., self.has_gaps]], axis=-1).astype(np.float32, order="C")

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
        """Raise DataError unless every decision in ``times`` is after the training range."""
        early = utc(times) <= self.fit_end
        if early.any():
            raise DataError(
                f"a decision at {times[early][0]} would be scored with a scaler fitted up to {self.fit_end}",
                where="scaling",
                expected="decisions after the training range",
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, exact for float64, for a JSON file."""
        return {
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
            "has_gaps": self.has_gaps.tolist(),
            "fit_start": self.fit_start.isoformat(),
            "fit_end": self.fit_end.isoformat(),
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
        )
