"""Any regression of scikit-learn's kind as a forecaster, kept without pickle."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mnpu.errors import DataError, MnpuError
from mnpu.forecasters.files import read, written
from mnpu.forecasters.point import PointForecaster
from mnpu.forecasters.windows import Windows

__all__ = ["Regression"]


class Regression(PointForecaster):
    """Wrap an object with ``fit(X, y)`` and ``predict(X)``, one for each horizon.

    A subclass gives `estimator`. What the objects learn is kept by the convention of scikit-learn: attributes that end
    in an underscore and hold numbers, text or arrays of them. Where they hold anything else, `dump` and `restore` have
    to be overridden; pickle is never used.

    Parameters
    ----------
    inputs : {"last", "window"}, default="last"
        Whether the regression sees the last bar of a window, (N, F'), or all of it, (N, L*F').
    levels : sequence of float
        Quantile levels, strictly increasing, symmetric around 0.5, which is one of them.
    """

    @abstractmethod
    def estimator(self, *, seed: int, threads: int) -> Any:
        """A new regression of one horizon, with ``fit(X, y)`` and ``predict(X)``; X is float32 (N, F' or L*F')."""

    def learn(self, training: Windows, validation: Windows, *, seed: int, threads: int) -> list[Any]:
        """The fitted regressions, one a horizon."""
        x, y = self.design(training), training.targets
        models = [self.estimator(seed=seed, threads=threads) for _ in range(y.shape[1])]
        for h, model in enumerate(models):
            model.fit(x, y[:, h])
        return models

    def dump(self, models: Sequence[Any]) -> Mapping[str, bytes]:
        """Files of the fitted regressions: the attributes that end in an underscore."""
        arrays: dict[str, np.ndarray] = {}
        facts: dict[str, Any] = {}
        for h, model in enumerate(models):
            for name, value in vars(model).items():
                if not _is_learnt(name):
                    continue
                if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
                    arrays[f"{h}.{name}"] = value
                elif isinstance(value, np.generic) or _is_plain(value):
                    facts[f"{h}.{name}"] = value.item() if isinstance(value, np.generic) else value
                else:
                    raise MnpuError(
                        f"{name} of {type(model).__name__} is a {type(value).__name__}",
                        where=f"{type(self).__name__}.dump",
                        expected="numbers, text or arrays, which can be kept without pickle",
                        next_step="Override dump and restore.",
                    )
        return written("regressions", arrays, facts)

    def restore(self, files: Mapping[str, bytes], *, n_horizons: int) -> list[Any]:
        """The fitted regressions out of what `dump` wrote."""
        arrays, facts = read("regressions", files)
        models = [self.estimator(seed=0, threads=1) for _ in range(n_horizons)]
        for key, value in {**facts, **arrays}.items():
            h, _, name = key.partition(".")
            if not (h.isdigit() and int(h) < n_horizons and _is_learnt(name)):
                raise DataError(
                    f"it holds {key!r}",
                    where="regressions",
                    expected=f"what {n_horizons} regressions have learnt",
                    next_step="Do not use it; write the bundle again.",
                )
            setattr(models[int(h)], name, value)
        return models


def _is_learnt(name: str) -> bool:
    """Whether an attribute is one that fitting sets, by its name."""
    return name.endswith("_") and not name.startswith("_") and name.isidentifier()


def _is_plain(value: Any) -> bool:
    """Whether JSON keeps it as it is."""
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
