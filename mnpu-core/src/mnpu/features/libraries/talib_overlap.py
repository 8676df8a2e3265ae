"""TA-Lib: averages, bands and prices of a bar, which lie on the price itself."""

from __future__ import annotations

from math import isqrt

import numpy as np

from mnpu.features.api import View
from mnpu.features.libraries.columns import BY_EMA, BY_WILDER, after, values
from mnpu.features.libraries.talib_columns import (
    CLOSE,
    CV,
    HL,
    HLC,
    OHLC,
    Bars,
    Limit,
    MaType,
    Multiple,
    Portion,
    Positive,
    SeveralBars,
    UpToOne,
    talib,
)


@talib.feature(HLC, of="ACCBANDS", part=0, warmup=after(0, timeperiod=1))
def ACCBANDS_upperband(view: View, *, timeperiod: SeveralBars = 20) -> np.ndarray:
    """Acceleration Bands: upperband."""
    return values(view, ACCBANDS_upperband, timeperiod=timeperiod)


@talib.feature(HLC, of="ACCBANDS", part=1, warmup=after(0, timeperiod=1))
def ACCBANDS_middleband(view: View, *, timeperiod: SeveralBars = 20) -> np.ndarray:
    """Acceleration Bands: middleband."""
    return values(view, ACCBANDS_middleband, timeperiod=timeperiod)


@talib.feature(HLC, of="ACCBANDS", part=2, warmup=after(0, timeperiod=1))
def ACCBANDS_lowerband(view: View, *, timeperiod: SeveralBars = 20) -> np.ndarray:
    """Acceleration Bands: lowerband."""
    return values(view, ACCBANDS_lowerband, timeperiod=timeperiod)


@talib.feature(CLOSE, of="BBANDS", part=0, warmup=after(0, timeperiod=1), forgets=BY_WILDER)
def BBANDS_upperband(
    view: View, *, timeperiod: SeveralBars = 20, nbdevup: Multiple = 2.0, nbdevdn: Multiple = 2.0, matype: MaType = 0
) -> np.ndarray:
    """Bollinger Bands: upperband."""
    return values(view, BBANDS_upperband, timeperiod=timeperiod, nbdevup=nbdevup, nbdevdn=nbdevdn, matype=matype)


@talib.feature(CLOSE, of="BBANDS", part=1, warmup=after(0, timeperiod=1), forgets=BY_WILDER)
def BBANDS_middleband(
    view: View, *, timeperiod: SeveralBars = 20, nbdevup: Multiple = 2.0, nbdevdn: Multiple = 2.0, matype: MaType = 0
) -> np.ndarray:
    """Bollinger Bands: middleband."""
    return values(view, BBANDS_middleband, timeperiod=timeperiod, nbdevup=nbdevup, nbdevdn=nbdevdn, matype=matype)


@talib.feature(CLOSE, of="BBANDS", part=2, warmup=after(0, timeperiod=1), forgets=BY_WILDER)
def BBANDS_lowerband(
    view: View, *, timeperiod: SeveralBars = 20, nbdevup: Multiple = 2.0, nbdevdn: Multiple = 2.0, matype: MaType = 0
) -> np.ndarray:
    """Bollinger Bands: lowerband."""
    return values(view, BBANDS_lowerband, timeperiod=timeperiod, nbdevup=nbdevup, nbdevdn=nbdevdn, matype=matype)


