"""Synthetic side series have release lags, true vintages, and holes that are counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mnpu.data.fixture import macro
from mnpu.data.fixture.market import generate
from mnpu.data.fixture.plan import Plan
from mnpu.data.fixture.plant import leave


@pytest.fixture(scope="module")
def world():
    return generate(Plan(symbols=6, sessions=900, seed=4), leave)


@pytest.fixture(scope="module")
def series(world):
    return {o.info.series: o for o in macro.generate(Plan(symbols=6, sessions=900, seed=4), world)}


def test_nothing_is_known_before_its_period_ends_or_after_the_last_session(series, world):
    for o in series.values():
        assert (o.knowledge_time >= o.event_time).all()
        assert o.knowledge_time.max() <= world.closes[-1]
        assert np.isfinite(o.value).all()
        assert o.info.source == "synthetic"


def test_a_print_is_replaced_by_its_revision_and_both_are_kept(series):
    prints = pd.DataFrame({"event": series["core_cpi"].event_time, "value": series["core_cpi"].value})
    counts = prints.groupby("event").value.agg(["count", "nunique"])
    assert counts["count"].max() == 2
    assert (counts["count"] == 2).mean() > 0.8
    assert (counts["count"] == counts["nunique"]).all()  # a revision that changes nothing is no news
    assert pd.Series(series["GDPC1"].event_time).value_counts().max() == 3


def test_a_release_comes_at_half_past_eight_in_new_york_on_a_weekday(series):
    for name in ("core_cpi", "GDPC1"):
        local = series[name].knowledge_time.tz_convert("America/New_York")
        assert set(zip(local.hour, local.minute, strict=True)) == {(8, 30)}
        assert local.day_of_week.max() < 5


def test_one_month_was_never_published(series):
    months = pd.DatetimeIndex(series["core_cpi"].event_time.unique()).tz_localize(None).to_period("M")
    whole = pd.period_range(months.min(), months.max(), freq="M")
    assert len(whole.difference(months)) == series["core_cpi"].n_missing == 1


def test_missing_days_are_missing_and_counted(series):
    for name in ("vix_close", "wti_spot"):
        o = series[name]
        assert 5 < o.n_missing < 60
    # the last session's value comes a quarter of an hour after the last close
    assert len(series["vix_close"].value) + series["vix_close"].n_missing == 899


def test_the_volatility_index_follows_the_market_and_is_known_after_its_close(series, world):
    o = series["vix_close"]
    local = o.event_time.tz_convert("America/New_York").tz_localize(None)
    days = np.isin(world.dates, local.to_numpy().astype("datetime64[D]"))
    level = np.corrcoef(np.log(o.value), np.log(world.noise.market_sigma[days]))[0, 1]
    assert level > 0.95
    assert (o.knowledge_time > world.closes[days]).all()


def test_a_long_window_of_monthly_values_is_full_when_prices_begin(series, world):
    known = series["core_cpi"].knowledge_time < world.closes[0]
    assert len(series["core_cpi"].event_time[known].unique()) > 48
