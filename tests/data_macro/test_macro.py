"""The macro source: hand calculation on small tables, then the bundled series on their own dates."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mnpu.data.insert import insert
from mnpu.data.store import Store
from mnpu.errors import ConfigError, DataError
from mnpu.features import View
from mnpu.features.compute import compute
from mnpu.features.leaks import choose_cuts, future_perturbation, truncation, with_noise_after
from mnpu.features.plan import PlannedFeature, features_of, plan_function, series_needed
from mnpu.plugins.registry import Registry
from mnpu.testing import check_component
from mnpu.types import Panel, SideTable
from mnpu_data_macro import macro
from tests.side_tables import DAY, decisions, table, utc


def monthly(values: Sequence[float], *, first: str = "2000-01", lag_days: int = 15) -> list[tuple[str, str, float]]:
    """One observation a month, known ``lag_days`` after its month's end."""
    ends = pd.period_range(first, periods=len(values), freq="M").end_time.normalize()
    return [(str(end), str(end + lag_days * DAY), float(value)) for end, value in zip(ends, values, strict=True)]


def value(name: str, side: SideTable, times: pd.DatetimeIndex, **params: Any) -> np.ndarray:
    return getattr(macro, name)(View(decisions(times), side), **params)


def test_the_credit_spread_is_the_difference_of_two_yields_as_a_fraction() -> None:
    side = table({"moodys_baa_yield": monthly([8.5, 9.0]), "moodys_aaa_yield": monthly([7.0, 7.25])})
    times = utc("2000-02-14 21:00", "2000-02-15 21:00", "2000-03-15 21:00")
    np.testing.assert_allclose(value("credit_spread", side, times), [np.nan, 0.015, 0.0175], rtol=1e-12)


def test_the_spreads_change_is_over_published_months() -> None:
    side = table({"moodys_baa_yield": monthly([8, 9, 10, 12]), "moodys_aaa_yield": monthly([7, 7.5, 8, 8.5])})
    times = utc("2000-04-20 21:00", "2000-05-20 21:00")
    np.testing.assert_allclose(value("credit_spread_change", side, times, months=3), [np.nan, 0.025], rtol=1e-12)
    np.testing.assert_allclose(value("credit_spread_change", side, times, months=1), [0.005, 0.015], rtol=1e-12)


def test_the_inflation_gap_is_a_loop_over_months() -> None:
    cpi = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.002, 0.001, size=80)))
    side = table({"core_cpi": monthly(cpi)})
    inflation = [cpi[m] / cpi[m - 12] - 1 for m in range(12, 80)]
    expected = inflation[-1] - sum(inflation[-24:]) / 24
    late = utc("2010-01-04 21:00")
    assert value("core_inflation_gap", side, late, months=24)[0] == pytest.approx(expected, rel=1e-9)
    assert np.isnan(value("core_inflation_gap", side, late, months=69)[0])  # 81 observations would be needed


def test_a_price_level_that_grows_at_one_rate_has_no_gap() -> None:
    side = table({"core_cpi": monthly(100 * 1.002 ** np.arange(60))})
    assert value("core_inflation_gap", side, utc("2006-01-04 21:00"))[0] == pytest.approx(0.0, abs=1e-12)


def test_oil_momentum_counts_observations_not_days() -> None:
    rows = [("2001-01-02", "2001-01-03", 20.0), ("2001-01-05", "2001-01-06", 22.0), ("2001-01-09", "2001-01-10", 25.0)]
    side = table({"wti_spot": rows})
    times = utc("2001-01-09 21:00", "2001-01-10 21:00")
    np.testing.assert_allclose(value("oil_momentum", side, times, window=2), [np.nan, np.log(25 / 20)], rtol=1e-12)


def test_a_negative_oil_price_has_no_momentum() -> None:
    side = table({"wti_spot": [("2020-04-17", "2020-04-18", 18.3), ("2020-04-20", "2020-04-21", -37.0)]})
    assert np.isnan(value("oil_momentum", side, utc("2020-04-22 21:00"), window=1)).all()


