"""Targets that measure a move by what is usual: against loops, and against what was known at the decision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.data.calendars import get_calendar
from mnpu.data.splits import walk_forward
from mnpu.data.targets import Direction, ForwardReturn, TripleBarrier, VolScaledReturn, fold_labels, outcomes
from mnpu.data.targets.trailing import trailing_volatility
from mnpu.errors import ConfigError, DataError
from mnpu.types import Fold

NAN = np.nan


def market(make_panel, rng, n=60, symbols=3, *, holes=0.0, spread=0.01):
    close = np.exp(rng.normal(0, 0.02, (n, symbols)).cumsum(axis=0))
    opened = close * np.exp(rng.normal(0, 0.01, close.shape))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0, spread, close.shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0, spread, close.shape)))
    gone = rng.random(close.shape) < holes
    for values in (close, opened, high, low):
        values[gone] = NAN
    return make_panel(close, times=sessions(n), open=opened, high=high, low=low)


def sessions(n):
    """Closes of New York's first ``n`` sessions of 2015: an open needs a day on which there is one."""
    calendar = get_calendar("XNYS")
    days = calendar.between(np.datetime64("2015-01-02"), np.datetime64("2016-12-30"))
    return calendar.session_close(days[:n])


# --- volatility


@pytest.mark.parametrize("target", [VolScaledReturn((1, 4), window=56), TripleBarrier((1, 4), window=2000)])
def test_a_window_that_leaves_no_label_is_refused(make_panel, rng, target):
    panel = market(make_panel, rng)
    with pytest.raises(DataError, match=rf"target\.window: 60 bars are too few for a window of {target.window}"):
        target(panel)
    assert np.isfinite(VolScaledReturn((1, 4), window=54)(panel).values[54]).all()


def test_volatility_is_that_of_pandas_up_to_the_decision(make_panel, rng):
    panel = market(make_panel, rng, holes=0.1)
    returns = pd.DataFrame(panel["close"]).pct_change(fill_method=None)
    expected = returns.rolling(10, min_periods=5).std().to_numpy(copy=True)
    expected[:10] = NAN
    np.testing.assert_allclose(trailing_volatility(panel, window=10), expected, rtol=1e-10)


def test_a_label_is_measured_by_what_was_known_at_the_decision(make_panel, rng):
    panel = market(make_panel, rng)
    labels = VolScaledReturn((1, 4), window=10)(panel)
    returns = pd.DataFrame(panel["close"]).pct_change()
    plain = ForwardReturn((1, 4))(panel)
    for t in range(60):
        sigma = returns.iloc[t - 9 : t + 1].std().to_numpy() if t >= 10 else np.full(3, NAN)
        for i, h in enumerate((1, 4)):
            np.testing.assert_allclose(labels.values[t, :, i], plain.values[t, :, i] / sigma / np.sqrt(h), rtol=1e-9)
    assert all(a.equals(b) for a, b in zip(labels.end, plain.end, strict=True))
    assert labels.name == "vol_scaled_return"


def test_labels_of_volatility_have_unit_size(make_panel, rng):
    close = np.exp((rng.normal(0, 1, (4000, 2)) * [0.001, 0.05]).cumsum(axis=0))
    labels = VolScaledReturn((1, 9), window=50)(make_panel(close))
    np.testing.assert_allclose(np.nanstd(labels.values, axis=0), 1.0, atol=0.1)


def test_a_price_that_does_not_move_has_no_scale(make_panel):
    assert not np.isfinite(VolScaledReturn((1,), window=5)(make_panel(np.ones((30, 1)))).values).any()


# --- direction


def test_classes_are_cut_where_the_training_range_says(make_panel, rng):
    panel = market(make_panel, rng, n=200)
    target = Direction((2,), flat=0.5)
    returns = target(panel)
    fold = Fold(0, (0, 100), (103, 140), (143, 198))
    classes = target.for_fold(returns, fold)
    ordered = np.sort(returns.values[:100].ravel())
    low, high = np.quantile(ordered, 0.25), np.quantile(ordered, 0.75)
    for t, a in np.ndindex(200, 3):
        r = returns.values[t, a, 0]
        expected = NAN if np.isnan(r) else -1 if r < low else 1 if r > high else 0
        np.testing.assert_equal(classes.values[t, a, 0], expected)
    np.testing.assert_allclose(classes.learnt, [[low, high]], rtol=1e-12)
    shares = [(classes.values[:100] == c).mean() for c in (-1, 0, 1)]
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.01)


