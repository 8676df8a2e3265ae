"""Columns that a fold cannot learn from, because its training range does not hold two values of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mnpu.errors import DataError
from mnpu.types import FeatureFrame, Split

__all__ = ["unseen_columns", "unseen_notes"]


def unseen_columns(frame: FeatureFrame, split: Split) -> dict[int, tuple[str, ...]]:
    """For each fold, the columns that have fewer than two different values in its training range.

    One value is as good as none: its scale is unknown, so a later value could be of any size to the network.

    Parameters
    ----------
    frame : FeatureFrame
        Cells of symbols that cannot be decided about do not count.
    split : Split

    Returns
    -------
    unseen : dict of int to tuple of str
        By the fold's number; a fold that has seen everything is not there.

    Raises
    ------
    DataError
        If there is a column that no fold has seen.
    """
    columns = [frame.values[..., f] for f in range(len(frame.names))]  # one at a time: together they may be large
    seen = np.array([_varies(column, frame.tradable, split) for column in columns]).T  # (folds, F)
    never = ~seen.any(axis=0)
    if never.any():
        end = frame.times[split.folds[-1].training[-1][1] - 1]
        raise DataError(
            f"{frame.names[int(never.argmax())]} has fewer than two different values in the training range of any "
            f"fold, the last of which ends on {end:%Y-%m-%d}",
            where="model.unseen",
            expected="a fold that can learn from it",
            next_step="Choose later dates, make split.train longer, or drop the feature.",
        )
    return {
        fold.number: tuple(name for name, known in zip(frame.names, row, strict=True) if not known)
        for fold, row in zip(split.folds, seen, strict=True)
        if not row.all()
    }


def _varies(column: np.ndarray, tradable: np.ndarray, split: Split) -> list[bool]:
    """Whether a column (T, A) has two different finite values in the training range of each fold."""
    values = np.where(tradable & np.isfinite(column), column, np.nan)
    ranges = [fold.trained(values) for fold in split.folds]
    lowest = [np.fmin.reduce(cells, axis=None, initial=np.inf) for cells in ranges]
    return [low < np.fmax.reduce(cells, axis=None, initial=-np.inf) for low, cells in zip(lowest, ranges, strict=True)]


def unseen_notes(unseen: Mapping[int, Sequence[str]]) -> list[str]:
    """One sentence for each column that is left out somewhere."""
    where: dict[str, list[int]] = {}
    for number, names in unseen.items():
        for name in names:
            where.setdefault(name, []).append(number + 1)
    return [
        f"{name} has fewer than two different values in the training range of "
        f"{'fold' if len(folds) == 1 else 'folds'} {', '.join(map(str, folds))} and is left out there"
        for name, folds in where.items()
    ]