@talib.feature(CLOSE, of="DEMA", warmup=after(-1, timeperiod=2), forgets=BY_EMA)
def DEMA(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """Double Exponential Moving Average."""
    return values(view, DEMA, timeperiod=timeperiod)


@talib.feature(HL, of="DONCHIAN", part=0, warmup=after(0, timeperiod=1))
def DONCHIAN_upperband(view: View, *, timeperiod: SeveralBars = 20) -> np.ndarray:
    """Donchian Channels: upperband."""
    return values(view, DONCHIAN_upperband, timeperiod=timeperiod)


@talib.feature(HL, of="DONCHIAN", part=1, warmup=after(0, timeperiod=1))
def DONCHIAN_middleband(view: View, *, timeperiod: SeveralBars = 20) -> np.ndarray:
    """Donchian Channels: middleband."""
    return values(view, DONCHIAN_middleband, timeperiod=timeperiod)


@talib.feature(HL, of="DONCHIAN", part=2, warmup=after(0, timeperiod=1))
def DONCHIAN_lowerband(view: View, *, timeperiod: SeveralBars = 20) -> np.ndarray:
    """Donchian Channels: lowerband."""
    return values(view, DONCHIAN_lowerband, timeperiod=timeperiod)


@talib.feature(CLOSE, of="EMA", warmup=after(0, timeperiod=1), forgets=BY_EMA)
def EMA(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """Exponential Moving Average."""
    return values(view, EMA, timeperiod=timeperiod)


@talib.feature(CLOSE, of="HMA", warmup=lambda params: params["timeperiod"] + isqrt(params["timeperiod"]) - 1)
def HMA(view: View, *, timeperiod: Bars = 20) -> np.ndarray:
    """Hull Moving Average."""
    return values(view, HMA, timeperiod=timeperiod)


@talib.feature(CLOSE, of="HT_TRENDLINE", warmup=64, more=1_500)
def HT_TRENDLINE(view: View) -> np.ndarray:
    """Hilbert Transform - Instantaneous Trendline."""
    return values(view, HT_TRENDLINE)


@talib.feature(CLOSE, of="KAMA", warmup=after(1, timeperiod=1), more=3_000)
def KAMA(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """Kaufman Adaptive Moving Average."""
    return values(view, KAMA, timeperiod=timeperiod)


@talib.feature(
    HLC, of="KC", part=0, warmup=lambda params: max(params["timeperiod"], params["atrperiod"] + 1), forgets=BY_WILDER
)
def KC_upperband(
    view: View, *, timeperiod: SeveralBars = 20, atrperiod: Bars = 10, nbdev: Multiple = 2.0
) -> np.ndarray:
    """Keltner Channels: upperband."""
    return values(view, KC_upperband, timeperiod=timeperiod, atrperiod=atrperiod, nbdev=nbdev)


@talib.feature(
    HLC, of="KC", part=1, warmup=lambda params: max(params["timeperiod"], params["atrperiod"] + 1), forgets=BY_WILDER
)
def KC_middleband(
    view: View, *, timeperiod: SeveralBars = 20, atrperiod: Bars = 10, nbdev: Multiple = 2.0
) -> np.ndarray:
    """Keltner Channels: middleband."""
    return values(view, KC_middleband, timeperiod=timeperiod, atrperiod=atrperiod, nbdev=nbdev)


@talib.feature(
    HLC, of="KC", part=2, warmup=lambda params: max(params["timeperiod"], params["atrperiod"] + 1), forgets=BY_WILDER
)
def KC_lowerband(
    view: View, *, timeperiod: SeveralBars = 20, atrperiod: Bars = 10, nbdev: Multiple = 2.0
) -> np.ndarray:
    """Keltner Channels: lowerband."""
    return values(view, KC_lowerband, timeperiod=timeperiod, atrperiod=atrperiod, nbdev=nbdev)


@talib.feature(CLOSE, of="MA", warmup=after(0, timeperiod=1), forgets=BY_WILDER)
def MA(view: View, *, timeperiod: Bars = 30, matype: MaType = 0) -> np.ndarray:
    """Moving average."""
    return values(view, MA, timeperiod=timeperiod, matype=matype)


@talib.feature(CLOSE, of="MAMA", part=0, warmup=33, more=1_500)
def MAMA_mama(view: View, *, fastlimit: Limit = 0.5, slowlimit: Limit = 0.05) -> np.ndarray:
    """MESA Adaptive Moving Average: mama."""
    return values(view, MAMA_mama, fastlimit=fastlimit, slowlimit=slowlimit)


@talib.feature(CLOSE, of="MAMA", part=1, warmup=33, more=1_500)
def MAMA_fama(view: View, *, fastlimit: Limit = 0.5, slowlimit: Limit = 0.05) -> np.ndarray:
    """MESA Adaptive Moving Average: fama."""
    return values(view, MAMA_fama, fastlimit=fastlimit, slowlimit=slowlimit)


@talib.feature(CLOSE, of="MIDPOINT", warmup=after(0, timeperiod=1))
def MIDPOINT(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """MidPoint over period."""
    return values(view, MIDPOINT, timeperiod=timeperiod)


@talib.feature(HL, of="MIDPRICE", warmup=after(0, timeperiod=1))
def MIDPRICE(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Midpoint Price over period."""
    return values(view, MIDPRICE, timeperiod=timeperiod)


@talib.feature(CLOSE, of="RMA", warmup=after(0, timeperiod=1), forgets=BY_WILDER)
def RMA(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """Wilder's Smoothed Moving Average."""
    return values(view, RMA, timeperiod=timeperiod)


@talib.feature(HL, of="SAR", warmup=2, more=2_000)
def SAR(view: View, *, acceleration: Positive = 0.02, maximum: Positive = 0.2) -> np.ndarray:
    """Parabolic SAR."""
    return values(view, SAR, acceleration=acceleration, maximum=maximum)


@talib.feature(HL, of="SAREXT", warmup=2, more=2_000)
def SAREXT(
    view: View,
    *,
    offsetonreverse: Portion = 0.0,
    accelerationinitlong: Positive = 0.02,
    accelerationlong: Positive = 0.02,
    accelerationmaxlong: Positive = 0.2,
    accelerationinitshort: Positive = 0.02,
    accelerationshort: Positive = 0.02,
    accelerationmaxshort: Positive = 0.2,
) -> np.ndarray:
    """Parabolic SAR - Extended."""
    return values(
        view,
        SAREXT,
        offsetonreverse=offsetonreverse,
        accelerationinitlong=accelerationinitlong,
        accelerationlong=accelerationlong,
        accelerationmaxlong=accelerationmaxlong,
        accelerationinitshort=accelerationinitshort,
        accelerationshort=accelerationshort,
        accelerationmaxshort=accelerationmaxshort,
    )


@talib.feature(CLOSE, of="SMA", warmup=after(0, timeperiod=1))
def SMA(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """Simple Moving Average."""
    return values(view, SMA, timeperiod=timeperiod)


@talib.feature(HLC, of="SUPERTREND", part=0, warmup=after(1, timeperiod=1), forgets=BY_WILDER, more=2_000)
def SUPERTREND_supertrend(view: View, *, timeperiod: SeveralBars = 10, multiplier: Multiple = 3.0) -> np.ndarray:
    """SuperTrend: supertrend."""
    return values(view, SUPERTREND_supertrend, timeperiod=timeperiod, multiplier=multiplier)


@talib.feature(
    HLC,
    of="SUPERTREND",
    part=1,
    warmup=after(1, timeperiod=1),
    forgets=BY_WILDER,
    more=2_000,
    unit="-1 or 1",
    scale_free=True,
)
def SUPERTREND_trend(view: View, *, timeperiod: SeveralBars = 10, multiplier: Multiple = 3.0) -> np.ndarray:
    """SuperTrend: trend."""
    return values(view, SUPERTREND_trend, timeperiod=timeperiod, multiplier=multiplier)


@talib.feature(CLOSE, of="T3", warmup=after(-5, timeperiod=6), forgets=2 * BY_EMA)
def T3(view: View, *, timeperiod: Bars = 5, vfactor: UpToOne = 0.7) -> np.ndarray:
    """Triple Exponential Moving Average (T3)."""
    return values(view, T3, timeperiod=timeperiod, vfactor=vfactor)


@talib.feature(CLOSE, of="TEMA", warmup=after(-2, timeperiod=3), forgets=BY_EMA)
def TEMA(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """Triple Exponential Moving Average."""
    return values(view, TEMA, timeperiod=timeperiod)


@talib.feature(CLOSE, of="TRIMA", warmup=after(0, timeperiod=1))
def TRIMA(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """Triangular Moving Average."""
    return values(view, TRIMA, timeperiod=timeperiod)


@talib.feature(CV, of="VWMA", warmup=after(0, timeperiod=1))
def VWMA(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """Volume Weighted Moving Average."""
    return values(view, VWMA, timeperiod=timeperiod)


@talib.feature(CLOSE, of="WMA", warmup=after(0, timeperiod=1))
def WMA(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """Weighted Moving Average."""
    return values(view, WMA, timeperiod=timeperiod)


@talib.feature(
    CLOSE, of="ZLEMA", warmup=lambda params: params["timeperiod"] + (params["timeperiod"] - 1) // 2, forgets=BY_EMA
)
def ZLEMA(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """Zero-Lag Exponential Moving Average."""
    return values(view, ZLEMA, timeperiod=timeperiod)


@talib.feature(CLOSE, of="AVGDEV", warmup=after(0, timeperiod=1))
def AVGDEV(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Average Deviation."""
    return values(view, AVGDEV, timeperiod=timeperiod)


@talib.feature(OHLC, of="AVGPRICE")
def AVGPRICE(view: View) -> np.ndarray:
    """Average Price."""
    return values(view, AVGPRICE)


@talib.feature(OHLC, of="HA", part=0, more=64)
def HA_haopen(view: View) -> np.ndarray:
    """Heikin-Ashi Candles: haopen."""
    return values(view, HA_haopen)


@talib.feature(OHLC, of="HA", part=1, more=64)
def HA_hahigh(view: View) -> np.ndarray:
    """Heikin-Ashi Candles: hahigh."""
    return values(view, HA_hahigh)


@talib.feature(OHLC, of="HA", part=2, more=64)
def HA_halow(view: View) -> np.ndarray:
    """Heikin-Ashi Candles: halow."""
    return values(view, HA_halow)


@talib.feature(OHLC, of="HA", part=3, more=64)
def HA_haclose(view: View) -> np.ndarray:
    """Heikin-Ashi Candles: haclose."""
    return values(view, HA_haclose)


@talib.feature(HL, of="MEDPRICE")
def MEDPRICE(view: View) -> np.ndarray:
    """Median Price."""
    return values(view, MEDPRICE)


@talib.feature(HLC, of="TYPPRICE")
def TYPPRICE(view: View) -> np.ndarray:
    """Typical Price."""
    return values(view, TYPPRICE)


@talib.feature(HLC, of="WCLPRICE")
def WCLPRICE(view: View) -> np.ndarray:
    """Weighted Close Price."""
    return values(view, WCLPRICE)
