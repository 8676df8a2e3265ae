"""Ridge regression: the linear baseline that a network has to beat.

Hoerl and Kennard (1970). With centred inputs X (N, P) and targets y, ``b = (X'X + alpha I)^-1 X'y``, the intercept is
not shrunk. X'X is summed in float64 and decomposed once, ``X'X = V diag(s) V'``, so that every alpha costs one product:
``b = V diag(1 / (s + alpha)) V' X'y``. Where alpha is not given, the one of a grid with the smallest mean squared error
on the validation range is taken, horizon by horizon; the first of equals, the largest penalty.

Does not include: sparsity (lasso), weights of windows, interactions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from mnpu.forecasters.files import read, written
from mnpu.forecasters.point import CHUNK, PointForecaster
from mnpu.forecasters.windows import Windows
from mnpu.types import LEVELS

__all__ = ["Ridge"]

#: Penalties a training window that are tried, the largest first.
GRID = tuple(10.0**power for power in (1.0, 0.5, 0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0))


class Ridge(PointForecaster):
    """Ridge regression on the last bar or the whole window; the width comes from errors on the validation range.

    Parameters
    ----------
    inputs : {"last", "window"}, default="last"
        Whether it sees the last bar of a window or all of it.
    alpha : float, optional
        Penalty, as in scikit-learn: of the sum of squares. Null: the best one of 1e-4 to 10 times the number of
        training windows on the validation range, which also stops a network.
    levels : tuple of float
        Quantile levels, strictly increasing, symmetric around 0.5, which is one of them.
    """

    def __init__(
        self,
        *,
        inputs: Literal["last", "window"] = "last",
        alpha: Annotated[float, Field(ge=0)] | None = None,
        levels: tuple[float, ...] = LEVELS,
    ) -> None:
        super().__init__(inputs=inputs, levels=levels)
        self.alpha = alpha

    def learn(self, training: Windows, validation: Windows, *, seed: int, threads: int) -> list[Any]:
        """One decomposition for all horizons and penalties."""
        gram, cross, mean_x, mean_y = self._moments(training)
        values, vectors = np.linalg.eigh(gram)
        values, cross = np.maximum(values, 0.0)[:, None], vectors.T @ cross
        varies = values > len(values) * np.finfo(np.float64).eps * values.max()  # else no weight, at any penalty
        alphas = [self.alpha] if self.alpha is not None else [share * len(training) for share in GRID]
        maps = [vectors @ np.divide(cross, values + a, out=np.zeros_like(cross), where=varies) for a in alphas]
        weights = np.stack(maps)  # (K, P, H)
        intercepts = mean_y - np.einsum("p,kph->kh", mean_x, weights)  # (K, H)
        best = np.zeros(len(mean_y), dtype=int)
        if len(alphas) > 1:
            best = self._squared_errors(validation, weights, intercepts).argmin(axis=0)
        return [Map(weights[k, :, h].copy(), float(intercepts[k, h])) for h, k in enumerate(best)]

    def _moments(self, windows: Windows) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Centred X'X (P, P) and X'y (P, H), and the means of X and y, in float64, chunk by chunk."""
        y = windows.targets
        n, mean_y = len(windows), y.mean(axis=0)
        mean_x = sum(self.design(part).sum(axis=0, dtype=np.float64) for part in windows.chunks(CHUNK)) / n
        gram, cross = np.zeros((len(mean_x), len(mean_x))), np.zeros((len(mean_x), y.shape[1]))
        for part in windows.chunks(CHUNK):
            x = self.design(part) - mean_x  # float64
            gram += x.T @ x
            cross += x.T @ (part.targets - mean_y)
        return gram, cross, mean_x, mean_y

    def _squared_errors(self, windows: Windows, weights: np.ndarray, intercepts: np.ndarray) -> np.ndarray:
        """Sum of squared errors (K, H) of each penalty."""
        total = np.zeros(intercepts.shape)
        for part in windows.chunks(CHUNK):
            guess = np.einsum("np,kph->nkh", self.design(part).astype(np.float64), weights) + intercepts
            total += ((part.targets[:, None] - guess) ** 2).sum(axis=0)
        return total

    def dump(self, models: Sequence[Any]) -> Mapping[str, bytes]:
        """Weights (H, P) and intercepts (H,)."""
        weights, intercepts = np.stack([m.weights for m in models]), np.array([m.intercept for m in models])
        return written("regressions", {"weights": weights, "intercepts": intercepts})

    def restore(self, files: Mapping[str, bytes], *, n_horizons: int) -> list[Any]:
        """The maps that `dump` wrote."""
        arrays, _ = read("regressions", files)
        return [Map(w, float(b)) for w, b in zip(arrays["weights"], arrays["intercepts"], strict=True)]


class Map:
    """``predict(X) = X weights + intercept``, window by window: no batch changes the last bits of a forecast."""

    def __init__(self, weights: np.ndarray, intercept: float) -> None:
        self.weights, self.intercept = weights, intercept

    def predict(self, x: np.ndarray) -> np.ndarray:
        """``(N, P) -> (N,)``, float64."""
        return np.asarray((x.astype(np.float64) * self.weights).sum(axis=1) + self.intercept)
