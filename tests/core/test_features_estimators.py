"""Volatility, liquidity, moments and returns against pandas, scipy, loops and simulated prices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mnpu.errors import ConfigError
from mnpu.features import liquidity, moments, returns, volatility
from mnpu.features.compute import evaluate
from mnpu.features.plan import plan_function
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import Panel

YEAR = 252


@pytest.fixture(scope="module")
def panel() -> Panel:
    return synthetic_panel(np.random.default_rng(21), bars=360)


def value(source: ModuleType, name: str, panel: Panel, **params: Any) -> np.ndarray:
    [column] = plan_function(getattr(source, name), params, source="here")
    return evaluate([column], panel, synthetic_side((), panel, np.random.default_rng(0)))[..., 0]


def frame(panel: Panel, field: str) -> pd.DataFrame:
    return pd.DataFrame(panel[field])


def log_moves(panel: Panel) -> pd.DataFrame:
    return np.log(frame(panel, "close")).diff()


def rolled(values: pd.DataFrame, window: int, function: Callable[[np.ndarray], float]) -> np.ndarray:
    return values.rolling(window).apply(function, raw=True).to_numpy()


def same(ours: np.ndarray, expected: Any, rtol: float = 1e-8) -> None:
    expected = np.asarray(expected)
    assert np.isfinite(expected).sum() > 500
    np.testing.assert_allclose(ours, expected, rtol=rtol, atol=1e-11)


# -- volatility


def test_close_to_close_is_the_root_mean_square(panel: Panel) -> None:
    expected = np.sqrt((log_moves(panel) ** 2).rolling(20).mean() * YEAR)
    same(value(volatility, "close_to_close", panel), expected)


def test_the_estimators_of_single_bars_follow_their_papers(panel: Panel) -> None:
    o, h, l, c = (np.log(frame(panel, name)) for name in ("open", "high", "low", "close"))  # noqa: E741
    u, d, r = h - o, l - o, c - o  # Garman and Klass's letters
    klass = 0.511 * (u - d) ** 2 - 0.019 * (r * (u + d) - 2 * u * d) - 0.383 * r**2
    satchell = u * (u - r) + d * (d - r)
    parkinson = (h - l) ** 2 / (4 * np.log(2))
    same(value(volatility, "parkinson", panel), np.sqrt(parkinson.rolling(20).mean() * YEAR))
    same(value(volatility, "rogers_satchell", panel), np.sqrt(satchell.rolling(20).mean() * YEAR))
    practical = value(volatility, "garman_klass", panel)  # without the cross terms, which are small
    np.testing.assert_allclose(practical[50:, 2], np.sqrt(klass.rolling(20).mean() * YEAR)[2][50:], rtol=0.03)


def test_yang_zhang_adds_the_jumps(panel: Panel) -> None:
    o, h, l, c = (np.log(frame(panel, name)) for name in ("open", "high", "low", "close"))  # noqa: E741
    n, k = 15, 0.34 / (1.34 + 16 / 14)
    jumps, moves = (o - c.shift()).rolling(n).var(), (c - o).rolling(n).var()
    within = ((h - c) * (h - o) + (l - c) * (l - o)).rolling(n).mean()
    same(value(volatility, "yang_zhang", panel, window=n), np.sqrt((jumps + k * moves + (1 - k) * within) * YEAR))


@pytest.mark.parametrize("name", ["close_to_close", "parkinson", "garman_klass", "rogers_satchell", "yang_zhang"])
def test_they_find_the_volatility_of_a_finely_sampled_walk(name: str, panel: Panel) -> None:
    steps = np.random.default_rng(5).normal(scale=0.01 / np.sqrt(2000), size=(400, 2000))
    path = np.exp(np.cumsum(steps.ravel())).reshape(400, 2000)
    opened = np.concatenate([[1.0], path[:-1, -1]])
    highest, lowest = np.maximum(path.max(axis=1), opened), np.minimum(path.min(axis=1), opened)
    fields = {"open": opened, "high": highest, "low": lowest, "close": path[:, -1]}
    base = synthetic_panel(np.random.default_rng(0), bars=400, symbols=3)
    walk = replace(base, fields={n: np.tile(v[:, None], 3) for n, v in fields.items()})
    found = value(volatility, name, walk, window=399)[-1, 0]
    assert found == pytest.approx(0.01 * np.sqrt(YEAR), rel=0.06)


def test_ewma_is_a_recursion_over_the_bars_that_are_there(panel: Panel) -> None:
    ours = value(volatility, "ewma", panel, decay=0.9)
    for symbol in (0, 1, 2):
        rows = np.flatnonzero(panel.tradable[:, symbol])
        squares = np.diff(np.log(panel["close"][rows, symbol])) ** 2
        variance, expected = squares[:20].mean(), [np.nan] * 20
        expected.append(variance)
        for square in squares[20:]:
            variance = 0.9 * variance + 0.1 * square
            expected.append(variance)
        np.testing.assert_allclose(ours[rows, symbol], np.sqrt(np.array(expected) * YEAR), rtol=1e-10)


def test_falls_and_rises_make_up_all_moves(panel: Panel) -> None:
    down, up = value(volatility, "downside", panel), value(volatility, "upside", panel)
    same(np.sqrt(down**2 + up**2), value(volatility, "close_to_close", panel))
    same(down, np.sqrt((log_moves(panel).clip(upper=0) ** 2).rolling(20).mean() * YEAR))


def test_volatility_ratio_and_overnight_share(panel: Panel) -> None:
    squares = log_moves(panel) ** 2
    same(value(volatility, "volatility_ratio", panel), np.sqrt(squares.rolling(5).mean() / squares.rolling(60).mean()))
    o, c = np.log(frame(panel, "open")), np.log(frame(panel, "close"))
    jumps, moves = ((o - c.shift()) ** 2).rolling(20).sum(), ((c - o) ** 2).rolling(20).sum()
    same(value(volatility, "overnight_share", panel), (jumps + 0 * moves) / (jumps + moves))
    with pytest.raises(ConfigError, match="short is 60"):
        value(volatility, "volatility_ratio", panel, short=60, long=60)


# -- returns


def test_returns_of_prices(panel: Panel) -> None:
    o, c = frame(panel, "open"), frame(panel, "close")
    same(value(returns, "simple_return", panel, window=7), c / c.shift(7) - 1)
    same(value(returns, "reversal", panel), 1 - c / c.shift(5))
    same(value(returns, "overnight_return", panel, window=3), np.log(o / c.shift()).rolling(3).sum())
    same(value(returns, "intraday_return", panel, window=3), np.log(c / o).rolling(3).sum())
    same(value(returns, "acceleration", panel, window=21), np.log(c / c.shift(10)) - np.log(c.shift(10) / c.shift(20)))


def test_momentum_in_units_of_risk(panel: Panel) -> None:
    moves = log_moves(panel)
    rolling = moves.rolling(60)
    same(value(returns, "sharpe_momentum", panel), rolling.mean() / rolling.std() * np.sqrt(YEAR))
    small = moves.rolling(20)
    same(value(returns, "scaled_return", panel), small.sum() / np.sqrt((moves**2).rolling(20).sum()))


def test_the_path_and_the_steps(panel: Panel) -> None:
    c, moves = frame(panel, "close"), log_moves(panel)
    same(value(returns, "efficiency", panel), (c - c.shift(20)) / c.diff().abs().rolling(20).sum())
    share = (moves < 0).where(moves.notna()).rolling(60).mean() - (moves > 0).where(moves.notna()).rolling(60).mean()
    same(value(returns, "discreteness", panel), np.sign(np.log(c / c.shift(60))) * share)


# -- moments


def test_skewness_and_kurtosis_are_those_of_scipy(panel: Panel) -> None:
    moves = log_moves(panel)
    same(value(moments, "skewness", panel, window=30), rolled(moves, 30, stats.skew), rtol=1e-7)
    same(value(moments, "kurtosis", panel, window=30), rolled(moves, 30, stats.kurtosis), rtol=1e-7)


def test_autocorrelation_is_that_of_pairs(panel: Panel) -> None:
    moves = log_moves(panel)
    expected = np.stack([moves[a].rolling(40).corr(moves[a].shift(2)) for a in moves], axis=1)
    same(value(moments, "autocorrelation", panel, window=40, lag=2), expected, rtol=1e-6)


def test_extremes_and_rises(panel: Panel) -> None:
    simple = frame(panel, "close").pct_change(fill_method=None)
    same(value(moments, "max_return", panel), simple.rolling(20).max())
    same(value(moments, "min_return", panel), simple.rolling(20).min())
    same(value(moments, "rise_share", panel), (simple > 0).where(simple.notna()).rolling(20).mean())


def test_the_variance_ratio_is_one_for_a_walk_and_more_for_a_trend(panel: Panel) -> None:
    def loop(window: np.ndarray) -> float:
        mean = window.mean()
        long = np.array([window[i : i + 5].sum() for i in range(len(window) - 4)])
        return float(((long - 5 * mean) ** 2).mean() / (5 * ((window - mean) ** 2).mean()))

    same(value(moments, "variance_ratio", panel), rolled(log_moves(panel), 120, loop))
    trend = np.exp(np.cumsum(np.repeat(np.random.default_rng(1).normal(size=36), 10)) * 0.01)
    trending = replace(panel, fields={"close": np.tile(trend[:, None], 5)})
    assert value(moments, "variance_ratio", trending)[-1, 0] > 2


# -- liquidity


def test_amihud_is_the_mean_impact(panel: Panel) -> None:
    c, v = frame(panel, "close"), frame(panel, "volume").where(lambda x: x > 0)
    impact = c.pct_change(fill_method=None).abs() / (c * v)
    same(value(liquidity, "amihud", panel), impact.rolling(20).mean() * 1e6)
    same(value(liquidity, "amihud_ratio", panel), np.log(impact.rolling(5).mean() / impact.rolling(60).mean()))


def test_volume_against_its_past(panel: Panel) -> None:
    c, v = frame(panel, "close"), frame(panel, "volume")
    traded = (c * v).where(v > 0)
    same(value(liquidity, "turnover", panel), np.log(traded / (c * v).rolling(20).mean()))
    same(value(liquidity, "volume_trend", panel), np.log(v.rolling(5).mean() / v.rolling(60).mean()))


def test_volume_weighted_price_and_flows(panel: Panel) -> None:
    h, l, c, v = (frame(panel, name) for name in ("high", "low", "close", "volume"))  # noqa: E741
    paid = ((h + l + c) / 3 * v).rolling(20).sum() / v.rolling(20).sum()
    same(value(liquidity, "vwap_distance", panel), c / paid - 1)
    flow = ((2 * c - h - l) / (h - l) * v).rolling(20).sum() / v.rolling(20).sum()
    same(value(liquidity, "money_flow", panel), flow)
    signed = (np.sign(c.diff()) * v).rolling(20).sum() / (v + 0 * c.diff()).rolling(20).sum()
    same(value(liquidity, "volume_flow", panel), signed)


def test_roll_finds_the_spread_that_bounces() -> None:
    rng = np.random.default_rng(2)
    middle = np.cumsum(rng.normal(scale=1e-4, size=3000))
    prices = np.exp(middle + 0.005 * rng.choice([-1.0, 1.0], size=3000))  # a spread of one per cent
    base = synthetic_panel(np.random.default_rng(0), bars=3000, symbols=3)
    bouncing = replace(base, fields={"close": np.tile(prices[:, None], 3)})
    assert value(liquidity, "roll_spread", bouncing, window=2900)[-1, 0] == pytest.approx(0.01, rel=0.05)


def test_corwin_and_schultz_find_a_spread_in_highs_and_lows() -> None:
    rng = np.random.default_rng(3)
    days, minutes, half = 1500, 390, 0.005
    middle = np.cumsum(rng.normal(scale=0.01 / np.sqrt(minutes), size=days * minutes)).reshape(days, minutes)
    trades = middle + half * rng.choice([-1.0, 1.0], size=middle.shape)
    fields = {"high": np.exp(trades.max(axis=1)), "low": np.exp(trades.min(axis=1)), "close": np.exp(trades[:, -1])}
    base = synthetic_panel(np.random.default_rng(0), bars=days, symbols=3)
    market = replace(base, fields={n: np.tile(v[:, None], 3) for n, v in fields.items()})
    found = value(liquidity, "corwin_schultz_spread", market, window=1400)[-1, 0]
    assert found == pytest.approx(2 * half, rel=0.25)  # counting negative ones as zero biases it upwards


def test_zero_returns_are_counted(panel: Panel) -> None:
    close = panel["close"].copy()
    close[100:110, 2] = close[100, 2]
    still = replace(panel, fields={**panel.fields, "close": close})
    assert value(liquidity, "zero_returns", still, window=60)[130, 2] == pytest.approx(9 / 60)


@pytest.mark.parametrize("source", [volatility, returns, moments, liquidity])
def test_a_market_that_never_moves_nor_trades_is_never_infinite(source: ModuleType, panel: Panel) -> None:
    still = {name: np.full(panel.shape, 0.0 if name == "volume" else 7.0) for name in panel.fields}
    for name in [n for n, f in vars(source).items() if hasattr(f, "__mnpu_feature__")]:
        assert not np.isinf(value(source, name, replace(panel, fields=still))).any(), name
