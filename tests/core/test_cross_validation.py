"""Folds around what they test: no label is shared, every decision is tested as often as promised (trap D6)."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import mnpu.data.cross_validation as module
from mnpu.data.cross_validation import cpcv, purged_kfold
from mnpu.data.splits import locked_fold
from mnpu.errors import ConfigError
from mnpu.types import Fold, Labels
from tests.core.test_splits import labels_of

DAYS = lambda n: pd.DateOffset(days=n)
FOREVER = pd.Timestamp.max.tz_localize("UTC")


def irregular(seed: int, n: int) -> pd.DatetimeIndex:
    """Gaps of minutes to days."""
    gaps = np.random.default_rng(seed).choice([1, 10, 60, 600, 2880], size=n)
    start = pd.Timestamp("2001-01-01", tz="UTC")
    return pd.DatetimeIndex(start + pd.to_timedelta(gaps.cumsum(), unit="min")).as_unit("ns")


def intervals(labels: Labels, times: pd.DatetimeIndex, ranges) -> list[tuple[int, int]]:
    """From decision to last price (ns) of every label of the rows in ``ranges`` whose end is known, one by one."""
    found = []
    for start, stop in ranges:
        for t in range(start, stop):
            found += [(times[t].value, end[t].value) for end in labels.end if end[t] is not pd.NaT]
    return found


def intersections(labels: Labels, times: pd.DatetimeIndex, fold: Fold) -> int:
    """How many labels that are learnt from share an instant with one that is tested."""
    learnt = np.array(intervals(labels, times, (*fold.training, fold.validation)))
    tested = np.array(intervals(labels, times, fold.testing))
    if not len(tested):
        return 0
    return int(((learnt[:, None, 0] <= tested[None, :, 1]) & (tested[None, :, 0] <= learnt[:, None, 1])).sum())


def slow_labels(times, horizons, rng) -> Labels:
    """Labels of a few decisions end much later, as that of one slow symbol among many would make them."""
    labels = labels_of(times, horizons, n_symbols=3)
    ends = []
    for end in labels.end:
        moved = end.to_series().reset_index(drop=True)
        for t in rng.choice(len(times) - 30, size=2, replace=False):
            moved[t] = times[t + int(rng.integers(1, 25))]
        ends.append(pd.DatetimeIndex(moved).as_unit("ns"))
    return replace(labels, end=tuple(ends))


CASES = {
    "seed": st.integers(0, 10_000),
    "n": st.integers(150, 400),
    "horizons": st.sets(st.integers(1, 6), min_size=1, max_size=3),
    "groups": st.integers(2, 6),
    "k": st.integers(1, 3),
    "embargo_hours": st.sampled_from([None, 1, 48]),
}


def made(seed, n, horizons, groups, k, embargo_hours, **changes):
    """Times, labels and the split of a case."""
    assume(k < groups)
    times = irregular(seed, n)
    labels = slow_labels(times, tuple(sorted(horizons)), np.random.default_rng(seed))
    embargo = None if embargo_hours is None else pd.DateOffset(hours=embargo_hours)
    ranges = {"validation": pd.DateOffset(hours=60), "embargo": embargo, **changes}
    try:
        if k == 1:
            return times, labels, purged_kfold(times, labels, folds=groups, **ranges)
        return times, labels, cpcv(times, labels, groups=groups, test_groups=k, **ranges)
    except ConfigError:
        assume(False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(**CASES)
def test_no_label_that_is_learnt_from_meets_one_that_is_tested(**case):
    times, labels, split = made(**case)
    hours = case["embargo_hours"]
    for fold in split.folds:
        assert intersections(labels, times, fold) == 0
        learnt = np.concatenate([np.arange(*rows) for rows in (*fold.training, fold.validation)])
        for start, stop in fold.testing:
            tested = intervals(labels, times, [(start, stop)])
            last = max((end for _, end in tested), default=0)
            unknown = any(end[t] is pd.NaT for end in labels.end for t in range(start, stop))
            after = learnt[learnt >= stop]
            assert not (unknown and len(after))
            between = (times.asi8 > last) & (times.asi8 <= times.asi8[after[0]]) if len(after) else np.zeros(1)
            if len(after):  # the embargo, counted in bars and in time
                assert between.sum() > split.embargo_bars
                assert hours is None or times.asi8[after[0]] > last + hours * 3600 * 10**9
        # validation is purged from training as a test is
        judged = intervals(labels, times, [fold.validation])
        before = intervals(labels, times, [rows for rows in fold.training if rows[1] <= fold.validation[0]])
        if judged and before:
            assert max(end for _, end in before) < min(start for start, _ in judged)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(**CASES)
def test_every_decision_is_tested_as_often_as_promised(**case):
    times, _, split = made(**case)
    groups, k = case["groups"], case["k"]
    times_tested = np.zeros(len(times), dtype=int)
    for fold in split.folds:
        for rows in fold.testing:
            times_tested[slice(*rows)] += 1
    assert len(split.folds) == comb(groups, k)
    assert (times_tested == comb(groups, k) * k // groups).all()
    assert len(split.histories) == comb(groups, k) * k // groups
    for history in split.histories:
        assert [rows[0] for _, rows in history] == sorted(rows[0] for _, rows in history)
        assert np.concatenate([np.arange(*rows) for _, rows in history]).tolist() == list(range(len(times)))
        assert all(rows in split.folds[number].testing for number, rows in history)
    used = [piece for history in split.histories for piece in history]
    assert len(used) == len(set(used)) == sum(len(fold.testing) for fold in split.folds)


@pytest.mark.parametrize("fault", ["no purge before", "no purge after"])
def test_a_split_that_forgets_to_purge_is_caught(fault, monkeypatch):
    """The check above fails where the fault is planted (trap D6)."""
    if fault == "no purge before":
        monkeypatch.setattr(module, "purged", lambda times, until, boundary: boundary + 8)  # nor an embargo
    else:
        monkeypatch.setattr(module, "first_known_after", lambda times, instant: 0)
    times = pd.date_range("2001-01-01", periods=300, freq="D", tz="UTC").as_unit("ns")
    labels = labels_of(times, (7,))
    split = purged_kfold(times, labels, folds=4, validation=DAYS(30))
    assert sum(intersections(labels, times, fold) for fold in split.folds) > 0


def test_the_ranges_of_five_folds_by_hand():
    """100 daily bars; labels span 3 bars, so purge and embargo take 3 each before, and 3 and 3 after."""
    times = pd.date_range("2001-01-01", periods=100, freq="D", tz="UTC").as_unit("ns")
    split = purged_kfold(times, labels_of(times, (2,)), folds=5, validation=DAYS(10))
    assert [fold.test for fold in split.folds] == [(0, 20), (20, 40), (40, 60), (60, 80), (80, 100)]
    assert split.embargo_bars == 3
    middle = split.folds[2]
    # row 33 is the last whose label (to row 36) ends before the test: 37 ends on 40; three more are the embargo.
    assert middle.training == ((0, 34), (66, 84))
    assert middle.validation == (90, 100)  # the end of the longer run, the later of two that are as long
    first = split.folds[0]
    assert first.train[0] == 26  # the test's last label ends at row 22, known after it at 23, and 3 more
    assert first.crossed
    assert not split.folds[-1].crossed


def test_six_choose_two_make_five_paths():
    times = pd.date_range("2001-01-01", periods=600, freq="D", tz="UTC").as_unit("ns")
    split = cpcv(times, labels_of(times, (5,)), groups=6, test_groups=2, validation=DAYS(20))
    assert len(split.folds) == 15
    assert len(split.histories) == 5
    assert [tuple(rows[0] // 100 for rows in fold.testing) for fold in split.folds] == list(combinations(range(6), 2))
    # Lopez de Prado (2018), figure 12.1: path 1 takes folds 1, 1, 2, 3, 4 and 5 (from 0: 0, 0, 1, 2, 3, 4)
    assert [number for number, _ in split.histories[0]] == [0, 0, 1, 2, 3, 4]


def test_a_fold_goes_through_plain_lists():
    fold = Fold(3, (5, 9), (20, 25), (0, 2), ((30, 40),), ((12, 15),))
    assert Fold.of({name: getattr(fold, name) for name in fold.__dataclass_fields__}) == fold
    older = {"number": 1, "train": [0, 5], "validation": [6, 8], "test": [9, 12]}
    assert Fold.of(older) == Fold(1, (0, 5), (6, 8), (9, 12))
    assert fold.trained(np.arange(50)).tolist() == [5, 6, 7, 8, *range(30, 40)]


def test_too_little_room_is_refused_with_what_is_missing():
    times = pd.date_range("2001-01-01", periods=60, freq="D", tz="UTC").as_unit("ns")
    with pytest.raises(ConfigError, match=r"split\.validation: fold 1 trains on .* bars more"):
        purged_kfold(times, labels_of(times, (3,)), folds=3, validation=DAYS(60))
    with pytest.raises(ConfigError, match="from 2 to as many groups"):
        purged_kfold(times, labels_of(times, (3,)), folds=1, validation=DAYS(6))
    with pytest.raises(ConfigError, match="not all of them tested"):
        cpcv(times, labels_of(times, (3,)), groups=3, test_groups=3, validation=DAYS(6))


def nearest(features: np.ndarray, label: np.ndarray, learnt: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """One nearest neighbour: what overlaps is remembered, so a leak shows."""
    order = np.argsort(features[learnt])
    place = np.clip(np.searchsorted(features[learnt][order], features[tested]), 1, len(learnt) - 1)
    left, right = learnt[order][place - 1], learnt[order][place]
    closer = np.abs(features[left] - features[tested]) < np.abs(features[right] - features[tested])
    return label[np.where(closer, left, right)]


@pytest.mark.parametrize("purge", [True, False])
def test_a_random_walk_scores_nothing_and_without_a_purge_it_does(purge):
    """Null test: labels overlap, and the feature tells time, so that a neighbour in time has nearly the same label."""
    horizon, n, scores = 20, 1200, []
    times = pd.date_range("2001-01-01", periods=n, freq="D", tz="UTC").as_unit("ns")
    split = purged_kfold(times, labels_of(times, (horizon,)), folds=60, validation=DAYS(10))
    for seed in range(40):
        steps = np.random.default_rng(seed).normal(size=n + horizon + 1)
        label = np.array([steps[t + 1 : t + 1 + horizon].sum() for t in range(n)])
        said = np.zeros(n)
        for fold in split.folds:
            tested = np.arange(*fold.test)
            ranges = (*fold.training, fold.validation)
            learnt = np.concatenate([np.arange(*rows) for rows in ranges])
            if not purge:
                learnt = np.setdiff1d(np.arange(n), tested)
            said[tested] = nearest(np.arange(n, dtype=float), label, learnt, tested)
        scores.append(np.corrcoef(said, label)[0, 1])
    mean, error = np.mean(scores), np.std(scores, ddof=1) / np.sqrt(len(scores))
    if purge:
        assert abs(mean) < 3 * error
    else:
        assert mean > 0.3


def test_the_locked_fold_learns_from_what_is_earlier_alone():
    times = pd.date_range("2001-01-01", periods=400, freq="D", tz="UTC").as_unit("ns")
    labels = labels_of(times, (4,))
    (fold,) = locked_fold(times, labels, locked=times[300], validation=DAYS(40)).folds
    assert fold.test == (300, 400)
    assert fold.validation == (260, 300 - 5 - 5)
    assert fold.train == (0, 260 - 5 - 5)
    assert intersections(labels, times, fold) == 0
    rolling = locked_fold(times, labels, locked=times[300], validation=DAYS(40), train=DAYS(100)).folds[0]
    assert rolling.train == (160, 250)
    with pytest.raises(ConfigError, match="no bar lies in the locked range"):
        locked_fold(times, labels, locked=times[-1] + DAYS(1), validation=DAYS(40))
