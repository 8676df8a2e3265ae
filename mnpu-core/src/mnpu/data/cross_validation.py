"""Purged k-fold and combinatorial purged cross-validation: what is learnt from lies around what is tested.

Lopez de Prado (2018), chapters 7 and 12. Groups are runs of decisions, all symbols together, so nothing is shuffled.
Training is every other decision but those whose label intersects one that is tested, by time and across symbols
(purge), and an embargo on either side. Numbers from such folds say how a method does on such data; they are no history
that anyone could have traded, for most folds know what came later.

Departures: the embargo is at least as long as the longest label and lies before a test range too, as in walk-forward;
validation, which decides when training stops, is the end of the longest run of purged training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from mnpu.data.clock import utc
from mnpu.data.splits import first_known_after, last_use, longest_label, purged
from mnpu.errors import ConfigError
from mnpu.types import Fold, History, Labels, Split

__all__ = ["cpcv", "purged_kfold"]

Range = tuple[int, int]


def purged_kfold(
    times: pd.DatetimeIndex,
    labels: Labels,
    *,
    folds: int,
    validation: pd.DateOffset,
    embargo: pd.DateOffset | None = None,
) -> Split:
    """``folds`` groups of decisions, each tested once by what learnt from the others.

    Parameters
    ----------
    times : DatetimeIndex (T,)
        Decision times.
    labels : Labels
        Their intervals decide the purge, across all symbols.
    folds : int
        At least 2; their numbers of decisions differ by one at most.
    validation : DateOffset
        Length of the range that decides when training stops.
    embargo : DateOffset, optional
        Time after the last price of a test range in which no training decision lies, where it is longer than as many
        bars as the longest label spans.

    Raises
    ------
    ConfigError
        If a range has no room.
    """
    return _split(times, labels, [(k,) for k in range(folds)], folds, validation, embargo)


def cpcv(
    times: pd.DatetimeIndex,
    labels: Labels,
    *,
    groups: int,
    test_groups: int,
    validation: pd.DateOffset,
    embargo: pd.DateOffset | None = None,
) -> Split:
    """Every choice of ``test_groups`` of ``groups`` groups is a fold: ``C(N, k)`` of them, and ``C(N, k) k / N`` paths.

    A path is a whole history: each group forecast by one fold that did not learn from it. The p-th path takes the p-th
    fold that tests a group. Parameters and errors as in `purged_kfold`.
    """
    chosen = list(combinations(range(groups), test_groups))
    made = _split(times, labels, chosen, groups, validation, embargo)
    testing: list[list[tuple[int, Range]]] = [[] for _ in range(groups)]  # of each group, the folds that test it
    for fold, own in zip(made.folds, chosen, strict=True):
        for group, rows in zip(own, fold.testing, strict=True):
            testing[group].append((fold.number, rows))
    paths: tuple[History, ...] = tuple(tuple(of_group) for of_group in zip(*testing, strict=True))
    return Split(made.folds, made.purge_bars, made.embargo_bars, made.times, paths)


def _split(
    times: pd.DatetimeIndex,
    labels: Labels,
    chosen: Sequence[tuple[int, ...]],
    groups: int,
    validation: pd.DateOffset,
    embargo: pd.DateOffset | None,
) -> Split:
    """A fold for each of the ``chosen`` sets of test groups."""
    times = utc(times)
    if not 2 <= groups <= len(times) or not 0 < len(chosen[0]) < groups:
        raise ConfigError(
            f"{groups} groups of {len(times)} bars, {len(chosen[0])} of them tested",
            where="split",
            expected="from 2 to as many groups as bars, not all of them tested",
        )
    until = last_use(times, labels)
    bars = longest_label(times, until)
    edges = np.round(np.linspace(0, len(times), groups + 1)).astype(int).tolist()
    ranges = list(pairwise(edges))
    folds, widest = [], 0
    for number, own in enumerate(chosen):
        tests = [ranges[group] for group in own]
        free = np.ones(len(times), dtype=bool)
        for start, stop in tests:
            first, last = _closed(times, until, (start, stop), bars, embargo)
            widest = max(widest, start - first - bars, last - stop - bars)
            free[first:last] = False
        training, judged = _with_validation(times, until, _runs(free), bars, validation, number)
        folds.append(Fold(number, training[0], judged, tests[0], tuple(training[1:]), tuple(tests[1:])))
    return Split(tuple(folds), purge_bars=max(widest, 0), embargo_bars=bars, times=times)


def _closed(times: pd.DatetimeIndex, until: np.ndarray, test: Range, bars: int, embargo: pd.DateOffset | None) -> Range:
    """The rows that a test range keeps from training, itself among them."""
    start, stop = test
    first = purged(times, until, start) - bars if start else 0
    known = int(until[stop - 1])
    last = min(first_known_after(times, known) + bars, len(times))
    if embargo is not None and known < np.iinfo("int64").max:
        end = pd.Timestamp(known, tz="UTC") + embargo
        last = max(last, int(times.searchsorted(end, side="right")))
    return max(first, 0), last


def _runs(free: np.ndarray) -> list[Range]:
    """Half-open ranges of the rows that are true."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in steps.reshape(-1, 2)]


def _with_validation(
    times: pd.DatetimeIndex,
    until: np.ndarray,
    training: list[Range],
    bars: int,
    validation: pd.DateOffset,
    number: int,
) -> tuple[list[Range], Range]:
    """The end of the longest run for validation, purged and embargoed from what is left of the run."""
    where = f"fold {number + 1}"
    if not training:
        raise ConfigError(f"{where} has no bar to train on", where="split", expected="fewer groups, or more data")
    longest = max(training, key=lambda run: (run[1] - run[0], run[0]))
    start, stop = longest
    begin = max(int(times.searchsorted(times[stop - 1] - validation, side="right")), start)
    end = purged(times, until, begin) - bars
    if end <= start or begin >= stop:
        raise ConfigError(
            f"{where} trains on {stop - start} bars at most in one run, and validation takes {stop - begin} of them, "
            f"purge and embargo {begin - end}",
            where="split.validation",
            expected=f"at least {start - end + 1} bars more" if end <= start else "a positive length",
            next_step="Take a shorter validation range, fewer groups, or shorter horizons.",
        )
    return [(a, end) if (a, b) == longest else (a, b) for a, b in training], (begin, stop)
