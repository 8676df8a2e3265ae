"""Walk-forward folds, purged and embargoed by time, and what a locked range is judged by; nothing is ever shuffled.

Folds around their test ranges are in ``cross_validation``.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from mnpu.data.clock import utc
from mnpu.errors import ConfigError
from mnpu.types import Fold, Labels, Split

__all__ = ["first_known_after", "last_use", "locked_fold", "longest_label", "purged", "walk_forward"]


def walk_forward(
    times: pd.DatetimeIndex,
    labels: Labels,
    *,
    train: pd.DateOffset,
    validation: pd.DateOffset,
    test: pd.DateOffset,
    anchored: bool = True,
) -> Split:
    """Folds that train on the past, choose on what follows, and are tested on what follows that.

    Test ranges touch, so that together they are one out-of-sample history. A rest shorter than half a test range
    extends the last fold; a longer one is a fold of its own. Before each validation and test range, decisions are
    left out until no label that began earlier reaches into it (purge), and then as many bars again as the longest
    label spans (embargo).

    Parameters
    ----------
    times : DatetimeIndex (T,)
        Decision times.
    labels : Labels
        Their intervals decide the purge, across all symbols.
    train, validation, test : DateOffset
        Length of each range; ``train`` is the first fold's where ``anchored``.
    anchored : bool, default=True
        Every training range begins at the first bar; otherwise it rolls forward with the fold.

    Raises
    ------
    ConfigError
        If a range has no room, with the number of bars that are missing.
    """
    times = utc(times)
    if not len(times):
        raise ConfigError("there are no bars", where="split", expected="some")
    until = last_use(times, labels)
    embargo = longest_label(times, until)
    folds: list[Fold] = []
    most = 0
    for number, (train_from, validate_from, test_from, test_to) in enumerate(
        _boundaries(times, train, validation, test, anchored)
    ):
        a, b, c, d = (int(times.searchsorted(x)) for x in (train_from, validate_from, test_from, test_to))
        purge_b, purge_c = purged(times, until, b), purged(times, until, c)
        most = max(most, b - purge_b, c - purge_c)
        fold = Fold(number, (a, purge_b - embargo), (b, purge_c - embargo), (c, d))
        _check_room(fold, b - purge_b + embargo, c - purge_c + embargo)
        folds.append(fold)
    return Split(tuple(folds), purge_bars=most, embargo_bars=embargo, times=times)


def last_use(times: pd.DatetimeIndex, labels: Labels) -> np.ndarray:
    """Latest instant (ns) inside any label of the decisions up to each bar; unknown ends reach to the end of time."""
    forever = np.iinfo("int64").max
    ends = np.stack([np.where(end.isna(), forever, utc(end).asi8) for end in labels.end])
    return np.maximum.accumulate(np.maximum(ends.max(axis=0), times.asi8))


def longest_label(times: pd.DatetimeIndex, until: np.ndarray) -> int:
    """Bars from a decision to the last price in its longest label."""
    known = until < np.iinfo("int64").max
    if not known.any():
        raise ConfigError(
            f"no label ends within the {len(times)} bars", where="split", expected="labels shorter than the data"
        )
    return int((np.searchsorted(times.asi8, until[known], side="left") - np.flatnonzero(known)).max())


def _boundaries(
    times: pd.DatetimeIndex, train: pd.DateOffset, validation: pd.DateOffset, test: pd.DateOffset, anchored: bool
) -> list[tuple[pd.Timestamp, pd.Timestamp, pd.Timestamp, pd.Timestamp]]:
    """Start of train, validation and test and end of test, for each fold, as instants."""
    origin, after = times[0], times[-1] + pd.Timedelta(1, "ns")
    if any(times[0] + length <= times[0] for length in (train, validation, test)):
        raise ConfigError("a length of the split is not positive", where="split", expected="e.g. 5y, 6mo, 1y")
    edges: list[tuple[pd.Timestamp, pd.Timestamp, pd.Timestamp, pd.Timestamp]] = []
    shift = origin
    while True:
        validate_from = shift + train
        test_from = validate_from + validation
        test_to = test_from + test
        if test_from >= after:
            break
        full = test_to < after
        if not full and edges and after - test_from < 0.5 * (test_to - test_from):
            edges[-1] = (*edges[-1][:3], after)
            break
        if not full and not edges and times[-1] < test_from + 0.5 * (test_to - test_from):
            raise _too_short(times, test_to)
        edges.append((origin if anchored else shift, validate_from, test_from, min(test_to, after)))
        if not full:
            break
        shift = shift + test
    if not edges:
        raise _too_short(times, origin + train + validation + test)
    return edges


def purged(times: pd.DatetimeIndex, until: np.ndarray, boundary: int) -> int:
    """First bar whose label, or an earlier one's, reaches the decision at ``boundary``."""
    return min(boundary, int(np.searchsorted(until, times.asi8[boundary], side="left")))


