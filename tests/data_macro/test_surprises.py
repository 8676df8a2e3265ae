"""Surprises, schedules and revisions: by hand, against a loop over rows, then on real calendars and vintages."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mnpu.features import View
from mnpu.features.leaks import choose_cuts, future_perturbation, truncation
from mnpu.features.plan import features_of, plan_function
from mnpu.types import SideTable
from mnpu_data_macro import macro
from tests.side_tables import DAY, decisions, rows_known, shared_frame, side_table, table, utc

CPI, PAYROLLS = "USD CPI m/m", "USD Non-Farm Employment Change"


def value(name: str, side: SideTable, times: pd.DatetimeIndex, **params: Any) -> np.ndarray:
    return getattr(macro, name)(View(decisions(times), side), **params)


def events(name: str, rows: list[tuple[str, float, float, float]], *, told: str = "2 days") -> SideTable:
    """Events ``(when, forecast, actual, previous)``, all but the outcome known ``told`` before."""
    before = pd.Timedelta(told)
    parts: dict[str, list] = {f"{name}/{part}": [] for part in ("scheduled", "forecast", "actual", "previous")}
    for when, forecast, actual, previous in rows:
        early = str(pd.Timestamp(when) - before)
        parts[f"{name}/scheduled"].append((when, early, 1.0))
        parts[f"{name}/forecast"].append((when, early, forecast))
        parts[f"{name}/actual"].append((when, when, actual))
        parts[f"{name}/previous"].append((when, early, previous))
    return table(parts, kind="calendar")


def test_a_surprise_is_the_outcome_less_the_forecast_of_the_same_event() -> None:
    """The forecast of the next event is out before this one's outcome, and is not taken for its own."""
    side = events(CPI, [("2020-01-14 13:30", 0.2, 0.3, 0.1), ("2020-01-15 13:30", 9.0, 0.1, 0.3)], told="10 days")
    times = utc("2020-01-14 13:29", "2020-01-14 13:30", "2020-01-15 13:29", "2020-01-15 13:30")
    np.testing.assert_allclose(value("inflation_surprise", side, times), [np.nan, 0.001, 0.001, -0.089])


def test_a_forecast_that_is_changed_counts_as_last_told_before_the_release() -> None:
    rows = {
        "e/forecast": [
            ("2020-01-14 13:30", "2020-01-10", 0.5),
            ("2020-01-14 13:30", "2020-01-13", 0.2),
            ("2020-01-14 13:30", "2020-01-15", 7.0),
        ],
        "e/actual": [("2020-01-14 13:30", "2020-01-14 13:30", 0.3)],
    }
    side, times = table(rows, kind="calendar"), utc("2020-01-14 13:30", "2020-01-20 21:00")
    np.testing.assert_allclose(value("growth_surprise", side, times, event="e", unit="fraction"), [0.1, 0.1])
    np.testing.assert_allclose(value("employment_surprise", side, times, event="e"), [0.1, 0.1])


def test_an_outcome_that_is_corrected_stays_the_surprise_that_it_was() -> None:
    rows = {
        "e/forecast": [("2020-01-14 13:30", "2020-01-10", 0.5)],
        "e/previous": [("2020-02-14 13:30", "2020-02-14 13:30", 0.7)],
        "e/actual": [
            ("2020-01-14 13:30", "2020-01-14 13:30", 0.8),
            ("2020-01-14 13:30", "2020-01-15 13:30", 0.6),
            ("2020-02-14 13:30", "2020-02-14 13:30", 0.4),
        ],
    }
    side, times = table(rows, kind="calendar"), utc("2020-01-14 13:30", "2020-01-20 21:00", "2020-02-14 13:30")
    np.testing.assert_allclose(value("employment_surprise", side, times, event="e"), [0.3, 0.3, np.nan])
    np.testing.assert_allclose(value("announced_revision", side, times, event="e"), [np.nan, np.nan, -0.1])


def test_an_event_without_a_forecast_has_no_surprise() -> None:
    rows = {
        "e/forecast": [("2020-01-14 13:30", "2020-01-10", 0.5)],
        "e/actual": [("2020-01-14 13:30", "2020-01-14 13:30", 0.3), ("2020-02-14 13:30", "2020-02-14 13:30", 0.4)],
    }
    times = utc("2020-02-01 21:00", "2020-02-14 13:30")
    np.testing.assert_allclose(
        value("employment_surprise", table(rows, kind="calendar"), times, event="e"), [-0.2, np.nan]
    )