def test_a_fold_is_judged_by_its_own_thresholds(make_panel, rng):
    wild = np.repeat([0.001, 0.05], 200)[:, None] * rng.normal(size=(400, 2))
    panel = make_panel(np.exp(wild.cumsum(axis=0)))
    target = Direction((1,))
    labels = target(panel)
    split = walk_forward(
        panel.times,
        labels,
        train=pd.DateOffset(days=120),
        validation=pd.DateOffset(days=60),
        test=pd.DateOffset(days=120),
    )
    learnt = {fold.number: fold_labels(target, labels, fold) for fold in split.folds}
    judged = outcomes(labels, learnt, split)
    assert len(split.folds) >= 2
    for fold in split.folds:
        rows = slice(*fold.test)
        np.testing.assert_array_equal(judged.values[rows], learnt[fold.number].values[rows])
    assert np.isnan(judged.values[: split.folds[0].test[0]]).all()
    first, last = learnt[0].values[300:], learnt[split.folds[-1].number].values[300:]
    assert np.nanmean(first == 0) < np.nanmean(last == 0)  # what was wild for the first fold is usual for the last


def test_a_target_that_learns_nothing_gives_every_fold_the_same_labels(make_panel, rng):
    labels = ForwardReturn((1,))(market(make_panel, rng))
    assert fold_labels(ForwardReturn((1,)), labels, Fold(0, (0, 9), (9, 12), (12, 20))) is labels


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(-5, 5))
def test_nothing_after_the_training_range_moves_a_threshold(make_panel, seed, scale):
    rng = np.random.default_rng(seed)
    target, fold = Direction((1,)), Fold(0, (5, 30), (31, 40), (41, 58))
    labels = target(market(make_panel, rng))
    other = labels.values.copy()
    other[:5], other[30:] = scale * other[:5], scale * other[30:]
    a, b = target.for_fold(labels, fold), target.for_fold(replace(labels, values=other), fold)
    np.testing.assert_array_equal(a.values[5:30], b.values[5:30])


def test_a_class_that_the_training_range_does_not_hold_is_refused(make_panel):
    labels = Direction((1,))(make_panel(np.ones((30, 1))))
    message = r"target.flat, fold 1: no return over 1 bars of its training range is down \(0 to 0 is flat\)"
    with pytest.raises(DataError, match=message):
        Direction((1,)).for_fold(labels, Fold(0, (0, 15), (16, 20), (21, 28)))


def test_a_training_range_without_labels_is_refused(make_panel, rng):
    labels = Direction((1,))(market(make_panel, rng))
    with pytest.raises(DataError, match="its training range has no return over 1 bars, expected at least one"):
        Direction((1,)).for_fold(replace(labels, values=labels.values * NAN), Fold(0, (0, 15), (16, 20), (21, 28)))


def test_thresholds_that_are_not_a_pair_for_each_horizon_are_refused(make_panel, rng):
    target = Direction((1, 2))
    with pytest.raises(DataError, match=r"has the shape \(1, 2\), expected two thresholds for each of 2 horizons"):
        target.as_learnt(target(market(make_panel, rng)), np.array([[-0.1, 0.1]]))


# --- triple barrier


def touched(panel, fill, t, a, h, *, profit, stop, window):
    """One label by the book: bar after bar from the fill; the class and the instant at which it was decided."""
    close, high, low, opened = (panel.fields.get(n, panel["close"])[:, a] for n in ("close", "high", "low", "open"))
    average = panel.fields.get("vwap", NAN * panel["close"])[:, a]
    average = np.where(np.isfinite(average), average, (opened + high + low + close) / 4)
    filled = {"next_close": close, "next_open": opened, "vwap": average}[fill]
    price = filled[t + 1] if t + 1 < len(close) else NAN
    returns = close[1:] / close[:-1] - 1
    recent = returns[t - window : t] if t >= window else np.array([NAN])
    recent = recent[np.isfinite(recent)]
    sigma = np.std(recent, ddof=1) if len(recent) >= max(window / 2, 2) else NAN
    if t + 1 + h >= len(close) or not np.isfinite(price) or not np.isfinite(sigma):
        return NAN, None
    above = np.inf if profit is None else price * (1 + profit * sigma)
    below = -np.inf if stop is None else price * (1 - stop * sigma)
    first = t + 1 if fill == "next_open" else t + 2
    for bar in range(first, first + h):
        if low[bar] <= below or close[bar] <= below:
            return -1, panel.times[bar]
        if high[bar] >= above or close[bar] >= above:
            return 1, panel.times[bar]
    if fill != "next_close":
        final, when = filled[t + 1 + h], None
        if final <= below:
            return -1, when
        if final >= above:
            return 1, when
    else:
        final = close[t + 1 + h]
    return (0 if np.isfinite(final) else NAN), None


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    fill=st.sampled_from(["next_close", "next_open", "vwap"]),
    profit=st.sampled_from([None, 0.5, 2.0]),
    stop=st.sampled_from([0.7, 1.5]),
    holes=st.sampled_from([0.0, 0.1]),
    bars=st.booleans(),
)
def test_barriers_agree_with_a_walk_along_each_path(make_panel, seed, fill, profit, stop, holes, bars):
    panel = market(make_panel, np.random.default_rng(seed), n=40, holes=holes)
    if not bars:
        known = (panel["high"] + panel["low"]) / 2
        rest = {k: v for k, v in panel.fields.items() if k not in ("high", "low")}
        panel = replace(panel, fields={**rest, "vwap": known})
    horizons = (1, 3, 7)
    labels = TripleBarrier(horizons, profit=profit, stop=stop, window=6)(panel, fill)
    vertical = ForwardReturn(horizons)(panel, fill).end
    for i, h in enumerate(horizons):
        for t in range(40):
            decided = []
            for a in range(3):
                expected, when = touched(panel, fill, t, a, h, profit=profit, stop=stop, window=6)
                np.testing.assert_equal(labels.values[t, a, i], expected)
                if np.isfinite(expected):
                    decided.append(vertical[i][t] if when is None else when)
            if decided:
                assert labels.end[i][t] >= max(decided)
                assert labels.end[i][t] <= vertical[i][t]
                if holes == 0:
                    assert labels.end[i][t] == max(decided)
            else:
                assert labels.end[i][t] is pd.NaT or labels.end[i][t] == vertical[i][t]


