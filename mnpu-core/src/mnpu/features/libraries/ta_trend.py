"""The library ta: trend."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View
from mnpu.features.libraries.columns import BY_EMA, BY_WILDER, after, slowest, values
from mnpu.features.libraries.ta_columns import CLOSE, HL, HLC, Bars, FourBars, Portion, Positive, SeveralBars, ta


@ta.feature(CLOSE, of="trend.MACD.macd", warmup=slowest(0, "window_slow", "window_fast"), forgets=BY_EMA)
def trend_macd(view: View, *, window_slow: SeveralBars = 26, window_fast: SeveralBars = 12) -> np.ndarray:
    """Moving average convergence/divergence."""
    return values(view, trend_macd, window_slow=window_slow, window_fast=window_fast)


@ta.feature(
    CLOSE, of="trend.MACD.macd_signal", warmup=slowest(-1, "window_slow", "window_fast", window_sign=1), forgets=BY_EMA
)
def trend_macd_signal(
    view: View, *, window_slow: SeveralBars = 26, window_fast: SeveralBars = 12, window_sign: Bars = 9
) -> np.ndarray:
    """Moving average convergence/divergence, its signal line."""
    return values(view, trend_macd_signal, window_slow=window_slow, window_fast=window_fast, window_sign=window_sign)


@ta.feature(
    CLOSE, of="trend.MACD.macd_diff", warmup=slowest(-1, "window_slow", "window_fast", window_sign=1), forgets=BY_EMA
)
def trend_macd_diff(
    view: View, *, window_slow: SeveralBars = 26, window_fast: SeveralBars = 12, window_sign: Bars = 9
) -> np.ndarray:
    """Moving average convergence/divergence less its signal line."""
    return values(view, trend_macd_diff, window_slow=window_slow, window_fast=window_fast, window_sign=window_sign)


@ta.feature(CLOSE, of="trend.SMAIndicator.sma_indicator", warmup=after(0, window=1))
def trend_sma_fast(view: View, *, window: Bars = 12) -> np.ndarray:
    """Mean of a window, a short one."""
    return values(view, trend_sma_fast, window=window)


@ta.feature(CLOSE, of="trend.SMAIndicator.sma_indicator", warmup=after(0, window=1))
def trend_sma_slow(view: View, *, window: Bars = 26) -> np.ndarray:
    """Mean of a window, a long one."""
    return values(view, trend_sma_slow, window=window)


@ta.feature(CLOSE, of="trend.EMAIndicator.ema_indicator", warmup=after(0, window=1), forgets=BY_EMA)
def trend_ema_fast(view: View, *, window: Bars = 12) -> np.ndarray:
    """Exponential average, a fast one."""
    return values(view, trend_ema_fast, window=window)


@ta.feature(CLOSE, of="trend.EMAIndicator.ema_indicator", warmup=after(0, window=1), forgets=BY_EMA)
def trend_ema_slow(view: View, *, window: Bars = 26) -> np.ndarray:
    """Exponential average, a slow one."""
    return values(view, trend_ema_slow, window=window)


@ta.feature(
    CLOSE, of="trend.TRIXIndicator.trix", warmup=after(-1, window=3), forgets=BY_EMA, unit="percent", scale_free=True
)
def trend_trix(view: View, *, window: SeveralBars = 15) -> np.ndarray:
    """Change of a threefold exponential average."""
    return values(view, trend_trix, window=window)


@ta.feature(
    HL,
    of="trend.MassIndex.mass_index",
    warmup=after(-2, window_fast=2, window_slow=1),
    forgets=BY_EMA,
    unit="ratio",
    scale_free=True,
)
def trend_mass_index(view: View, *, window_fast: SeveralBars = 9, window_slow: SeveralBars = 25) -> np.ndarray:
    """Mass index."""
    return values(view, trend_mass_index, window_fast=window_fast, window_slow=window_slow)


@ta.feature(HL, of="trend.IchimokuIndicator.ichimoku_conversion_line", warmup=after(0, window1=1))
def trend_ichimoku_conv(view: View, *, window1: Bars = 9) -> np.ndarray:
    """Ichimoku, the conversion line."""
    return values(view, trend_ichimoku_conv, window1=window1)


@ta.feature(HL, of="trend.IchimokuIndicator.ichimoku_base_line", warmup=after(0, window2=1))
def trend_ichimoku_base(view: View, *, window2: Bars = 26) -> np.ndarray:
    """Ichimoku, the base line."""
    return values(view, trend_ichimoku_base, window2=window2)


@ta.feature(HL, of="trend.IchimokuIndicator.ichimoku_a", warmup=slowest(0, "window1", "window2"))
def trend_ichimoku_a(view: View, *, window1: Bars = 9, window2: Bars = 26) -> np.ndarray:
    """Ichimoku, leading span A as it is known today."""
    return values(view, trend_ichimoku_a, window1=window1, window2=window2)


@ta.feature(HL, of="trend.IchimokuIndicator.ichimoku_b", warmup=after(0, window3=1))
def trend_ichimoku_b(view: View, *, window3: Bars = 52) -> np.ndarray:
    """Ichimoku, leading span B as it is known today."""
    return values(view, trend_ichimoku_b, window3=window3)


@ta.feature(
    CLOSE,
    of="trend.STCIndicator.stc",
    warmup=slowest(-3, "window_slow", "window_fast", cycle=2, smooth1=1, smooth2=1),
    forgets=BY_EMA,
    unit="percent",
    scale_free=True,
)
def trend_stc(
    view: View,
    *,
    window_slow: SeveralBars = 50,
    window_fast: SeveralBars = 23,
    cycle: SeveralBars = 10,
    smooth1: Bars = 3,
    smooth2: Bars = 3,
) -> np.ndarray:
    """Schaff trend cycle."""
    return values(
        view, trend_stc, window_slow=window_slow, window_fast=window_fast, cycle=cycle, smooth1=smooth1, smooth2=smooth2
    )


@ta.feature(
    HLC, of="trend.ADXIndicator.adx", warmup=after(0, window=2), forgets=BY_WILDER, unit="percent", scale_free=True
)
def trend_adx(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Average directional index."""
    return values(view, trend_adx, window=window)


