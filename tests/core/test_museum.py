"""A museum of leaks: every way in which features of this field are known to have seen the future, caught and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.data.scaling import Scaler
from mnpu.features import View, feature, price
from mnpu.features.diagnosis import diagnose
from mnpu.features.leaks import choose_cuts, future_perturbation, truncation
from mnpu.features.plan import PlannedFeature, features_of, plan_function, series_needed
from mnpu.features.vintages import choose_eves, later_vintages, shifted_knowledge
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.testing.scaling import fitted_on_the_past
from mnpu.types import Panel, SideTable

ta = pytest.importorskip("ta", reason="the library with the five columns is not installed")


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(np.array(values))


@feature(fields=("close",), unit="currency", scale_free=False)
def backward_fill(view: View) -> np.ndarray:
    """Closes, with gaps filled from what comes after them."""
    return frame(view["close"]).bfill().to_numpy()


@feature(series=("rate",), scope="market", unit="index")
def exact_stamp_join(view: View) -> np.ndarray:
    """A monthly value at the stamp of its month, carried forward: nobody had it yet."""
    known = view.known("rate")
    values = pd.Series(known.values[:, 0], index=known.event_time).groupby(level=0).first()
    return values.reindex(view.times, method="ffill").to_numpy()


@feature(fields=("close",), unit="fraction")
def full_sample_rank(view: View) -> np.ndarray:
    """The place of each return among all there will ever be, as a regime."""
    return frame(view["close"]).pct_change(fill_method=None).rank(pct=True).to_numpy()


@feature(fields=("close",), unit="fraction")
def unfinished_week(view: View) -> np.ndarray:
    """The return of the calendar week, shown from its first day on."""
    closes = frame(view["close"]).set_axis(view.times)
    weekly = closes.groupby(pd.Grouper(freq="W-SUN")).transform("last")
    return (weekly / closes - 1).to_numpy()


@feature(fields=("close",), unit="fraction")
def unfinished_month(view: View) -> np.ndarray:
    """The highest close of the month over this one, shown from its first day on."""
    closes = frame(view["close"]).set_axis(view.times)
    return (closes.groupby(view.times.tz_localize(None).to_period("M")).transform("max") / closes - 1).to_numpy()


@feature(fields=("close",), unit="fraction")
def centred_window(view: View) -> np.ndarray:
    """A mean over two bars before and two bars after."""
    return frame(view["close"]).rolling(5, center=True).mean().to_numpy() / view["close"]


@feature(fields=("close",), unit="fraction")
def one_bar_ahead(view: View) -> np.ndarray:
    """The return of the next bar: a label among the features."""
    return frame(view["close"]).pct_change(fill_method=None).shift(-1).to_numpy()


@feature(fields=("close",), unit="standard deviations")
def scaled_by_the_whole_sample(view: View) -> np.ndarray:
    """Returns in deviations of a scaler that was fitted on the test range, too."""
    returns = frame(view["close"]).pct_change(fill_method=None)
    return ((returns - returns.mean()) / returns.std()).to_numpy()


@feature(series=("meeting/scheduled",), kind="calendar", scope="market", unit="days")
def meeting_not_announced(view: View) -> np.ndarray:
    """Days to the next meeting, whether or not its date was known."""
    dates = np.sort(view.known("meeting/scheduled").event_time.asi8)
    ahead = np.append(dates.astype(float), np.nan)[np.searchsorted(dates, view.times.asi8)]
    return (ahead - view.times.asi8) / 86_400e9


@feature(series=("wire",), kind="news", unit="mentions")
def mentions_to_come(view: View) -> np.ndarray:
    """How often a symbol will be named within three weeks: the number of texts, not a word of them."""
    texts = view.texts("wire")
    at, values = view.times.asi8, np.zeros(view.shape)
    for a in range(view.shape[1]):
        known = texts.knowledge_time.asi8[texts.symbol == a]
        values[:, a] = np.searchsorted(known, at + 21 * 86_400_000_000_000) - np.searchsorted(known, at)
    return values


@feature(series=("wire",), kind="news", unit="letters")
def words_of_the_next_text(view: View) -> np.ndarray:
    """Each text with the length of the one after it."""
    texts = view.texts("wire")
    letters = np.array([len(words) for words in texts.text], dtype=float)
    return view.within(texts, np.append(letters[1:], 0.0), pd.Timedelta(days=5))


def of_ta(column: Callable[[pd.Series, pd.Series, pd.Series], pd.Series], name: str) -> Callable[..., np.ndarray]:
    def values(view: View) -> np.ndarray:
        """A column of the library, as it comes."""
        columns = [
            column(*(pd.Series(np.array(view[field][:, a])) for field in ("high", "low", "close")))
            for a in range(view.shape[1])
        ]
        return np.column_stack(columns)

    values.__name__ = name
    return feature(fields=("high", "low", "close"), unit="", scale_free=False)(values)


TA = [
    of_ta(lambda h, low, c: ta.trend.KSTIndicator(c).kst(), "trend_kst"),
    of_ta(lambda h, low, c: ta.trend.KSTIndicator(c).kst_sig(), "trend_kst_sig"),
    of_ta(lambda h, low, c: ta.trend.KSTIndicator(c).kst_diff(), "trend_kst_diff"),
    of_ta(lambda h, low, c: ta.trend.IchimokuIndicator(h, low, visual=True).ichimoku_a(), "trend_visual_ichimoku_a"),
    of_ta(lambda h, low, c: ta.trend.IchimokuIndicator(h, low, visual=True).ichimoku_b(), "trend_visual_ichimoku_b"),
]
WHOLE = "a statistic of the whole sample"
MUSEUM = [
    (backward_fill, "a gap filled from later"),
    (exact_stamp_join, "used before it was published"),
    (meeting_not_announced, "used before it was published"),
    (mentions_to_come, "used before it was published"),
    (words_of_the_next_text, "used before it was published"),
    (full_sample_rank, WHOLE),
    (unfinished_week, "shows a week before it has ended"),
    (unfinished_month, "shows a month before it has ended"),
    (centred_window, "looks 2 bars ahead"),
    (one_bar_ahead, "looks 1 bar ahead"),
    (scaled_by_the_whole_sample, WHOLE),
    *((column, WHOLE) for column in TA),
]


def hung(function: Callable[..., np.ndarray], seed: int) -> tuple[list[PlannedFeature], Panel, SideTable]:
    rng = np.random.default_rng(seed)
    planned = plan_function(function, {}, source="exhibit")
    panel = synthetic_panel(rng, bars=300)
    kind = planned[0].spec.kind
    return planned, panel, synthetic_side(series_needed(planned), panel, rng, history=60, kind=kind)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("function", "name"), MUSEUM, ids=lambda x: getattr(x, "__name__", ""))
def test_every_exhibit_is_caught_and_named(function: Callable[..., np.ndarray], name: str, seed: int) -> None:
    planned, panel, side = hung(function, seed)
    rng = np.random.default_rng(100 + seed)
    cuts = choose_cuts(panel, side, count=8, rng=rng)
    caught = future_perturbation(planned, panel, side, cuts=cuts, rng=rng)
    caught += shifted_knowledge(planned, panel, side, cuts=cuts, rng=rng)
    assert {leak.column for leak in caught} == {planned[0].name}
    assert diagnose(planned[0], panel, side, rng=rng) == name


@pytest.mark.parametrize("name", sorted(features_of(price)))
def test_shipped_features_of_prices_do_not_belong_here(name: str) -> None:
    planned, panel, side = hung(features_of(price)[name], 1)
    rng = np.random.default_rng(1)
    cuts = choose_cuts(panel, side, count=8, rng=rng)
    assert future_perturbation(planned, panel, side, cuts=cuts, rng=rng) == []


@feature(series=("rate",), scope="market", unit="index")
def honest_join(view: View) -> np.ndarray:
    """The period before the newest, in its newest vintage at the time."""
    known = view.known("rate", 2)
    return view.at_decision(known, known.values[:, 0])


@feature(series=("rate",), scope="market", unit="index")
def last_vintage_ever(view: View) -> np.ndarray:
    """The period before the newest, in the vintage that it ended up with."""
    known = view.known("rate", 2)
    final = pd.Series(known.values[:, 0], index=known.event_time).groupby(level=0).last()
    return view.at_decision(known, final.reindex(known.event_time).to_numpy())


# Visitors: leaks of other makes, which nobody described to the kit


@feature(fields=("close",), unit="currency", scale_free=False)
def interpolated(view: View) -> np.ndarray:
    """Closes, with gaps on the straight line between their neighbours."""
    return frame(view["close"]).interpolate(limit_area="inside").to_numpy()


@feature(fields=("close",), unit="currency", scale_free=False)
def low_pass(view: View) -> np.ndarray:
    """Closes without their fast waves, by a Fourier transform of all of them."""
    waves = np.fft.rfft(np.nan_to_num(view["close"]), axis=0)
    waves[20:] = 0
    return np.fft.irfft(waves, n=view.shape[0], axis=0)


@feature(fields=("close",), unit="fraction")
def first_component(view: View) -> np.ndarray:
    """Returns along the main direction of the whole sample's returns."""
    returns = np.nan_to_num(frame(view["close"]).pct_change(fill_method=None).to_numpy())
    return returns @ np.linalg.svd(returns, full_matrices=False)[2][0][:, None] * np.ones(view.shape[1])


