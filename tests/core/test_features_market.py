"""Features of the cross-section, of pairs, regimes, spectra, fractional differences and the calendar."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mnpu.errors import ConfigError, DataError
from mnpu.features import calendar, cross_asset, cross_section, fractional, regime, spectral
from mnpu.features.compute import evaluate
from mnpu.features.plan import plan_function
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import Panel


@pytest.fixture(scope="module")
def panel() -> Panel:
    return synthetic_panel(np.random.default_rng(31), bars=340, symbols=7)


def value(source: ModuleType, name: str, panel: Panel, **params: Any) -> np.ndarray:
    [column] = plan_function(getattr(source, name), params, source="here")
    return evaluate([column], panel, synthetic_side((), panel, np.random.default_rng(0)))[..., 0]


def same(ours: np.ndarray, expected: Any, rtol: float = 1e-8) -> None:
    expected = np.asarray(expected)
    assert np.isfinite(expected).sum() > 500
    np.testing.assert_allclose(ours, expected, rtol=rtol, atol=1e-11)


def close_of(panel: Panel) -> pd.DataFrame:
    return pd.DataFrame(panel["close"])


def simple(panel: Panel) -> pd.DataFrame:
    return close_of(panel).pct_change(fill_method=None)


# -- cross-section


def test_ranks_run_from_zero_to_one_with_ties_averaged(panel: Panel) -> None:
    returned = close_of(panel) / close_of(panel).shift(20) - 1
    places = (returned.rank(axis=1) - 1).div(returned.count(axis=1) - 1, axis=0)
    same(value(cross_section, "rank", panel), places)
    tied = np.tile(np.array([1.0, 2.0, 2.0, 3.0, np.nan]), (2, 1))
    np.testing.assert_array_equal(cross_section.ranks(tied, np.ones((2, 5), bool))[0], [0, 0.5, 0.5, 1, np.nan])


def test_who_is_no_member_is_placed_among_the_members() -> None:
    row, members = np.array([[1.0, 2.0, 2.0, 3.0]]), np.array([[True, True, False, True]])
    np.testing.assert_array_equal(cross_section.ranks(row, members)[0], [0, 0.5, 0.5, 1])  # of 1, 2 and 3, half way
    np.testing.assert_array_equal(cross_section.ranks(row, ~members)[0], [0, 0.5, np.nan, 1])  # above or below the one


@pytest.mark.parametrize("name", cross_section.__all__)
def test_who_joins_a_universe_later_changes_nobody_elses_value(panel: Panel, name: str) -> None:
    joins = 200
    later = np.ones(panel.shape, bool)
    later[:joins, 6] = False
    # To the others, who has not joined is as one that is not listed yet.
    fields = {field: np.where(later, values, np.nan) for field, values in panel.fields.items()}
    unlisted = replace(panel, fields=fields, tradable=panel.tradable & later)
    before = value(cross_section, name, unlisted)[:joins, :6]
    assert np.isfinite(before).sum() > 500
    np.testing.assert_array_equal(value(cross_section, name, replace(panel, member=later))[:joins, :6], before)
    assert (value(cross_section, name, panel)[:joins, :6] != before)[np.isfinite(before)].any()


def test_scores_are_standardised_across_symbols(panel: Panel) -> None:
    wild = np.sqrt((np.log(close_of(panel)).diff() ** 2).rolling(20).mean())
    expected = wild.sub(wild.mean(axis=1), axis=0).div(wild.std(axis=1), axis=0)
    same(value(cross_section, "zscore", panel, of="volatility"), expected)


def test_a_symbol_is_compared_with_its_own_group(panel: Panel) -> None:
    groups = {"S0": "one", "S1": "one", "S2": "one", "S3": "two", "S4": "two", "S5": "two"}
    returned = close_of(panel) / close_of(panel).shift(20) - 1
    expected = returned * np.nan
    for columns in ([0, 1, 2], [3, 4, 5]):
        expected[columns] = returned[columns].sub(returned[columns].mean(axis=1), axis=0)
    ours = value(cross_section, "neutral", panel, groups=groups)
    same(ours, expected)
    assert np.isnan(ours[:, 6]).all()
    same(value(cross_section, "neutral", panel), returned.sub(returned.mean(axis=1), axis=0))


def test_traded_currency_is_ranked(panel: Panel) -> None:
    traded = (close_of(panel) * pd.DataFrame(panel["volume"])).rolling(20).mean().where(panel.tradable)
    same(value(cross_section, "turnover_rank", panel), (traded.rank(axis=1) - 1).div(traded.count(axis=1) - 1, axis=0))


@pytest.mark.parametrize("market", ["", "S3"])
def test_beta_and_what_it_leaves_are_least_squares(panel: Panel, market: str) -> None:
    returns = simple(panel)
    of_market = returns[3] if market else returns.mean(axis=1)
    names = ("beta", "residual_return", "residual_momentum", "idiosyncratic_volatility", "market_correlation")
    ours = {name: value(cross_section, name, panel, window=50, market=market) for name in names}
    for t in (120, 200, 339):
        for a in (2, 5):
            y, x = returns[a][t - 49 : t + 1].to_numpy(), of_market[t - 49 : t + 1].to_numpy()
            (alpha, beta), rest, *_ = np.linalg.lstsq(np.stack([np.ones(50), x], axis=1), y, rcond=None)
            assert ours["beta"][t, a] == pytest.approx(beta, rel=1e-8)
            assert ours["residual_return"][t, a] == pytest.approx(y[-1] - beta * x[-1], rel=1e-8)
            assert ours["residual_momentum"][t, a] == pytest.approx(50 * alpha, rel=1e-6)
            assert ours["idiosyncratic_volatility"][t, a] == pytest.approx(np.sqrt(rest[0] / 48 * 252), rel=1e-8)
            assert ours["market_correlation"][t, a] == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-8)


def test_the_whole_market(panel: Panel) -> None:
    close, returns = close_of(panel), simple(panel)
    whole = value(cross_section, "market_return", panel, window=5)
    np.testing.assert_allclose(whole[:, 0], (1 + returns.mean(axis=1)).rolling(5).apply(np.prod) - 1, rtol=1e-9)
    spread = (close / close.shift(20) - 1).std(axis=1)
    np.testing.assert_allclose(value(cross_section, "dispersion", panel)[:, 0], spread, rtol=1e-8)
    mean = close.rolling(50).mean()
    expected = (close > mean).where(mean.notna()).mean(axis=1)
    np.testing.assert_allclose(value(cross_section, "breadth", panel)[:, 0], expected.astype(float), rtol=1e-12)


def test_a_market_of_one_symbol_has_no_ranks(panel: Panel) -> None:
    alone = replace(
        panel,
        symbols=panel.symbols[2:3],
        fields={name: values[:, 2:3] for name, values in panel.fields.items()},
        tradable=panel.tradable[:, 2:3],
        datasets=panel.datasets[2:3],
    )
    assert np.isnan(value(cross_section, "rank", alone)).all()
    assert np.isnan(value(cross_section, "zscore", alone)).all()
    np.testing.assert_allclose(value(cross_section, "beta", alone)[60:], 1.0, rtol=1e-12)


# -- cross-asset


def test_another_symbol_leads(panel: Panel) -> None:
    closes = np.log(close_of(panel))
    ours = value(cross_asset, "lead_lag_return", panel, symbol="S4", window=3, lag=2)
    expected = closes[4].shift(2) - closes[4].shift(5)
    np.testing.assert_allclose(ours, np.tile(expected.to_numpy()[:, None], ours.shape[1]), rtol=1e-12)


def test_pairs_are_compared_over_a_window(panel: Panel) -> None:
    closes = np.log(close_of(panel))
    spread, moves = closes.sub(closes[4], axis=0), closes.diff()
    same(value(cross_asset, "relative_return", panel, symbol="S4"), spread - spread.shift(20))
    score = value(cross_asset, "spread_zscore", panel, symbol="S4")
    others = [0, 1, 2, 3, 5, 6]
    rolling = spread.rolling(60)
    same(score[:, others], ((spread - rolling.mean()) / rolling.std())[others], rtol=1e-7)
    assert np.isnan(score[:, 4]).all()
    together = np.stack([moves[a].rolling(60).corr(moves[4]) for a in moves], axis=1)
    same(value(cross_asset, "correlation", panel, symbol="S4"), together, rtol=1e-7)
    slope = np.stack([moves[a].rolling(60).cov(moves[4]) / moves[4].rolling(60).var() for a in moves], axis=1)
    same(value(cross_asset, "beta_to", panel, symbol="S4"), slope, rtol=1e-7)


def test_a_symbol_that_the_panel_lacks_is_named(panel: Panel) -> None:
    with pytest.raises(DataError, match=r"symbol is 'S44', which the panel lacks.*Did you mean 'S4'"):
        value(cross_asset, "correlation", panel, symbol="S44")


# -- regime


def test_a_regime_is_a_place_in_the_past_alone(panel: Panel) -> None:
    def place(window: np.ndarray) -> float:
        return float((window[:-1] < window[-1]).mean() + (window[:-1] == window[-1]).mean() / 2)

    moves = np.log(close_of(panel)).diff()
    wild = np.sqrt((moves**2).rolling(10).mean())
    same(
        value(regime, "volatility_regime", panel, window=10, history=50),
        wild.rolling(51).apply(place, raw=True),
    )
    traded = (close_of(panel) * pd.DataFrame(panel["volume"])).rolling(10).mean()
    same(
        value(regime, "liquidity_regime", panel, window=10, history=50),
        traded.rolling(51).apply(place, raw=True),
    )
    strength = moves.rolling(10).sum().abs() / np.sqrt((moves**2).rolling(10).sum())
    same(
        value(regime, "trend_regime", panel, window=10, history=50),
        strength.rolling(51).apply(place, raw=True),
    )


def test_a_state_is_left_later_than_it_is_entered(panel: Panel) -> None:
    places = value(regime, "volatility_regime", panel, window=10, history=50)
    ours = value(regime, "volatility_state", panel, window=10, history=50, enter=0.8, leave=0.4)
    for a in range(7):
        held = 0.0
        for t in range(len(places)):
            if np.isfinite(places[t, a]):
                held = 1.0 if places[t, a] >= 0.8 else 0.0 if places[t, a] <= 0.4 else held
                assert ours[t, a] == held
            else:
                assert np.isnan(ours[t, a])
    with pytest.raises(ConfigError, match=r"leave is 0\.9"):
        plan_function(regime.volatility_state, {"leave": 0.9}, source="regime")


# -- spectral


def test_energy_is_that_of_the_fourier_transform(panel: Panel) -> None:
    moves = np.diff(np.log(panel["close"]), axis=0, prepend=np.nan)
    ours = {
        "band": value(spectral, "band_energy", panel, window=48, shortest=4, longest=12),
        "entropy": value(spectral, "spectral_entropy", panel, window=48),
        "centroid": value(spectral, "spectral_centroid", panel, window=48),
    }
    for t in (150, 339):
        for a in (2, 4):
            energy = np.abs(np.fft.rfft(moves[t - 47 : t + 1, a])[1:]) ** 2
            share, waves = energy / energy.sum(), np.arange(1, 25)
            doubled = energy * np.where(waves == 24, 1, 2)
            band = (48 / waves >= 4) & (48 / waves <= 12)
            assert ours["band"][t, a] == pytest.approx(doubled[band].sum() / doubled.sum(), rel=1e-9)
            assert ours["entropy"][t, a] == pytest.approx(-(share * np.log(share)).sum() / np.log(24), rel=1e-9)
            assert ours["centroid"][t, a] == pytest.approx((share * waves / 48).sum(), rel=1e-9)


def test_a_pure_cycle_has_all_energy_in_its_band_and_no_entropy(panel: Panel) -> None:
    cycle = np.exp(np.cumsum(np.sin(2 * np.pi * np.arange(340) / 8)) * 0.01)
    sung = replace(panel, fields={"close": np.tile(cycle[:, None], 7)})
    assert value(spectral, "band_energy", sung, window=64, shortest=7, longest=9)[-1, 0] == pytest.approx(1.0)
    assert value(spectral, "spectral_entropy", sung)[-1, 0] == pytest.approx(0.0, abs=1e-9)
    assert value(spectral, "spectral_centroid", sung)[-1, 0] == pytest.approx(1 / 8)


def test_a_band_without_a_cycle_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no cycle of 64 bars has a period from 30\.0 to 31\.0"):
        plan_function(spectral.band_energy, {"shortest": 30.0, "longest": 31.0}, source="spectral")


# -- fractional


def test_the_difference_is_the_books_loop(panel: Panel) -> None:
    weights, k = [1.0], 1
    while abs(following := -weights[-1] / k * (0.4 - k + 1)) >= 1e-3:  # snippet 5.3
        weights.append(following)
        k += 1
    window = np.array(weights[::-1])
    expected = np.log(close_of(panel)).rolling(len(window)).apply(lambda part: float(window @ part), raw=True)
    same(value(fractional, "fractional_difference", panel, threshold=1e-3), expected)


def test_the_first_difference_is_the_return(panel: Panel) -> None:
    moves = np.log(close_of(panel)).diff()
    for name in ("fractional_difference", "fractional_return"):
        same(value(fractional, name, panel, order=1.0, threshold=1e-6), moves)


# -- calendar


def test_the_calendar_is_that_of_the_sessions(panel: Panel) -> None:
    days = pd.DatetimeIndex(panel.sessions)
    once = {name: value(calendar, name, panel)[:, 0] for name in ("month", "day_of_year", "day_of_month")}
    np.testing.assert_allclose(once["month"], np.sin(2 * np.pi * (days.month - 1) / 12), atol=1e-12)
    np.testing.assert_allclose(once["day_of_year"], np.sin(2 * np.pi * (days.dayofyear - 1) / 366), atol=1e-12)
    np.testing.assert_allclose(once["day_of_month"], (days.day - 1) / (days.days_in_month - 1))
    np.testing.assert_array_equal(value(calendar, "days_to_month_end", panel)[:, 0], days.days_in_month - days.day)
    ends = days + pd.offsets.QuarterEnd(0)
    np.testing.assert_array_equal(value(calendar, "days_to_quarter_end", panel)[:, 0], (ends - days).days)


def test_the_gap_before_a_session_counts_week_ends_and_holidays(panel: Panel) -> None:
    gaps = value(calendar, "days_since_session", panel)[:, 0]
    np.testing.assert_array_equal(gaps[1:], np.diff(panel.sessions).astype(int))  # every session is in the panel
    after = int(np.flatnonzero(panel.sessions == np.datetime64("2001-09-17"))[0])
    assert gaps[after] == 7  # New York was closed from the 11th to the 14th


def test_the_hours_since_the_open_know_half_days(panel: Panel) -> None:
    hours = value(calendar, "hours_since_open", panel)[:, 0]
    friday = int(np.flatnonzero(panel.sessions == np.datetime64("2001-11-23"))[0])
    assert hours[friday] == 3.5
    assert np.median(hours) == 6.5
    around_the_clock = synthetic_panel(np.random.default_rng(0), bars=60, frequency="1h")
    assert set(value(calendar, "hours_since_open", around_the_clock)[:, 0]) == set(map(float, range(1, 25)))
