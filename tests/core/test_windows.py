"""Usable windows, by a loop that asks every cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.data.windows import window_index
from mnpu.types import Labels


def labels_of(values):
    nat = pd.DatetimeIndex([pd.NaT] * len(values), tz="UTC")
    return Labels(values, nat, (nat,) * values.shape[2], tuple(range(1, values.shape[2] + 1)), "made_up")


def by_hand(values, labels, tradable, rows, lookback, min_present):
    found = []
    for t in range(*rows):
        for a in range(values.shape[1]):
            if t - lookback + 1 < 0 or not tradable[t, a]:
                continue
            window = values[t - lookback + 1 : t + 1, a]
            enough = np.isfinite(window).sum() / window.size >= min_present - 1e-12
            if enough and (labels is None or np.isfinite(labels.values[t, a]).all()):
                found.append((t, a))
    return found


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 9999),
    shape=st.tuples(st.integers(1, 25), st.integers(1, 4), st.integers(1, 3)),
    lookback=st.integers(1, 8),
    min_present=st.sampled_from([0.0, 0.5, 0.8, 1.0]),
    with_labels=st.booleans(),
)
def test_windows_agree_with_asking_every_cell(seed, shape, lookback, min_present, with_labels):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(shape) < 0.2, np.nan, 1.0)
    tradable = rng.random(shape[:2]) < 0.8
    targets = np.where(rng.random((*shape[:2], 2)) < 0.2, np.nan, 1.0)
    labels = labels_of(targets) if with_labels else None
    rows = tuple(sorted(rng.integers(0, shape[0] + 1, 2).tolist()))
    time, symbol = window_index(values, labels, tradable, rows=rows, lookback=lookback, min_present=min_present)
    assert list(zip(time.tolist(), symbol.tolist(), strict=True)) == by_hand(
        values, labels, tradable, rows, lookback, min_present
    )


def test_exactly_the_wanted_fraction_is_enough():
    values = np.ones((100, 1, 1))
    values[:93] = np.nan
    assert 0.07 * 100 > 7  # in floating point, so seven present cells must not be compared naively
    time, _ = window_index(values, None, np.ones((100, 1), bool), rows=(0, 100), lookback=100, min_present=0.07)
    assert time.tolist() == [99]


def test_windows_may_begin_before_the_range_but_not_before_the_data():
    time, _ = window_index(np.ones((10, 1, 1)), None, np.ones((10, 1), bool), rows=(2, 6), lookback=4)
    assert time.tolist() == [3, 4, 5]


def test_indices_are_ordered_by_time_then_symbol_and_are_integers():
    time, symbol = window_index(np.ones((3, 2, 1)), None, np.ones((3, 2), bool), rows=(0, 3), lookback=1)
    assert (time.dtype, symbol.dtype) == (np.int64, np.int64)
    assert list(zip(time, symbol, strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


@pytest.mark.parametrize("rows", [(5, 5), (0, 2), (9, 20)])
def test_a_range_without_a_window_has_none(rows):
    time, symbol = window_index(np.full((9, 2, 1), 1.0), None, np.ones((9, 2), bool), rows=rows, lookback=4)
    assert len(time) == len(symbol) == 0
