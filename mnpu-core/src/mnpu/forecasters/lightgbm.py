"""Gradient-boosted trees by LightGBM (Ke et al. 2017): the baseline that most tabular forecasters have to beat.

Squared error, one booster a horizon. Boosting stops where the validation error has not fallen for ``patience`` trees,
as a network stops by that range; at least one tree is kept. Deterministic: one seed, row-wise histograms, and a number
of threads that the recipe gives. A bundle keeps each booster as LightGBM's own text.

Does not include: ranking and quantile objectives, categories, missing values (windows come scaled, without NaN).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mnpu.errors import DataError
from mnpu.forecasters.point import PointForecaster, required
from mnpu.forecasters.windows import Windows
from mnpu.types import LEVELS

__all__ = ["LightGBM"]


class LightGBM(PointForecaster):
    """Gradient-boosted trees by LightGBM; the width comes from errors on the validation range.

    Parameters
    ----------
    inputs : {"last", "window"}, default="last"
        Whether it sees the last bar of a window or all of it.
    trees : int, default=400
        Most trees of a horizon.
    lr : float, default=0.03
        Share of each tree's step that is taken.
    leaves : int, default=15
        Most leaves of a tree.
    min_leaf : int, default=100
        Fewest training windows of a leaf.
    columns : float, default=0.7
        Share of the inputs that each tree may use, drawn at random.
    patience : int, default=50
        Trees without a better validation error before boosting stops.
    levels : tuple of float
        Quantile levels, strictly increasing, symmetric around 0.5, which is one of them.
    """

    libraries: ClassVar[tuple[str, ...]] = ("lightgbm",)
    REQUIRES: ClassVar[Mapping[str, str]] = {"lightgbm": "mnpu-core[lightgbm]"}

    def __init__(
        self,
        *,
        inputs: Literal["last", "window"] = "last",
        trees: Annotated[int, Field(ge=1)] = 400,
        lr: Annotated[float, Field(gt=0, le=1)] = 0.03,
        leaves: Annotated[int, Field(ge=2)] = 15,
        min_leaf: Annotated[int, Field(ge=1)] = 100,
        columns: Annotated[float, Field(gt=0, le=1)] = 0.7,
        patience: Annotated[int, Field(ge=1)] = 50,
        levels: tuple[float, ...] = LEVELS,
    ) -> None:
        super().__init__(inputs=inputs, levels=levels)
        self._library = required("lightgbm", self.REQUIRES["lightgbm"])
        self.trees, self.patience = trees, patience
        self.settings: dict[str, Any] = {
            "learning_rate": lr,
            "num_leaves": leaves,
            "min_data_in_leaf": min_leaf,
            "feature_fraction": columns,
        }

    def learn(self, training: Windows, validation: Windows, *, seed: int, threads: int) -> list[Any]:
        """One booster for each horizon."""
        lightgbm = self._library
        x, y, held_x, held_y = self.design(training), training.targets, self.design(validation), validation.targets
        settings = {
            **self.settings,
            "objective": "regression",
            "metric": "l2",
            "seed": seed % 2**31,
            "num_threads": threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        boosters = []
        for h in range(y.shape[1]):
            data = lightgbm.Dataset(x, y[:, h], params=settings, free_raw_data=False)
            held = lightgbm.Dataset(held_x, held_y[:, h], reference=data, params=settings, free_raw_data=False)
            stop = lightgbm.early_stopping(self.patience, verbose=False)
            fitted = lightgbm.train(settings, data, self.trees, valid_sets=[held], callbacks=[stop])
            best = fitted.model_to_string(num_iteration=fitted.best_iteration)
            boosters.append(Trees(lightgbm.Booster(model_str=best)))  # as it will be read back
        return boosters

    def dump(self, models: Sequence[Any]) -> Mapping[str, bytes]:
        """A text for each horizon."""
        return {f"trees-{h}.txt": model.booster.model_to_string().encode() for h, model in enumerate(models)}

    def restore(self, files: Mapping[str, bytes], *, n_horizons: int) -> list[Any]:
        """The boosters that `dump` wrote."""
        try:
            texts = [files[f"trees-{h}.txt"].decode() for h in range(n_horizons)]
            return [Trees(self._library.Booster(model_str=text)) for text in texts]
        except (KeyError, UnicodeDecodeError, self._library.basic.LightGBMError) as error:
            raise DataError(
                f"the trees cannot be read ({error})",
                where="lightgbm",
                expected="a text of LightGBM for each horizon",
                next_step="Write the bundle again.",
            ) from error


class Trees:
    """A booster, whose forecasts are the same for any number of threads: one is enough for a batch."""

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def predict(self, x: np.ndarray) -> np.ndarray:
        """``(N, P) -> (N,)``, float64."""
        return np.asarray(self.booster.predict(x, num_threads=1))
