"""Windows as a regression reads them: rows of a matrix, copied only when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Windows"]


@dataclass(frozen=True)
class Windows:
    """Scaled windows of L bars with F' columns each, without NaN, and what followed them.

    Attributes
    ----------
    rows : float32 ndarray (M, L*F'), a view
        Runs of L bars, oldest first; only those that ``first`` names are windows.
    first : int64 ndarray (N,)
        Row of each window.
    lookback : int
        L.
    y : float32 ndarray (N, H) or None
        Scaled targets; None where a forecast is wanted.
    """

    rows: np.ndarray
    first: np.ndarray
    lookback: int
    y: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.first)

    @property
    def n_columns(self) -> int:
        """F'."""
        return int(self.rows.shape[1]) // self.lookback

    @property
    def targets(self) -> np.ndarray:
        """Scaled targets (N, H), float64."""
        assert self.y is not None  # whoever fits has them
        return self.y.astype(np.float64)

    def whole(self) -> np.ndarray:
        """Every cell of each window, oldest bar first: float32 (N, L*F'), a copy."""
        return self.rows[self.first]

    def last(self) -> np.ndarray:
        """The last bar of each window: float32 (N, F'), a copy."""
        return self.rows[:, -self.n_columns :][self.first]

    def take(self, index: np.ndarray | slice) -> Windows:
        """The windows at positions ``index``; no cell is copied."""
        return replace(self, first=self.first[index], y=None if self.y is None else self.y[index])

    def chunks(self, size: int) -> Iterator[Windows]:
        """All windows in order, at most ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.take(slice(start, start + size))
