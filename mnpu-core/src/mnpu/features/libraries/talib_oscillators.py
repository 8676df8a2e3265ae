"""TA-Lib: oscillators, most of them within fixed bounds."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View
from mnpu.features.libraries.columns import BY_EMA, BY_WILDER, after, slowest, values
from mnpu.features.libraries.talib_columns import CLOSE, HL, HLC, HLCV, OC, OHLC, Bars, MaType, SeveralBars, talib


@talib.feature(HL, of="AROON", part=0, warmup=after(1, timeperiod=1), unit="percent", scale_free=True)
def AROON_aroondown(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Aroon: aroondown."""
    return values(view, AROON_aroondown, timeperiod=timeperiod)


@talib.feature(HL, of="AROON", part=1, warmup=after(1, timeperiod=1), unit="percent", scale_free=True)
def AROON_aroonup(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Aroon: aroonup."""
    return values(view, AROON_aroonup, timeperiod=timeperiod)


@talib.feature(HL, of="AROONOSC", warmup=after(1, timeperiod=1), unit="percent", scale_free=True)
def AROONOSC(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Aroon Oscillator."""
    return values(view, AROONOSC, timeperiod=timeperiod)


@talib.feature(OHLC, of="BOP", unit="ratio", scale_free=True)
def BOP(view: View) -> np.ndarray:
    """Balance Of Power."""
    return values(view, BOP)


@talib.feature(HLC, of="CCI", warmup=after(0, timeperiod=1), unit="points", scale_free=True)
def CCI(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Commodity Channel Index."""
    return values(view, CCI, timeperiod=timeperiod)


@talib.feature(CLOSE, of="CMO", warmup=after(1, timeperiod=1), forgets=BY_WILDER, unit="percent", scale_free=True)
def CMO(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Chande Momentum Oscillator."""
    return values(view, CMO, timeperiod=timeperiod)


@talib.feature(CLOSE, of="CMOU", warmup=after(1, timeperiod=1), unit="percent", scale_free=True)
def CMOU(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Chande Momentum Oscillator (Unsmoothed)."""
    return values(view, CMOU, timeperiod=timeperiod)


@talib.feature(OC, of="IMI", warmup=after(0, timeperiod=1), unit="percent", scale_free=True)
def IMI(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Intraday Momentum Index."""
    return values(view, IMI, timeperiod=timeperiod)


@talib.feature(
    HLC,
    of="KDJ",
    part=0,
    warmup=after(-2, fastk_period=1, slowk_period=1, slowd_period=1),
    forgets=BY_WILDER,
    unit="percent",
    scale_free=True,
)
def KDJ_k(
    view: View,
    *,
    fastk_period: Bars = 9,
    slowk_period: Bars = 3,
    slowk_matype: MaType = 13,
    slowd_period: Bars = 3,
    slowd_matype: MaType = 13,
) -> np.ndarray:
    """KDJ Stochastic: k."""
    return values(
        view,
        KDJ_k,
        fastk_period=fastk_period,
        slowk_period=slowk_period,
        slowk_matype=slowk_matype,
        slowd_period=slowd_period,
        slowd_matype=slowd_matype,
    )


@talib.feature(
    HLC,
    of="KDJ",
    part=1,
    warmup=after(-2, fastk_period=1, slowk_period=1, slowd_period=1),
    forgets=BY_WILDER,
    unit="percent",
    scale_free=True,
)
def KDJ_d(
    view: View,
    *,
    fastk_period: Bars = 9,
    slowk_period: Bars = 3,
    slowk_matype: MaType = 13,
    slowd_period: Bars = 3,
    slowd_matype: MaType = 13,
) -> np.ndarray:
    """KDJ Stochastic: d."""
    return values(
        view,
        KDJ_d,
        fastk_period=fastk_period,
        slowk_period=slowk_period,
        slowk_matype=slowk_matype,
        slowd_period=slowd_period,
        slowd_matype=slowd_matype,
    )


@talib.feature(
    HLC,
    of="KDJ",
    part=2,
    warmup=after(-2, fastk_period=1, slowk_period=1, slowd_period=1),
    forgets=BY_WILDER,
    unit="percent",
    scale_free=True,
)
def KDJ_j(
    view: View,
    *,
    fastk_period: Bars = 9,
    slowk_period: Bars = 3,
    slowk_matype: MaType = 13,
    slowd_period: Bars = 3,
    slowd_matype: MaType = 13,
) -> np.ndarray:
    """KDJ Stochastic: j."""
    return values(
        view,
        KDJ_j,
        fastk_period=fastk_period,
        slowk_period=slowk_period,
        slowk_matype=slowk_matype,
        slowd_period=slowd_period,
        slowd_matype=slowd_matype,
    )


@talib.feature(HLCV, of="MFI", warmup=after(1, timeperiod=1), unit="percent", scale_free=True)
def MFI(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Money Flow Index."""
    return values(view, MFI, timeperiod=timeperiod)


@talib.feature(CLOSE, of="RSI", warmup=after(1, timeperiod=1), forgets=BY_WILDER, unit="percent", scale_free=True)
def RSI(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Relative Strength Index."""
    return values(view, RSI, timeperiod=timeperiod)


@talib.feature(
    HLC,
    of="SMI",
    part=0,
    warmup=after(-3, timeperiod=1, fastperiod=1, slowperiod=1, signalperiod=1),
    forgets=BY_EMA,
    unit="percent",
    scale_free=True,
)
def SMI_smi(
    view: View,
    *,
    timeperiod: SeveralBars = 13,
    fastperiod: SeveralBars = 2,
    slowperiod: SeveralBars = 25,
    signalperiod: SeveralBars = 9,
) -> np.ndarray:
    """Stochastic Momentum Index: smi."""
    return values(
        view, SMI_smi, timeperiod=timeperiod, fastperiod=fastperiod, slowperiod=slowperiod, signalperiod=signalperiod
    )


@talib.feature(
    HLC,
    of="SMI",
    part=1,
    warmup=after(-3, timeperiod=1, fastperiod=1, slowperiod=1, signalperiod=1),
    forgets=BY_EMA,
    unit="percent",
    scale_free=True,
)
def SMI_smisignal(
    view: View,
    *,
    timeperiod: SeveralBars = 13,
    fastperiod: SeveralBars = 2,
    slowperiod: SeveralBars = 25,
    signalperiod: SeveralBars = 9,
) -> np.ndarray:
    """Stochastic Momentum Index: smisignal."""
    return values(
        view,
        SMI_smisignal,
        timeperiod=timeperiod,
        fastperiod=fastperiod,
        slowperiod=slowperiod,
        signalperiod=signalperiod,
    )


@talib.feature(
    HLC,
    of="STOCH",
    part=0,
    warmup=after(-2, fastk_period=1, slowk_period=1, slowd_period=1),
    forgets=BY_WILDER,
    unit="percent",
    scale_free=True,
)
def STOCH_slowk(
    view: View,
    *,
    fastk_period: Bars = 5,
    slowk_period: Bars = 3,
    slowk_matype: MaType = 0,
    slowd_period: Bars = 3,
    slowd_matype: MaType = 0,
) -> np.ndarray:
    """Stochastic: slowk."""
    return values(
        view,
        STOCH_slowk,
        fastk_period=fastk_period,
        slowk_period=slowk_period,
        slowk_matype=slowk_matype,
        slowd_period=slowd_period,
        slowd_matype=slowd_matype,
    )


@talib.feature(
    HLC,
    of="STOCH",
    part=1,
    warmup=after(-2, fastk_period=1, slowk_period=1, slowd_period=1),
    forgets=BY_WILDER,
    unit="percent",
    scale_free=True,
)
def STOCH_slowd(
    view: View,
    *,
    fastk_period: Bars = 5,
    slowk_period: Bars = 3,
    slowk_matype: MaType = 0,
    slowd_period: Bars = 3,
    slowd_matype: MaType = 0,
) -> np.ndarray:
    """Stochastic: slowd."""
    return values(
        view,
        STOCH_slowd,
        fastk_period=fastk_period,
        slowk_period=slowk_period,
        slowk_matype=slowk_matype,
        slowd_period=slowd_period,
        slowd_matype=slowd_matype,
    )


@talib.feature(
    HLC,
    of="STOCHF",
    part=0,
    warmup=after(-1, fastk_period=1, fastd_period=1),
    forgets=BY_WILDER,
    unit="percent",
    scale_free=True,
)
def STOCHF_fastk(view: View, *, fastk_period: Bars = 5, fastd_period: Bars = 3, fastd_matype: MaType = 0) -> np.ndarray:
    """Stochastic Fast: fastk."""
    return values(view, STOCHF_fastk, fastk_period=fastk_period, fastd_period=fastd_period, fastd_matype=fastd_matype)


@talib.feature(
    HLC,
    of="STOCHF",
    part=1,
    warmup=after(-1, fastk_period=1, fastd_period=1),
    forgets=BY_WILDER,
    unit="percent",
    scale_free=True,
)
def STOCHF_fastd(view: View, *, fastk_period: Bars = 5, fastd_period: Bars = 3, fastd_matype: MaType = 0) -> np.ndarray:
    """Stochastic Fast: fastd."""
    return values(view, STOCHF_fastd, fastk_period=fastk_period, fastd_period=fastd_period, fastd_matype=fastd_matype)


@talib.feature(
    CLOSE,
    of="STOCHRSI",
    part=0,
    warmup=after(-1, timeperiod=1, fastk_period=1, fastd_period=1),
    forgets=BY_WILDER,
    unit="percent",
    scale_free=True,
)
def STOCHRSI_fastk(
    view: View,
    *,
    timeperiod: SeveralBars = 14,
    fastk_period: Bars = 5,
    fastd_period: Bars = 3,
    fastd_matype: MaType = 0,
) -> np.ndarray:
    """Stochastic Relative Strength Index: fastk."""
    return values(
        view,
        STOCHRSI_fastk,
        timeperiod=timeperiod,
        fastk_period=fastk_period,
        fastd_period=fastd_period,
        fastd_matype=fastd_matype,
    )


@talib.feature(
    CLOSE,
    of="STOCHRSI",
    part=1,
    warmup=after(-1, timeperiod=1, fastk_period=1, fastd_period=1),
    forgets=BY_WILDER,
    unit="percent",
    scale_free=True,
)
def STOCHRSI_fastd(
    view: View,
    *,
    timeperiod: SeveralBars = 14,
    fastk_period: Bars = 5,
    fastd_period: Bars = 3,
    fastd_matype: MaType = 0,
) -> np.ndarray:
    """Stochastic Relative Strength Index: fastd."""
    return values(
        view,
        STOCHRSI_fastd,
        timeperiod=timeperiod,
        fastk_period=fastk_period,
        fastd_period=fastd_period,
        fastd_matype=fastd_matype,
    )


@talib.feature(
    CLOSE, of="TSI", warmup=after(0, firstperiod=1, secondperiod=1), forgets=BY_EMA, unit="percent", scale_free=True
)
def TSI(view: View, *, firstperiod: SeveralBars = 25, secondperiod: SeveralBars = 13) -> np.ndarray:
    """True Strength Index."""
    return values(view, TSI, firstperiod=firstperiod, secondperiod=secondperiod)


@talib.feature(
    HLC, of="ULTOSC", warmup=slowest(1, "timeperiod1", "timeperiod2", "timeperiod3"), unit="percent", scale_free=True
)
def ULTOSC(view: View, *, timeperiod1: Bars = 7, timeperiod2: Bars = 14, timeperiod3: Bars = 28) -> np.ndarray:
    """Ultimate Oscillator."""
    return values(view, ULTOSC, timeperiod1=timeperiod1, timeperiod2=timeperiod2, timeperiod3=timeperiod3)


@talib.feature(HLC, of="WILLR", warmup=after(0, timeperiod=1), unit="percent", scale_free=True)
def WILLR(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Williams' %R."""
    return values(view, WILLR, timeperiod=timeperiod)
