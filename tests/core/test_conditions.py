"""What execution depends on: the bar of the fill, what was usual at the decision, extremes, years and funding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.data.conditions import USUAL, execution_arrays, funding_paid
from mnpu.data.fills import Fills, fill_prices
from mnpu.errors import DataError
from mnpu.types import Panel, SeriesInfo, SideTable


@pytest.fixture
def market(make_panel, rng):
    def make(*, volume: bool = True) -> Panel:
        close = 100 * np.exp(np.cumsum(0.02 * rng.standard_normal((40, 2)), axis=0))
        fields = {"open": close * 1.001, "high": close * 1.02, "low": close * 0.97}
        if volume:
            fields["volume"] = rng.uniform(1e3, 1e4, close.shape)
        times = pd.date_range("2024-01-01", periods=40, freq="D", tz="UTC").as_unit("ns")
        return make_panel(close, times=times, **fields)

    return make


def fills_of(panel: Panel) -> Fills:
    later = panel.times[1:].append(pd.DatetimeIndex([pd.NaT], tz="UTC").as_unit("ns"))
    prices = np.vstack([panel["close"][1:], np.full((1, 2), np.nan)])
    return Fills(prices, later, np.zeros(prices.shape), np.zeros(prices.shape, bool))


def test_volume_is_of_the_bar_of_the_fill_and_what_is_usual_was_known_at_the_decision(market):
    panel = market()
    found = execution_arrays(panel, fills_of(panel), "next_close")
    traded = panel["volume"] * panel["close"]
    t = 30
    np.testing.assert_allclose(found["volume"][t], traded[t + 1])
    np.testing.assert_allclose(found["usual"][t], traded[t - USUAL + 1 : t + 1].mean(axis=0))
    returns = panel["close"][1:] / panel["close"][:-1] - 1
    np.testing.assert_allclose(found["volatility"][t], returns[t - USUAL : t].std(axis=0, ddof=1))
    assert found["years"][t] == pytest.approx(1 / 365.25)
    assert found["years"][-2:].tolist() == [0, 0]


def test_nothing_usual_changes_with_what_comes_after_the_decision(market):
    panel, t = market(), 25
    other = replace(panel, fields={name: values.copy() for name, values in panel.fields.items()})
    for values in other.fields.values():
        values[t + 1 :] *= 3.0
    before, after = (execution_arrays(p, fills_of(p), "next_close") for p in (panel, other))
    for name in ("usual", "volatility"):
        np.testing.assert_array_equal(before[name][: t + 1], after[name][: t + 1])


@pytest.mark.parametrize(("fill", "ahead"), [("next_close", 2), ("next_open", 1)])
def test_extremes_are_those_of_the_bar_between_two_fills(market, fill, ahead):
    panel = market()
    fills = fills_of(panel)
    found = execution_arrays(panel, fills, fill)
    t = 10
    np.testing.assert_allclose(found["low"][t], panel["low"][t + ahead] / fills.prices[t] - 1)
    np.testing.assert_allclose(found["high"][t], panel["high"][t + ahead] / fills.prices[t] - 1)


def test_without_volumes_only_what_needs_them_is_refused(market):
    panel = market(volume=False)
    with pytest.raises(DataError, match="the prices have no volume"):
        execution_arrays(panel, fills_of(panel), "next_close")
    assert set(execution_arrays(panel, fills_of(panel), "next_close", volumes=False)) == {"years", "low", "high"}


def test_funding_is_paid_by_who_held_at_the_settlement():
    """Settled exactly at a fill: by who held up to it, not by who has just bought."""
    times = pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-03", None], tz="UTC").as_unit("ns")
    settled = pd.DatetimeIndex(
        ["2024-01-01", "2024-01-01 08:00", "2024-01-02", "2024-01-02 16:00", "2024-01-09"], tz="UTC"
    ).as_unit("ns")
    info = SeriesInfo("rate", "8h", "fraction", "observed", "", pd.Timedelta(days=1), "s", "l", "funding")
    n = len(settled)
    side = SideTable(
        settled, settled, np.full(n, "rate"), np.full(n, "A"), np.array([0.1, 0.01, 0.02, 0.04, 0.8]), {"rate": info}
    )
    assert funding_paid(side, "rate", ("A",), times)[:, 0].tolist() == pytest.approx([0.03, 0.04, 0.0, 0.0])
    with pytest.raises(DataError, match="rate has no rate for B"):
        funding_paid(side, "rate", ("A", "B"), times)


def test_the_factor_of_a_fill_holds_the_splits_that_its_price_shows(make_panel):
    """Two for one before bar 2: the fill of decision 1 is the first at the new price."""
    split = np.array([[1.0], [1.0], [2.0], [2.0]])
    panel = make_panel(np.full((4, 1), 10.0), split_factor=split)
    for fill in ("next_close", "vwap"):
        found = execution_arrays(panel, fill_prices(panel), fill, volumes=False)
        assert found["factor"][:, 0].tolist() == [1.0, 2.0, 2.0, 2.0]
    weeks = replace(panel, fields={**panel.fields, "open_factor": np.array([[1.0], [1.0], [1.0], [2.0]])})
    assert execution_arrays(weeks, fill_prices(weeks), "next_open", volumes=False)["factor"].tolist() == [
        [1],
        [1],
        [2],
        [2],
    ]
    assert "factor" not in execution_arrays(
        make_panel(np.ones((4, 1))), fill_prices(panel), "next_close", volumes=False
    )
