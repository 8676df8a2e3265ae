"""What is forecast, with the interval of time that each label spans.

A target is ``target(panel, fill) -> Labels``: for each decision, symbol and horizon a number that lies in the future,
and the instants at which it begins and ends, which decide what is purged between the ranges of a fold. A target whose
labels also depend on the fold, because they take thresholds from its training range, has ``for_fold(labels, fold)`` as
well; see `mnpu.data.targets.by_fold`.
"""

from __future__ import annotations

from mnpu.data.targets.by_fold import fold_labels, labels_as_learnt, outcomes
from mnpu.data.targets.direction import Direction
from mnpu.data.targets.forward_return import ForwardReturn
from mnpu.data.targets.triple_barrier import TripleBarrier
from mnpu.data.targets.vol_scaled_return import VolScaledReturn

__all__ = [
    "Direction",
    "ForwardReturn",
    "TripleBarrier",
    "VolScaledReturn",
    "fold_labels",
    "labels_as_learnt",
    "outcomes",
]
