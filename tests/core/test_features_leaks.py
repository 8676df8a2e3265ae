"""Every classical way to look ahead is caught, at every cut, and honest features are left in peace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mnpu.features import View, feature, price
from mnpu.features.leaks import (
    choose_cuts,
    choose_nearby,
    future_perturbation,
    nearby,
    remembered,
    truncation,
    with_noise_after,
    with_nothing_after,
)
from mnpu.features.plan import PlannedFeature, features_of, plan_function, series_needed
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import Panel, SideTable

BARS = 300


@feature(fields=("close",), unit="fraction")
def one_bar_ahead(view: View) -> np.ndarray:
    """The return of the next bar."""
    close = view["close"]
    ahead = np.full(close.shape, np.nan)
    ahead[:-1] = close[1:] / close[:-1] - 1
    return ahead


@feature(fields=("close",), unit="fraction")
def centred_window(view: View) -> np.ndarray:
    """A mean over two bars before and two bars after."""
    return pd.DataFrame(view["close"]).rolling(5, center=True).mean().to_numpy() / view["close"]


@feature(fields=("close",), unit="standard deviations")
def full_sample_zscore(view: View) -> np.ndarray:
    """Returns in deviations of the whole sample."""
    returns = pd.DataFrame(np.array(view["close"])).pct_change(fill_method=None)
    return ((returns - returns.mean()) / returns.std()).to_numpy()


@feature(fields=("close",), unit="currency", scale_free=False)
def backward_fill(view: View) -> np.ndarray:
    """Closes, with gaps filled from what comes after them."""
    return pd.DataFrame(np.array(view["close"])).bfill().to_numpy()


@feature(unit="boolean")
def tradable_tomorrow(view: View) -> np.ndarray:
    """Whether the symbol still trades on the next bar."""
    ahead = np.zeros(view.shape)
    ahead[:-1] = view.tradable[1:]
    return ahead


@feature(series=("rate",), scope="market", unit="index")
def exact_stamp_join(view: View) -> np.ndarray:
    """The value of the period that has ended by the decision, published or not."""
    known = view.known("rate")
    row = known.event_time.searchsorted(view.times, side="right") - 1
    return known.values[row, 0]


@feature(series=("rate",), scope="market", unit="index")
def rescaled_by_all_publications(view: View) -> np.ndarray:
    """The newest value less the mean of every value there will be."""
    known = view.known("rate")
    return view.at_decision(known, known.values[:, 0] - known.values[:, 0].mean())


def _ahead(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[1:], values[-1:]])


@feature(fields=("close",), unit="fraction")
def ahead_on_fridays(view: View) -> np.ndarray:
    """The return of this bar, on Fridays that of the next."""
    close = np.array(view["close"])
    returns = pd.DataFrame(close).pct_change(fill_method=None).to_numpy()
    return np.where(np.asarray(view.times.day_of_week)[:, None] == 4, _ahead(returns), returns)


@feature(fields=("close", "volume"), unit="fraction")
def ahead_before_spikes(view: View) -> np.ndarray:
    """The return of this bar; for the last symbol, before its volume trebles, that of the next."""
    returns = pd.DataFrame(np.array(view["close"])).pct_change(fill_method=None).to_numpy()
    volume = np.where(view["volume"] > 0, view["volume"], np.nan)
    spike = (_ahead(volume) > 3 * volume) & (np.arange(view.shape[1]) == view.shape[1] - 1)
    return np.where(spike, _ahead(returns), returns)


@feature(fields=("close",), unit="fraction")
def ahead_at_the_end_of_a_month(view: View) -> np.ndarray:
    """The return of this bar, at the end of a month that of the next."""
    returns = pd.DataFrame(np.array(view["close"])).pct_change(fill_method=None).to_numpy()
    month = view.sessions.astype("datetime64[M]")
    return np.where((month != _ahead(month))[:, None], _ahead(returns), returns)


@feature(scope="market", unit="days")
def time_to_the_next_bar(view: View) -> np.ndarray:
    """Days without trading that are to come: a closure that nobody had announced would be known the day before."""
    return np.append(np.diff(view.times.asi8), 0) / 86_400e9


RARE = [ahead_on_fridays, ahead_before_spikes, ahead_at_the_end_of_a_month, time_to_the_next_bar]

ANSWERS: dict[tuple[int, ...], np.ndarray] = {}


@feature(fields=("close",), unit="fraction")
def kept_from_before(view: View) -> np.ndarray:
    """The return of the next bar, as computed at the first call."""
    return ANSWERS.setdefault(view.shape, one_bar_ahead(view))


@feature(fields=("close",), unit="bars")
def bars_since_listing(view: View) -> np.ndarray:
    """Bars with a close so far: it depends on the gaps alone, and noise has none."""
    return np.cumsum(np.isfinite(view["close"]), axis=0).astype(float)


LEAKS = [
    one_bar_ahead,
    centred_window,
    full_sample_zscore,
    backward_fill,
    tradable_tomorrow,
    exact_stamp_join,
    rescaled_by_all_publications,
]


def market(function: Callable[..., np.ndarray]) -> tuple[list[PlannedFeature], Panel, SideTable]:
    rng = np.random.default_rng(8)
    planned = plan_function(function, {}, source="exhibit")
    panel = synthetic_panel(rng, bars=BARS)
    return planned, panel, synthetic_side(series_needed(planned), panel, rng)


@pytest.mark.parametrize("function", LEAKS, ids=lambda f: f.__name__)
def test_a_leak_is_caught_at_the_cuts_that_a_run_chooses(
    function: Callable[..., np.ndarray], rng: np.random.Generator
) -> None:
    planned, panel, side = market(function)
    cuts = choose_cuts(panel, side, count=5, rng=rng)
    leaks = future_perturbation(planned, panel, side, cuts=cuts, rng=rng)
    assert {leak.column for leak in leaks} == {planned[0].name}


@pytest.mark.parametrize(
    "function", [one_bar_ahead, full_sample_zscore, rescaled_by_all_publications], ids=lambda f: f.__name__
)
def test_one_bar_ahead_is_caught_at_every_cut(function: Callable[..., np.ndarray], rng: np.random.Generator) -> None:
    planned, panel, side = market(function)
    cuts = range(BARS // 4 + 2, BARS - 1, 7)
    leaks = future_perturbation(planned, panel, side, cuts=cuts, rng=rng)
    assert [leak.cut for leak in leaks] == [panel.times[cut] for cut in cuts]


@pytest.mark.parametrize("function", LEAKS, ids=lambda f: f.__name__)
def test_data_cut_short_shows_the_same_leaks(function: Callable[..., np.ndarray], rng: np.random.Generator) -> None:
    planned, panel, side = market(function)
    cuts = [cut for cut in choose_cuts(panel, side, count=7, rng=rng) if cut > 10]
    assert truncation(planned, panel, side, cuts=cuts)


@pytest.mark.parametrize("name", sorted(features_of(price)))
def test_features_of_the_past_are_left_in_peace(name: str, rng: np.random.Generator) -> None:
    planned, panel, side = market(features_of(price)[name])
    cuts = choose_cuts(panel, side, count=8, rng=rng)
    assert future_perturbation(planned, panel, side, cuts=cuts, rng=rng) == []
    assert truncation(planned, panel, side, cuts=cuts) == []


def test_a_leak_tells_what_changed_and_when(rng: np.random.Generator) -> None:
    planned, panel, side = market(one_bar_ahead)
    (leak,) = future_perturbation(planned, panel, side, cuts=[150], rng=rng)
    assert leak.time == panel.times[150]
    assert leak.n_values == 5
    assert str(leak).startswith(f"exhibit.one_bar_ahead: {leak.symbol} at {panel.times[150]:%Y-%m-%d %H:%M} goes from ")


def test_an_honest_column_beside_a_leak_is_not_accused(rng: np.random.Generator) -> None:
    planned, panel, side = market(one_bar_ahead)
    both = [*plan_function(price.log_return, {}, source="price"), *planned]
    leaks = future_perturbation(both, panel, side, cuts=[100, 200], rng=rng)
    assert {leak.column for leak in leaks} == {"exhibit.one_bar_ahead"}


@pytest.mark.parametrize("replaced", [with_noise_after, with_nothing_after])
def test_replacing_the_future_leaves_the_past_and_the_tables_alone(
    replaced: Callable, rng: np.random.Generator
) -> None:
    _, panel, side = market(exact_stamp_join)
    before = {name: values.copy() for name, values in panel.fields.items()}
    args = (rng,) if replaced is with_noise_after else ()
    other, other_side = replaced(panel, side, 120, *args)
    now = panel.times[120]
    for name, values in before.items():
        np.testing.assert_array_equal(panel[name], values)
        np.testing.assert_array_equal(other[name][:121], values[:121])
        assert not np.array_equal(other[name][121:], values[121:], equal_nan=True)
    known, other_known = np.asarray(side.knowledge_time <= now), np.asarray(other_side.knowledge_time <= now)
    np.testing.assert_array_equal(other_side.value[other_known], side.value[known])
    np.testing.assert_array_equal(other.tradable[:121], panel.tradable[:121])
    assert not other.tradable[121:].all()
    if replaced is with_noise_after:
        assert (other_side.value[~other_known] != side.value[~known]).all()
    else:
        assert other_known.all()
        assert not other.tradable[121:].any()


@pytest.mark.parametrize("seed", range(10))
def test_cuts_fall_where_a_wrong_join_would_show(seed: int) -> None:
    _, panel, side = market(exact_stamp_join)
    cuts = list(choose_cuts(panel, side, count=5, rng=np.random.default_rng(seed)))
    now = panel.times[cuts]
    assert len(set(cuts)) == 5
    assert not panel.tradable[cuts, 0].all()  # before the first symbol is listed
    assert not panel.tradable[cuts, 1].all()  # in the hole of the second, three bars of 300
    next_decision = panel.times[[cut + 1 for cut in cuts]]
    assert any(((side.knowledge_time > now[i]) & (side.knowledge_time <= next_decision[i])).any() for i in range(5))


def test_a_short_panel_has_as_many_cuts_as_rows_with_a_future(rng: np.random.Generator) -> None:
    panel = synthetic_panel(rng, bars=4)
    assert choose_cuts(panel, synthetic_side((), panel, rng), count=9, rng=rng) == (0, 1, 2)


@pytest.mark.parametrize("function", [*LEAKS, *RARE], ids=lambda f: f.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_a_look_ahead_on_few_occasions_is_caught_nearby(function: Callable[..., np.ndarray], seed: int) -> None:
    planned, panel, side = market(function)
    rng = np.random.default_rng(seed)
    cuts = [*choose_nearby(panel, warmup=2, random=20, rng=rng), *choose_cuts(panel, side, count=5, rng=rng)]
    (leak,) = nearby(planned, panel, side, cuts=cuts, rng=rng)
    assert leak.column == planned[0].name


def test_nearby_an_honest_column_is_not_accused_beside_a_leak(rng: np.random.Generator) -> None:
    planned, panel, side = market(ahead_on_fridays)
    honest = [
        column for name in features_of(price) for column in plan_function(features_of(price)[name], {}, source="p")
    ]
    cuts = choose_nearby(panel, warmup=260, random=20, rng=rng)
    leaks = nearby([*honest[:4], *planned, *honest[4:]], panel, side, cuts=cuts, rng=rng)
    assert [leak.column for leak in leaks] == [planned[0].name]


@pytest.mark.parametrize("seed", range(5))
def test_nearby_cuts_hold_every_weekday_and_the_eve_of_a_split(seed: int) -> None:
    _, panel, _ = market(one_bar_ahead)
    cuts = choose_nearby(panel, warmup=20, random=0, rng=np.random.default_rng(seed), rows=(40, 290))
    assert set(panel.times[list(cuts)].day_of_week) == {0, 1, 2, 3, 4}
    assert BARS // 2 - 1 in cuts  # the third symbol splits on the next bar
    assert min(cuts) >= 40
    assert max(cuts) < 290


@pytest.mark.parametrize("seed", range(5))
def test_nearby_cuts_hold_the_ends_of_years(seed: int) -> None:
    panel = synthetic_panel(np.random.default_rng(0), bars=800)
    year = panel.sessions.astype("datetime64[Y]")
    ends = np.flatnonzero(year[1:] != year[:-1])
    assert len(ends) == 3
    assert set(ends) <= set(choose_nearby(panel, warmup=20, random=0, rng=np.random.default_rng(seed)))


def test_a_panel_without_room_has_no_nearby_cut(rng: np.random.Generator) -> None:
    panel = synthetic_panel(rng, bars=4)
    assert set(choose_nearby(panel, warmup=9, random=9, rng=rng)) <= {0, 1, 2}
    assert choose_nearby(panel.rows(0, 1), warmup=1, random=9, rng=rng) == ()


def test_a_column_that_answers_from_memory_is_found_and_others_are_not(rng: np.random.Generator) -> None:
    planned, panel, side = market(kept_from_before)
    ANSWERS.clear()
    assert future_perturbation(planned, panel, side, cuts=[150], rng=rng) == []  # every comparison passes
    honest = [*plan_function(bars_since_listing, {}, source="x"), *plan_function(price.day_of_week, {}, source="price")]
    honest += plan_function(price.log_return, {}, source="price")
    assert remembered([*honest, *planned], panel, side, rng=rng) == [planned[0].name]
