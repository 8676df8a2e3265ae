"""Price features against pandas, loops and hand calculation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mnpu.features import View, price
from mnpu.features.leaks import with_noise_after
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import Panel

RNG_SEED = 11


@pytest.fixture
def panel() -> Panel:
    return synthetic_panel(np.random.default_rng(RNG_SEED), bars=320)


def value(name: str, panel: Panel, **params: Any) -> np.ndarray:
    """One price feature on a panel, with a view that allows everything."""
    return getattr(price, name)(View(panel, synthetic_side((), panel, np.random.default_rng(0))), **params)


def frame(panel: Panel, field: str) -> pd.DataFrame:
    return pd.DataFrame(panel[field])


@pytest.mark.parametrize("window", [1, 5, 21])
def test_log_return_is_the_log_of_a_price_ratio(panel: Panel, window: int) -> None:
    close = frame(panel, "close")
    expected = np.log(close / close.shift(window))
    np.testing.assert_allclose(value("log_return", panel, window=window), expected, rtol=1e-9, atol=1e-13)


def test_momentum_leaves_the_latest_bars_out(panel: Panel) -> None:
    close = frame(panel, "close")
    expected = close.shift(21) / close.shift(100) - 1
    np.testing.assert_allclose(value("momentum", panel, window=100, skip=21), expected, rtol=1e-12)


@pytest.mark.parametrize("window", [2, 20, 63])
def test_realised_volatility_is_the_annualised_deviation_of_log_returns(panel: Panel, window: int) -> None:
    returns = np.log(frame(panel, "close")).diff()
    expected = returns.rolling(window).std(ddof=1) * np.sqrt(252)
    np.testing.assert_allclose(value("realised_volatility", panel, window=window), expected, rtol=1e-7)


def test_realised_volatility_annualises_with_the_panels_own_bars(panel: Panel) -> None:
    hourly = replace(panel, periods_per_year=4 * panel.periods_per_year)
    daily = value("realised_volatility", panel, window=20)
    np.testing.assert_allclose(value("realised_volatility", hourly, window=20), 2 * daily, rtol=1e-12)


@pytest.mark.parametrize("window", [2, 50, 200])
def test_distance_is_from_the_mean_of_the_window(panel: Panel, window: int) -> None:
    close = frame(panel, "close")
    expected = close / close.rolling(window).mean() - 1
    np.testing.assert_allclose(value("distance_from_average", panel, window=window), expected, rtol=1e-8, atol=1e-12)


def test_drawdown_is_from_the_highest_close_of_the_window(panel: Panel) -> None:
    close = frame(panel, "close")
    expected = close / close.rolling(60).max() - 1
    ours = value("drawdown", panel, window=60)
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-15)
    assert np.nanmax(ours) == 0.0


def test_drawdown_compounds() -> None:
    closes = np.array([1.0, 1.5, 2.25, 1.125, 0.5625])  # +50, +50, -50, -50 %
    panel = with_closes(closes)
    assert value("drawdown", panel, window=5)[-1, 0] == pytest.approx(-0.75)


def test_the_high_low_range_follows_parkinson(panel: Panel) -> None:
    rows = []
    for t in range(19, 320):
        ratio = np.log(panel["high"][t - 19 : t + 1] / panel["low"][t - 19 : t + 1])
        rows.append(np.sqrt((ratio**2).mean(axis=0) / (4 * np.log(2)) * 252))
    np.testing.assert_allclose(value("high_low_range", panel, window=20)[19:], rows, rtol=1e-10)


def test_the_high_low_range_finds_the_volatility_of_a_finely_sampled_walk() -> None:
    steps = np.random.default_rng(5).normal(scale=0.01 / np.sqrt(2000), size=(400, 2000))
    path = np.exp(np.cumsum(steps, axis=1))
    base = with_closes(path[:, -1])
    panel = replace(base, fields={"high": path.max(axis=1)[:, None], "low": path.min(axis=1)[:, None]})
    found = value("high_low_range", panel, window=400)[-1, 0]
    assert found == pytest.approx(0.01 * np.sqrt(252), rel=0.05)


def test_the_volume_score_counts_deviations_of_log_volume(panel: Panel) -> None:
    volume = np.log(frame(panel, "volume").where(lambda v: v > 0))
    expected = (volume - volume.rolling(20).mean()) / volume.rolling(20).std(ddof=1)
    np.testing.assert_allclose(value("volume_zscore", panel, window=20), expected, rtol=1e-7, atol=1e-9)


def test_a_bar_without_volume_is_missing_not_minus_infinity(panel: Panel) -> None:
    t = int(np.argwhere(panel["volume"][:, -1] == 0)[0, 0])
    score = value("volume_zscore", panel, window=5)[:, -1]
    assert np.isnan(score[t : t + 5]).all()
    assert np.isfinite(score[[t - 1, t + 5]]).all()


def test_a_volume_that_never_changes_has_no_score(panel: Panel) -> None:
    still = replace(panel, fields={"volume": np.full(panel.shape, 7.0)})
    assert np.isnan(value("volume_zscore", still, window=20)).all()


def test_log_price_is_the_price_that_was_traded(panel: Panel) -> None:
    split = panel["split_factor"][:, 2]
    assert set(split) == {1.0, 2.0}
    expected = np.log(panel["close"][:, 2] / split)
    np.testing.assert_allclose(value("log_price", panel)[:, 2], expected, rtol=1e-12)


def test_weekdays_lie_on_a_circle(panel: Panel) -> None:
    weekday = pd.DatetimeIndex(panel.sessions).day_of_week.to_numpy()
    np.testing.assert_allclose(value("day_of_week", panel), np.sin(2 * np.pi * weekday / 7), atol=1e-12)
    np.testing.assert_allclose(value("day_of_week", panel, phase="cos"), np.cos(2 * np.pi * weekday / 7), atol=1e-12)
    assert len(np.unique(value("day_of_week", panel).round(9))) == 5


def test_the_session_decides_the_weekday_where_the_clock_says_otherwise(panel: Panel) -> None:
    sunday = pd.DatetimeIndex(["2017-01-01 23:00"], tz="UTC")  # already Monday's session of the currency market
    hour = replace(panel.rows(0, 1), times=sunday, sessions=np.array(["2017-01-02"], "datetime64[D]"))
    assert value("day_of_week", hour)[0] == 0.0


def test_hours_lie_on_a_circle() -> None:
    panel = synthetic_panel(np.random.default_rng(0), bars=50, frequency="1h")
    hours = panel.times.hour.to_numpy()
    np.testing.assert_allclose(value("hour_of_day", panel), np.sin(2 * np.pi * hours / 24), atol=1e-12)
    np.testing.assert_allclose(value("hour_of_day", panel, phase="cos"), np.cos(2 * np.pi * hours / 24), atol=1e-12)


def test_a_price_of_zero_has_no_logarithm() -> None:
    panel = with_closes(np.array([1.0, 0.0, 2.0, 4.0]))
    np.testing.assert_array_equal(value("log_return", panel)[:, 0], [np.nan, np.nan, np.nan, np.log(4.0) - np.log(2.0)])


def test_a_later_hole_leaves_earlier_values_alone(panel: Panel) -> None:
    noisy, _ = with_noise_after(
        panel, synthetic_side((), panel, np.random.default_rng(0)), 200, np.random.default_rng(1)
    )
    for name, params in [("realised_volatility", {"window": 20}), ("drawdown", {"window": 60})]:
        np.testing.assert_array_equal(value(name, noisy, **params)[:201], value(name, panel, **params)[:201])


def with_closes(closes: np.ndarray) -> Panel:
    """A panel of one symbol with these closes."""
    base = synthetic_panel(np.random.default_rng(0), bars=len(closes), symbols=3)
    return replace(
        base,
        symbols=("A",),
        fields={"close": closes[:, None]},
        tradable=np.ones((len(closes), 1), bool),
        datasets=base.datasets[:1],
    )