@feature(fields=("close",), unit="fraction")
def clipped(view: View) -> np.ndarray:
    """Returns within the quantiles of all returns."""
    returns = frame(view["close"]).pct_change(fill_method=None)
    return returns.clip(returns.quantile(0.1), returns.quantile(0.9), axis=1).to_numpy()


@feature(fields=("close",), unit="fraction")
def without_its_month(view: View) -> np.ndarray:
    """Returns less the mean of their calendar month."""
    returns = frame(view["close"]).pct_change(fill_method=None).set_axis(view.times)
    return (returns - returns.groupby(view.times.tz_localize(None).to_period("M")).transform("mean")).to_numpy()


@feature(fields=("close",), unit="fraction")
def low_to_come(view: View) -> np.ndarray:
    """The close over the lowest one from here on."""
    return view["close"] / frame(view["close"])[::-1].cummin()[::-1].to_numpy()


@feature(fields=("close",), unit="flag")
def survives(view: View) -> np.ndarray:
    """Whether the symbol rises until the end of the sample."""
    last = frame(view["close"]).ffill().iloc[-1].to_numpy()
    return (last > view["close"]).astype(float)


@feature(fields=("close",), unit="rank")
def calm_of_all(view: View) -> np.ndarray:
    """The place of the symbol by the volatility of its whole life, times its return."""
    returns = frame(view["close"]).pct_change(fill_method=None)
    return (returns * returns.std().rank()).to_numpy()