def test_a_bar_that_reaches_both_barriers_counts_as_the_loss(make_panel):
    close = np.array([1.0, 1.01, 1.0, 1.01, 1.0, 1.0, 1.0, 1.0])[:, None]
    wide = make_panel(close, high=close * 1.5, low=close * 0.5)
    only_up = make_panel(close, high=close * 1.5, low=close * 0.999)
    for panel, expected in ((wide, -1.0), (only_up, 1.0)):
        assert TripleBarrier((2,), window=4)(panel).values[4, 0, 0] == expected


def test_a_dividend_counts_as_a_profit(make_panel):
    close = np.array([1.0, 1.01, 1.0, 1.01, 1.0, 1.0, 1.0, 1.0])[:, None]
    paid = np.zeros((8, 1))
    paid[6] = 0.1
    panel = make_panel(close, dividend=paid)
    assert TripleBarrier((2,), window=4)(panel).values[4, 0, 0] == 1.0
    assert TripleBarrier((2,), window=4)(make_panel(close)).values[4, 0, 0] == 0.0


def test_a_share_that_becomes_nothing_is_a_loss(make_panel):
    close = np.array([1.0, 1.01, 1.0, 1.01, 1.0, 1.0, NAN, NAN])[:, None]
    ended = np.full((8, 1), NAN)
    ended[6] = 0.2
    panel = make_panel(close, delisting=ended)
    assert TripleBarrier((2,), window=4)(panel).values[4, 0, 0] == -1.0
    assert np.isnan(TripleBarrier((2,), window=4)(make_panel(close)).values[4, 0, 0])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), fill=st.sampled_from(["next_close", "next_open", "vwap"]))
def test_no_label_of_one_range_looks_into_the_next(make_panel, seed, fill):
    """What comes from the first decision of validation (test) on is replaced: no label before it changes."""
    rng = np.random.default_rng(seed)
    panel = market(make_panel, rng, n=160)
    target = TripleBarrier((5, 15), window=10, profit=1.5, stop=1.5)
    labels = target(panel, fill)
    lengths = {"train": pd.DateOffset(days=90), "validation": pd.DateOffset(days=50), "test": pd.DateOffset(days=40)}
    split = walk_forward(panel.times, labels, **lengths)
    for fold in split.folds:
        for rows, start in ((fold.train, fold.validation[0]), (fold.validation, fold.test[0])):
            fields = {name: values.copy() for name, values in panel.fields.items()}
            for name in ("open", "high", "low", "close"):
                fields[name][start:] *= rng.uniform(0.5, 2.0)
            other = target(replace(panel, fields=fields), fill)
            kept = slice(*rows)
            np.testing.assert_array_equal(labels.values[kept], other.values[kept])


def test_a_race_without_barriers_is_refused():
    with pytest.raises(ConfigError, match="profit and stop are both null, expected at least one barrier"):
        TripleBarrier(profit=None, stop=None)


@pytest.mark.parametrize("target", [VolScaledReturn, Direction, TripleBarrier])
def test_impossible_horizons_are_refused(target):
    with pytest.raises(ConfigError, match=r"target.horizons: horizons are \[5, 1\], expected increasing integers"):
        target((5, 1))
