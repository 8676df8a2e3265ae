"""Technical indicators with TA-Lib's definitions and values.

What TA-Lib gives in units of price is given relative to the close here (levels: ``x / close - 1``, differences:
``x / close``), so that it says the same of any price and may be computed on adjusted prices; what it gives in points or
percent is as it is there. Where TA-Lib writes 0 for a division by zero, as for a market that did not move, the value
is NaN.

Averages without an end to their window begin with each symbol's own first bar, as in TA-Lib, and hold still over a
missing bar: their values are those of the symbol's bars alone. Of the others, a missing bar makes the value NaN until
it has left the window.
"""

from __future__ import annotations

from mnpu.features.technical_averages import (
    dema,
    ema,
    kama,
    sar,
    sma,
    tema,
    wma,
)
from mnpu.features.technical_bands import (
    bbands_lower,
    bbands_percent,
    bbands_upper,
    bbands_width,
    highest,
    linearreg,
    linearreg_slope,
    lowest,
    midprice,
    stddev,
    tsf,
)
from mnpu.features.technical_direction import (
    adx,
    adxr,
    atr,
    dx,
    minus_di,
    natr,
    plus_di,
    trange,
)
from mnpu.features.technical_momentum import (
    macd,
    macd_hist,
    macd_signal,
    mom,
    ppo,
    roc,
    trix,
)
from mnpu.features.technical_oscillators import (
    aroon_down,
    aroon_up,
    aroonosc,
    bop,
    cci,
    cmo,
    rsi,
    ultosc,
)
from mnpu.features.technical_stochastics import (
    stoch_d,
    stoch_k,
    stochf_d,
    stochf_k,
    stochrsi_d,
    stochrsi_k,
    willr,
)
from mnpu.features.technical_volume import (
    ad,
    adosc,
    mfi,
    obv,
)

__all__ = [
    "ad",
    "adosc",
    "adx",
    "adxr",
    "aroon_down",
    "aroon_up",
    "aroonosc",
    "atr",
    "bbands_lower",
    "bbands_percent",
    "bbands_upper",
    "bbands_width",
    "bop",
    "cci",
    "cmo",
    "dema",
    "dx",
    "ema",
    "highest",
    "kama",
    "linearreg",
    "linearreg_slope",
    "lowest",
    "macd",
    "macd_hist",
    "macd_signal",
    "mfi",
    "midprice",
    "minus_di",
    "mom",
    "natr",
    "obv",
    "plus_di",
    "ppo",
    "roc",
    "rsi",
    "sar",
    "sma",
    "stddev",
    "stoch_d",
    "stoch_k",
    "stochf_d",
    "stochf_k",
    "stochrsi_d",
    "stochrsi_k",
    "tema",
    "trange",
    "trix",
    "tsf",
    "ultosc",
    "willr",
    "wma",
]