def first_known_after(times: pd.DatetimeIndex, instant: int) -> int:
    """First bar whose decision is later than an instant (ns)."""
    return int(np.searchsorted(times.asi8, instant, side="right"))


def locked_fold(
    times: pd.DatetimeIndex,
    labels: Labels,
    *,
    locked: pd.Timestamp,
    validation: pd.DateOffset,
    train: pd.DateOffset | None = None,
) -> Split:
    """One fold that is tested on everything from ``locked`` on, and learns from what is earlier.

    Parameters
    ----------
    times : DatetimeIndex (T,)
    labels : Labels
    locked : Timestamp
        Where the locked range begins.
    validation : DateOffset
        The last range before it.
    train : DateOffset, optional
        Length of the training range; everything before validation by default.

    Raises
    ------
    ConfigError
        If a range has no room.
    """
    times = utc(times)
    until = last_use(times, labels)
    embargo = longest_label(times, until)
    begins = locked - validation
    b, c = int(times.searchsorted(begins)), int(times.searchsorted(locked))
    if c >= len(times):
        raise ConfigError(f"no bar lies in the locked range from {locked:%Y-%m-%d} on", where="split.locked")
    a = 0 if train is None else int(times.searchsorted(begins - train))
    purge_b, purge_c = purged(times, until, b), purged(times, until, c)
    fold = Fold(0, (a, purge_b - embargo), (b, purge_c - embargo), (c, len(times)))
    _check_room(fold, b - purge_b + embargo, c - purge_c + embargo)
    return Split((fold,), purge_bars=max(b - purge_b, c - purge_c), embargo_bars=embargo, times=times)


def _check_room(fold: Fold, gap_train: int, gap_validation: int) -> None:
    for name, (start, stop), gap in (("train", fold.train, gap_train), ("validation", fold.validation, gap_validation)):
        if stop <= start:
            raise ConfigError(
                f"fold {fold.number + 1} has {stop + gap - start} bars of {name}, and purge and embargo take {gap}",
                where=f"split.{name}",
                expected=f"at least {start - stop + 1} bars more",
                next_step="Take a longer range, or shorter horizons.",
            )
    if fold.test[1] <= fold.test[0]:
        raise ConfigError(
            f"fold {fold.number + 1} has no bar to test", where="split.test", expected="at least 1 bar more"
        )


def _too_short(times: pd.DatetimeIndex, needed_to: pd.Timestamp) -> ConfigError:
    span = max((times[-1] - times[0]).value, 1)
    missing = max(1, math.ceil((needed_to - times[-1]).value / span * (len(times) - 1)))
    return ConfigError(
        f"{len(times)} bars from {times[0]:%Y-%m-%d} to {times[-1]:%Y-%m-%d} are too few for one fold",
        where="split",
        expected=f"about {missing} bars more",
        next_step="Take a longer range of dates, or shorter train, validation and test.",
    )
