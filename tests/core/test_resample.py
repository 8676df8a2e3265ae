"""Longer bars: the right numbers, by session, and none before it is finished."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.accounts import as_quoted
from mnpu.data.actions import settlements
from mnpu.data.calendars import get_calendar
from mnpu.data.fills import fill_prices, holding_returns
from mnpu.data.resample import last_finished, resample, resample_bars
from mnpu.data.store import Store
from mnpu.errors import ConfigError, DataError
from mnpu.types import DatasetInfo, Panel

NEW_YORK = ZoneInfo("America/New_York")
NAMES = ("open", "high", "low", "close", "volume")


def bars_of(times, calendar, frequency, rng, *, symbols=2, missing=0.0) -> Panel:
    """A panel of random bars that are consistent, with some missing."""
    shape = (len(times), symbols)
    ends = rng.uniform(50, 150, (2, *shape))
    wick = rng.uniform(0, 5, (2, *shape))
    tradable = rng.random(shape) >= missing
    fields = {
        "open": ends[0],
        "high": ends.max(axis=0) + wick[0],
        "low": ends.min(axis=0) - wick[1],
        "close": ends[1],
        "volume": rng.integers(0, 1000, shape).astype(float),
    }
    fields = {name: np.where(tradable, values, np.nan) for name, values in fields.items()}
    kept = tradable.any(axis=1)
    fields = {name: values[kept] for name, values in fields.items()}
    info = DatasetInfo("made_up", "", frequency, "close", "none", "", calendar, "USD", "")
    found = get_calendar(calendar)
    return Panel(
        times=times[kept],
        sessions=found.sessions(times[kept]),
        symbols=tuple("ABCDEF"[:symbols]),
        fields={**fields, "split_factor": np.ones((int(kept.sum()), symbols))},
        tradable=tradable[kept],
        datasets=(info,) * symbols,
        frequency=frequency,
        calendar=calendar,
        periods_per_year=found.periods_per_year(frequency),
    )


def between(calendar, first, last, frequency):
    found = get_calendar(calendar)
    return found.bar_closes(found.between(np.datetime64(first), np.datetime64(last)), frequency)


def span_of(at: pd.Timestamp, calendar: str, frequency: str) -> object:
    """What the bar that closes at ``at`` belongs to, told from the wall clock by plain Python."""
    zone = {"CRYPTO": "UTC", "FX": "America/New_York", "XNYS": "America/New_York"}[calendar]
    wall = (at.to_pydatetime() - pd.Timedelta(seconds=1)).astimezone(ZoneInfo(zone))
    if calendar == "FX":
        wall = wall.replace(tzinfo=None) + pd.Timedelta(hours=7)
    if frequency == "1w":
        return wall.isocalendar()[:2]
    if frequency == "1d":
        return wall.date()
    length = {"5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240}[frequency]
    return wall.date(), (wall.hour * 60 + wall.minute) // length


def by_hand(panel: Panel, frequency: str) -> dict[object, list[dict[str, float]]]:
    """Every bar by plain loops: for each span, each symbol's numbers."""
    spans: dict[object, list[list[int]]] = {}
    for t, at in enumerate(panel.times):
        rows = spans.setdefault(span_of(at, panel.calendar, frequency), [[] for _ in panel.symbols])
        for a in range(len(panel.symbols)):
            if panel.tradable[t, a]:
                rows[a].append(t)
    found = {}
    for span, columns in spans.items():
        found[span] = []
        for a, rows in enumerate(columns):
            cells = {name: [float(panel[name][t, a]) for t in rows] for name in NAMES}
            found[span].append(
                {
                    "open": cells["open"][0],
                    "high": max(cells["high"]),
                    "low": min(cells["low"]),
                    "close": cells["close"][-1],
                    "volume": sum(cells["volume"]),
                }
                if rows
                else dict.fromkeys(NAMES, np.nan)
            )
    return found


