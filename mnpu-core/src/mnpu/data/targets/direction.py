"""Down, flat or up, where each fold's training range says how much is flat."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from mnpu.data.targets.forward_return import ForwardReturn
from mnpu.errors import DataError
from mnpu.types import Fold, Labels, Panel

__all__ = ["Direction"]

NAMES = {-1.0: "down", 0.0: "flat", 1.0: "up"}


class Direction:
    """Down (-1), flat (0) or up (1): the forward return below, between or above two quantiles of the training range.

    Parameters
    ----------
    horizons : tuple of int, default=(5,)
        Bars from the fill, each at least 1, increasing.
    flat : float, default=1/3
        Share of the training range's returns, in their middle, that counts as flat; the rest is parted evenly.

    Notes
    -----
    Called, it gives forward returns, whose intervals decide the split; `for_fold` turns them into classes. Thresholds
    are those of all symbols of a fold's training range together, one pair a horizon, and hold for its later ranges.
    NaN: where the forward return is.
    """

    lookback: ClassVar[int] = 0

    def __init__(self, horizons: tuple[int, ...] = (5,), flat: Annotated[float, Field(gt=0, lt=1)] = 1 / 3) -> None:
        self._returns = ForwardReturn(horizons)
        self.horizons, self.flat = self._returns.horizons, flat

    def __call__(self, panel: Panel, fill: str = "next_close") -> Labels:
        """Forward returns of every decision of ``panel``, (T, A, H); no fold is known yet."""
        return replace(self._returns(panel, fill), name="direction")

    def for_fold(self, labels: Labels, fold: Fold) -> Labels:
        """The classes of one fold: thresholds from the labels of its training rows and of no other.

        Raises
        ------
        DataError
            The training range has no label, or none of some class.
        """
        learnt = np.full((len(labels.horizons), 2), np.nan)
        for i, h in enumerate(labels.horizons):
            known = fold.trained(labels.values[:, :, i])
            known = known[np.isfinite(known)]
            if not len(known):
                raise self._refused(fold, f"its training range has no return over {h} bars", "at least one")
            learnt[i] = np.quantile(known, [(1 - self.flat) / 2, (1 + self.flat) / 2])
        classes = self.as_learnt(labels, learnt)
        for i, h in enumerate(labels.horizons):
            here = np.unique(fold.trained(classes.values)[:, :, i])
            absent = [name for value, name in NAMES.items() if value not in here]
            if absent:
                low, high = learnt[i]
                what = f"no return over {h} bars of its training range is {absent[0]} ({low:.3g} to {high:.3g} is flat)"
                raise self._refused(fold, what, "all three classes there")
        return classes

    def as_learnt(self, labels: Labels, learnt: np.ndarray) -> Labels:
        """The classes by a fold's thresholds ``learnt`` (H, 2), below and above what is flat, of any bars' returns.

        Raises
        ------
        DataError
            There is no such pair for each horizon.
        """
        if learnt.shape != (len(self.horizons), 2):
            raise DataError(
                f"what its labels took from the training range has the shape {learnt.shape}",
                where="target direction",
                expected=f"two thresholds for each of {len(self.horizons)} horizons",
                next_step="Use the recipe that is saved with the bundle.",
            )
        returns, low, high = labels.values, learnt[:, 0], learnt[:, 1]
        which = (returns > high) * 1.0 - (returns < low) * 1.0
        return replace(labels, values=np.where(np.isfinite(returns), which, np.nan), learnt=learnt)

    def _refused(self, fold: Fold, what: str, expected: str) -> DataError:
        return DataError(
            what,
            where=f"target.flat, fold {fold.number + 1}",
            expected=expected,
            next_step=f"Change target.flat ({self.flat:.3g}), take a longer training range, or check the prices.",
        )