@feature(fields=("volume",), unit="fraction")
def share_of_the_year(view: View) -> np.ndarray:
    """The volume in that of the whole year."""
    volume = frame(view["volume"]).set_axis(view.times)
    return (volume / volume.groupby(view.times.year).transform("sum")).to_numpy()


@feature(series=("meeting/scheduled",), kind="calendar", scope="market", unit="days")
def meetings_that_will_take_place(view: View) -> np.ndarray:
    """Days to the next meeting that was announced and, as it turned out, never called off."""
    known = view.known("meeting/scheduled")
    off = set(known.event_time[known.values[:, 0] == 0].asi8.tolist())
    event, told = known.event_time.asi8, known.knowledge_time.asi8
    stands = np.array([e not in off for e in event.tolist()])
    ahead = [
        min([e - t for e, k in zip(event[stands], told[stands], strict=True) if k <= t < e], default=np.nan)
        for t in view.times.asi8
    ]
    return np.array(ahead) / 86_400e9


@feature(series=("wire",), kind="news", unit="mentions")
def weight_of_a_text_among_all(view: View) -> np.ndarray:
    """Mentions over the number of texts that there will ever be about the symbol."""
    texts = view.texts("wire")
    total = np.array([max((texts.symbol == a).sum(), 1) for a in range(view.shape[1])])
    return view.within(texts, texts.value, pd.Timedelta(days=20)) / total