def test_the_vix_is_a_fraction_and_its_change_a_difference() -> None:
    side = table({"vix_close": [("2015-08-21", "2015-08-21 20:15", 28.0), ("2015-08-24", "2015-08-24 20:15", 40.7)]})
    times = utc("2015-08-24 20:00", "2015-08-25 20:00")
    np.testing.assert_allclose(value("vix_level", side, times), [0.28, 0.407], rtol=1e-12)
    np.testing.assert_allclose(value("vix_change", side, times, window=1), [np.nan, 0.127], rtol=1e-12)


def test_the_vix_against_its_mean() -> None:
    rows = [(f"2015-08-{day} 20:15", f"2015-08-{day} 20:15", vix) for day, vix in ((19, 15.0), (20, 19.0), (21, 28.0))]
    times = utc("2015-08-20 20:15", "2015-08-21 20:15")
    term = value("vix_term", table({"vix_close": rows}), times, window=3)
    np.testing.assert_allclose(term, [np.nan, np.log(28 / ((15 + 19 + 28) / 3))], rtol=1e-12)


def test_gold_momentum_counts_months() -> None:
    side = table({"gold_usd": monthly([1000, 1100, 1050, 1210])})
    times = utc("2000-04-15", "2000-05-15")
    np.testing.assert_allclose(value("gold_momentum", side, times), [np.nan, np.log(1.21)], rtol=1e-12)


def test_a_value_older_than_its_maximum_age_is_missing() -> None:
    side = table({"vix_close": [("2015-08-21 20:15", "2015-08-21 20:15", 28.0)]}, max_age=7 * DAY)
    times = utc("2015-08-21 20:15", "2015-08-28 20:15", "2015-08-28 20:16")
    np.testing.assert_allclose(value("vix_level", side, times), [0.28, 0.28, np.nan])


FIRST_SECOND_THIRD = {
    "INDPRO": [
        ("2016-04-30", "2016-05-16 13:15", 103.0),
        ("2016-05-31", "2016-06-16 13:15", 104.0),
        ("2016-04-30", "2016-06-16 13:15", 103.4),
        ("2016-05-31", "2016-07-15 13:15", 104.1),
        ("2016-06-30", "2016-07-15 13:15", 104.5),
        ("2016-06-30", "2016-08-16 14:00", 104.2),
    ]
}


def test_a_revision_is_seen_from_its_own_publication_on() -> None:
    side = table(FIRST_SECOND_THIRD)
    times = utc("2016-06-16 13:14", "2016-06-16 13:15", "2016-07-15 13:15", "2016-08-16 13:59", "2016-08-16 14:00")
    np.testing.assert_allclose(value("revision", side, times), [np.nan, 0.4, 0.1, 0.1, -0.3], atol=1e-9)


def test_a_first_print_is_what_was_known_until_it_was_revised() -> None:
    """The vintage fixture of trap D4: just before and after each print, the value of that moment."""
    side = table({"core_cpi": FIRST_SECOND_THIRD["INDPRO"]})
    view = View(decisions(utc("2016-05-16 13:14", "2016-05-16 13:15", "2016-07-15 13:15", "2016-08-16 14:00")), side)
    known = view.known("core_cpi")
    np.testing.assert_allclose(view.at_decision(known, known.values[:, 0]), [np.nan, 103.0, 104.5, 104.2])


def test_rewriting_later_vintages_leaves_older_features_alone(rng: np.random.Generator) -> None:
    side = table(FIRST_SECOND_THIRD)
    panel = decisions(pd.date_range("2016-05-10 20:00", "2016-09-01 20:00", freq="B", tz="UTC"))
    cut = int(panel.times.searchsorted(pd.Timestamp("2016-07-20", tz="UTC")))
    _, later = with_noise_after(panel, side, cut, rng)
    assert (later.value != side.value).any()
    before, after = value("revision", side, panel.times), value("revision", later, panel.times)
    np.testing.assert_array_equal(after[: cut + 1], before[: cut + 1])


@pytest.mark.parametrize("name", ["vix_change", "oil_momentum"])
@pytest.mark.parametrize("window", [0, -1, 2.5])
def test_a_window_is_a_positive_count(name: str, window: float) -> None:
    with pytest.raises(ConfigError, match="window"):
        plan_function(getattr(macro, name), {"window": window}, source="macro")


