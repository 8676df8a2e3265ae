"""The split that a recipe's ``split`` block asks for."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pandas as pd

from mnpu.config.periods import parse_period
from mnpu.data.cross_validation import cpcv, purged_kfold
from mnpu.data.splits import locked_fold, walk_forward
from mnpu.types import Labels, Split

if TYPE_CHECKING:
    from mnpu.config.models import SplitConfig

__all__ = ["split_by"]


def split_by(settings: SplitConfig, times: pd.DatetimeIndex, labels: Labels, *, locked: dt.date | None) -> Split:
    """The folds of ``times``; where the locked range is unlocked, the one fold that is tested on it alone.

    Parameters
    ----------
    settings : SplitConfig
    times : DatetimeIndex (T,)
        Decision times of the data in sight.
    labels : Labels
    locked : date or None
        First session of the locked range, from `mnpu.config.locked.locked_from`.
    """
    validation = parse_period(settings.validation)
    if settings.unlocked and locked is not None:
        rolling = settings.use == "walk_forward" and not settings.anchored
        train = parse_period(settings.train) if settings.use == "walk_forward" and rolling else None
        begins = pd.Timestamp(locked, tz="UTC")
        return locked_fold(times, labels, locked=begins, validation=validation, train=train)
    if settings.use == "walk_forward":
        train, test = parse_period(settings.train), parse_period(settings.test)
        return walk_forward(times, labels, train=train, validation=validation, test=test, anchored=settings.anchored)
    embargo = None if settings.embargo is None else parse_period(settings.embargo)
    if settings.use == "purged_kfold":
        return purged_kfold(times, labels, folds=settings.folds, validation=validation, embargo=embargo)
    return cpcv(
        times,
        labels,
        groups=settings.groups,
        test_groups=settings.test_groups,
        validation=validation,
        embargo=embargo,
    )
