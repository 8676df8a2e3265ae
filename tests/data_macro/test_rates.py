"""Rates: hand calculation, then the Treasury curve and the Federal Reserve's rate against pandas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mnpu.data.store import Store
from mnpu.features import View
from mnpu.types import SideTable
from mnpu_data_macro import macro
from tests.side_tables import AGES, DAY, decisions, rows_known, shared_frame, side_table, table, utc


def value(name: str, side: SideTable, times: pd.DatetimeIndex, **params: Any) -> np.ndarray:
    return getattr(macro, name)(View(decisions(times), side), **params)


CURVE = {
    "ust_3month": [("2001-01-02", "2001-01-03", 0.06), ("2001-01-03", "2001-01-04", 0.058)],
    "ust_2year": [("2001-01-02", "2001-01-03", 0.05), ("2001-01-03", "2001-01-04", 0.05)],
    "ust_10year": [("2001-01-02", "2001-01-03", 0.0525), ("2001-01-03", "2001-01-04", 0.053)],
}
DAYS = utc("2001-01-02 23:59:59", "2001-01-03 00:00", "2001-01-04 21:00")


def test_level_slope_and_curvature_of_a_curve() -> None:
    side = table(CURVE)
    np.testing.assert_allclose(value("yield_level", side, DAYS), [np.nan, 0.0525, 0.053])
    np.testing.assert_allclose(value("yield_slope", side, DAYS), [np.nan, -0.0075, -0.005])
    np.testing.assert_allclose(value("yield_curvature", side, DAYS), [np.nan, -0.0125, -0.011])
    np.testing.assert_allclose(value("yield_change", side, DAYS, window=1), [np.nan, np.nan, 0.0005])


def test_a_straight_line_has_no_curvature() -> None:
    side = table({name: [("2001-01-02", "2001-01-03", y)] for name, y in (("s", 1.0), ("m", 2.0), ("l", 3.0))})
    flat = value("yield_curvature", side, DAYS, short="s", medium="m", long="l", unit="percent")
    np.testing.assert_allclose(flat, [np.nan, 0.0, 0.0], atol=1e-15)
    slope = value("yield_slope", side, DAYS, short="s", long="l", unit="percent")
    np.testing.assert_allclose(slope, [np.nan, 0.02, 0.02])


def test_a_policy_rate_holds_until_it_changes() -> None:
    side = table({"us_primary_credit_rate": [("2008-10-29", "2008-10-29", 1.25), ("2008-12-17", "2008-12-17", 0.5)]})
    times = utc("2008-10-28 20:00", "2008-12-16 21:00", "2008-12-17 00:00", "2008-12-18 21:00", "2015-12-01 21:00")
    np.testing.assert_allclose(value("policy_rate", side, times), [np.nan, 0.0125, 0.005, 0.005, 0.005])
    change = value("policy_rate_change", side, times, window=2)
    np.testing.assert_allclose(change, [np.nan, np.nan, np.nan, -0.0075, 0.0])


def test_the_bundled_store_has_a_curve_of_its_own(demo_store) -> None:
    """Its bill rate and corporate yields are percent and named otherwise: parameters say so."""
    store = Store.open(demo_store)
    panel = store.panel(["KO"], start="2008-06-02", end="2009-06-30", dataset="us_adjclose_daily")
    names = {"long": "moodys_aaa_yield", "short": "us_tbilrate"}
    side = store.side(tuple(names.values()))
    slope = macro.yield_slope(View(panel, side), **names, unit="percent")
    now = panel.times[150]
    expected = [rows_known(side, name, now).iloc[-1] for name in names.values()]
    assert slope[150] == pytest.approx((expected[0] - expected[1]) / 100, rel=1e-12)


# The real curve, each day known at the end of the next one.


@pytest.fixture(scope="module")
def curve() -> SideTable:
    frame = shared_frame("macro/us_treasury_curve_daily.parquet")
    frame = frame[frame["timestamp"] >= "2005-01-01"]
    event = frame["timestamp"] + DAY - pd.Timedelta(1, "s")
    return side_table(frame.assign(event=event, known=event + DAY), max_age=10 * DAY)


def test_the_curve_of_2006_was_inverted_and_that_of_2010_was_not(curve: SideTable) -> None:
    times = utc("2006-12-29 21:00", "2010-04-05 20:00")
    slope = value("yield_slope", curve, times)
    assert slope[0] == pytest.approx(
        0.0466 - 0.0497, abs=1e-9
    )  # 27 December: that of the 28th is out three hours later
    assert slope[1] > 0.03


def test_every_curve_signal_is_what_pandas_makes_of_the_rows_known(curve: SideTable) -> None:
    times = pd.date_range("2007-01-02 21:00", "2009-12-31 21:00", freq="37D", tz="UTC").as_unit("ns")
    got = {name: value(name, curve, times) for name in ("yield_level", "yield_slope", "yield_curvature")}
    got["yield_change"] = value("yield_change", curve, times, window=21)
    for t, at in enumerate(times):
        short, medium, long = (rows_known(curve, f"ust_{m}", at) for m in ("3month", "2year", "10year"))
        assert at - long.index[-1] > DAY
        expected = {
            "yield_level": long.iloc[-1],
            "yield_slope": long.iloc[-1] - short.iloc[-1],
            "yield_curvature": 2 * medium.iloc[-1] - long.iloc[-1] - short.iloc[-1],
            "yield_change": long.iloc[-1] - long.iloc[-22],
        }
        for name, number in expected.items():
            assert got[name][t] == pytest.approx(number, abs=1e-15)


def test_the_discount_rate_through_the_crisis() -> None:
    frame = shared_frame("macro/us_primary_credit_rate_changes.parquet")
    side = side_table(frame.assign(event=frame["timestamp"], known=frame["available_at"]), max_age=AGES)
    times = utc("2008-12-15 21:00", "2008-12-17 21:00", "2010-02-18 21:00", "2010-02-19 21:00", "2015-12-16 21:00")
    rate = value("policy_rate", side, times)
    np.testing.assert_allclose(rate, [0.0125, 0.005, 0.005, 0.0075, 0.0075])  # the Board's press releases
    np.testing.assert_allclose(value("policy_rate_change", side, times, window=2)[2:], [-0.0075, 0.0025, 0.0025])