def test_the_source_is_found_under_its_name_and_keeps_every_law() -> None:
    registry = Registry.discover()
    assert registry.load("feature_source", "macro") is macro
    assert [outcome for outcome in check_component(registry, "feature_source", "macro") if not outcome.passed] == []
    assert set(features_of(macro)) == set(macro.__all__)


def test_the_readme_lists_every_signal() -> None:
    readme = (Path(__file__).parents[2] / "mnpu-plugins/data-macro/README.md").read_text(encoding="utf-8")
    assert [name for name in macro.__all__ if f"`{name}`" not in readme] == []


# The bundled series, on their own dates.


def planned(name: str, **params: Any) -> list[PlannedFeature]:
    return plan_function(getattr(macro, name), params, source="macro", dist="mnpu-data-macro")


def real(store: Path, symbol: str, start: str, end: str, columns: list[PlannedFeature]) -> tuple[Panel, SideTable]:
    market = Store.open(store)
    panel = market.panel([symbol], start=start, end=end, dataset="us_adjclose_daily")
    return panel, market.side(series_needed(columns))


def at(panel: Panel, values: np.ndarray, day: str) -> float:
    return float(values[int(np.flatnonzero(panel.sessions == np.datetime64(day))[0]), 0, 0])


def test_the_vix_of_black_monday_2015_is_known_a_day_later(demo_store: Path) -> None:
    columns = planned("vix_level")
    panel, side = real(demo_store, "KO", "2015-08-03", "2015-09-30", columns)
    values = compute(columns, panel, side).values
    assert at(panel, values, "2015-08-24") == pytest.approx(0.2803, abs=1e-6)  # the close of the 21st
    assert at(panel, values, "2015-08-25") == pytest.approx(0.4074, abs=1e-6)  # the close of the 24th


def test_the_change_of_the_vix_over_that_week(demo_store: Path) -> None:
    columns = planned("vix_change", window=5)
    panel, side = real(demo_store, "KO", "2015-08-03", "2015-09-30", columns)
    change = at(panel, compute(columns, panel, side).values, "2015-08-25")
    assert change == pytest.approx(0.4074 - 0.1302, abs=1e-6)  # closes of 24 and 17 August


@pytest.mark.parametrize(
    ("series", "revised"),
    [("INDPRO", 103.5110 - 103.5527), ("PAYEMS", 143888.0 - 143894.0), ("GDPC1", 16525.0 - 16514.6)],
)
def test_real_revisions_appear_after_the_second_vintage(demo_store: Path, series: str, revised: float) -> None:
    columns = planned("revision", series=series)
    panel, side = real(demo_store, "KO", "2016-06-01", "2016-08-31", columns)
    values = compute(columns, panel, side).values
    assert np.isnan(at(panel, values, "2016-07-29"))  # published that day, readable at its end
    assert at(panel, values, "2016-08-01") == pytest.approx(revised, rel=1e-4)


def test_revisions_are_refused_where_no_second_vintage_is_known(demo_store: Path) -> None:
    columns = planned("revision")
    panel, side = real(demo_store, "KO", "2010-01-04", "2012-12-31", columns)
    with pytest.raises(
        DataError, match=r"revision\[series=INDPRO\]: has no value.*INDPRO became known between 2016-06-29 and"
    ):
        compute(columns, panel, side)


def test_the_vix_is_refused_before_the_bundle_has_it(demo_store: Path) -> None:
    columns = planned("vix_level")
    panel, side = real(demo_store, "KO", "1995-01-03", "1996-12-31", columns)
    with pytest.raises(
        DataError, match=r"vix_close became known between 2014-01-03 and 2019-01-03 \(void when older than 7"
    ):
        compute(columns, panel, side)


def test_the_credit_spread_of_the_financial_crisis(demo_store: Path) -> None:
    columns = planned("credit_spread")
    panel, side = real(demo_store, "KO", "2008-06-02", "2009-06-30", columns)
    values = compute(columns, panel, side).values
    assert at(panel, values, "2009-01-30") == pytest.approx((8.43 - 5.05) / 100, abs=1e-6)  # December 2008, H.15


