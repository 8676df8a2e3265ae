"""Bar by bar gives the values of the batch, after any history, from a stored state too, and without all side data."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mnpu.data.store import Store
from mnpu.errors import DataError, PluginError
from mnpu.features import View, feature, price
from mnpu.features.compute import evaluate
from mnpu.features.plan import PlannedFeature, plan_function
from mnpu.features.stream import Stream
from mnpu.features.trailing import delayed, trailing_mean
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import Panel, SideTable

DEMO: dict[str, dict[str, Any]] = {
    "log_return": {"window": [1, 5, 21]},
    "momentum": {"window": 252, "skip": 21},
    "realised_volatility": {"window": [21, 63]},
    "volume_zscore": {"window": 20},
    "distance_from_average": {"window": [20, 200]},
    "drawdown": {"window": 252},
    "day_of_week": {},
    "hour_of_day": {"phase": ["sin", "cos"]},
}


@feature(fields=("close",), state=1, warmup=1, unit="fraction")
def ema_distance(view: View, *, span: int = 10) -> np.ndarray:
    """Close against its exponential mean, which skips what is missing."""
    values, weight = np.full(view.shape, np.nan), 2 / (span + 1)
    for t in range(view.first, view.shape[0]):
        close, mean = view["close"][t], view.state[0]
        begun = np.where(np.isnan(mean), close, mean + weight * (close - mean))
        view.state[0] = np.where(np.isnan(close), mean, begun)
        values[t] = close / view.state[0] - 1
    return values


@feature(series=("x",), kind="fundamental", unit="index", memory=3)
def third_last(view: View) -> np.ndarray:
    """The third last observation."""
    return view.by_symbol("x", lambda past: past[:, 0], 3)


@feature(series=("m",), scope="market", warmup=6, unit="index", memory=2)
def news_over_bars(view: View) -> np.ndarray:
    """Change of the last two observations, averaged over six bars."""
    known = view.known("m", 2)
    return trailing_mean(view.at_decision(known, known.values[:, 1] - known.values[:, 0]), 6)


def planned(*functions: Callable[..., Any], source: str = "own") -> list[PlannedFeature]:
    return [column for function in functions for column in plan_function(function, {}, source=source)]


def of_price(columns: dict[str, dict[str, Any]]) -> list[PlannedFeature]:
    return [c for name, given in columns.items() for c in plan_function(getattr(price, name), given, source="price")]


def known_between(side: SideTable, after: pd.Timestamp, until: pd.Timestamp) -> SideTable:
    return side.rows(np.asarray((side.knowledge_time > after) & (side.knowledge_time <= until)))


def stepped(stream: Stream, panel: Panel, side: SideTable, first: int, stop: int) -> np.ndarray:
    """The rows that the stream gives, float64 (stop - first, A, F)."""
    times = panel.times
    return np.stack(
        [stream.values(panel.rows(t, t + 1), known_between(side, times[t - 1], times[t])) for t in range(first, stop)]
    )


def assert_streams(columns: list[PlannedFeature], panel: Panel, side: SideTable, first: int, stop: int) -> Stream:
    whole = evaluate(columns, panel, side)[first:stop]
    stream = Stream(columns, panel.rows(0, first), side.known_by(panel.times[first - 1]))
    rows = stepped(stream, panel, side, first, stop)
    np.testing.assert_allclose(rows, whole, rtol=1e-9, atol=1e-14)
    return stream


@pytest.fixture
def panel() -> Panel:
    return synthetic_panel(np.random.default_rng(7), bars=420)


@pytest.fixture
def side(panel: Panel) -> SideTable:
    rng = np.random.default_rng(7)
    one, other = synthetic_side(("x",), panel, rng, kind="fundamental"), synthetic_side(("m",), panel, rng)
    both = SideTable(
        pd.DatetimeIndex(one.event_time.append(other.event_time)),
        pd.DatetimeIndex(one.knowledge_time.append(other.knowledge_time)),
        np.concatenate([one.series, other.series]),
        np.concatenate([one.symbol, other.symbol]),
        np.concatenate([one.value, other.value]),
        {**one.info, **other.info},
    )
    return both.rows(np.lexsort([both.event_time.asi8, both.knowledge_time.asi8]))


OWN = (ema_distance, third_last, news_over_bars)


@pytest.mark.parametrize("first", [2, 90, 300])
def test_steps_give_the_batch_through_a_late_listing_a_hole_and_a_split(
    panel: Panel, side: SideTable, first: int
) -> None:
    assert_streams([*of_price(DEMO), *planned(*OWN)], panel, side, first, min(first + 160, 420))


@feature(series=("x",), kind="fundamental", unit="index", memory=5)
def first_prints(view: View) -> np.ndarray:
    """Mean of the last five observations, as they were first printed."""
    return view.by_symbol("x", lambda past: past.mean(axis=1), 5, vintage="first")


@feature(series=("x",), kind="fundamental", unit="days", memory=1)
def age(view: View) -> np.ndarray:
    """Age of the newest observation."""
    return view.age_by_symbol("x")


@feature(series=("x",), kind="fundamental", warmup=3, unit="index", memory=1)
def newest_over_bars(view: View) -> np.ndarray:
    """The newest observation, averaged over three bars."""
    return trailing_mean(view.by_symbol("x"), 3)


@pytest.mark.parametrize("first", [1, 250])
def test_all_symbols_together_are_what_each_is_alone(panel: Panel, side: SideTable, first: int) -> None:
    under = np.where(side.symbol == "S1", "B1", side.symbol)  # a base that two symbols share
    filed = replace(side, symbol=under).rows(~np.isin(side.symbol, ["S2", "S3"]))  # nothing is filed about S3
    panel = replace(panel, bases=("S0", "B1", "B1", *panel.symbols[3:]))
    columns = planned(newest_over_bars, third_last, first_prints, age)
    whole = evaluate(columns, panel, filed)
    assert np.isfinite(whole[-1, :3]).all()
    assert np.isnan(whole[:, 3]).all()
    np.testing.assert_array_equal(whole[:, 1], whole[:, 2])
    assert_streams(columns, panel, filed, first, first + 150)


def test_one_number_for_each_publication_is_asked_for_in_a_step_too(panel: Panel, side: SideTable) -> None:
    @feature(series=("x",), kind="fundamental", memory=2)
    def pairs(view: View) -> np.ndarray:
        return view.by_symbol("x", lambda past: past, 2)

    stream = Stream(planned(pairs), panel.rows(0, 300), side.known_by(panel.times[299]))
    with pytest.raises(PluginError, match="expected one number for each publication"):
        stream.values(panel.rows(300, 301))


def test_a_step_is_one_row_of_the_frame_within_one_unit_in_the_last_place(panel: Panel, side: SideTable) -> None:
    columns = [*of_price(DEMO), *planned(*OWN)]
    whole = evaluate(columns, panel, side).astype(np.float32)
    stream = Stream(columns, panel.rows(0, 300), side.known_by(panel.times[299]), rows=5)
    np.testing.assert_array_max_ulp(stream.frame.values, whole[295:300])
    assert stream.frame.times.equals(panel.times[295:300])
    row = stream.step(panel.rows(300, 301), known_between(side, panel.times[299], panel.times[300]))
    np.testing.assert_array_max_ulp(row.values, whole[300:301])
    assert (row.names, row.symbols) == (stream.names, panel.symbols)
    assert row.specs[-1].bases == ("observed",)


@pytest.mark.parametrize(
    ("dataset", "symbols", "start", "frequency"),
    [
        ("us_ohlcv_daily", ["AAPL", "FB", "GOOG", "MSFT"], "2011-01-03", "1d"),
        ("eurusd_hourly", ["EURUSD"], "2017-01-02", "1h"),
    ],
)
def test_real_bars_with_a_late_listing_stream(
    demo_store: Path, dataset: str, symbols: list[str], start: str, frequency: str
) -> None:
    store = Store.open(demo_store)
    real = store.panel(symbols, start=start, end="2017-12-29", dataset=dataset, frequency=frequency)
    lacking = set() if "volume" in real.fields else {"volume_zscore"}
    columns = of_price({name: given for name, given in DEMO.items() if name not in lacking})
    stop = min(len(real.times), 800)
    assert_streams([*columns, *planned(ema_distance)], real, store.side(()), 300, stop)


def test_real_bars_with_holes_stream(shared_data: Path, make_panel: Callable[..., Panel]) -> None:
    """Members that came late, cells without an open or any price, days without volume."""
    symbols = ["AAPL", "BHF", "ES", "FTV", "O", "UA", "WRK"]
    rows = pd.read_parquet(shared_data / "prices-daily/sp500_2013_2018.parquet")
    rows = rows[rows["symbol"].isin(symbols)]
    wide = rows.set_index(["timestamp", "symbol"]).unstack("symbol")
    days = pd.DatetimeIndex(wide.index).tz_localize(None) + pd.Timedelta(hours=16)
    times = days.tz_localize("America/New_York").tz_convert("UTC").as_unit("ns")
    fields = {name: wide[name].to_numpy(float) for name in ("open", "high", "low", "close", "volume")}
    real = make_panel(fields.pop("close"), times=times, **fields)
    assert np.isnan(real["open"]).any(axis=1).sum() > 100
    assert 0 < np.isnan(real["open"][-400:]).sum() < 400 * len(symbols)
    columns = of_price({**DEMO, "high_low_range": {"window": [1, 20]}})
    nothing = synthetic_side((), real, np.random.default_rng(0))
    assert_streams([*columns, *planned(ema_distance)], real, nothing, 600, len(real.times))


def test_a_step_looks_at_as_many_bars_after_ten_times_the_history(panel: Panel) -> None:
    seen: list[int] = []

    @feature(fields=("close",), warmup=40, unit="fraction")
    def watched(view: View) -> np.ndarray:
        """Notes how many bars there are."""
        seen.append(view.shape[0])
        assert view.first in (0, view.shape[0] - 1)
        return view["close"] / delayed(view["close"], 39) - 1

    columns, nothing = planned(watched), synthetic_side((), panel, np.random.default_rng(0))
    for first in (41, 410):
        stream = Stream(columns, panel.rows(0, first), nothing)
        seen.clear()
        stepped(stream, panel, nothing, first, first + 8)
        assert seen == [40] * 8


def test_columns_of_about_the_same_warm_up_share_what_they_compute_once(panel: Panel) -> None:
    computed: list[int] = []

    def logarithm(view: View) -> np.ndarray:
        computed.append(view.shape[0])
        return np.log(view["close"])

    def change(view: View, *, window: int = 1) -> np.ndarray:
        """Change of a logarithm."""
        return view.once(logarithm) - delayed(view.once(logarithm), window)

    marked = feature(fields=("close",), warmup=lambda p: p["window"] + 1, unit="fraction")(change)
    columns = plan_function(marked, {"window": [1, 5, 21, 40, 63]}, source="own")
    nothing = synthetic_side((), panel, np.random.default_rng(0))
    assert_streams(columns, panel, nothing, 200, 203)
    assert computed[-6:] == [22, 64] * 3


def test_a_kernel_is_called_once_for_the_newest_row(panel: Panel) -> None:
    calls: list[tuple[int, int, int]] = []

    def ratios(view: View, columns: Any, out: np.ndarray) -> None:
        calls.append((len(columns), view.shape[0], out.shape[1]))
        for row, (_, given) in zip(out, columns, strict=True):
            row[:] = (view["close"] / delayed(view["close"], given["window"]))[view.first :]

    @feature(fields=("close",), warmup=lambda p: p["window"] + 1, unit="ratio", kernel=ratios)
    def ratio(view: View, *, window: int = 3) -> np.ndarray:
        """Close against an earlier one."""
        return view["close"] / delayed(view["close"], window)

    nothing = synthetic_side((), panel, np.random.default_rng(0))
    columns = plan_function(ratio, {"window": [3, 8, 50]}, source="own")
    assert_streams([columns[0], *of_price({"log_return": {}}), *columns[1:]], panel, nothing, 200, 202)
    assert calls[-2:] == [(3, 51, 1)] * 2


def test_side_rows_beyond_the_memory_are_let_go(panel: Panel, side: SideTable) -> None:
    stream = assert_streams(planned(third_last, news_over_bars), panel, side, 100, 400)
    held = {rows.series: len(rows) for rows in stream._side.held()}
    assert (side.series == "x").sum() > 3_000
    assert held["x"] <= 2 * 4 * (3 + 8) + 64
    assert (side.series == "m").sum() > 1_200
    assert held["m"] <= 2 * 12 + 64


def test_a_column_that_remembers_everything_keeps_everything(panel: Panel, side: SideTable) -> None:
    @feature(series=("m",), scope="market", unit="index")
    def highest(view: View) -> np.ndarray:
        """The highest there was."""
        known = view.known("m")
        return view.at_decision(known, np.maximum.accumulate(known.values[:, 0]))

    stream = assert_streams(planned(highest, news_over_bars), panel, side, 100, 200)
    (held,) = stream._side.held()
    assert len(held) == len(side.known_by(panel.times[199]).find("m"))


@pytest.mark.parametrize("columns", [of_price(DEMO), [*of_price(DEMO), *planned(*OWN)]])
def test_a_stored_state_goes_on_as_the_stream_does(
    panel: Panel, side: SideTable, columns: list[PlannedFeature]
) -> None:
    whole = evaluate(columns, panel, side)
    stream = Stream(columns, panel.rows(0, 300), side.known_by(panel.times[299]))
    stepped(stream, panel, side, 300, 310)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **stream.state())
    file.seek(0)
    restored = Stream.restore(columns, dict(np.load(file)))
    assert restored.time == panel.times[309]
    rows = stepped(restored, panel, side, 310, 400)
    np.testing.assert_array_equal(rows, stepped(stream, panel, side, 310, 400))
    np.testing.assert_allclose(rows, whole[310:400], rtol=1e-9, atol=1e-14)


def test_a_state_keeps_texts_and_membership(panel: Panel) -> None:
    @feature(series=("posts",), kind="news", unit="words", memory=pd.Timedelta(days=30))
    def length(view: View) -> np.ndarray:
        """Words of the texts of a month."""
        texts = view.texts("posts")
        return view.within(texts, np.array([float(len(text)) for text in texts.text]), pd.Timedelta(days=30))

    posts = synthetic_side(("posts",), panel, np.random.default_rng(0), kind="news")
    joined = replace(panel, member=np.arange(420)[:, None] % 2 == np.arange(5) % 2)
    columns = planned(length)
    stream = Stream(columns, joined.rows(0, 200), posts.known_by(joined.times[199]), keep=5)
    restored = Stream.restore(columns, stream.state())
    rows = stepped(restored, joined, posts, 200, 240)
    np.testing.assert_array_equal(rows, evaluate(columns, joined, posts)[200:240])
    np.testing.assert_array_equal(restored.last(5).decidable, joined.decidable[235:240])


def test_a_state_of_other_columns_is_refused(panel: Panel, side: SideTable) -> None:
    state = Stream(of_price({"log_return": {}}), panel.rows(0, 300), side).state()
    with pytest.raises(DataError, match="that of other columns"):
        Stream.restore(of_price({"log_return": {"window": 2}}), state)


def test_the_state_of_a_feature_that_looked_back_less_is_refused(panel: Panel, side: SideTable) -> None:
    def of_warmup(warmup: int) -> list[PlannedFeature]:
        @feature(fields=("close",), warmup=warmup, unit="fraction")
        def rise(view: View) -> np.ndarray:
            """Close against an earlier one."""
            return view["close"] / delayed(view["close"], warmup - 1)

        return planned(rise)

    state = Stream(of_warmup(3), panel.rows(0, 300), side).state()
    Stream.restore(of_warmup(3), state)
    with pytest.raises(DataError, match=r"that of other columns \(own\.rise\)"):
        Stream.restore(of_warmup(9), state)


@pytest.mark.parametrize(
    ("bar", "expected"),
    [
        (lambda panel: panel.rows(299, 300), "one bar after"),
        (lambda panel: panel.rows(300, 302), "2 bars"),
        (lambda panel: panel.rows(300, 300), "no time"),
        (lambda panel: replace(panel.rows(300, 301), symbols=tuple("ABCDE")), "symbols"),
        (lambda panel: replace(panel.rows(300, 301), symbols=panel.symbols[::-1]), "symbols"),
        (lambda panel: replace(panel.rows(300, 301), frequency="1h"), "frequency 1h, expected 1d"),
        (lambda panel: replace(panel.rows(300, 301), fields={"close": panel["close"][300:301]}), "no field"),
    ],
)
def test_a_bar_that_does_not_follow_is_refused(
    panel: Panel, side: SideTable, bar: Callable[[Panel], Panel], expected: str
) -> None:
    stream = Stream(planned(*OWN), panel.rows(0, 300), side.known_by(panel.times[299]))
    with pytest.raises(DataError, match=expected):
        stream.step(bar(panel))
    rows = stepped(stream, panel, side, 300, 310)  # nothing happened
    np.testing.assert_allclose(rows, evaluate(planned(*OWN), panel, side)[300:310], rtol=1e-9)


def test_side_data_of_the_future_is_refused(panel: Panel, side: SideTable) -> None:
    stream = Stream(planned(*OWN), panel.rows(0, 300), side.known_by(panel.times[299]))
    with pytest.raises(DataError, match="side data known at"):
        stream.step(panel.rows(300, 301), known_between(side, panel.times[300], panel.times[310]))


def test_side_data_that_was_passed_before_is_refused(panel: Panel, side: SideTable) -> None:
    stream = Stream(planned(*OWN), panel.rows(0, 300), side.known_by(panel.times[299]))
    with pytest.raises(DataError, match="expected what became known after the last bar"):
        stream.step(panel.rows(300, 301), known_between(side, panel.times[290], panel.times[300]))
    rows = stepped(stream, panel, side, 300, 310)  # nothing happened
    np.testing.assert_allclose(rows, evaluate(planned(*OWN), panel, side)[300:310], rtol=1e-9)


def test_a_stream_without_history_is_refused(panel: Panel, side: SideTable) -> None:
    with pytest.raises(DataError, match="no bar of history"):
        Stream(planned(*OWN), panel.rows(0, 0), side)


def test_an_infinite_value_is_refused(panel: Panel, side: SideTable) -> None:
    @feature(fields=("close",), unit="fraction")
    def inverse(view: View) -> np.ndarray:
        """One over the distance from the close to itself."""
        return 1 / (view["close"] - view["close"])

    stream = Stream(planned(inverse), panel.rows(0, 300), side)
    with pytest.raises(DataError, match="infinite"):
        stream.step(panel.rows(300, 301))
    with pytest.raises(DataError, match="half done"):  # whoever keeps the rows would miss one
        stream.step(panel.rows(301, 302))


def test_a_step_that_failed_is_not_gone_on_from(panel: Panel, side: SideTable) -> None:
    @feature(fields=("close",), unit="fraction")
    def moody(view: View) -> np.ndarray:
        """Fails on one bar."""
        if view.times[-1] == panel.times[300]:
            raise ValueError("not today")
        return np.array(view["close"])

    stream = Stream(planned(ema_distance, moody), panel.rows(0, 300), side)
    with pytest.raises(PluginError, match="not today"):
        stream.step(panel.rows(300, 301))
    with pytest.raises(DataError, match="half done"):
        stream.step(panel.rows(301, 302))
    with pytest.raises(DataError, match="half done"):  # else it would be gone on from once it is restored
        stream.state()


def test_news_in_any_order_are_the_same_news(panel: Panel) -> None:
    @feature(series=("posts",), kind="news", memory=pd.Timedelta(days=3), unit="ratio")
    def repeated(view: View) -> np.ndarray:
        """Posts of two days, each counted by its place among those that it follows."""
        texts = view.texts("posts")
        return view.within(texts, (np.diff(texts.knowledge_time.asi8, prepend=0) > 0) * 1.0, pd.Timedelta(days=2))

    posts = synthetic_side(("posts",), panel, np.random.default_rng(0), kind="news")
    wide = replace(posts, knowledge_time=posts.event_time + pd.to_timedelta(np.arange(len(posts)) % 97, "min"))
    side = wide.rows(np.lexsort([wide.event_time.asi8, wide.knowledge_time.asi8]))
    stream, times = Stream(planned(repeated), panel.rows(0, 300), side.known_by(panel.times[299])), panel.times
    for t in range(300, 360):
        news = known_between(side, times[t - 1], times[t])
        row = stream.values(panel.rows(t, t + 1), news.rows(np.arange(len(news))[::-1]))
        np.testing.assert_allclose(row, evaluate(planned(repeated), panel, side)[t])


def test_news_without_a_value_are_refused(panel: Panel, side: SideTable) -> None:
    stream = Stream(planned(*OWN), panel.rows(0, 300), side.known_by(panel.times[299]))
    news = known_between(side, panel.times[299], panel.times[310])
    with pytest.raises(DataError, match="side data without a value"):
        stream.step(panel.rows(310, 311), replace(news, value=news.value * np.nan))


def test_what_was_handed_out_is_not_written_again(panel: Panel, side: SideTable) -> None:
    stream = Stream(of_price({"log_return": {}}), panel.rows(0, 300), side)
    before = stream.last(2)
    stepped(stream, panel, side, 300, 320)
    np.testing.assert_array_equal(before["close"], panel["close"][298:300])
    assert before.times.equals(panel.times[298:300])


SOURCES = (
    "mnpu_data_macro.macro",
    "mnpu_data_onchain.onchain",
    "mnpu_data_onchain.funding",
    "mnpu_data_sentiment.sentiment",
)


@pytest.mark.parametrize("name", SOURCES)
def test_every_signal_streams_when_each_step_drops_what_it_can(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mnpu.features import memory
    from mnpu.features.plan import features_of
    from mnpu.testing.features import _markets

    monkeypatch.setattr(memory, "SLACK", -(10**9))
    module = pytest.importorskip(name)
    columns = [c for f in features_of(module).values() for c in plan_function(f, {}, source="shipped")]
    for market in _markets(columns, seed=1):
        bars = len(market.panel.times)
        assert_streams(list(market.columns), market.panel, market.side, bars - 20, bars)
