"""TA-Lib: momentum and direction."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View
from mnpu.features.libraries.columns import BY_EMA, BY_WILDER, after, slowest, values
from mnpu.features.libraries.own_bars import ADDED
from mnpu.features.libraries.talib_columns import CLOSE, HL, HLC, OC, Bars, MaType, SeveralBars, talib


@talib.feature(HL, of="AC", warmup=slowest(-1, "fastperiod", "slowperiod", signalperiod=1))
def AC(
    view: View, *, fastperiod: SeveralBars = 5, slowperiod: SeveralBars = 34, signalperiod: SeveralBars = 5
) -> np.ndarray:
    """Accelerator/Decelerator Oscillator."""
    return values(view, AC, fastperiod=fastperiod, slowperiod=slowperiod, signalperiod=signalperiod)


@talib.feature(HLC, of="ADX", warmup=after(0, timeperiod=2), forgets=BY_WILDER, unit="percent", scale_free=True)
def ADX(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Average Directional Movement Index."""
    return values(view, ADX, timeperiod=timeperiod)


@talib.feature(HLC, of="ADXR", warmup=after(-1, timeperiod=3), forgets=BY_WILDER, unit="percent", scale_free=True)
def ADXR(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Average Directional Movement Index Rating."""
    return values(view, ADXR, timeperiod=timeperiod)


@talib.feature(HL, of="AO", warmup=slowest(0, "fastperiod", "slowperiod"))
def AO(view: View, *, fastperiod: SeveralBars = 5, slowperiod: SeveralBars = 34) -> np.ndarray:
    """Awesome Oscillator."""
    return values(view, AO, fastperiod=fastperiod, slowperiod=slowperiod)


@talib.feature(CLOSE, of="APO", warmup=slowest(0, "fastperiod", "slowperiod"), forgets=BY_WILDER)
def APO(view: View, *, fastperiod: SeveralBars = 12, slowperiod: SeveralBars = 26, matype: MaType = 1) -> np.ndarray:
    """Absolute Price Oscillator."""
    return values(view, APO, fastperiod=fastperiod, slowperiod=slowperiod, matype=matype)


@talib.feature(
    CLOSE, of="COPPOCK", warmup=slowest(0, "roc1period", "roc2period", wmaperiod=1), unit="percent", scale_free=True
)
def COPPOCK(view: View, *, wmaperiod: Bars = 10, roc1period: Bars = 11, roc2period: Bars = 14) -> np.ndarray:
    """Coppock Curve."""
    return values(view, COPPOCK, wmaperiod=wmaperiod, roc1period=roc1period, roc2period=roc2period)


@talib.feature(CLOSE, of="DPO", warmup=after(0, timeperiod=1))
def DPO(view: View, *, timeperiod: SeveralBars = 20) -> np.ndarray:
    """Detrended Price Oscillator."""
    return values(view, DPO, timeperiod=timeperiod)


@talib.feature(HLC, of="DX", warmup=after(1, timeperiod=1), forgets=BY_WILDER, unit="percent", scale_free=True)
def DX(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Directional Movement Index."""
    return values(view, DX, timeperiod=timeperiod)


@talib.feature(CLOSE, of="ER", warmup=after(1, timeperiod=1), unit="ratio", scale_free=True)
def ER(view: View, *, timeperiod: SeveralBars = 10) -> np.ndarray:
    """Kaufman Efficiency Ratio."""
    return values(view, ER, timeperiod=timeperiod)


@talib.feature(HLC, of="ERI", part=0, warmup=after(0, timeperiod=1), forgets=BY_EMA)
def ERI_bullpower(view: View, *, timeperiod: Bars = 13) -> np.ndarray:
    """Elder Ray Index (Bull Power / Bear Power): bullpower."""
    return values(view, ERI_bullpower, timeperiod=timeperiod)


@talib.feature(HLC, of="ERI", part=1, warmup=after(0, timeperiod=1), forgets=BY_EMA)
def ERI_bearpower(view: View, *, timeperiod: Bars = 13) -> np.ndarray:
    """Elder Ray Index (Bull Power / Bear Power): bearpower."""
    return values(view, ERI_bearpower, timeperiod=timeperiod)


@talib.feature(CLOSE, of="FOSC", warmup=after(1, timeperiod=1), unit="percent", scale_free=True)
def FOSC(view: View, *, timeperiod: SeveralBars = 5) -> np.ndarray:
    """Forecast Oscillator."""
    return values(view, FOSC, timeperiod=timeperiod)


@talib.feature(HL, of="FRACTAL", part=0, warmup=after(1, leftbars=1, rightbars=1), unit="0 or 100", scale_free=True)
def FRACTAL_swinghigh(view: View, *, leftbars: Bars = 2, rightbars: Bars = 2) -> np.ndarray:
    """Williams Fractal: swinghigh."""
    return values(view, FRACTAL_swinghigh, leftbars=leftbars, rightbars=rightbars)


@talib.feature(HL, of="FRACTAL", part=1, warmup=after(1, leftbars=1, rightbars=1), unit="0 or 100", scale_free=True)
def FRACTAL_swinglow(view: View, *, leftbars: Bars = 2, rightbars: Bars = 2) -> np.ndarray:
    """Williams Fractal: swinglow."""
    return values(view, FRACTAL_swinglow, leftbars=leftbars, rightbars=rightbars)


@talib.feature(CLOSE, of="MACD", part=0, warmup=slowest(-1, "fastperiod", "slowperiod", signalperiod=1), forgets=BY_EMA)
def MACD_macd(
    view: View, *, fastperiod: SeveralBars = 12, slowperiod: SeveralBars = 26, signalperiod: Bars = 9
) -> np.ndarray:
    """Moving Average Convergence/Divergence: macd."""
    return values(view, MACD_macd, fastperiod=fastperiod, slowperiod=slowperiod, signalperiod=signalperiod)


@talib.feature(CLOSE, of="MACD", part=1, warmup=slowest(-1, "fastperiod", "slowperiod", signalperiod=1), forgets=BY_EMA)
def MACD_macdsignal(
    view: View, *, fastperiod: SeveralBars = 12, slowperiod: SeveralBars = 26, signalperiod: Bars = 9
) -> np.ndarray:
    """Moving Average Convergence/Divergence: macdsignal."""
    return values(view, MACD_macdsignal, fastperiod=fastperiod, slowperiod=slowperiod, signalperiod=signalperiod)


@talib.feature(CLOSE, of="MACD", part=2, warmup=slowest(-1, "fastperiod", "slowperiod", signalperiod=1), forgets=BY_EMA)
def MACD_macdhist(
    view: View, *, fastperiod: SeveralBars = 12, slowperiod: SeveralBars = 26, signalperiod: Bars = 9
) -> np.ndarray:
    """Moving Average Convergence/Divergence: macdhist."""
    return values(view, MACD_macdhist, fastperiod=fastperiod, slowperiod=slowperiod, signalperiod=signalperiod)


@talib.feature(
    CLOSE, of="MACDEXT", part=0, warmup=slowest(-1, "fastperiod", "slowperiod", signalperiod=1), forgets=BY_WILDER
)
def MACDEXT_macd(
    view: View,
    *,
    fastperiod: SeveralBars = 12,
    fastmatype: MaType = 0,
    slowperiod: SeveralBars = 26,
    slowmatype: MaType = 0,
    signalperiod: Bars = 9,
    signalmatype: MaType = 0,
) -> np.ndarray:
    """MACD with controllable MA type: macd."""
    return values(
        view,
        MACDEXT_macd,
        fastperiod=fastperiod,
        fastmatype=fastmatype,
        slowperiod=slowperiod,
        slowmatype=slowmatype,
        signalperiod=signalperiod,
        signalmatype=signalmatype,
    )


@talib.feature(
    CLOSE, of="MACDEXT", part=1, warmup=slowest(-1, "fastperiod", "slowperiod", signalperiod=1), forgets=BY_WILDER
)
def MACDEXT_macdsignal(
    view: View,
    *,
    fastperiod: SeveralBars = 12,
    fastmatype: MaType = 0,
    slowperiod: SeveralBars = 26,
    slowmatype: MaType = 0,
    signalperiod: Bars = 9,
    signalmatype: MaType = 0,
) -> np.ndarray:
    """MACD with controllable MA type: macdsignal."""
    return values(
        view,
        MACDEXT_macdsignal,
        fastperiod=fastperiod,
        fastmatype=fastmatype,
        slowperiod=slowperiod,
        slowmatype=slowmatype,
        signalperiod=signalperiod,
        signalmatype=signalmatype,
    )


@talib.feature(
    CLOSE, of="MACDEXT", part=2, warmup=slowest(-1, "fastperiod", "slowperiod", signalperiod=1), forgets=BY_WILDER
)
def MACDEXT_macdhist(
    view: View,
    *,
    fastperiod: SeveralBars = 12,
    fastmatype: MaType = 0,
    slowperiod: SeveralBars = 26,
    slowmatype: MaType = 0,
    signalperiod: Bars = 9,
    signalmatype: MaType = 0,
) -> np.ndarray:
    """MACD with controllable MA type: macdhist."""
    return values(
        view,
        MACDEXT_macdhist,
        fastperiod=fastperiod,
        fastmatype=fastmatype,
        slowperiod=slowperiod,
        slowmatype=slowmatype,
        signalperiod=signalperiod,
        signalmatype=signalmatype,
    )


@talib.feature(CLOSE, of="MACDFIX", part=0, warmup=after(25, signalperiod=1), more=600)
def MACDFIX_macd(view: View, *, signalperiod: Bars = 9) -> np.ndarray:
    """Moving Average Convergence/Divergence Fix 12/26: macd."""
    return values(view, MACDFIX_macd, signalperiod=signalperiod)


@talib.feature(CLOSE, of="MACDFIX", part=1, warmup=after(25, signalperiod=1), more=600)
def MACDFIX_macdsignal(view: View, *, signalperiod: Bars = 9) -> np.ndarray:
    """Moving Average Convergence/Divergence Fix 12/26: macdsignal."""
    return values(view, MACDFIX_macdsignal, signalperiod=signalperiod)


@talib.feature(CLOSE, of="MACDFIX", part=2, warmup=after(25, signalperiod=1), more=600)
def MACDFIX_macdhist(view: View, *, signalperiod: Bars = 9) -> np.ndarray:
    """Moving Average Convergence/Divergence Fix 12/26: macdhist."""
    return values(view, MACDFIX_macdhist, signalperiod=signalperiod)


@talib.feature(HLC, of="MINUS_DI", warmup=after(1, timeperiod=1), forgets=BY_WILDER, unit="percent", scale_free=True)
def MINUS_DI(view: View, *, timeperiod: Bars = 14) -> np.ndarray:
    """Minus Directional Indicator."""
    return values(view, MINUS_DI, timeperiod=timeperiod)


@talib.feature(HL, of="MINUS_DM", warmup=after(0, timeperiod=1), forgets=BY_WILDER)
def MINUS_DM(view: View, *, timeperiod: Bars = 14) -> np.ndarray:
    """Minus Directional Movement."""
    return values(view, MINUS_DM, timeperiod=timeperiod)


@talib.feature(CLOSE, of="MOM", warmup=after(1, timeperiod=1))
def MOM(view: View, *, timeperiod: Bars = 10) -> np.ndarray:
    """Momentum."""
    return values(view, MOM, timeperiod=timeperiod)


@talib.feature(HLC, of="PLUS_DI", warmup=after(1, timeperiod=1), forgets=BY_WILDER, unit="percent", scale_free=True)
def PLUS_DI(view: View, *, timeperiod: Bars = 14) -> np.ndarray:
    """Plus Directional Indicator."""
    return values(view, PLUS_DI, timeperiod=timeperiod)


@talib.feature(HL, of="PLUS_DM", warmup=after(0, timeperiod=1), forgets=BY_WILDER)
def PLUS_DM(view: View, *, timeperiod: Bars = 14) -> np.ndarray:
    """Plus Directional Movement."""
    return values(view, PLUS_DM, timeperiod=timeperiod)


@talib.feature(
    CLOSE, of="PPO", warmup=slowest(0, "fastperiod", "slowperiod"), forgets=BY_WILDER, unit="percent", scale_free=True
)
def PPO(view: View, *, fastperiod: SeveralBars = 12, slowperiod: SeveralBars = 26, matype: MaType = 1) -> np.ndarray:
    """Percentage Price Oscillator."""
    return values(view, PPO, fastperiod=fastperiod, slowperiod=slowperiod, matype=matype)


@talib.feature(OC, of="QSTICK", warmup=after(0, timeperiod=1))
def QSTICK(view: View, *, timeperiod: Bars = 10) -> np.ndarray:
    """Qstick."""
    return values(view, QSTICK, timeperiod=timeperiod)


@talib.feature(CLOSE, of="ROC", warmup=after(1, timeperiod=1), unit="percent", scale_free=True)
def ROC(view: View, *, timeperiod: Bars = 10) -> np.ndarray:
    """Rate of change : ((price/prevPrice)-1)*100."""
    return values(view, ROC, timeperiod=timeperiod)


@talib.feature(CLOSE, of="ROCP", warmup=after(1, timeperiod=1), unit="fraction", scale_free=True)
def ROCP(view: View, *, timeperiod: Bars = 10) -> np.ndarray:
    """Rate of change Percentage: (price-prevPrice)/prevPrice."""
    return values(view, ROCP, timeperiod=timeperiod)


@talib.feature(CLOSE, of="ROCR", warmup=after(1, timeperiod=1), unit="ratio", scale_free=True)
def ROCR(view: View, *, timeperiod: Bars = 10) -> np.ndarray:
    """Rate of change ratio: (price/prevPrice)."""
    return values(view, ROCR, timeperiod=timeperiod)


@talib.feature(CLOSE, of="ROCR100", warmup=after(1, timeperiod=1), unit="percent", scale_free=True)
def ROCR100(view: View, *, timeperiod: Bars = 10) -> np.ndarray:
    """Rate of change ratio 100 scale: (price/prevPrice)*100."""
    return values(view, ROCR100, timeperiod=timeperiod)


@talib.feature(CLOSE, of="TRIX", warmup=after(-1, timeperiod=3), forgets=BY_EMA, unit="percent", scale_free=True)
def TRIX(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """1-day Rate-Of-Change (ROC) of a Triple Smooth EMA."""
    return values(view, TRIX, timeperiod=timeperiod)


@talib.feature(CLOSE, of="VHF", warmup=after(1, timeperiod=1), unit="ratio", scale_free=True)
def VHF(view: View, *, timeperiod: SeveralBars = 28) -> np.ndarray:
    """Vertical Horizontal Filter."""
    return values(view, VHF, timeperiod=timeperiod)


@talib.feature(HLC, of="VORTEX", part=0, warmup=after(1, timeperiod=1), unit="ratio", scale_free=True)
def VORTEX_plusvi(view: View, *, timeperiod: Bars = 14) -> np.ndarray:
    """Vortex Indicator: plusvi."""
    return values(view, VORTEX_plusvi, timeperiod=timeperiod)


@talib.feature(HLC, of="VORTEX", part=1, warmup=after(1, timeperiod=1), unit="ratio", scale_free=True)
def VORTEX_minusvi(view: View, *, timeperiod: Bars = 14) -> np.ndarray:
    """Vortex Indicator: minusvi."""
    return values(view, VORTEX_minusvi, timeperiod=timeperiod)


@talib.feature(HLC, of="WAD", chain=ADDED)
def WAD(view: View) -> np.ndarray:
    """Williams' Accumulation/Distribution."""
    return values(view, WAD)