def test_the_core_inflation_gap_against_a_plain_calculation(demo_store: Path) -> None:
    columns = planned("core_inflation_gap", months=36)
    panel, side = real(demo_store, "KO", "2008-01-02", "2009-12-31", columns)
    values = compute(columns, panel, side).values
    rows = pd.Series(side.value, index=side.event_time).sort_index()
    for day in ("2008-03-03", "2009-11-02"):
        now = panel.times[int(np.flatnonzero(panel.sessions == np.datetime64(day))[0])]
        cpi = rows[(side.knowledge_time <= now)[np.argsort(side.event_time, kind="stable")]]
        inflation = cpi / cpi.shift(12) - 1
        assert at(panel, values, day) == pytest.approx(inflation.iloc[-1] - inflation.iloc[-36:].mean(), rel=1e-5)


def test_oil_momentum_waits_for_the_weekly_publication(demo_store: Path) -> None:
    columns = planned("oil_momentum", window=20)
    panel, side = real(demo_store, "KO", "2008-06-02", "2008-12-31", columns)
    values = compute(columns, panel, side).values
    oil = pd.Series(side.value, index=side.event_time)
    now = panel.times[100]
    seen = oil[side.knowledge_time <= now]
    assert now - seen.index[-1] > 5 * DAY
    assert values[100, 0, 0] == pytest.approx(np.log(seen.iloc[-1] / seen.iloc[-21]), rel=1e-6)


def test_no_macro_feature_sees_the_future_of_the_real_series(demo_store: Path, rng: np.random.Generator) -> None:
    stored = {row.info.series for row in Store.open(demo_store).info().series}
    columns = [column for name in features_of(macro) for column in planned(name)]
    columns = [column for column in columns if set(column.spec.series) <= stored]
    assert len(columns) > 10
    panel, side = real(demo_store, "KO", "2014-02-03", "2018-12-31", columns)
    cuts = choose_cuts(panel, side, count=10, rng=rng)
    assert future_perturbation(columns, panel, side, cuts=cuts, rng=rng) == []
    assert truncation(columns, panel, side, cuts=cuts) == []


def test_an_event_of_a_stores_calendar_becomes_a_surprise(store_copy: Path) -> None:
    """From the table of events: announced with a forecast, then released; the schedule is known before the outcome."""
    event, told, came = "USD CPI m/m", utc("2015-03-02 09:00"), utc("2015-03-24 12:30")
    with closing(sqlite3.connect(store_copy)) as connection, connection:
        fields = "series frequency unit basis release_lag max_age source licence note n_missing kind"
        row = (event, "monthly", "percent", "observed", "", (45 * DAY).value, "", "", "", 0, "calendar")
        insert(connection, "series", fields, [row])
        at, early = int(came.asi8[0]), int(told.asi8[0])
        columns = "series event_time knowledge_time released forecast actual previous impact basis"
        announced = (event, at, early, None, 0.1, None, -0.7, "High", "declared")
        released = (event, at, at, at, 0.1, 0.2, -0.7, "High", "observed")
        insert(connection, "calendar_events", columns, [announced, released])
    columns = planned("inflation_surprise") + planned("days_to_release") + planned("days_since_release")
    panel, side = real(store_copy, "KO", "2015-02-27", "2015-04-10", columns)
    frame = compute(columns, panel, side)
    surprise, ahead, since = (pd.Series(frame.values[:, 0, f], index=panel.sessions) for f in range(3))
    assert surprise.first_valid_index() == pd.Timestamp("2015-03-24")
    np.testing.assert_allclose(surprise.dropna(), 0.001, rtol=1e-6)
    assert ahead.first_valid_index() == pd.Timestamp("2015-03-02")
    assert ahead.last_valid_index() == pd.Timestamp("2015-03-23")
    assert ahead[pd.Timestamp("2015-03-23")] == pytest.approx(16.5 / 24, rel=1e-6)
    assert since.loc["2015-03-24"] == pytest.approx(7.5 / 24, rel=1e-6)