def test_a_score_divides_by_the_spread_of_earlier_surprises_only(rng: np.random.Generator) -> None:
    days = pd.date_range("2019-01-03 13:30", periods=30, freq="7D")
    surprise = rng.normal(size=30)
    side = events("e", [(str(day), 10.0, 10.0 + s, 0.0) for day, s in zip(days, surprise, strict=True)])
    scores = value("surprise_zscore", side, pd.DatetimeIndex(days).tz_localize("UTC"), event="e", releases=5)
    assert np.isnan(scores[:5]).all()
    series = pd.Series(surprise)
    np.testing.assert_allclose(scores[5:], (series / series.rolling(5).std().shift(1)).to_numpy()[5:], rtol=1e-9)


def test_forecasts_that_always_came_true_give_no_score() -> None:
    days = pd.date_range("2019-01-03 13:30", periods=6, freq="7D")
    side = events("e", [(str(day), 1.0, 1.0 + (day == days[-1]), 0.0) for day in days])
    assert np.isnan(
        value("surprise_zscore", side, pd.DatetimeIndex(days).tz_localize("UTC"), event="e", releases=3)
    ).all()


def test_a_release_revises_the_one_before_it() -> None:
    rows = [("2020-01-10 13:30", 162.0, 145.0, 256.0), ("2020-02-07 13:30", 163.0, 225.0, 147.0)]
    times = utc("2020-02-07 13:29", "2020-02-07 13:30")
    np.testing.assert_allclose(value("announced_revision", events(PAYROLLS, rows), times), [np.nan, 2.0])


def test_days_to_and_since_a_release_at_the_very_moment_and_around_it() -> None:
    side = events(CPI, [("2020-01-14 13:30", 0, 0, 0), ("2020-02-13 13:30", 0, 0, 0)], told="3 days")
    times = utc("2020-01-11 13:29", "2020-01-11 13:30", "2020-01-14 13:30", "2020-01-15 01:30", "2020-02-12 13:30")
    np.testing.assert_allclose(value("days_to_release", side, times), [np.nan, 3.0, np.nan, np.nan, 1.0])
    np.testing.assert_allclose(value("days_since_release", side, times), [np.nan, np.nan, 0.0, 0.5, 29.0])


def test_the_age_of_what_is_known_jumps_back_at_a_publication() -> None:
    side = table({"INDPRO": [("2020-01-31", "2020-02-14 14:15", 1.0), ("2020-02-29", "2020-03-17 13:15", 1.0)]})
    times = utc("2020-02-14 14:14", "2020-03-16 00:00", "2020-03-18 00:00")
    np.testing.assert_allclose(value("release_age", side, times), [np.nan, 45.0, 18.0])


# Vintages.


def test_growth_takes_the_vintage_of_the_time_and_first_prints_on_request() -> None:
    rows = [
        ("2016-04-30", "2016-05-16", 100.0),
        ("2016-05-31", "2016-06-16", 102.0),
        ("2016-04-30", "2016-06-16", 101.0),
        ("2016-05-31", "2016-07-15", 103.0),
    ]
    side, times = table({"INDPRO": rows}), utc("2016-06-15 23:59", "2016-06-16 00:00", "2016-07-15 00:00")
    np.testing.assert_allclose(value("growth", side, times), [np.nan, np.log(102 / 101), np.log(103 / 101)])
    first = value("growth", side, times, vintage="first")
    np.testing.assert_allclose(first, [np.nan, np.log(1.02), np.log(1.02)])


def test_a_surprise_without_forecast_is_against_the_vintage_before() -> None:
    rows = [
        ("2016-03-31", "2016-04-16", 99.0),
        ("2016-04-30", "2016-05-16", 100.0),
        ("2016-05-31", "2016-06-16", 103.0),
    ]
    rows += [("2016-04-30", "2016-06-16", 101.0), ("2016-05-31", "2016-07-01", 102.0)]
    side, times = table({"INDPRO": rows}), utc("2016-05-20", "2016-06-16", "2016-07-01")
    expected = [np.nan, np.log(103 / 101) - np.log(100 / 99), np.log(102 / 103)]
    np.testing.assert_allclose(value("vintage_surprise", side, times), expected, rtol=1e-9)


@pytest.fixture
def revised(rng: np.random.Generator) -> SideTable:
    """Sixty months, each revised twice, some of them late."""
    ends = pd.period_range("2010-01", periods=60, freq="M").end_time.normalize().tz_localize("UTC")
    level = 100 * np.exp(np.cumsum(rng.normal(0.002, 0.01, size=60)))
    frames = [
        pd.DataFrame(
            {
                "event": ends,
                "known": ends + lag * DAY + pd.to_timedelta(rng.integers(0, 9, size=60), "D"),
                "series": "INDPRO",
                "value": level * np.exp(rng.normal(0, 0.005, size=60)),
            }
        )
        for lag in (15, 45, 400)
    ]
    return side_table(pd.concat(frames))


