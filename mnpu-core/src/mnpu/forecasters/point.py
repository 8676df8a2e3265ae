"""A number as a forecast: around it stand the errors that were made where nothing was learnt.

Glossary
--------
N windows, L bars, F' columns, H horizons, Q quantile levels; f the regression of a horizon, e its errors.

Equations
---------
``e_i = y_i - f(x_i)`` over the windows of the *validation* range, which the regression was not fitted on, and
``q_tau(x) = f(x) + e_(tau)`` with ``e_(tau)`` the empirical quantile of these errors: one distribution of errors for
all windows of a horizon. Errors of the training range would be too small, the more so the more flexible the
regression. A regression that also uses the validation range to choose one number of its own (a penalty, a number of
trees) has seen it in so far, as a network has that stops by it.

The median is the number plus the median error, which a drift of the validation range moves by one constant.

Does not include: a width that depends on the window (take a network, or conformal calibration over the forecast).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from mnpu.errors import ConfigError, DataError, PluginError
from mnpu.forecasters.files import read, written
from mnpu.forecasters.windows import Windows
from mnpu.types import LEVELS, levels_are_sound

__all__ = ["CHUNK", "PointForecaster", "required"]

CHUNK = 4096  #: Windows at a time in a forecast: a window may have thousands of cells.


class PointForecaster(ABC):
    """A number for each horizon, and around it the errors on the validation range.

    A subclass gives `learn`, `dump` and `restore`; `Regression` has them for anything that scikit-learn would take.

    Parameters
    ----------
    inputs : {"last", "window"}, default="last"
        Whether the regression sees the last bar of a window, (N, F'), or all of it, (N, L*F').
    levels : sequence of float
        Quantile levels, strictly increasing, symmetric around 0.5, which is one of them.
    """

    def __init__(self, *, inputs: Literal["last", "window"] = "last", levels: Sequence[float] = LEVELS) -> None:
        if not levels_are_sound(levels):
            raise ConfigError(
                f"levels are {list(levels)}",
                where="forecaster.levels",
                expected="strictly increasing levels between 0 and 1, symmetric around 0.5, which is one of them",
                next_step="Remove the setting to use the default.",
            )
        self.inputs = inputs
        self.levels = tuple(float(level) for level in levels)
        self.models: list[Any] = []
        self.errors = np.zeros((0, len(self.levels)))  # (H, Q): quantiles of the errors, of the scaled target

    @abstractmethod
    def learn(self, training: Windows, validation: Windows, *, seed: int, threads: int) -> list[Any]:
        """The fitted regressions, one a horizon, each with ``predict(X)``; X is what `design` gives of windows."""

    @abstractmethod
    def dump(self, models: Sequence[Any]) -> Mapping[str, bytes]:
        """Files of the fitted regressions, in a format that executes nothing when it is read."""

    @abstractmethod
    def restore(self, files: Mapping[str, bytes], *, n_horizons: int) -> list[Any]:
        """The fitted regressions out of what `dump` wrote."""

    def design(self, windows: Windows) -> np.ndarray:
        """What the regression sees of each window, float32 (N, F') or (N, L*F')."""
        return windows.last() if self.inputs == "last" else windows.whole()

    def fit(self, training: Windows, validation: Windows, *, seed: int = 0, threads: int = 1) -> None:
        """Fit on ``training``, then measure the errors on ``validation``."""
        self.models = self.learn(training, validation, seed=seed, threads=threads)
        errors = validation.targets - self.predict(validation)  # (N, H)
        if not np.isfinite(errors).all():
            raise DataError(
                "the regression's forecasts are not finite",
                where=type(self).__name__,
                expected="a number for every window",
                next_step="Choose a stronger penalty, or other features.",
            )
        self.errors = np.quantile(errors, self.levels, axis=0).T  # (H, Q)

    def predict(self, windows: Windows) -> np.ndarray:
        """The regressions' numbers, float64 (N, H)."""
        numbers = np.empty((len(windows), len(self.models)))
        for start in range(0, len(windows), CHUNK):
            x = self.design(windows.take(slice(start, start + CHUNK)))
            for h, model in enumerate(self.models):
                numbers[start : start + len(x), h] = model.predict(x)
        return numbers

    def forecast(self, windows: Windows) -> np.ndarray:
        """Quantiles (N, H, Q) of the scaled target."""
        return self.predict(windows)[:, :, None] + self.errors

    def save(self) -> Mapping[str, bytes]:
        """The quantiles of the errors, and the fitted regressions."""
        return {**written("errors", {"errors": self.errors}), **self.dump(self.models)}

    def load(self, files: Mapping[str, bytes]) -> None:
        """Read what `save` wrote."""
        self.errors = read("errors", files)[0]["errors"]
        self.models = self.restore(files, n_horizons=len(self.errors))


def required(module: str, extra: str) -> Any:
    """The imported ``module``; where it is missing, the line that brings it.

    Raises
    ------
    PluginError
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise PluginError(
            f"it needs {module}, which is not installed", next_step=f'Run: pip install "{extra}"'
        ) from error
