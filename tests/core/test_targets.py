"""Labels, their values and the time that they span."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.data.fills import fill_prices, holding_returns
from mnpu.data.targets import ForwardReturn
from mnpu.errors import ConfigError, DataError

NAN = np.nan


def test_a_label_is_the_return_from_the_fill_to_the_price_h_bars_later(make_panel):
    panel = make_panel([[1.0], [10.0], [11.0], [5.0], [20.0]])
    labels = ForwardReturn((1, 3))(panel)
    np.testing.assert_allclose(labels.values[:, 0, 0], [0.1, 5 / 11 - 1, 3.0, NAN, NAN])
    np.testing.assert_allclose(labels.values[:, 0, 1], [1.0, NAN, NAN, NAN, NAN])
    assert labels.horizons == (1, 3)
    assert labels.name == "forward_return"


def test_a_label_begins_at_the_fill_and_ends_at_its_last_price(make_panel):
    panel = make_panel(np.arange(1.0, 7.0)[:, None])
    labels = ForwardReturn((2,))(panel)
    assert list(labels.start[:5]) == list(panel.times[1:])
    assert list(labels.end[0][:3]) == list(panel.times[3:])
    assert labels.end[0][3:].isna().all()
    assert labels.start[5] is pd.NaT


def test_labels_of_opens_run_from_open_to_open(make_panel):
    opens = np.array([[1.0], [2.0], [3.0], [6.0]])
    labels = ForwardReturn((1,))(make_panel(opens * 7, open=opens), "next_open")
    np.testing.assert_allclose(labels.values[:, 0, 0], [0.5, 1.0, NAN, NAN])
    assert labels.end[0][0] == pd.Timestamp("2015-01-07 14:30", tz="UTC")


def test_a_missing_price_at_either_end_makes_the_label_unknown(make_panel):
    labels = ForwardReturn((1,))(make_panel([[1.0], [2.0], [NAN], [4.0], [5.0]]))
    np.testing.assert_array_equal(np.isfinite(labels.values[:, 0, 0]), [False, False, True, False, False])


def test_the_label_of_one_bar_is_what_a_holder_earns(make_panel, rng):
    panel = make_panel(np.exp(rng.normal(0, 0.1, (30, 3)).cumsum(axis=0)))
    np.testing.assert_array_equal(ForwardReturn((1,))(panel).values[..., 0], holding_returns(fill_prices(panel)))


@settings(max_examples=60, deadline=None)
@given(n=st.integers(12, 40), horizons=st.sets(st.integers(1, 10), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_labels_agree_with_a_loop(make_panel, n, horizons, seed):
    close = np.random.default_rng(seed).uniform(1, 2, (n, 2))
    panel = make_panel(close)
    labels = ForwardReturn(tuple(sorted(horizons)))(panel)
    for i, h in enumerate(sorted(horizons)):
        for t in range(n):
            if t + 1 + h < n:
                np.testing.assert_allclose(labels.values[t, :, i], close[t + 1 + h] / close[t + 1] - 1)
                assert labels.end[i][t] == panel.times[t + 1 + h]
            else:
                assert np.isnan(labels.values[t, :, i]).all()
                assert labels.end[i][t] is pd.NaT


@pytest.mark.parametrize("horizons", [(), (0,), (-1, 2), (5, 1), (2, 2)])
def test_impossible_horizons_are_refused(horizons):
    with pytest.raises(ConfigError, match="increasing integers from 1"):
        ForwardReturn(horizons)


def test_a_range_that_is_shorter_than_the_label_is_refused(make_panel):
    with pytest.raises(DataError, match="6 bars are too few for a horizon of 5, expected at least 7 bars"):
        ForwardReturn((5,))(make_panel(np.ones((6, 1))))
