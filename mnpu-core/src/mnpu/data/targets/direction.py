"""Down, flat or up, where each fold's training range says how much is flat."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

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
        classes = np.full(labels.values.shape, np.nan)
        for i, h in enumerate(labels.horizons):
            returns = labels.values[:, :, i]
            known = fold.trained(returns)
            known = known[np.isfinite(known)]
            if not len(known):
                raise self._refused(fold, f"its training range has no return over {h} bars", "at least one")
            low, high = np.quantile(known, [(1 - self.flat) / 2, (1 + self.flat) / 2])
            which = (returns > high) * 1.0 - (returns < low) * 1.0
            classes[:, :, i] = np.where(np.isfinite(returns), which, np.nan)
            here = np.unique(fold.trained(classes)[:, :, i])
            absent = [name for value, name in NAMES.items() if value not in here]
            if absent:
                what = f"no return over {h} bars of its training range is {absent[0]} ({low:.3g} to {high:.3g} is flat)"
                raise self._refused(fold, what, "all three classes there")
        return replace(labels, values=classes)

    def _refused(self, fold: Fold, what: str, expected: str) -> DataError:
        return DataError(
            what,
            where=f"target.flat, fold {fold.number + 1}",
            expected=expected,
            next_step=f"Change target.flat ({self.flat:.3g}), take a longer training range, or check the prices.",
        )