def test_growth_is_a_loop_over_the_rows_known_at_each_decision(revised: SideTable) -> None:
    times = pd.date_range("2010-01-20", "2016-06-01", freq="11D", tz="UTC").as_unit("ns")
    for vintage, keep in (("latest", "last"), ("first", "first")):
        got = value("growth", revised, times, periods=12, vintage=vintage)
        for t, at in enumerate(times):
            known = rows_known(revised, "INDPRO", at, vintage=keep)
            expected = np.log(known.iloc[-1] / known.iloc[-13]) if len(known) > 12 else np.nan
            assert got[t] == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_revisions_and_their_momentum_are_a_loop_over_publications(revised: SideTable) -> None:
    moments = revised.knowledge_time.unique()
    relative = []
    for before, now in itertools.pairwise(moments):
        old, new = rows_known(revised, "INDPRO", before), rows_known(revised, "INDPRO", now)
        relative.append(np.log(new[old.index[-1]] / old.iloc[-1]))
    expected = pd.Series([np.nan, *relative]).rolling(4).mean()
    got = value("revision_momentum", revised, moments, publications=4)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-15)


# The calendar of 2020, each outcome known at its release.


@pytest.fixture(scope="module")
def calendar() -> SideTable:
    frame = shared_frame("macro/economic_calendar_2019-11_2020-07.parquet")
    frame = frame[frame["symbol"] == "USD"].rename(columns={"value": "actual"}).assign(scheduled=1.0)
    long = frame.melt(
        id_vars=["timestamp", "available_at", "series"],
        value_vars=["scheduled", "forecast", "actual", "previous"],
        var_name="part",
    )
    lead = np.where(long["part"] == "scheduled", 28, 0) * DAY
    name = "USD " + long["series"] + "/" + long["part"]
    long = long.assign(event=long["timestamp"], known=long["available_at"] - lead, series=name)
    long = long[~long.duplicated(["series", "event"])]
    return side_table(long, max_age=62 * DAY, kind="calendar")


# Bureau of Labor Statistics, as the calendar tells it: time in UTC, outcome and forecast in percent.
CPI_OF_2020 = [
    ("2020-01-14 13:30", 0.2, 0.2),
    ("2020-02-13 13:30", 0.1, 0.2),
    ("2020-03-11 12:30", 0.1, 0.0),
    ("2020-04-10 12:30", -0.4, -0.3),
    ("2020-05-12 12:30", -0.8, -0.7),
    ("2020-06-10 12:30", -0.1, 0.0),
    ("2020-07-14 12:30", 0.6, 0.5),
]


@pytest.mark.parametrize(("when", "actual", "forecast"), CPI_OF_2020)
def test_the_inflation_surprises_of_2020(calendar: SideTable, when: str, actual: float, forecast: float) -> None:
    release = pd.Timestamp(when, tz="UTC")
    times = pd.DatetimeIndex([release - pd.Timedelta(1, "ns"), release, release + 7 * DAY]).as_unit("ns")
    before, at, after = value("inflation_surprise", calendar, times)
    assert at == after == pytest.approx((actual - forecast) / 100, abs=1e-12)
    earlier = [row for row in CPI_OF_2020 if row[0] < when]
    if earlier:
        assert before == pytest.approx((earlier[-1][1] - earlier[-1][2]) / 100, abs=1e-12)


def test_the_payrolls_of_may_2020(calendar: SideTable) -> None:
    times = utc("2020-06-05 12:29", "2020-06-05 12:30")
    surprise = value("employment_surprise", calendar, times)
    np.testing.assert_allclose(surprise, [-20_500_000 + 22_000_000, 2_509_000 + 7_750_000])
    revision = value("announced_revision", calendar, times)
    np.testing.assert_allclose(revision, [-870_000 + 701_000, -20_687_000 + 20_500_000])


def test_the_days_around_a_federal_release(calendar: SideTable) -> None:
    times = utc("2020-04-09 20:00", "2020-04-10 12:30", "2020-04-10 20:00")
    ahead, since = value("days_to_release", calendar, times), value("days_since_release", calendar, times)
    np.testing.assert_allclose(ahead, [16.5 / 24, np.nan, np.nan])  # May's date is 32 days away, announced 28 before
    np.testing.assert_allclose(since[1:], [0.0, 7.5 / 24])


