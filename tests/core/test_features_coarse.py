"""Features of several time frames: a longer bar counts from its close on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnpu.errors import ConfigError, PluginError
from mnpu.features.api import View, feature
from mnpu.features.leaks import future_perturbation, truncation
from mnpu.features.plan import plan_function
from mnpu.features.trailing import trailing_mean
from mnpu.testing.features import synthetic_panel, synthetic_side


@feature(fields=("close",), warmup=24 * 5, unit="fraction")
def daily_trend(view: View, *, window: int = 3) -> np.ndarray:
    """Close against the mean of the last finished days."""
    days = view.coarser("1d")
    return view["close"] / days.at_decisions(trailing_mean(days["close"], window)) - 1


@feature(fields=("high", "volume"), warmup=15, unit="price")
def last_week(view: View) -> np.ndarray:
    """High of the last finished week, where it was traded."""
    weeks = view.coarser("1w")
    return weeks.at_decisions(np.where(weeks["volume"] > 0, weeks["high"], np.nan))


@feature(fields=("close",), warmup=48, unit="fraction")
def unfinished(view: View) -> np.ndarray:
    """The close of the day that is still running: a leak."""
    days = view.coarser("1d")
    row = np.minimum(np.searchsorted(days.times.asi8, view.times.asi8), len(days.times) - 1)
    return days["close"][row] / view["close"] - 1


def world(frequency, rng):
    panel = synthetic_panel(rng, bars=300, frequency=frequency)
    return panel, synthetic_side((), panel, rng)


@pytest.mark.parametrize(("function", "frequency"), [(daily_trend, "1h"), (last_week, "1d")])
def test_a_feature_of_longer_bars_sees_no_future(function, frequency, rng):
    panel, side = world(frequency, rng)
    columns = plan_function(function, {}, source="made_up")
    cuts = rng.choice(np.arange(60, 299), size=40, replace=False)
    assert future_perturbation(columns, panel, side, cuts=cuts, rng=rng) == []
    assert truncation(columns, panel, side, cuts=cuts) == []


@pytest.mark.parametrize(("function", "frequency"), [(daily_trend, "1h"), (last_week, "1d")])
def test_its_warm_up_is_enough_wherever_the_data_begin(function, frequency, rng):
    panel, side = world(frequency, rng)
    (column,) = plan_function(function, {}, source="made_up")
    whole = function(View(panel, side))
    for last in range(180, 260):
        alone = function(View(panel.rows(last - column.spec.warmup + 1, last + 1), side))[-1]
        np.testing.assert_allclose(alone, whole[last], rtol=1e-12)


def test_a_day_that_is_still_running_is_caught(rng):
    panel, side = world("1h", rng)
    leaks = future_perturbation(plan_function(unfinished, {}, source="made_up"), panel, side, cuts=[100, 101], rng=rng)
    assert {leak.column for leak in leaks} == {"made_up.unfinished"}


def test_each_hour_sees_the_day_before_and_midnight_the_day_that_ends(rng):
    panel, side = world("1h", rng)
    view = View(panel, side)
    days = view.coarser("1d")
    seen = days.at_decisions(days["close"])
    assert (days.frequency, days.periods_per_year) == ("1d", 365.0)
    for t, at in enumerate(view.times):
        midnight = np.flatnonzero(np.asarray(view.times == at.floor("D")))
        expected = view["close"][midnight[0], 2] if len(midnight) else np.nan
        np.testing.assert_equal(seen[t, 2], expected)


def test_what_is_not_declared_or_has_the_wrong_shape_is_refused(rng):
    panel, side = world("1h", rng)
    days = View(panel, side, fields=("close",), where="mine").coarser("1d")
    with pytest.raises(ConfigError, match="reads the field 'open', which it did not declare"):
        days["open"]
    with pytest.raises(PluginError, match="expected one row for each of the 12 bars of 1d"):
        days.at_decisions(np.zeros(3))
    with pytest.raises(ConfigError, match="cannot become bars of 1h"):
        View(replace(panel, frequency="1d"), side).coarser("1h")