VISITORS = [
    *(interpolated, low_pass, first_component, clipped, without_its_month, low_to_come, survives, calm_of_all),
    *(share_of_the_year, meetings_that_will_take_place, weight_of_a_text_among_all),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("function", VISITORS, ids=lambda x: x.__name__)
def test_a_leak_that_nobody_described_is_caught(function: Callable[..., np.ndarray], seed: int) -> None:
    planned, panel, side = hung(function, seed)
    rng = np.random.default_rng(200 + seed)
    cuts = {*choose_cuts(panel, side, count=8, rng=rng), *choose_eves(panel, side, count=8, rng=rng)}
    caught = future_perturbation(planned, panel, side, cuts=sorted(cuts), rng=rng)
    caught += truncation(planned, panel, side, cuts=sorted(cuts))
    assert {leak.column for leak in caught} == {planned[0].name}


@pytest.mark.parametrize("seed", range(9))
def test_a_revision_that_was_not_known_yet_is_caught(seed: int) -> None:
    planned, panel, side = hung(last_vintage_ever, seed)
    honest = plan_function(honest_join, {}, source="exhibit")
    rng = np.random.default_rng(seed)
    cuts = choose_eves(panel, side, count=6, rng=rng)
    leaks = later_vintages([*honest, *planned], panel, side, cuts=cuts, rng=rng)
    assert {leak.column for leak in leaks} == {planned[0].name}
    assert {leak.replaced for leak in leaks} == {"later vintages rewritten"}


@pytest.mark.parametrize("after", [0, 60, 150])
def test_a_value_that_was_seen_early_long_before_the_cut_is_caught(after: int) -> None:
    """The bars that give it away lie between its event and its publication, 40 bars, and the cut comes later."""
    rng = np.random.default_rng(5)
    panel = synthetic_panel(rng, bars=300)
    made = synthetic_side(["rate"], panel, rng, history=0).rows(np.array([0]))
    side = replace(made, event_time=panel.times[[60]], knowledge_time=panel.times[[100]])

    @feature(series=("rate",), scope="market", unit="index")
    def seen_early(view: View) -> np.ndarray:
        """The value from its event on."""
        known = view.known("rate")
        begun = known.event_time.searchsorted(view.times, side="right")
        return np.append(np.nan, known.values[:, 0])[begun]

    planned = plan_function(seen_early, {}, source="exhibit")
    leaks = shifted_knowledge(planned, panel, side, cuts=[100 + after], rng=rng)
    assert [leak.column for leak in leaks] == [planned[0].name]


@pytest.mark.parametrize("kind", ["macro", "onchain", "calendar", "news"])
def test_an_honest_join_may_be_published_later_at_any_cut(kind: str) -> None:
    name = "rate/actual" if kind == "calendar" else "rate"

    @feature(series=(name,), scope="symbol", kind=kind)
    def joined(view: View) -> np.ndarray:
        """Whatever its kind."""
        if kind == "news":
            texts = view.texts(name)
            return view.decayed(texts, np.array([len(text) for text in texts.text], float), pd.Timedelta(days=3))
        if kind == "onchain":
            return view.by_symbol(name, lambda known: np.nanmean(known, axis=1), n=5)
        known = view.known(name)
        return np.repeat(view.at_decision(known, known.values[:, 0])[:, None], view.shape[1], axis=1)

    rng = np.random.default_rng(4)
    planned, panel = plan_function(joined, {}, source="x"), synthetic_panel(rng, bars=200)
    side = synthetic_side([name], panel, rng, history=30, kind=kind)
    cuts = list(range(5, 199, 9))
    for law in (future_perturbation, shifted_knowledge, later_vintages):
        assert law(planned, panel, side, cuts=cuts, rng=rng) == []


def test_a_scaler_that_saw_the_test_range_is_caught_and_ours_did_not() -> None:
    ours = fitted_on_the_past(lambda values, times, rows: Scaler.fit(values, times=times, rows=rows).to_dict())
    assert ours.passed
    whole = fitted_on_the_past(lambda values, times, rows: (np.nanmean(values), np.nanstd(values)))
    assert (whole.passed, whole.detail) == (False, "its state changes with the rows after the training range")
    until = fitted_on_the_past(lambda values, times, rows: np.nanmax(values[: rows[1]]))
    assert (until.passed, until.detail) == (False, "its state changes with the rows before the training range")