def test_claims_are_scored_every_week(calendar: SideTable) -> None:
    """The jump to 3.28 million on 26 March 2020 against the surprises of the twelve weeks before it."""
    name = "USD Unemployment Claims"
    at = pd.Timestamp("2020-03-26 12:30", tz="UTC")
    actual, forecast = (rows_known(calendar, f"{name}/{part}", at) for part in ("actual", "forecast"))
    surprise = (actual - forecast).iloc[-13:]
    assert surprise.iloc[-1] == 3_283_000 - 1_648_000
    expected = surprise.iloc[-1] / surprise.iloc[:-1].std()
    assert value("surprise_zscore", calendar, pd.DatetimeIndex([at]))[0] == pytest.approx(expected, rel=1e-9)
    assert expected > 50


def test_the_recipe_with_the_calendar_has_values(calendar: SideTable) -> None:
    times = pd.bdate_range("2019-12-20", "2020-07-30", tz="UTC") + pd.Timedelta(20, "h")
    for name in ("inflation_surprise", "employment_surprise", "growth_surprise", "days_since_release"):
        assert np.isfinite(value(name, calendar, times)).all(), name


# Real vintages, from the nowcasting files of the Federal Reserve Bank of New York.


@pytest.fixture(scope="module")
def vintages() -> SideTable:
    frame = shared_frame("macro/us_macro_vintages_2016_2017.parquet")
    frame = frame[frame["series"].isin(["CPIAUCSL", "PAYEMS", "GDPC1", "INDPRO"])]
    return side_table(frame.assign(event=frame["timestamp"], known=frame["available_at"]), max_age=200 * DAY)


@pytest.mark.parametrize("series", ["CPIAUCSL", "PAYEMS", "GDPC1", "INDPRO"])
def test_real_vintages_against_the_rows_of_each_publication(vintages: SideTable, series: str) -> None:
    moments = vintages.knowledge_time[vintages.find(series)].unique()
    known = [rows_known(vintages, series, at) for at in moments]
    told = pd.Series([np.log(rows.iloc[-1] / rows.iloc[-2]) for rows in known])
    assert len(told) > 3
    np.testing.assert_allclose(value("vintage_surprise", vintages, moments, series=series), told.diff(), rtol=1e-9)
    np.testing.assert_allclose(value("growth", vintages, moments, series=series), told, rtol=1e-12)
    a_moment_before = moments - pd.Timedelta(1, "ns")
    np.testing.assert_allclose(
        value("growth", vintages, a_moment_before, series=series), told.shift(1), rtol=1e-12, equal_nan=True
    )


def test_the_payrolls_of_june_2016_by_hand(vintages: SideTable) -> None:
    """A gain of 287 thousand on 8 July, after one of 38 thousand; a month later it had become one of 292 thousand."""
    times = utc("2016-07-08 23:59:58", "2016-07-08 23:59:59", "2016-08-05 23:59:58")
    told = np.log(144_175 / 143_888)
    got = value("vintage_surprise", vintages, times, series="PAYEMS")
    np.testing.assert_allclose(got, [np.nan, *[told - np.log(143_894 / 143_856)] * 2], rtol=1e-9)
    august = utc("2016-08-31 20:00")
    latest = value("growth", vintages, august, series="PAYEMS", periods=2)
    first = value("growth", vintages, august, series="PAYEMS", periods=2, vintage="first")
    assert latest[0] == pytest.approx(np.log(144_448 / 143_901), rel=1e-12)
    assert first[0] == pytest.approx(np.log(144_448 / 143_894), rel=1e-12)
    revised = value("revision_momentum", vintages, august, series="PAYEMS", publications=2)
    assert revised[0] == pytest.approx((np.log(143_888 / 143_894) + np.log(144_193 / 144_175)) / 2, rel=1e-9)


def test_no_release_is_seen_before_it_came(calendar: SideTable, vintages: SideTable, rng: np.random.Generator) -> None:
    """The kit's perturbation of the future, on the real calendar and on real vintages."""
    for side, start, stop in ((calendar, "2019-12-02", "2020-07-30"), (vintages, "2016-07-01", "2017-02-01")):
        times = pd.bdate_range(start, stop, tz="UTC") + pd.Timedelta(20, "h")
        panel = decisions(times, close=np.exp(np.cumsum(rng.normal(0, 0.01, size=(len(times), 1)), axis=0)))
        columns = [
            column
            for function in features_of(macro).values()
            for column in plan_function(function, {}, source="macro")
            if set(column.spec.series) <= set(side.info)
        ]
        assert len(columns) > 4
        cuts = choose_cuts(panel, side, count=8, rng=rng)
        assert future_perturbation(columns, panel, side, cuts=cuts, rng=rng) == []
        assert truncation(columns, panel, side, cuts=cuts) == []
