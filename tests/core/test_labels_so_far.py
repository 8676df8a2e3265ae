"""Labels while bars still come: those of the whole data where they have ended, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.data.targets import Direction, ForwardReturn, TripleBarrier, VolScaledReturn, labels_as_learnt
from mnpu.data.targets.so_far import labels_so_far, lookback_of
from mnpu.errors import ConfigError
from mnpu.types import Fold
from tests.core.test_targets_of_volatility import market

N, HORIZONS = 45, (1, 4)
AHEAD = max(HORIZONS) + 1
TARGETS = [ForwardReturn(HORIZONS), VolScaledReturn(HORIZONS, window=6), TripleBarrier(HORIZONS, window=6)]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    target=st.sampled_from(TARGETS),
    fill=st.sampled_from(["next_close", "next_open", "vwap"]),
    holes=st.sampled_from([0.0, 0.1]),
    now=st.integers(20, N - 1),
)
def test_the_last_bars_tell_every_label_that_has_ended_and_no_other(make_panel, seed, target, fill, holes, now):
    # The data goes on until every label has ended: where it stops, a barrier that was reached counts for nothing.
    panel = market(make_panel, np.random.default_rng(seed), n=N + AHEAD, holes=holes)
    whole, lookback = target(panel, fill), target.lookback
    first = now - AHEAD  # the oldest decision whose label can still be open
    few = labels_so_far(target, panel.rows(first - lookback, now + 1), fill, ahead=AHEAD)
    for i in range(len(HORIZONS)):
        ended = np.asarray(whole.end[i][first : now + 1] <= panel.times[now])
        assert ended[0]
        known = np.where(ended[:, None], whole.values[first : now + 1, :, i], np.nan)
        np.testing.assert_array_equal(few.values[lookback:, :, i], known)
        assert np.array_equal(np.asarray(few.end[i][lookback:].notna()), ended)
        assert (few.end[i][lookback:][ended] == whole.end[i][first : now + 1][ended]).all()


def test_a_barrier_that_is_reached_early_is_told_at_once(make_panel):
    close = np.array([1.01, 1.0, 1.01, 1.0, 1.01, 1.0, 1.01, 1.0, 1.0, 1.3, 1.3, 1.3, 1.3])[:, None]
    target = TripleBarrier((4,), window=4)
    panel = make_panel(close)
    so_far = labels_so_far(target, panel.rows(0, 10), "next_close", ahead=5)
    assert so_far.values[7, 0, 0] == 1.0
    assert np.isnan(target(panel.rows(0, 10)).values[7, 0, 0])  # by itself it would wait for the vertical barrier


def test_a_symbol_that_is_not_listed_yet_does_not_stop_the_others(make_panel, rng):
    panel = market(make_panel, rng, n=20)
    for name in panel.fields:
        panel.fields[name][:, 1] = np.nan
    labels = labels_so_far(ForwardReturn((1,)), panel, "next_open", ahead=2)
    assert np.isfinite(labels.values[:18, 0]).all()
    assert np.isnan(labels.values[:, 1]).all()


class Untold(Direction):
    """Learns from a training range, and does not say what."""

    as_learnt = property()  # not there for whoever asks


def test_a_target_that_looks_at_a_whole_training_range_and_does_not_tell_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"labels of untold depend on a whole training range.* as_learnt"):
        lookback_of(Untold((1,)), "untold")
    assert lookback_of(Direction((1,)), "direction") == 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), holes=st.sampled_from([0.0, 0.1]), now=st.integers(31, N - 1))
def test_the_last_bars_tell_the_classes_of_a_fold_by_what_it_has_learnt(make_panel, seed, holes, now):
    panel = market(make_panel, np.random.default_rng(seed), n=N + AHEAD, holes=holes)
    target = Direction(HORIZONS)
    fold = target.for_fold(target(panel), Fold(0, (0, 25), (26, 28), (30, N)))
    first = now - AHEAD
    returns = labels_so_far(target, panel.rows(first, now + 1), "next_close", ahead=AHEAD)
    few = labels_as_learnt(target, returns, fold.learnt)
    for i in range(len(HORIZONS)):
        ended = np.asarray(fold.end[i][first : now + 1] <= panel.times[now])
        known = np.where(ended[:, None], fold.values[first : now + 1, :, i], np.nan)
        assert set(np.unique(known[np.isfinite(known)])) <= {-1.0, 0.0, 1.0}
        np.testing.assert_array_equal(few.values[:, :, i], known)


def test_a_target_that_does_not_say_how_far_it_looks_back_is_refused_by_name():
    with pytest.raises(ConfigError, match="mine does not say how many bars before the decision"):
        lookback_of(object(), "mine")
