"""A synthetic market looks like a market: calendar, listings, splits, factors, clustering, tails, bars, volume."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mnpu.data.calendars import get_calendar
from mnpu.data.fixture import market as markets
from mnpu.data.fixture.market import generate, session_dates
from mnpu.data.fixture.plan import Plan
from mnpu.data.fixture.plant import leave


@pytest.fixture(scope="module")
def world():
    return generate(Plan(symbols=40, sessions=1500, seed=11, plant="null"), leave)


def autocorrelation(values, lag):
    centred = values - values.mean()
    return float((centred[lag:] * centred[:-lag]).mean() / (centred**2).mean())


def test_sessions_are_those_of_new_york_with_holidays_and_half_days(world):
    days = {str(day) for day in world.dates}
    assert len(days) == 1500
    assert "2010-01-04" in days
    assert not {"2010-01-18", "2012-10-29", "2012-10-30", "2013-12-25"} & days  # a holiday, a hurricane, Christmas
    close = pd.Series(world.closes, index=world.dates.astype(str))
    assert close["2012-11-23"] == pd.Timestamp("2012-11-23 18:00", tz="UTC")  # the day after Thanksgiving
    assert close["2012-07-05"] == pd.Timestamp("2012-07-05 20:00", tz="UTC")
    assert (world.opens < world.closes).all()


def test_a_long_market_begins_earlier_and_has_every_session():
    dates = session_dates(5000)
    assert len(dates) == 5000
    assert str(dates[0]) == "1985-01-02"
    get_calendar("XNYS").session_close(dates[-50:])  # an error for a date that is none


def test_bars_are_ordered_and_positive(world):
    bars, listed = world.columns, world.listed
    low, high = bars["low"][listed], bars["high"][listed]
    for name in ("open", "close"):
        assert (low <= bars[name][listed]).all()
        assert (bars[name][listed] <= high).all()
    assert (low > 0).all()
    assert (bars["volume"][listed] >= 1).all()
    for values in bars.values():
        assert np.isnan(values[~listed]).all()


def test_symbols_come_late_and_leave_early_within_the_range(world):
    first, last = world.listed.argmax(axis=0), 1500 - world.listed[::-1].argmax(axis=0)
    assert (first > 0).sum() == 5
    assert (last < 1500).sum() == 5
    np.testing.assert_array_equal(world.listed.sum(axis=0), last - first)  # no gap between


def test_the_traded_price_falls_at_a_split_and_the_return_does_not(world):
    close, splits = world.columns["close"], world.splits
    assert len(splits.ratio) > 5
    assert len(set(splits.ratio)) > 2
    for a, t, ratio in zip(splits.symbol, splits.session, splits.ratio, strict=True):
        traded = close[t, a] / close[t - 1, a]
        assert traded * ratio == pytest.approx(1 + world.returns[t, a], rel=1e-3)
        assert world.listed[t - 1, a]


def test_there_is_always_a_split():
    for seed in range(5):
        assert len(generate(Plan(symbols=4, sessions=250, seed=seed), leave).splits.ratio) >= 1


def test_volatility_clusters_and_returns_do_not(world):
    full = world.listed.all(axis=0)
    returns = world.returns[:, full] - world.returns[:, full].mean()
    # heteroskedastic: the error of an autocorrelation is larger than 1 / sqrt(T), so all symbols are averaged
    plain = [np.mean([autocorrelation(r, lag) for r in returns.T]) for lag in (1, 2, 3)]
    squared = [np.mean([autocorrelation(r**2, lag) for r in returns.T]) for lag in (1, 2, 5, 10)]
    assert np.abs(plain).max() < 0.04
    assert min(squared) > 0.05


def test_tails_are_fat_and_bounded(world):
    returns = world.returns[np.isfinite(world.returns)]
    centred = returns - returns.mean()
    assert (centred**4).mean() / (centred**2).mean() ** 2 > 5
    assert np.abs(returns).max() < 0.45  # the ohlcv validator warns from there on


def test_stress_is_more_volatile(world):
    stressed = world.noise.stressed == 1
    assert 0.05 < stressed.mean() < 0.5
    returns = np.nanstd(world.returns, axis=1)
    assert returns[stressed].mean() > 1.15 * returns[~stressed].mean()
    market = np.nanmean(world.returns, axis=1)
    assert market[stressed].std() > 1.5 * market[~stressed].std()


def test_symbols_move_together_as_much_as_their_factors_say():
    covariances = []
    for seed in range(4):
        noise = markets.draw_noise(Plan(symbols=48, sessions=2000, seed=seed)).returns
        table = np.cov(noise.T)
        covariances.append(table[~np.eye(48, dtype=bool)].mean())
    # every pair shares the market (exposures average 1), and 5 of 47 others are in one's sector (8 sectors of 6)
    share = (1 - markets.STAY[0]) / (2 - sum(markets.STAY))
    scale = (1 - share) * markets.MARKET_REGIME[0] ** 2 + share * markets.MARKET_REGIME[1] ** 2
    jump = markets.JUMP_RATE * markets.JUMP_SIZE**2
    expected = markets.MARKET_SD**2 * (scale + jump) + 5 / 47 * markets.SECTOR_SD**2
    assert np.mean(covariances) == pytest.approx(expected, rel=0.25)


def test_overnight_gaps_hold_their_share_of_the_variance(world):
    full = world.listed.all(axis=0) & ~np.isin(np.arange(40), world.splits.symbol)
    opened, close = np.log(world.columns["open"][:, full]), np.log(world.columns["close"][:, full])
    gap = opened[1:] - close[:-1]
    whole = close[1:] - close[:-1]
    assert gap.var() / whole.var() == pytest.approx(markets.OVERNIGHT, rel=0.1)


def test_volume_persists_and_grows_with_the_move(world):
    full = world.listed.all(axis=0) & ~np.isin(np.arange(40), world.splits.symbol)
    volume = np.log(world.columns["volume"][:, full])
    moves = np.abs(world.noise.returns / world.noise.sigma)[:, full]
    volume = volume - volume.mean(axis=0)
    assert 0.3 < np.mean([autocorrelation(v, 1) for v in volume.T]) < 0.9
    assert np.corrcoef(volume.ravel(), moves.ravel())[0, 1] > 0.05


def test_another_seed_is_another_market_and_the_same_seed_the_same():
    one, again, other = (generate(Plan(symbols=5, sessions=260, seed=s), leave) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.columns["close"], again.columns["close"])
    assert not np.array_equal(one.returns, other.returns, equal_nan=True)
