"""TA-Lib: candlestick patterns: -100 where it speaks for a fall, 100 for a rise, 0 where it is not seen."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View
from mnpu.features.libraries.columns import values
from mnpu.features.libraries.talib_columns import OHLC, Portion, talib


@talib.feature(OHLC, of="CDL2CROWS", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDL2CROWS(view: View) -> np.ndarray:
    """Two Crows."""
    return values(view, CDL2CROWS)


@talib.feature(OHLC, of="CDL3BLACKCROWS", warmup=14, unit="-100, 0 or 100", scale_free=True)
def CDL3BLACKCROWS(view: View) -> np.ndarray:
    """Three Black Crows."""
    return values(view, CDL3BLACKCROWS)


@talib.feature(OHLC, of="CDL3INSIDE", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDL3INSIDE(view: View) -> np.ndarray:
    """Three Inside Up/Down."""
    return values(view, CDL3INSIDE)


@talib.feature(OHLC, of="CDL3LINESTRIKE", warmup=9, unit="-100, 0 or 100", scale_free=True)
def CDL3LINESTRIKE(view: View) -> np.ndarray:
    """Three-Line Strike."""
    return values(view, CDL3LINESTRIKE)


@talib.feature(OHLC, of="CDL3OUTSIDE", warmup=4, unit="-100, 0 or 100", scale_free=True)
def CDL3OUTSIDE(view: View) -> np.ndarray:
    """Three Outside Up/Down."""
    return values(view, CDL3OUTSIDE)


@talib.feature(OHLC, of="CDL3STARSINSOUTH", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDL3STARSINSOUTH(view: View) -> np.ndarray:
    """Three Stars In The South."""
    return values(view, CDL3STARSINSOUTH)


@talib.feature(OHLC, of="CDL3WHITESOLDIERS", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDL3WHITESOLDIERS(view: View) -> np.ndarray:
    """Three Advancing White Soldiers."""
    return values(view, CDL3WHITESOLDIERS)


@talib.feature(OHLC, of="CDLABANDONEDBABY", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDLABANDONEDBABY(view: View, *, penetration: Portion = 0.3) -> np.ndarray:
    """Abandoned Baby."""
    return values(view, CDLABANDONEDBABY, penetration=penetration)


@talib.feature(OHLC, of="CDLADVANCEBLOCK", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDLADVANCEBLOCK(view: View) -> np.ndarray:
    """Advance Block."""
    return values(view, CDLADVANCEBLOCK)


@talib.feature(OHLC, of="CDLBELTHOLD", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLBELTHOLD(view: View) -> np.ndarray:
    """Belt-hold."""
    return values(view, CDLBELTHOLD)


@talib.feature(OHLC, of="CDLBREAKAWAY", warmup=15, unit="-100, 0 or 100", scale_free=True)
def CDLBREAKAWAY(view: View) -> np.ndarray:
    """Breakaway."""
    return values(view, CDLBREAKAWAY)


@talib.feature(OHLC, of="CDLCLOSINGMARUBOZU", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLCLOSINGMARUBOZU(view: View) -> np.ndarray:
    """Closing Marubozu."""
    return values(view, CDLCLOSINGMARUBOZU)


@talib.feature(OHLC, of="CDLCONCEALBABYSWALL", warmup=14, unit="-100, 0 or 100", scale_free=True)
def CDLCONCEALBABYSWALL(view: View) -> np.ndarray:
    """Concealing Baby Swallow."""
    return values(view, CDLCONCEALBABYSWALL)


@talib.feature(OHLC, of="CDLCOUNTERATTACK", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLCOUNTERATTACK(view: View) -> np.ndarray:
    """Counterattack."""
    return values(view, CDLCOUNTERATTACK)


@talib.feature(OHLC, of="CDLDARKCLOUDCOVER", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLDARKCLOUDCOVER(view: View, *, penetration: Portion = 0.5) -> np.ndarray:
    """Dark Cloud Cover."""
    return values(view, CDLDARKCLOUDCOVER, penetration=penetration)


@talib.feature(OHLC, of="CDLDOJI", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLDOJI(view: View) -> np.ndarray:
    """Doji."""
    return values(view, CDLDOJI)


@talib.feature(OHLC, of="CDLDOJISTAR", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLDOJISTAR(view: View) -> np.ndarray:
    """Doji Star."""
    return values(view, CDLDOJISTAR)


@talib.feature(OHLC, of="CDLDRAGONFLYDOJI", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLDRAGONFLYDOJI(view: View) -> np.ndarray:
    """Dragonfly Doji."""
    return values(view, CDLDRAGONFLYDOJI)


@talib.feature(OHLC, of="CDLENGULFING", warmup=3, unit="-100, 0 or 100", scale_free=True)
def CDLENGULFING(view: View) -> np.ndarray:
    """Engulfing Pattern."""
    return values(view, CDLENGULFING)


@talib.feature(OHLC, of="CDLEVENINGDOJISTAR", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDLEVENINGDOJISTAR(view: View, *, penetration: Portion = 0.3) -> np.ndarray:
    """Evening Doji Star."""
    return values(view, CDLEVENINGDOJISTAR, penetration=penetration)


@talib.feature(OHLC, of="CDLEVENINGSTAR", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDLEVENINGSTAR(view: View, *, penetration: Portion = 0.3) -> np.ndarray:
    """Evening Star."""
    return values(view, CDLEVENINGSTAR, penetration=penetration)


@talib.feature(OHLC, of="CDLGAPSIDESIDEWHITE", warmup=8, unit="-100, 0 or 100", scale_free=True)
def CDLGAPSIDESIDEWHITE(view: View) -> np.ndarray:
    """Up/Down-gap side-by-side white lines."""
    return values(view, CDLGAPSIDESIDEWHITE)


@talib.feature(OHLC, of="CDLGRAVESTONEDOJI", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLGRAVESTONEDOJI(view: View) -> np.ndarray:
    """Gravestone Doji."""
    return values(view, CDLGRAVESTONEDOJI)


@talib.feature(OHLC, of="CDLHAMMER", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLHAMMER(view: View) -> np.ndarray:
    """Hammer."""
    return values(view, CDLHAMMER)


@talib.feature(OHLC, of="CDLHANGINGMAN", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLHANGINGMAN(view: View) -> np.ndarray:
    """Hanging Man."""
    return values(view, CDLHANGINGMAN)


@talib.feature(OHLC, of="CDLHARAMI", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLHARAMI(view: View) -> np.ndarray:
    """Harami Pattern."""
    return values(view, CDLHARAMI)


@talib.feature(OHLC, of="CDLHARAMICROSS", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLHARAMICROSS(view: View) -> np.ndarray:
    """Harami Cross Pattern."""
    return values(view, CDLHARAMICROSS)


@talib.feature(OHLC, of="CDLHIGHWAVE", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLHIGHWAVE(view: View) -> np.ndarray:
    """High-Wave Candle."""
    return values(view, CDLHIGHWAVE)


@talib.feature(OHLC, of="CDLHIKKAKE", warmup=6, more=10, unit="-100, 0 or 100", scale_free=True)
def CDLHIKKAKE(view: View) -> np.ndarray:
    """Hikkake Pattern."""
    return values(view, CDLHIKKAKE)


@talib.feature(OHLC, of="CDLHIKKAKEMOD", warmup=11, more=10, unit="-100, 0 or 100", scale_free=True)
def CDLHIKKAKEMOD(view: View) -> np.ndarray:
    """Modified Hikkake Pattern."""
    return values(view, CDLHIKKAKEMOD)


@talib.feature(OHLC, of="CDLHOMINGPIGEON", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLHOMINGPIGEON(view: View) -> np.ndarray:
    """Homing Pigeon."""
    return values(view, CDLHOMINGPIGEON)


@talib.feature(OHLC, of="CDLIDENTICAL3CROWS", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDLIDENTICAL3CROWS(view: View) -> np.ndarray:
    """Identical Three Crows."""
    return values(view, CDLIDENTICAL3CROWS)


@talib.feature(OHLC, of="CDLINNECK", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLINNECK(view: View) -> np.ndarray:
    """In-Neck Pattern."""
    return values(view, CDLINNECK)


@talib.feature(OHLC, of="CDLINVERTEDHAMMER", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLINVERTEDHAMMER(view: View) -> np.ndarray:
    """Inverted Hammer."""
    return values(view, CDLINVERTEDHAMMER)


@talib.feature(OHLC, of="CDLKICKING", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLKICKING(view: View) -> np.ndarray:
    """Kicking."""
    return values(view, CDLKICKING)


@talib.feature(OHLC, of="CDLKICKINGBYLENGTH", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLKICKINGBYLENGTH(view: View) -> np.ndarray:
    """Kicking - bull/bear determined by the longer marubozu."""
    return values(view, CDLKICKINGBYLENGTH)


@talib.feature(OHLC, of="CDLLADDERBOTTOM", warmup=15, unit="-100, 0 or 100", scale_free=True)
def CDLLADDERBOTTOM(view: View) -> np.ndarray:
    """Ladder Bottom."""
    return values(view, CDLLADDERBOTTOM)


@talib.feature(OHLC, of="CDLLONGLEGGEDDOJI", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLLONGLEGGEDDOJI(view: View) -> np.ndarray:
    """Long Legged Doji."""
    return values(view, CDLLONGLEGGEDDOJI)


@talib.feature(OHLC, of="CDLLONGLINE", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLLONGLINE(view: View) -> np.ndarray:
    """Long Line Candle."""
    return values(view, CDLLONGLINE)


@talib.feature(OHLC, of="CDLMARUBOZU", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLMARUBOZU(view: View) -> np.ndarray:
    """Marubozu."""
    return values(view, CDLMARUBOZU)


@talib.feature(OHLC, of="CDLMATCHINGLOW", warmup=7, unit="-100, 0 or 100", scale_free=True)
def CDLMATCHINGLOW(view: View) -> np.ndarray:
    """Matching Low."""
    return values(view, CDLMATCHINGLOW)


@talib.feature(OHLC, of="CDLMATHOLD", warmup=15, unit="-100, 0 or 100", scale_free=True)
def CDLMATHOLD(view: View, *, penetration: Portion = 0.5) -> np.ndarray:
    """Mat Hold."""
    return values(view, CDLMATHOLD, penetration=penetration)


@talib.feature(OHLC, of="CDLMORNINGDOJISTAR", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDLMORNINGDOJISTAR(view: View, *, penetration: Portion = 0.3) -> np.ndarray:
    """Morning Doji Star."""
    return values(view, CDLMORNINGDOJISTAR, penetration=penetration)


@talib.feature(OHLC, of="CDLMORNINGSTAR", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDLMORNINGSTAR(view: View, *, penetration: Portion = 0.3) -> np.ndarray:
    """Morning Star."""
    return values(view, CDLMORNINGSTAR, penetration=penetration)


@talib.feature(OHLC, of="CDLONNECK", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLONNECK(view: View) -> np.ndarray:
    """On-Neck Pattern."""
    return values(view, CDLONNECK)


@talib.feature(OHLC, of="CDLPIERCING", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLPIERCING(view: View) -> np.ndarray:
    """Piercing Pattern."""
    return values(view, CDLPIERCING)


@talib.feature(OHLC, of="CDLRICKSHAWMAN", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLRICKSHAWMAN(view: View) -> np.ndarray:
    """Rickshaw Man."""
    return values(view, CDLRICKSHAWMAN)


@talib.feature(OHLC, of="CDLRISEFALL3METHODS", warmup=15, unit="-100, 0 or 100", scale_free=True)
def CDLRISEFALL3METHODS(view: View) -> np.ndarray:
    """Rising/Falling Three Methods."""
    return values(view, CDLRISEFALL3METHODS)


@talib.feature(OHLC, of="CDLSEPARATINGLINES", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLSEPARATINGLINES(view: View) -> np.ndarray:
    """Separating Lines."""
    return values(view, CDLSEPARATINGLINES)


@talib.feature(OHLC, of="CDLSHOOTINGSTAR", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLSHOOTINGSTAR(view: View) -> np.ndarray:
    """Shooting Star."""
    return values(view, CDLSHOOTINGSTAR)


@talib.feature(OHLC, of="CDLSHORTLINE", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLSHORTLINE(view: View) -> np.ndarray:
    """Short Line Candle."""
    return values(view, CDLSHORTLINE)


@talib.feature(OHLC, of="CDLSPINNINGTOP", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLSPINNINGTOP(view: View) -> np.ndarray:
    """Spinning Top."""
    return values(view, CDLSPINNINGTOP)


@talib.feature(OHLC, of="CDLSTALLEDPATTERN", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDLSTALLEDPATTERN(view: View) -> np.ndarray:
    """Stalled Pattern."""
    return values(view, CDLSTALLEDPATTERN)


@talib.feature(OHLC, of="CDLSTICKSANDWICH", warmup=8, unit="-100, 0 or 100", scale_free=True)
def CDLSTICKSANDWICH(view: View) -> np.ndarray:
    """Stick Sandwich."""
    return values(view, CDLSTICKSANDWICH)


@talib.feature(OHLC, of="CDLTAKURI", warmup=11, unit="-100, 0 or 100", scale_free=True)
def CDLTAKURI(view: View) -> np.ndarray:
    """Takuri (Dragonfly Doji with very long lower shadow)."""
    return values(view, CDLTAKURI)


@talib.feature(OHLC, of="CDLTASUKIGAP", warmup=8, unit="-100, 0 or 100", scale_free=True)
def CDLTASUKIGAP(view: View) -> np.ndarray:
    """Tasuki Gap."""
    return values(view, CDLTASUKIGAP)


@talib.feature(OHLC, of="CDLTHRUSTING", warmup=12, unit="-100, 0 or 100", scale_free=True)
def CDLTHRUSTING(view: View) -> np.ndarray:
    """Thrusting Pattern."""
    return values(view, CDLTHRUSTING)


@talib.feature(OHLC, of="CDLTRISTAR", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDLTRISTAR(view: View) -> np.ndarray:
    """Tristar Pattern."""
    return values(view, CDLTRISTAR)


@talib.feature(OHLC, of="CDLUNIQUE3RIVER", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDLUNIQUE3RIVER(view: View) -> np.ndarray:
    """Unique 3 River."""
    return values(view, CDLUNIQUE3RIVER)


@talib.feature(OHLC, of="CDLUPSIDEGAP2CROWS", warmup=13, unit="-100, 0 or 100", scale_free=True)
def CDLUPSIDEGAP2CROWS(view: View) -> np.ndarray:
    """Upside Gap Two Crows."""
    return values(view, CDLUPSIDEGAP2CROWS)


@talib.feature(OHLC, of="CDLXSIDEGAP3METHODS", warmup=3, unit="-100, 0 or 100", scale_free=True)
def CDLXSIDEGAP3METHODS(view: View) -> np.ndarray:
    """Upside/Downside Gap Three Methods."""
    return values(view, CDLXSIDEGAP3METHODS)
