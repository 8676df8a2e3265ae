"""Labels of one fold, for targets that learn something (thresholds of classes) from its training range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from mnpu.types import Fold, Labels, Split

__all__ = ["FoldTarget", "fold_labels", "labels_as_learnt", "outcomes"]


class FoldTarget(Protocol):
    """A target whose labels depend on the fold; other targets have no such method."""

    def for_fold(self, labels: Labels, fold: Fold) -> Labels:
        """``labels`` as ``fold`` sees them: what is learnt for it comes from ``fold.trained(labels.values)``.

        Shape and intervals stay as they are. A target that has ``as_learnt(labels, learnt)`` too, which makes the same
        of any bars' labels, tells in ``Labels.learnt`` what it takes: a bundle keeps that, and an agent goes by it.
        """
        ...


def fold_labels(target: object, labels: Labels, fold: Fold) -> Labels:
    """What ``fold`` learns from and is judged by: ``labels`` themselves, unless the target says otherwise."""
    own = getattr(target, "for_fold", None)
    return labels if own is None else own(labels, fold)


def labels_as_learnt(target: object, labels: Labels, learnt: np.ndarray | None) -> Labels:
    """``labels`` of any bars by what a fold has ``learnt`` (H, K): themselves, where a target learns nothing."""
    own = getattr(target, "as_learnt", None)
    return labels if own is None else own(labels, learnt)


def outcomes(labels: Labels, learnt: Mapping[int, Labels], split: Split, *, path: int = 0) -> Labels:
    """What the folds of a history are judged by: each one's own labels over what it tests in it, NaN elsewhere.

    Parameters
    ----------
    labels : Labels
        Of the whole panel; returned as they are where no fold has its own.
    learnt : mapping of int to Labels
        Labels of each fold by its number; empty for a target whose labels are the same in every fold.
    split : Split
    path : int, default=0
        Which of the split's histories.
    """
    if not learnt:
        return labels
    values = np.full(labels.values.shape, np.nan)
    for number, rows in split.histories[path]:
        values[slice(*rows)] = learnt[number].values[slice(*rows)]
    return replace(labels, values=values)
