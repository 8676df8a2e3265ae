"""TA-Lib: volume and volatility."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View
from mnpu.features.libraries.columns import BY_EMA, BY_WILDER, after, slowest, values
from mnpu.features.libraries.own_bars import ADDED, MULTIPLIED
from mnpu.features.libraries.talib_columns import (
    CLOSE,
    CV,
    HL,
    HLC,
    HLCV,
    HLV,
    VOLUME,
    Bars,
    MaType,
    SeveralBars,
    talib,
)


@talib.feature(HL, of="ADR", warmup=after(0, timeperiod=1))
def ADR(view: View, *, timeperiod: Bars = 14) -> np.ndarray:
    """Average Day Range."""
    return values(view, ADR, timeperiod=timeperiod)


@talib.feature(HLC, of="ATR", warmup=after(1, timeperiod=1), forgets=BY_WILDER)
def ATR(view: View, *, timeperiod: Bars = 14) -> np.ndarray:
    """Average True Range."""
    return values(view, ATR, timeperiod=timeperiod)


@talib.feature(
    HL, of="CVI", warmup=after(0, timeperiod=1, rocperiod=1), forgets=BY_EMA, unit="percent", scale_free=True
)
def CVI(view: View, *, timeperiod: SeveralBars = 10, rocperiod: Bars = 10) -> np.ndarray:
    """Chaikin's Volatility."""
    return values(view, CVI, timeperiod=timeperiod, rocperiod=rocperiod)


@talib.feature(
    HL, of="MASSI", warmup=after(-2, fastperiod=2, slowperiod=1), forgets=BY_EMA, unit="ratio", scale_free=True
)
def MASSI(view: View, *, fastperiod: SeveralBars = 9, slowperiod: SeveralBars = 25) -> np.ndarray:
    """Mass Index."""
    return values(view, MASSI, fastperiod=fastperiod, slowperiod=slowperiod)


@talib.feature(HLC, of="NATR", warmup=after(1, timeperiod=1), forgets=BY_WILDER, unit="percent", scale_free=True)
def NATR(view: View, *, timeperiod: Bars = 14) -> np.ndarray:
    """Normalized Average True Range."""
    return values(view, NATR, timeperiod=timeperiod)


@talib.feature(
    CLOSE, of="RVI", warmup=after(-1, timeperiod=1, stddevperiod=1), forgets=BY_WILDER, unit="percent", scale_free=True
)
def RVI(view: View, *, timeperiod: Bars = 14, stddevperiod: SeveralBars = 10) -> np.ndarray:
    """Relative Volatility Index."""
    return values(view, RVI, timeperiod=timeperiod, stddevperiod=stddevperiod)


@talib.feature(HLC, of="TRANGE", warmup=2)
def TRANGE(view: View) -> np.ndarray:
    """True Range."""
    return values(view, TRANGE)


@talib.feature(HLCV, of="AD", chain=ADDED, unit="shares")
def AD(view: View) -> np.ndarray:
    """Chaikin A/D Line."""
    return values(view, AD)


@talib.feature(HLCV, of="ADOSC", warmup=slowest(0, "fastperiod", "slowperiod"), forgets=BY_EMA, unit="shares")
def ADOSC(view: View, *, fastperiod: SeveralBars = 3, slowperiod: SeveralBars = 10) -> np.ndarray:
    """Chaikin A/D Oscillator."""
    return values(view, ADOSC, fastperiod=fastperiod, slowperiod=slowperiod)


@talib.feature(HLCV, of="CMF", warmup=after(0, timeperiod=1), unit="ratio", scale_free=True)
def CMF(view: View, *, timeperiod: SeveralBars = 20) -> np.ndarray:
    """Chaikin Money Flow."""
    return values(view, CMF, timeperiod=timeperiod)


@talib.feature(CV, of="EFI", warmup=after(1, timeperiod=1), forgets=BY_EMA, unit="currency times shares")
def EFI(view: View, *, timeperiod: Bars = 13) -> np.ndarray:
    """Elder's Force Index."""
    return values(view, EFI, timeperiod=timeperiod)


@talib.feature(HLV, of="MARKETFI", unit="currency per share")
def MARKETFI(view: View) -> np.ndarray:
    """Market Facilitation Index."""
    return values(view, MARKETFI)


@talib.feature(CV, of="NVI", chain=MULTIPLIED, unit="points")
def NVI(view: View) -> np.ndarray:
    """Negative Volume Index."""
    return values(view, NVI)


@talib.feature(CV, of="OBV", chain=ADDED, unit="shares")
def OBV(view: View) -> np.ndarray:
    """On Balance Volume."""
    return values(view, OBV)


@talib.feature(CV, of="PVI", chain=MULTIPLIED, unit="points")
def PVI(view: View) -> np.ndarray:
    """Positive Volume Index."""
    return values(view, PVI)


@talib.feature(
    VOLUME, of="PVO", warmup=slowest(0, "fastperiod", "slowperiod"), forgets=BY_WILDER, unit="percent", scale_free=True
)
def PVO(view: View, *, fastperiod: SeveralBars = 12, slowperiod: SeveralBars = 26, matype: MaType = 1) -> np.ndarray:
    """Percentage Volume Oscillator."""
    return values(view, PVO, fastperiod=fastperiod, slowperiod=slowperiod, matype=matype)


@talib.feature(CV, of="PVT", chain=ADDED, unit="shares")
def PVT(view: View) -> np.ndarray:
    """Price Volume Trend."""
    return values(view, PVT)


@talib.feature(VOLUME, of="RVOL", warmup=after(1, timeperiod=1), unit="ratio", scale_free=True)
def RVOL(view: View, *, timeperiod: Bars = 20) -> np.ndarray:
    """Relative Volume."""
    return values(view, RVOL, timeperiod=timeperiod)
