"""Alpha158, the field's standard set: the shape of the newest bar, and 29 measures of five trailing windows.

Each column is a feature of its own under its published name, and ``{use: alpha158.*}`` makes all 158 of them. All are
ratios, so that the level of prices drops out: "closes" are multiples of the newest close, "volumes" of the newest
volume. The columns that are asked for, and no others, are computed in one pass.

Where the published expressions leave room: windows are short at the start, from one bar on, from two where there is a
deviation, a line or a correlation; ROC needs its whole lag. A missing bar inside a window is skipped, while lags and
places count rows; a change is missing where one of its two bars is. A column in closes or volumes is missing where the
newest close or volume is, and so are RANK and RSV; the others go on while the window holds a bar. Whatever would be
infinite is missing. Where the published expression adds 1e-12 to a divisor it is added here, so that VMA and VSTD are
huge, not missing, on a bar without volume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mnpu.features import alpha_windows as over
from mnpu.features.alpha_kernel import alpha158
from mnpu.features.alpha_windows import TINY, WINDOWS, Bars
from mnpu.features.api import View, feature
from mnpu.features.trailing import delayed

__all__ = ["kernel"]

Definition = Callable[[Bars, int], np.ndarray]


def kernel(view: View, columns: Sequence[tuple[str, Any]], out: np.ndarray) -> None:
    """All asked columns in one pass of compiled loops; one by one from their definitions where there is no compiler."""
    names = [name for name, _ in columns]
    try:
        alpha158(view, names, out)
    except ImportError:
        for i, name in enumerate(names):
            out[i] = globals()[name](view)[view.first :]


def _column(name: str, definition: Definition, w: int, unit: str, fields: Sequence[str], warmup: int) -> None:
    """Make the feature ``name`` of this module; the docstring of its definition has ``What: formula`` and notes."""

    def column(view: View) -> np.ndarray:
        with np.errstate(all="ignore"):
            return over.finite(definition(Bars(view), w))

    head, *notes = (definition.__doc__ or "").format(w=w).split("\n\n")
    what, _, formula = head.partition(": ")
    column.__name__ = column.__qualname__ = name
    column.__doc__ = over.docstring(what, formula, " ".join(notes), "Alpha158")
    short_start = warmup > 1 and not name.startswith("ROC")
    mark = feature(fields=fields, warmup=warmup, unit=unit, tags=("alpha158",), short_start=short_start, kernel=kernel)
    globals()[name] = mark(column)


def _bar(name: str, unit: str, *fields: str) -> Callable[[Definition], Definition]:
    """A column of the newest bar alone."""

    def mark(definition: Definition) -> Definition:
        _column(name, definition, 0, unit, fields, 1)
        return definition

    return mark


def _windowed(name: str, unit: str, *fields: str, lag: int = 0) -> Callable[[Definition], Definition]:
    """A column for each window; ``lag`` is 1 where bars are compared with those before them."""

    def mark(definition: Definition) -> Definition:
        for w in WINDOWS:
            _column(f"{name}{w}", definition, w, unit, fields, w + lag)
        return definition

    return mark


# The newest bar.


@_bar("KMID", "fraction of the open", "open", "close")
def _kmid(b: Bars, _w: int) -> np.ndarray:
    """Body of the bar: ``(close - open) / open``."""
    return (b.close - b.open) / b.open


@_bar("KLEN", "fraction of the open", "open", "high", "low")
def _klen(b: Bars, _w: int) -> np.ndarray:
    """Length of the bar: ``(high - low) / open``."""
    return (b.high - b.low) / b.open


@_bar("KMID2", "fraction of the bar", "open", "high", "low", "close")
def _kmid2(b: Bars, _w: int) -> np.ndarray:
    """Body of the bar by its length: ``(close - open) / (high - low + 1e-12)``."""
    return (b.close - b.open) / (b.high - b.low + TINY)


@_bar("KUP", "fraction of the open", "open", "high", "close")
def _kup(b: Bars, _w: int) -> np.ndarray:
    """Upper shadow of the bar: ``(high - max(open, close)) / open``."""
    return (b.high - np.maximum(b.open, b.close)) / b.open


@_bar("KUP2", "fraction of the bar", "open", "high", "low", "close")
def _kup2(b: Bars, _w: int) -> np.ndarray:
    """Upper shadow of the bar by its length: ``(high - max(open, close)) / (high - low + 1e-12)``."""
    return (b.high - np.maximum(b.open, b.close)) / (b.high - b.low + TINY)


@_bar("KLOW", "fraction of the open", "open", "low", "close")
def _klow(b: Bars, _w: int) -> np.ndarray:
    """Lower shadow of the bar: ``(min(open, close) - low) / open``."""
    return (np.minimum(b.open, b.close) - b.low) / b.open


@_bar("KLOW2", "fraction of the bar", "open", "high", "low", "close")
def _klow2(b: Bars, _w: int) -> np.ndarray:
    """Lower shadow of the bar by its length: ``(min(open, close) - low) / (high - low + 1e-12)``."""
    return (np.minimum(b.open, b.close) - b.low) / (b.high - b.low + TINY)


@_bar("KSFT", "fraction of the open", "open", "high", "low", "close")
def _ksft(b: Bars, _w: int) -> np.ndarray:
    """Close above the middle of the bar, twice: ``(2 close - high - low) / open``."""
    return (2 * b.close - b.high - b.low) / b.open


@_bar("KSFT2", "fraction of half the bar", "high", "low", "close")
def _ksft2(b: Bars, _w: int) -> np.ndarray:
    """Close above the middle of the bar, 1 at its high: ``(2 close - high - low) / (high - low + 1e-12)``."""
    return (2 * b.close - b.high - b.low) / (b.high - b.low + TINY)


@_bar("OPEN0", "closes", "open", "close")
def _open0(b: Bars, _w: int) -> np.ndarray:
    """Open of the bar: ``open / close``."""
    return b.open / b.close


@_bar("HIGH0", "closes", "high", "close")
def _high0(b: Bars, _w: int) -> np.ndarray:
    """High of the bar: ``high / close``."""
    return b.high / b.close


@_bar("LOW0", "closes", "low", "close")
def _low0(b: Bars, _w: int) -> np.ndarray:
    """Low of the bar: ``low / close``."""
    return b.low / b.close


@_bar("VWAP0", "closes", "open", "high", "low", "close")
def _vwap0(b: Bars, _w: int) -> np.ndarray:
    """Mean price of the bar, for its VWAP: ``vwap / close`` with ``vwap = (open + high + low + close) / 4``.

    Stores hold no volume-weighted price (VWAP): the mean of open, high, low and close stands in for it.
    """
    return b.vwap / b.close


# Closes of a window: where they were, how they spread, the line through them.


@_windowed("ROC", "closes", "close", lag=1)
def _roc(b: Bars, w: int) -> np.ndarray:
    """Close {w} bars ago: ``close[t-{w}] / close``."""
    return delayed(b.close, w) / b.close


@_windowed("MA", "closes", "close")
def _ma(b: Bars, w: int) -> np.ndarray:
    """Mean of the last {w} closes: ``mean(close, {w}) / close``."""
    return over.mean(b.close, w) / b.close


@_windowed("STD", "closes", "close")
def _std(b: Bars, w: int) -> np.ndarray:
    """Standard deviation of the last {w} closes: ``std(close, {w}) / close``, ddof 1."""
    return over.deviation(b.close, w) / b.close


@_windowed("BETA", "closes per bar", "close")
def _beta(b: Bars, w: int) -> np.ndarray:
    """Slope of the line through the last {w} closes: ``slope(close, {w}) / close``, least squares on the row number."""
    return over.slope(b.close, w) / b.close


@_windowed("RSQR", "fraction", "close")
def _rsqr(b: Bars, w: int) -> np.ndarray:
    """Variance of the last {w} closes that the line explains: ``correlation(close, row number, {w})^2``.

    NaN where the closes deviate by no more than 1e-9 of their mean; the published 2e-5 of their currency would make
    it depend on the unit, and differs on no price that moves by a tick.
    """
    return over.fit(b.close, w)


@_windowed("RESI", "closes", "close")
def _resi(b: Bars, w: int) -> np.ndarray:
    """Close above the line through the last {w}: ``(close - line(close, {w})) / close``."""
    return over.newest_above_line(b.close, w) / b.close


# Extremes and order.


@_windowed("MAX", "closes", "high", "close")
def _max(b: Bars, w: int) -> np.ndarray:
    """Highest high of the last {w} bars: ``max(high, {w}) / close``."""
    return over.highest(b.high, w) / b.close


@_windowed("MIN", "closes", "low", "close")
def _min(b: Bars, w: int) -> np.ndarray:
    """Lowest low of the last {w} bars: ``min(low, {w}) / close``."""
    return over.lowest(b.low, w) / b.close


@_windowed("QTLU", "closes", "close")
def _qtlu(b: Bars, w: int) -> np.ndarray:
    """Upper quantile of the last {w} closes: ``quantile(close, {w}, 0.8) / close``, interpolated linearly."""
    return over.quantile(b.close, w, 0.8) / b.close


@_windowed("QTLD", "closes", "close")
def _qtld(b: Bars, w: int) -> np.ndarray:
    """Lower quantile of the last {w} closes: ``quantile(close, {w}, 0.2) / close``, interpolated linearly."""
    return over.quantile(b.close, w, 0.2) / b.close


@_windowed("RANK", "fraction", "close")
def _rank(b: Bars, w: int) -> np.ndarray:
    """Rank of the close among the last {w}: ``rank(close, {w}) / count(close, {w})``, ties averaged."""
    return over.rank(b.close, w)


@_windowed("RSV", "fraction", "high", "low", "close")
def _rsv(b: Bars, w: int) -> np.ndarray:
    """Close in the range of {w} bars: ``(close - min) / (max(high, {w}) - min + 1e-12)``, ``min = min(low, {w})``."""
    bottom = over.lowest(b.low, w)
    return (b.close - bottom) / (over.highest(b.high, w) - bottom + TINY)


@_windowed("IMAX", "windows", "high", "close")
def _imax(b: Bars, w: int) -> np.ndarray:
    """Place of the highest high of the last {w} bars: ``argmax(high, {w}) / {w}``.

    Counted in rows, 1 at the oldest bar of the window, one with a close; of equal highs the first.
    """
    return over.place_of_highest(b.high, b.close, w) / w


@_windowed("IMIN", "windows", "low", "close")
def _imin(b: Bars, w: int) -> np.ndarray:
    """Place of the lowest low of the last {w} bars: ``argmin(low, {w}) / {w}``.

    Counted in rows, 1 at the oldest bar of the window, one with a close; of equal lows the first.
    """
    return over.place_of_lowest(b.low, b.close, w) / w


@_windowed("IMXD", "windows", "high", "low", "close")
def _imxd(b: Bars, w: int) -> np.ndarray:
    """Bars from the lowest low to the highest high of {w}: ``(argmax(high, {w}) - argmin(low, {w})) / {w}``."""
    return (over.place_of_highest(b.high, b.close, w) - over.place_of_lowest(b.low, b.close, w)) / w


# Price and volume together.


@_windowed("CORR", "correlation", "close", "volume")
def _corr(b: Bars, w: int) -> np.ndarray:
    """Correlation of close and volume over {w} bars: ``correlation(close, ln(volume + 1), {w})``.

    NaN where the closes deviate by no more than 1e-9 of their mean, or the logarithms by no more than 2e-5.
    """
    return over.correlation(*over.log_volumes(b.close, b.volume), w, price=True)


@_windowed("CORD", "correlation", "close", "volume", lag=1)
def _cord(b: Bars, w: int) -> np.ndarray:
    """Correlation of their changes: ``correlation(close / close[t-1], ln(volume / volume[t-1] + 1), {w})``.

    A bar after one without volume is skipped. NaN where ratios or logarithms deviate by no more than 2e-5.
    """
    return over.correlation(*over.log_ratios(b.close, b.volume), w)


# Rises and falls.


@_windowed("CNTP", "fraction", "close", lag=1)
def _cntp(b: Bars, w: int) -> np.ndarray:
    """Bars that rose, of the last {w}: ``mean(close > close[t-1], {w})``.

    A bar without one before it did neither rise nor fall, but counts.
    """
    return over.share(b.close, over.change(b.close) > 0, w)


@_windowed("CNTN", "fraction", "close", lag=1)
def _cntn(b: Bars, w: int) -> np.ndarray:
    """Bars that fell, of the last {w}: ``mean(close < close[t-1], {w})``.

    A bar without one before it did neither rise nor fall, but counts.
    """
    return over.share(b.close, over.change(b.close) < 0, w)


@_windowed("CNTD", "fraction", "close", lag=1)
def _cntd(b: Bars, w: int) -> np.ndarray:
    """Bars that rose less those that fell: ``mean(close > close[t-1], {w}) - mean(close < close[t-1], {w})``."""
    return _cntp(b, w) - _cntn(b, w)


@_windowed("SUMP", "fraction", "close", lag=1)
def _sump(b: Bars, w: int) -> np.ndarray:
    """Rises of {w} bars over moves: ``sum(max(d, 0), {w}) / (sum(|d|, {w}) + 1e-12)``, ``d = close - close[t-1]``."""
    return over.rises(b.close, w)


@_windowed("SUMN", "fraction", "close", lag=1)
def _sumn(b: Bars, w: int) -> np.ndarray:
    """Falls of {w} bars over moves: ``sum(max(-d, 0), {w}) / (sum(|d|, {w}) + 1e-12)``, ``d = close - close[t-1]``."""
    return over.falls(b.close, w)


@_windowed("SUMD", "fraction", "close", lag=1)
def _sumd(b: Bars, w: int) -> np.ndarray:
    """Rises less falls of {w} bars: ``sum(d, {w}) / (sum(|d|, {w}) + 1e-12)`` with ``d = close - close[t-1]``."""
    return over.rises(b.close, w) - over.falls(b.close, w)


# Volumes of a window.


@_windowed("VMA", "volumes", "volume")
def _vma(b: Bars, w: int) -> np.ndarray:
    """Mean of the last {w} volumes: ``mean(volume, {w}) / (volume + 1e-12)``."""
    return over.mean(b.volume, w) / (b.volume + TINY)


@_windowed("VSTD", "volumes", "volume")
def _vstd(b: Bars, w: int) -> np.ndarray:
    """Standard deviation of the last {w} volumes: ``std(volume, {w}) / (volume + 1e-12)``, ddof 1."""
    return over.deviation(b.volume, w) / (b.volume + TINY)


@_windowed("WVMA", "means", "close", "volume", lag=1)
def _wvma(b: Bars, w: int) -> np.ndarray:
    """Spread of weighted moves: ``std(m, {w}) / (mean(m, {w}) + 1e-12)``, ``m = |close / close[t-1] - 1| volume``."""
    moves = over.weighted_moves(b.close, b.volume)
    return over.deviation(moves, w) / (over.mean(moves, w) + TINY)


@_windowed("VSUMP", "fraction", "volume", lag=1)
def _vsump(b: Bars, w: int) -> np.ndarray:
    """Rises of volume: ``sum(max(d, 0), {w}) / (sum(|d|, {w}) + 1e-12)``, ``d = volume - volume[t-1]``."""
    return over.rises(b.volume, w)


@_windowed("VSUMN", "fraction", "volume", lag=1)
def _vsumn(b: Bars, w: int) -> np.ndarray:
    """Falls of volume: ``sum(max(-d, 0), {w}) / (sum(|d|, {w}) + 1e-12)``, ``d = volume - volume[t-1]``."""
    return over.falls(b.volume, w)


@_windowed("VSUMD", "fraction", "volume", lag=1)
def _vsumd(b: Bars, w: int) -> np.ndarray:
    """Rises less falls of volume: ``sum(d, {w}) / (sum(|d|, {w}) + 1e-12)`` with ``d = volume - volume[t-1]``."""
    return over.rises(b.volume, w) - over.falls(b.volume, w)
