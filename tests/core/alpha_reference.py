"""Alpha158 and Alpha360 once more, slowly: one symbol at a time with pandas, from the published expressions.

Nothing is shared with the implementation. ``bars`` has columns open, high, low, close and volume, NaN where a bar is
missing; a window has the last w rows, of which those with a value count.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

WINDOWS = (5, 10, 20, 30, 60)


def alpha158(bars: pd.DataFrame) -> pd.DataFrame:
    """All 158 columns, in the published order."""
    columns = newest_bar(bars)
    trailing = {w: window_columns(bars, w) for w in WINDOWS}
    for name in trailing[WINDOWS[0]]:
        for w in WINDOWS:
            columns[f"{name}{w}"] = trailing[w][name]
    return pd.DataFrame(columns).replace([np.inf, -np.inf], np.nan)


def alpha360(bars: pd.DataFrame) -> pd.DataFrame:
    """All 360 columns, in the published order."""
    vwap = bars[["open", "high", "low", "close"]].mean(axis=1, skipna=False)
    columns = {}
    for name, values in [(n, bars[n]) for n in ("close", "open", "high", "low")] + [("vwap", vwap)]:
        for lag in range(59, -1, -1):
            columns[f"{name.upper()}{lag}"] = values.shift(lag) / bars.close
    for lag in range(59, -1, -1):
        columns[f"VOLUME{lag}"] = bars.volume.shift(lag) / (bars.volume + 1e-12)
    return pd.DataFrame(columns).replace([np.inf, -np.inf], np.nan)


def newest_bar(bars: pd.DataFrame) -> dict[str, pd.Series]:
    opened, high, low, close = (bars[name] for name in ("open", "high", "low", "close"))
    upper, lower = np.maximum(opened, close), np.minimum(opened, close)
    length = high - low + 1e-12
    return {
        "KMID": (close - opened) / opened,
        "KLEN": (high - low) / opened,
        "KMID2": (close - opened) / length,
        "KUP": (high - upper) / opened,
        "KUP2": (high - upper) / length,
        "KLOW": (lower - low) / opened,
        "KLOW2": (lower - low) / length,
        "KSFT": (2 * close - high - low) / opened,
        "KSFT2": (2 * close - high - low) / length,
        "OPEN0": opened / close,
        "HIGH0": high / close,
        "LOW0": low / close,
        "VWAP0": (opened + high + low + close) / 4 / close,
    }


def window_columns(bars: pd.DataFrame, w: int) -> dict[str, pd.Series]:
    high, low, close, volume = (bars[name] for name in ("high", "low", "close", "volume"))
    previous = close.shift(1)
    d, dv = close - previous, volume - volume.shift(1)
    moved = ((close / previous - 1).abs() * volume).replace([np.inf, -np.inf], np.nan)
    top, bottom = each(high, w, np.max), each(low, w, np.min)
    rose, fell = ((close > previous).astype(float), (close < previous).astype(float))
    rose, fell = each(rose.where(close.notna()), w, np.mean), each(fell.where(close.notna()), w, np.mean)
    all_moves, all_volume_moves = each(d.abs(), w, np.sum) + 1e-12, each(dv.abs(), w, np.sum) + 1e-12
    up, down = each(d.clip(lower=0), w, np.sum) / all_moves, each((-d).clip(lower=0), w, np.sum) / all_moves
    more = each(dv.clip(lower=0), w, np.sum) / all_volume_moves
    less = each((-dv).clip(lower=0), w, np.sum) / all_volume_moves
    line = [trend(close, t, w) for t in range(len(close))]
    return {
        "ROC": close.shift(w) / close,
        "MA": each(close, w, np.mean) / close,
        "STD": each(close, w, spread) / close,
        "BETA": pd.Series([found[0] for found in line], close.index) / close,
        "RSQR": pd.Series([found[1] for found in line], close.index),
        "RESI": pd.Series([found[2] for found in line], close.index) / close,
        "MAX": top / close,
        "MIN": bottom / close,
        "QTLU": close.rolling(w, min_periods=1).quantile(0.8) / close,
        "QTLD": close.rolling(w, min_periods=1).quantile(0.2) / close,
        "RANK": close.rolling(w, min_periods=1).rank(pct=True),
        "RSV": (close - bottom) / (top - bottom + 1e-12),
        "IMAX": place(high, close, w, np.nanargmax) / w,
        "IMIN": place(low, close, w, np.nanargmin) / w,
        "IMXD": (place(high, close, w, np.nanargmax) - place(low, close, w, np.nanargmin)) / w,
        "CORR": correlation(close, np.log(volume + 1), w),
        "CORD": correlation(close / previous, np.log(volume / volume.shift(1) + 1), w),
        "CNTP": rose,
        "CNTN": fell,
        "CNTD": rose - fell,
        "SUMP": up,
        "SUMN": down,
        "SUMD": up - down,
        "VMA": each(volume, w, np.mean) / (volume + 1e-12),
        "VSTD": each(volume, w, spread) / (volume + 1e-12),
        "WVMA": each(moved, w, spread) / (each(moved, w, np.mean) + 1e-12),
        "VSUMP": more,
        "VSUMN": less,
        "VSUMD": more - less,
    }


def each(values: pd.Series, w: int, function: Callable[[np.ndarray], float]) -> pd.Series:
    """``function`` of what is there in each window, NaN where nothing is."""
    rolled = values.rolling(w, min_periods=1)
    return rolled.apply(lambda window: function(window[~np.isnan(window)]), raw=True)


def spread(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else np.nan


def place(values: pd.Series, close: pd.Series, w: int, where: Callable[[np.ndarray], int]) -> pd.Series:
    """Row of an extreme, from 1 at the window's oldest row with a close."""
    rows = []
    for t in range(len(values)):
        window, bar = values.to_numpy()[max(t - w + 1, 0) : t + 1], close.notna().to_numpy()[max(t - w + 1, 0) : t + 1]
        bar = bar | ~np.isnan(window)
        rows.append(np.nan if np.isnan(window).all() else where(window) - np.flatnonzero(bar)[0] + 1)
    return pd.Series(rows, index=values.index, dtype=float)


def trend(values: pd.Series, t: int, w: int) -> tuple[float, float, float]:
    """Slope, squared correlation and newest residual of a line through the window that ends at row t."""
    y = values.to_numpy()[max(t - w + 1, 0) : t + 1]
    x = np.arange(len(y), dtype=float)
    there = ~np.isnan(y)
    if there.sum() < 2:
        return np.nan, np.nan, np.nan
    slope, level = np.polyfit(x[there], y[there], 1)
    squared = np.corrcoef(x[there], y[there])[0, 1] ** 2 if np.ptp(y[there]) > 0 else np.nan
    return slope, squared, y[-1] - (slope * x[-1] + level)


def correlation(left: pd.Series, right: pd.Series, w: int) -> pd.Series:
    x, y = left.to_numpy(), right.to_numpy()
    found = []
    for t in range(len(x)):
        one, other = x[max(t - w + 1, 0) : t + 1], y[max(t - w + 1, 0) : t + 1]
        there = np.isfinite(one) & np.isfinite(other)
        varies = there.sum() > 1 and np.ptp(one[there]) > 1e-6 and np.ptp(other[there]) > 1e-6
        found.append(np.corrcoef(one[there], other[there])[0, 1] if varies else np.nan)
    return pd.Series(found, left.index)