CASES = [
    ("XNYS", "1h", "1d", "2018-02-26", "2018-03-23"),  # over the change of clocks
    ("XNYS", "5m", "1h", "2018-11-20", "2018-11-27"),  # over Thanksgiving and the half day after it
    ("XNYS", "30m", "4h", "2018-12-20", "2018-12-27"),
    ("XNYS", "1d", "1w", "2018-03-12", "2018-05-04"),  # over Good Friday
    ("FX", "1h", "1d", "2018-10-29", "2018-11-16"),
    ("FX", "15m", "4h", "2018-03-05", "2018-03-16"),
    ("FX", "1h", "1w", "2018-03-05", "2018-03-30"),
    ("CRYPTO", "1m", "5m", "2020-02-28", "2020-02-28"),
    ("CRYPTO", "5m", "1h", "2020-02-28", "2020-03-01"),
    ("CRYPTO", "1h", "1d", "2020-02-24", "2020-03-08"),
    ("CRYPTO", "1d", "1w", "2020-02-24", "2020-03-29"),
]


@pytest.mark.parametrize(("calendar", "fine", "coarse", "first", "last"), CASES)
@given(seed=st.integers(0, 2**32 - 1), missing=st.sampled_from([0.0, 0.1, 0.7]))
@settings(max_examples=8, deadline=None)
def test_longer_bars_equal_those_of_a_loop(calendar, fine, coarse, first, last, seed, missing):
    panel = bars_of(between(calendar, first, last, fine), calendar, fine, np.random.default_rng(seed), missing=missing)
    made, expected = resample(panel, coarse), by_hand(panel, coarse)
    assert made.frequency == coarse
    assert made.periods_per_year == get_calendar(calendar).periods_per_year(coarse)
    spans = [span_of(at, calendar, coarse) for at in made.times]
    # nothing is lost but a first bar that began earlier and a last one that is not over
    assert set(list(expected)[1:-1]) <= set(spans) <= set(expected)
    for k, span in enumerate(spans):
        for a in range(2):
            for name in NAMES:
                assert made[name][k, a] == pytest.approx(expected[span][a][name], nan_ok=True), (span, name)
            assert made.tradable[k, a] == np.isfinite(expected[span][a]["close"])


@pytest.mark.parametrize(("calendar", "fine", "coarse", "first", "last"), CASES)
def test_complete_data_make_every_bar_of_the_calendar(calendar, fine, coarse, first, last, rng):
    panel = bars_of(between(calendar, first, last, fine), calendar, fine, rng)
    assert list(resample(panel, coarse).times) == list(between(calendar, first, last, coarse))


