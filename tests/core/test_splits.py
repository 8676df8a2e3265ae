"""Walk-forward folds: in time order, purged across symbols, embargoed, and without a place for a shuffle."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mnpu.data.splits import walk_forward
from mnpu.data.store import Store
from mnpu.data.targets import ForwardReturn
from mnpu.errors import ConfigError
from mnpu.types import Labels

YEARS = lambda n: pd.DateOffset(years=n)
DAYS = lambda n: pd.DateOffset(days=n)


def labels_of(times, horizons, n_symbols=1):
    """Labels that are filled one bar after the decision and end ``h`` bars later."""
    n = len(times)
    nat = lambda k: pd.DatetimeIndex([pd.NaT] * min(k, n), tz="UTC").as_unit("ns")
    ends = tuple(times[1 + h :].append(nat(1 + h)) for h in horizons)
    values = np.zeros((n, n_symbols, len(horizons)))
    return Labels(values, times[1:].append(nat(1)), ends, tuple(horizons), "made_up")


def latest_end(labels, rows):
    """The last instant inside any label of the decisions in ``rows``; None for one that is unknown."""
    ends = [end[t] for end in labels.end for t in range(*rows)]
    return None if any(end is pd.NaT for end in ends) else max(ends)


@pytest.fixture(scope="module")
def demo(demo_store):
    panel = Store.open(demo_store).panel(["KO", "MTUM"], start="1990-01-01", end="2018-12-31")
    return panel, ForwardReturn((1, 5))(panel)


def test_the_demo_has_room_for_twenty_years_in_five_folds(demo):
    panel, labels = demo
    split = walk_forward(panel.times, labels, train=YEARS(6), validation=YEARS(1), test=YEARS(4))
    first, last = split.folds[0].test[0], split.folds[-1].test[1]
    assert len(split.folds) >= 5
    assert panel.times[last - 1] - panel.times[first] > pd.Timedelta(days=20 * 365)
    assert last == len(panel.times)
    assert (split.times == panel.times).all()
    assert (split.purge_bars, split.embargo_bars) == (6, 6)  # one bar to the fill and five to the last price


def test_test_ranges_touch_and_training_is_anchored(demo):
    panel, labels = demo
    folds = walk_forward(panel.times, labels, train=YEARS(6), validation=YEARS(1), test=YEARS(3)).folds
    assert [fold.test[0] for fold in folds[1:]] == [fold.test[1] for fold in folds[:-1]]
    assert {fold.train[0] for fold in folds} == {0}
    assert [fold.number for fold in folds] == list(range(len(folds)))
    assert str(panel.sessions[folds[0].test[0]]) == "1997-01-02"


def test_rolling_training_keeps_its_length(demo):
    panel, labels = demo
    folds = walk_forward(panel.times, labels, train=YEARS(5), validation=YEARS(1), test=YEARS(2), anchored=False).folds
    assert [str(panel.sessions[fold.train[0]])[:4] for fold in folds] == [str(1990 + 2 * k) for k in range(len(folds))]
    assert all(1240 <= fold.train[1] - fold.train[0] <= 1260 for fold in folds)


def test_a_short_rest_extends_the_last_fold_and_a_long_one_is_its_own():
    times = pd.date_range("2000-01-01", periods=1000, freq="D", tz="UTC").as_unit("ns")
    labels = labels_of(times, (1,))
    split = lambda n: walk_forward(
        times[:n], labels_of(times[:n], (1,)), train=DAYS(100), validation=DAYS(50), test=DAYS(100)
    )
    assert [fold.test for fold in split(399).folds] == [(150, 250), (250, 399)]
    assert [fold.test for fold in split(301).folds] == [(150, 250), (250, 301)]
    assert [fold.test for fold in split(299).folds] == [(150, 299)]
    assert len(labels.start) == 1000


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(80, 400),
    horizons=st.sets(st.integers(1, 12), min_size=1, max_size=3),
    lengths=st.tuples(st.integers(20, 90), st.integers(10, 60), st.integers(10, 80)),
    anchored=st.booleans(),
)
def test_no_label_reaches_into_the_next_range_and_the_embargo_is_kept(seed, n, horizons, lengths, anchored):
    """Irregular bars: gaps of minutes to days, horizons at random."""
    gaps = np.random.default_rng(seed).choice([1, 10, 60, 600, 2880], size=n)
    times = pd.DatetimeIndex(pd.Timestamp("2001-01-01", tz="UTC") + pd.to_timedelta(gaps.cumsum(), unit="min")).as_unit(
        "ns"
    )
    labels = labels_of(times, tuple(sorted(horizons)))
    try:
        split = walk_forward(
            times,
            labels,
            **dict(zip(("train", "validation", "test"), map(DAYS, lengths), strict=True)),
            anchored=anchored,
        )
    except ConfigError:
        assume(False)
    assert split.embargo_bars == max(horizons) + 1
    for fold in split.folds:
        for earlier, later in ((fold.train, fold.validation), (fold.validation, fold.test)):
            assert earlier[0] < earlier[1] < later[0] < later[1]
            assert latest_end(labels, earlier) < times[later[0]]
            # the embargo comes on top of the purge: that many bars more could have been used
            assert latest_end(labels, (earlier[0], earlier[1] + split.embargo_bars)) < times[later[0]]
            assert later[0] - earlier[1] <= split.purge_bars + split.embargo_bars
    tests = [fold.test for fold in split.folds]
    assert all(a[1] == b[0] for a, b in pairwise(tests))
    assert tests[-1][1] == n


def test_the_purge_is_by_time_across_symbols_not_by_row():
    """A label that ends late, in whatever symbol, purges every decision after it that is not over either."""
    times = pd.date_range("2000-01-03", periods=300, freq="D", tz="UTC").as_unit("ns")
    labels = labels_of(times, (2,), n_symbols=3)
    end = labels.end[0].to_series().reset_index(drop=True)
    end[80] = times[120]  # the decision at row 80 is not settled before row 120
    slow = Labels(labels.values, labels.start, (pd.DatetimeIndex(end),), labels.horizons, "slow")
    split = walk_forward(times, slow, train=DAYS(100), validation=DAYS(80), test=DAYS(100))
    fold = split.folds[0]
    assert split.purge_bars == 20  # rows 80 to 99
    assert fold.train[1] == 80 - split.embargo_bars == 40
    assert latest_end(slow, fold.train) < times[fold.validation[0]]


def test_training_on_what_is_left_scores_a_random_walk_at_nothing(rng):
    """Null test: labels overlap, the walk has no memory, and past label means forecast nothing."""
    times = pd.date_range("1990-01-01", periods=4000, freq="D", tz="UTC").as_unit("ns")
    steps = rng.normal(size=len(times))
    horizon = 20
    total = np.concatenate([[0.0], steps.cumsum()])
    label = np.array([total[min(t + 2 + horizon, 4000)] - total[min(t + 2, 4000)] for t in range(4000)])
    split = walk_forward(times, labels_of(times, (horizon,)), train=YEARS(2), validation=DAYS(120), test=DAYS(120))
    pairs = []
    for fold in split.folds:
        last_known = label[fold.train[1] - 1]
        pairs.append((last_known, label[fold.test[0]]))
    correlation = np.corrcoef(np.array(pairs).T)[0, 1]
    assert abs(correlation) < 3 / np.sqrt(len(pairs))


def test_too_little_data_says_how_much_is_missing():
    times = pd.date_range("2000-01-01", periods=200, freq="D", tz="UTC").as_unit("ns")
    with pytest.raises(ConfigError, match=r"200 bars .* too few for one fold, expected about 101 bars more"):
        walk_forward(times, labels_of(times, (1,)), train=DAYS(100), validation=DAYS(100), test=DAYS(100))


def test_a_range_without_room_for_the_embargo_says_how_much_is_missing():
    times = pd.date_range("2000-01-01", periods=400, freq="D", tz="UTC").as_unit("ns")
    arguments = {"train": DAYS(100), "test": DAYS(100)}
    with pytest.raises(
        ConfigError, match=r"split\.validation: fold 1 has 10 bars .* take 42, expected at least 33 bars more"
    ):
        walk_forward(times, labels_of(times, (20,)), validation=DAYS(10), **arguments)
    enough = walk_forward(times, labels_of(times, (20,)), validation=DAYS(43), **arguments).folds[0]
    assert enough.validation[1] - enough.validation[0] == 1


def test_labels_longer_than_the_data_and_empty_lengths_are_refused():
    times = pd.date_range("2000-01-01", periods=30, freq="D", tz="UTC").as_unit("ns")
    with pytest.raises(ConfigError, match="no label ends within the 30 bars"):
        walk_forward(times, labels_of(times, (60,)), train=DAYS(10), validation=DAYS(5), test=DAYS(5))
    with pytest.raises(ConfigError, match="not positive"):
        walk_forward(times, labels_of(times, (1,)), train=DAYS(10), validation=DAYS(0), test=DAYS(5))


def test_hourly_bars_split_by_months(demo_store):
    panel = Store.open(demo_store).panel(["EURUSD"], start="2017-01-01", end="2017-12-31", frequency="1h")
    months = lambda n: pd.DateOffset(months=n)
    split = walk_forward(panel.times, ForwardReturn((4,))(panel), train=months(4), validation=months(1), test=months(1))
    assert len(split.folds) == 7
    assert split.embargo_bars == 5
