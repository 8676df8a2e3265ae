"""TA-Lib: statistics of a window, cycles, extremes and sums."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View
from mnpu.features.libraries.columns import after, values
from mnpu.features.libraries.talib_columns import CLOSE, HL, Bars, Multiple, Percent, SeveralBars, talib


@talib.feature(CLOSE, of="HT_DCPERIOD", warmup=33, more=1_500, unit="bars", scale_free=True)
def HT_DCPERIOD(view: View) -> np.ndarray:
    """Hilbert Transform - Dominant Cycle Period."""
    return values(view, HT_DCPERIOD)


@talib.feature(CLOSE, of="HT_DCPHASE", warmup=64, more=1_500, unit="degrees", scale_free=True)
def HT_DCPHASE(view: View) -> np.ndarray:
    """Hilbert Transform - Dominant Cycle Phase."""
    return values(view, HT_DCPHASE)


@talib.feature(CLOSE, of="HT_PHASOR", part=0, warmup=33, more=1_500)
def HT_PHASOR_inphase(view: View) -> np.ndarray:
    """Hilbert Transform - Phasor Components: inphase."""
    return values(view, HT_PHASOR_inphase)


@talib.feature(CLOSE, of="HT_PHASOR", part=1, warmup=33, more=1_500)
def HT_PHASOR_quadrature(view: View) -> np.ndarray:
    """Hilbert Transform - Phasor Components: quadrature."""
    return values(view, HT_PHASOR_quadrature)


@talib.feature(CLOSE, of="HT_SINE", part=0, warmup=64, more=1_500, unit="ratio", scale_free=True)
def HT_SINE_sine(view: View) -> np.ndarray:
    """Hilbert Transform - SineWave: sine."""
    return values(view, HT_SINE_sine)


@talib.feature(CLOSE, of="HT_SINE", part=1, warmup=64, more=1_500, unit="ratio", scale_free=True)
def HT_SINE_leadsine(view: View) -> np.ndarray:
    """Hilbert Transform - SineWave: leadsine."""
    return values(view, HT_SINE_leadsine)


@talib.feature(CLOSE, of="HT_TRENDMODE", warmup=64, more=1_500, unit="0 or 1", scale_free=True)
def HT_TRENDMODE(view: View) -> np.ndarray:
    """Hilbert Transform - Trend vs Cycle Mode."""
    return values(view, HT_TRENDMODE)


@talib.feature(CLOSE, of="MAX", warmup=after(0, timeperiod=1))
def MAX(view: View, *, timeperiod: SeveralBars = 30) -> np.ndarray:
    """Highest value over a specified period."""
    return values(view, MAX, timeperiod=timeperiod)


@talib.feature(CLOSE, of="MIN", warmup=after(0, timeperiod=1))
def MIN(view: View, *, timeperiod: SeveralBars = 30) -> np.ndarray:
    """Lowest value over a specified period."""
    return values(view, MIN, timeperiod=timeperiod)


@talib.feature(CLOSE, of="MINMAX", part=0, warmup=after(0, timeperiod=1))
def MINMAX_min(view: View, *, timeperiod: SeveralBars = 30) -> np.ndarray:
    """Lowest and highest values over a specified period: min."""
    return values(view, MINMAX_min, timeperiod=timeperiod)


@talib.feature(CLOSE, of="MINMAX", part=1, warmup=after(0, timeperiod=1))
def MINMAX_max(view: View, *, timeperiod: SeveralBars = 30) -> np.ndarray:
    """Lowest and highest values over a specified period: max."""
    return values(view, MINMAX_max, timeperiod=timeperiod)


@talib.feature(CLOSE, of="SUM", warmup=after(0, timeperiod=1))
def SUM(view: View, *, timeperiod: SeveralBars = 30) -> np.ndarray:
    """Summation."""
    return values(view, SUM, timeperiod=timeperiod)


@talib.feature(HL, of="BETA", warmup=after(1, timeperiod=1), unit="ratio", scale_free=True)
def BETA(view: View, *, timeperiod: Bars = 5) -> np.ndarray:
    """Beta."""
    return values(view, BETA, timeperiod=timeperiod)


@talib.feature(HL, of="CORREL", warmup=after(0, timeperiod=1), unit="ratio", scale_free=True)
def CORREL(view: View, *, timeperiod: Bars = 30) -> np.ndarray:
    """Pearson's Correlation Coefficient (r)."""
    return values(view, CORREL, timeperiod=timeperiod)


@talib.feature(CLOSE, of="LINEARREG", warmup=after(0, timeperiod=1))
def LINEARREG(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Linear Regression."""
    return values(view, LINEARREG, timeperiod=timeperiod)


@talib.feature(CLOSE, of="LINEARREG_ANGLE", warmup=after(0, timeperiod=1), unit="degrees")
def LINEARREG_ANGLE(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Linear Regression Angle."""
    return values(view, LINEARREG_ANGLE, timeperiod=timeperiod)


@talib.feature(CLOSE, of="LINEARREG_INTERCEPT", warmup=after(0, timeperiod=1))
def LINEARREG_INTERCEPT(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Linear Regression Intercept."""
    return values(view, LINEARREG_INTERCEPT, timeperiod=timeperiod)


@talib.feature(CLOSE, of="LINEARREG_SLOPE", warmup=after(0, timeperiod=1))
def LINEARREG_SLOPE(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Linear Regression Slope."""
    return values(view, LINEARREG_SLOPE, timeperiod=timeperiod)


@talib.feature(CLOSE, of="PERCENTILE", warmup=after(0, timeperiod=1))
def PERCENTILE(view: View, *, timeperiod: SeveralBars = 30, percentile: Percent = 50.0) -> np.ndarray:
    """Percentile (nearest rank)."""
    return values(view, PERCENTILE, timeperiod=timeperiod, percentile=percentile)


@talib.feature(CLOSE, of="PERCENTRANK", warmup=after(1, timeperiod=1), unit="percent", scale_free=True)
def PERCENTRANK(view: View, *, timeperiod: SeveralBars = 100) -> np.ndarray:
    """Percent Rank."""
    return values(view, PERCENTRANK, timeperiod=timeperiod)


@talib.feature(CLOSE, of="STDDEV", warmup=after(0, timeperiod=1))
def STDDEV(view: View, *, timeperiod: SeveralBars = 5, nbdev: Multiple = 1.0) -> np.ndarray:
    """Standard Deviation."""
    return values(view, STDDEV, timeperiod=timeperiod, nbdev=nbdev)


@talib.feature(CLOSE, of="TSF", warmup=after(0, timeperiod=1))
def TSF(view: View, *, timeperiod: SeveralBars = 14) -> np.ndarray:
    """Time Series Forecast."""
    return values(view, TSF, timeperiod=timeperiod)


@talib.feature(CLOSE, of="VAR", warmup=after(0, timeperiod=1), unit="currency squared")
def VAR(view: View, *, timeperiod: Bars = 5, nbdev: Multiple = 1.0) -> np.ndarray:
    """Variance."""
    return values(view, VAR, timeperiod=timeperiod, nbdev=nbdev)