@ta.feature(
    HLC, of="trend.ADXIndicator.adx_pos", warmup=after(2, window=1), forgets=BY_WILDER, unit="percent", scale_free=True
)
def trend_adx_pos(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Plus directional indicator."""
    return values(view, trend_adx_pos, window=window)


@ta.feature(
    HLC, of="trend.ADXIndicator.adx_neg", warmup=after(2, window=1), forgets=BY_WILDER, unit="percent", scale_free=True
)
def trend_adx_neg(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Minus directional indicator."""
    return values(view, trend_adx_neg, window=window)


@ta.feature(HLC, of="trend.CCIIndicator.cci", warmup=after(0, window=1), unit="points", scale_free=True)
def trend_cci(view: View, *, window: SeveralBars = 20, constant: Positive = 0.015) -> np.ndarray:
    """Commodity channel index."""
    return values(view, trend_cci, window=window, constant=constant)


@ta.feature(HL, of="trend.AroonIndicator.aroon_up", warmup=after(1, window=1), unit="percent", scale_free=True)
def trend_aroon_up(view: View, *, window: SeveralBars = 25) -> np.ndarray:
    """Aroon up."""
    return values(view, trend_aroon_up, window=window)


@ta.feature(HL, of="trend.AroonIndicator.aroon_down", warmup=after(1, window=1), unit="percent", scale_free=True)
def trend_aroon_down(view: View, *, window: SeveralBars = 25) -> np.ndarray:
    """Aroon down."""
    return values(view, trend_aroon_down, window=window)


@ta.feature(HL, of="trend.AroonIndicator.aroon_indicator", warmup=after(1, window=1), unit="percent", scale_free=True)
def trend_aroon_ind(view: View, *, window: SeveralBars = 25) -> np.ndarray:
    """Aroon up less Aroon down."""
    return values(view, trend_aroon_ind, window=window)


@ta.feature(
    HLC, of="trend.VortexIndicator.vortex_indicator_pos", warmup=after(1, window=1), unit="ratio", scale_free=True
)
def trend_vortex_ind_pos(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Vortex, the rising part."""
    return values(view, trend_vortex_ind_pos, window=window)


@ta.feature(
    HLC, of="trend.VortexIndicator.vortex_indicator_neg", warmup=after(1, window=1), unit="ratio", scale_free=True
)
def trend_vortex_ind_neg(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Vortex, the falling part."""
    return values(view, trend_vortex_ind_neg, window=window)


@ta.feature(
    HLC, of="trend.VortexIndicator.vortex_indicator_diff", warmup=after(1, window=1), unit="ratio", scale_free=True
)
def trend_vortex_ind_diff(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Vortex, the rising part less the falling one."""
    return values(view, trend_vortex_ind_diff, window=window)


@ta.feature(CLOSE, of="trend.DPOIndicator.dpo", warmup=after(0, window=1))
def trend_dpo(view: View, *, window: FourBars = 20) -> np.ndarray:
    """Detrended price: the close half a window ago less its mean."""
    return values(view, trend_dpo, window=window)


@ta.feature(HLC, of="trend.PSARIndicator.psar_up", warmup=3, more=2_000)
def trend_psar_up(view: View, *, step: Portion = 0.02, max_step: Portion = 0.2) -> np.ndarray:
    """Parabolic stop below a rising price."""
    return values(view, trend_psar_up, step=step, max_step=max_step)


@ta.feature(HLC, of="trend.PSARIndicator.psar_down", warmup=3, more=2_000)
def trend_psar_down(view: View, *, step: Portion = 0.02, max_step: Portion = 0.2) -> np.ndarray:
    """Parabolic stop above a falling price."""
    return values(view, trend_psar_down, step=step, max_step=max_step)


@ta.feature(HLC, of="trend.PSARIndicator.psar_up_indicator", warmup=3, more=2_000, unit="0 or 1", scale_free=True)
def trend_psar_up_indicator(view: View, *, step: Portion = 0.02, max_step: Portion = 0.2) -> np.ndarray:
    """Whether the parabolic stop turned to a rise."""
    return values(view, trend_psar_up_indicator, step=step, max_step=max_step)


@ta.feature(HLC, of="trend.PSARIndicator.psar_down_indicator", warmup=3, more=2_000, unit="0 or 1", scale_free=True)
def trend_psar_down_indicator(view: View, *, step: Portion = 0.02, max_step: Portion = 0.2) -> np.ndarray:
    """Whether the parabolic stop turned to a fall."""
    return values(view, trend_psar_down_indicator, step=step, max_step=max_step)