@pytest.mark.parametrize(("calendar", "fine", "coarse", "first", "last"), CASES)
@given(seed=st.integers(0, 2**32 - 1), where=st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_data_cut_short_make_the_bars_that_were_known_there(calendar, fine, coarse, first, last, seed, where):
    panel = bars_of(between(calendar, first, last, fine), calendar, fine, np.random.default_rng(seed), missing=0.3)
    cut = int(where * (len(panel.times) - 1)) + 1
    whole, part = resample(panel, coarse), resample(panel.rows(0, cut), coarse)
    known = int((whole.times <= panel.times[cut - 1]).sum())
    assert list(part.times) == list(whole.times[:known])
    for name in (*NAMES, "split_factor"):
        np.testing.assert_array_equal(part[name], whole[name][:known], err_msg=name)
    np.testing.assert_array_equal(part.tradable, whole.tradable[:known])


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_longer_bar_is_invisible_until_it_is_closed(seed):
    """Brute force: at each decision, the newest of the longer bars whose every hour, seen or not, is past."""
    rng = np.random.default_rng(seed)
    panel = bars_of(between("XNYS", "2018-11-19", "2018-11-27", "1h"), "XNYS", "1h", rng, symbols=1, missing=0.3)
    days = resample(panel, "1d")
    rows = last_finished(panel.times, days.times)
    for t, at in enumerate(panel.times):
        wall = at.astimezone(NEW_YORK)
        half = wall.date().isoformat() == "2018-11-23"
        over = (wall.hour, wall.minute) == ((13, 0) if half else (16, 0))
        visible = [
            day for day in days.sessions if str(day) < str(wall.date()) or (str(day) == str(wall.date()) and over)
        ]
        assert rows[t] == len(visible) - 1


def test_a_day_of_summer_time_and_a_day_of_winter_time_close_at_four():
    panel = bars_of(between("XNYS", "2018-03-09", "2018-03-12", "1h"), "XNYS", "1h", np.random.default_rng(0))
    assert resample(panel, "1d").times.strftime("%H:%M").tolist() == ["21:00", "20:00"]


def test_a_last_bar_that_is_not_over_is_not_shown_and_a_first_one_that_began_before_neither():
    times = between("XNYS", "2018-03-05", "2018-03-07", "1h")[1:-1]
    panel = bars_of(times, "XNYS", "1h", np.random.default_rng(0))
    assert resample(panel, "1d").sessions.astype(str).tolist() == ["2018-03-06"]


def test_a_cell_that_is_missing_in_a_bar_makes_the_longer_one_unknown_but_a_missing_bar_does_not():
    times = between("CRYPTO", "2020-01-01", "2020-01-02", "1h")
    panel = bars_of(times, "CRYPTO", "1h", np.random.default_rng(0), symbols=1)
    fields = {name: values.copy() for name, values in panel.fields.items()}
    fields["high"][3, 0] = np.nan
    for name in NAMES:
        fields[name][30, 0] = np.nan
    tradable = panel.tradable.copy()
    tradable[30] = False
    made = resample(replace(panel, fields=fields, tradable=tradable), "1d")
    assert np.isnan(made["high"][:, 0]).tolist() == [True, False]
    for name in ("open", "low", "close", "volume"):
        assert np.isfinite(made[name]).all()


def test_a_split_within_a_week_keeps_its_factor():
    panel = bars_of(between("XNYS", "2018-03-05", "2018-03-16", "1d"), "XNYS", "1d", np.random.default_rng(0))
    factor = np.ones(panel.shape)
    factor[2:, 0] = 4.0
    made = resample(replace(panel, fields={**panel.fields, "split_factor": factor}), "1w")
    assert made["split_factor"].tolist() == [[4.0, 1.0], [4.0, 1.0]]
    assert made["open_factor"].tolist() == [[1.0, 1.0], [4.0, 1.0]]


@pytest.mark.parametrize("fill", ["next_open", "next_close"])
def test_fills_of_a_week_are_quoted_as_the_screen_showed_them(fill):
    """10 dollars a share until a split 4:1 on a Wednesday; 2.5 after it."""
    times = between("XNYS", "2018-03-05", "2018-03-23", "1d")
    split = np.where(times < pd.Timestamp("2018-03-14", tz="UTC"), 1.0, 4.0)[:, None]
    tens = np.full((len(times), 1), 10.0)
    panel = bars_of(times, "XNYS", "1d", np.random.default_rng(0), symbols=1)
    fields = {"open": tens, "high": tens, "low": tens, "close": tens, "split_factor": split}
    weeks = resample(replace(panel, fields=fields), "1w")
    fills = fill_prices(weeks, fill)
    frame = pd.DataFrame({"time": fills.times[:2], "symbol": weeks.symbols[0], "price": fills.prices[:2, 0]})
    quoted = as_quoted(frame, weeks)["price"]
    # the decisions of 9 and 16 March are filled in the weeks of the split and after it
    assert quoted.tolist() == ([10.0, 2.5] if fill == "next_open" else [2.5, 2.5])


def paid_within_a_week(paid):
    """Five weeks of a share of 10 dollars that pays ``paid``, a dollar amount by date, and falls by it."""
    times = between("XNYS", "2018-03-05", "2018-04-06", "1d")
    days = times.strftime("%m-%d")
    cash = np.array([paid.get(day, 0.0) for day in days])[:, None]
    price = 10.0 - np.cumsum(cash, axis=0)
    panel = bars_of(times, "XNYS", "1d", np.random.default_rng(0), symbols=1)
    fields = {"open": price, "high": price, "low": price, "close": price, "dividend": cash}
    return resample(replace(panel, fields=fields), "1w")


@pytest.mark.parametrize("fill", ["next_open", "next_close"])
@pytest.mark.parametrize(
    "paid", [{"03-14": 1.0}, {"03-12": 1.0}, {"03-12": 1.0, "03-14": 2.0, "03-19": 0.5}, {"03-16": 3.0}]
)
def test_who_is_filled_at_the_open_of_a_week_gets_what_goes_ex_within_it(fill, paid):
    """Every price falls by what is paid, so who holds over the fall is paid for it, and nobody earns anything."""
    weeks = paid_within_a_week(paid)
    assert weeks["dividend"].sum() == sum(paid.values())
    earned = holding_returns(fill_prices(weeks, fill))
    assert earned[:-2, 0] == pytest.approx([0.0, 0.0, 0.0], abs=1e-15)


def test_a_dividend_of_a_monday_is_of_the_open_and_one_of_a_wednesday_is_not():
    weeks = paid_within_a_week({"03-12": 1.0, "03-14": 2.0})
    assert weeks["dividend"][:, 0].tolist() == [0.0, 3.0, 0.0, 0.0, 0.0]
    assert weeks["open_dividend"][:, 0].tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert settlements(weeks, opens=True)[0][:, 0].tolist() == [0.0, 1.0, 2.0, 0.0, 0.0]
    assert settlements(weeks)[0][:, 0].tolist() == [0.0, 3.0, 0.0, 0.0, 0.0]


def test_bars_of_one_symbol_are_put_together_alike():
    times = between("CRYPTO", "2020-01-01", "2020-01-01", "5m")
    panel = bars_of(times, "CRYPTO", "5m", np.random.default_rng(0), symbols=1)
    columns = {name: panel[name][:, 0] for name in NAMES}
    closes, made = resample_bars(times, columns, calendar="24/7", frequency="1h", source_frequency="5m")
    expected = resample(panel, "1h")
    assert list(closes) == list(expected.times)
    for name in NAMES:
        np.testing.assert_array_equal(made[name], expected[name][:, 0])
    coarse_unit = resample_bars(times.as_unit("s"), columns, calendar="24/7", frequency="1h", source_frequency="5m")
    assert list(coarse_unit[0]) == list(expected.times)
    for wrong, message in [(times.tz_localize(None), "without a zone"), (times[::-1], "expected increasing closes")]:
        with pytest.raises(DataError, match=message):
            resample_bars(wrong, columns, calendar="24/7", frequency="1h", source_frequency="5m")


def test_what_cannot_be_put_together_is_refused():
    panel = bars_of(between("XNYS", "2018-03-05", "2018-03-06", "1h"), "XNYS", "1h", np.random.default_rng(0))
    with pytest.raises(ConfigError, match="bars of 1h cannot become bars of 5m"):
        resample(panel, "5m")
    with pytest.raises(DataError, match="the market is shut"):
        resample(replace(panel, times=panel.times + pd.Timedelta(hours=9)), "1d")
    with pytest.raises(DataError, match="no rule puts values of 'mood' together"):
        resample(replace(panel, fields={**panel.fields, "mood": panel["close"]}), "1d")


def test_a_panel_of_days_out_of_stored_hours(demo_store):
    """Against pandas on the hours themselves: sessions of 17:00 New York, 24 hours each."""
    store = Store.open(demo_store)
    hours = store.panel(["EURUSD"], start="2017-03-06", end="2017-03-24", frequency="1h")
    days = store.panel(["EURUSD"], start="2017-03-06", end="2017-03-24", frequency="1d", source_frequency="1h")
    table = pd.DataFrame({name: hours[name][:, 0] for name in ("open", "high", "low", "close")})
    table = table.groupby(hours.sessions).agg({"open": "first", "high": "max", "low": "min", "close": "last"})
    assert days.sessions.astype(str).tolist() == [str(day)[:10] for day in table.index]
    for name in table:
        np.testing.assert_array_equal(days[name][:, 0], table[name].to_numpy())
    assert days.times[:2].strftime("%a %H:%M").tolist() == ["Mon 22:00", "Tue 22:00"]
    assert days.periods_per_year == 260
    assert days.datasets[0].frequency == "1h"
