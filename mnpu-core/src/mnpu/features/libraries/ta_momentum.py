"""The library ta: momentum and returns."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View
from mnpu.features.libraries.columns import BY_EMA, BY_WILDER, after, slowest, values
from mnpu.features.libraries.own_bars import COMPOUNDED
from mnpu.features.libraries.ta_columns import CLOSE, HL, HLC, VOLUME, Bars, Positive, SeveralBars, ta


@ta.feature(
    CLOSE, of="momentum.RSIIndicator.rsi", warmup=after(0, window=1), forgets=BY_WILDER, unit="percent", scale_free=True
)
def momentum_rsi(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Relative strength index."""
    return values(view, momentum_rsi, window=window)


@ta.feature(
    CLOSE,
    of="momentum.StochRSIIndicator.stochrsi",
    warmup=after(-1, window=2),
    forgets=BY_WILDER,
    unit="fraction",
    scale_free=True,
)
def momentum_stoch_rsi(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Stochastic of the relative strength index."""
    return values(view, momentum_stoch_rsi, window=window)


@ta.feature(
    CLOSE,
    of="momentum.StochRSIIndicator.stochrsi_k",
    warmup=after(-2, window=2, smooth1=1),
    forgets=BY_WILDER,
    unit="fraction",
    scale_free=True,
)
def momentum_stoch_rsi_k(view: View, *, window: SeveralBars = 14, smooth1: Bars = 3) -> np.ndarray:
    """Mean of the stochastic of the relative strength index."""
    return values(view, momentum_stoch_rsi_k, window=window, smooth1=smooth1)


@ta.feature(
    CLOSE,
    of="momentum.StochRSIIndicator.stochrsi_d",
    warmup=after(-3, window=2, smooth1=1, smooth2=1),
    forgets=BY_WILDER,
    unit="fraction",
    scale_free=True,
)
def momentum_stoch_rsi_d(view: View, *, window: SeveralBars = 14, smooth1: Bars = 3, smooth2: Bars = 3) -> np.ndarray:
    """Mean of that mean."""
    return values(view, momentum_stoch_rsi_d, window=window, smooth1=smooth1, smooth2=smooth2)


@ta.feature(
    CLOSE,
    of="momentum.TSIIndicator.tsi",
    warmup=after(0, window_slow=1, window_fast=1),
    forgets=BY_EMA,
    unit="percent",
    scale_free=True,
)
def momentum_tsi(view: View, *, window_slow: SeveralBars = 25, window_fast: SeveralBars = 13) -> np.ndarray:
    """True strength index."""
    return values(view, momentum_tsi, window_slow=window_slow, window_fast=window_fast)


@ta.feature(
    HLC,
    of="momentum.UltimateOscillator.ultimate_oscillator",
    warmup=slowest(1, "window1", "window2", "window3"),
    unit="percent",
    scale_free=True,
)
def momentum_uo(
    view: View,
    *,
    window1: Bars = 7,
    window2: Bars = 14,
    window3: Bars = 28,
    weight1: Positive = 4.0,
    weight2: Positive = 2.0,
    weight3: Positive = 1.0,
) -> np.ndarray:
    """Ultimate oscillator."""
    return values(
        view,
        momentum_uo,
        window1=window1,
        window2=window2,
        window3=window3,
        weight1=weight1,
        weight2=weight2,
        weight3=weight3,
    )


@ta.feature(HLC, of="momentum.StochasticOscillator.stoch", warmup=after(0, window=1), unit="percent", scale_free=True)
def momentum_stoch(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Stochastic oscillator."""
    return values(view, momentum_stoch, window=window)


@ta.feature(
    HLC,
    of="momentum.StochasticOscillator.stoch_signal",
    warmup=after(-1, window=1, smooth_window=1),
    unit="percent",
    scale_free=True,
)
def momentum_stoch_signal(view: View, *, window: SeveralBars = 14, smooth_window: Bars = 3) -> np.ndarray:
    """Mean of the stochastic oscillator."""
    return values(view, momentum_stoch_signal, window=window, smooth_window=smooth_window)


@ta.feature(HLC, of="momentum.WilliamsRIndicator.williams_r", warmup=after(0, lbp=1), unit="percent", scale_free=True)
def momentum_wr(view: View, *, lbp: SeveralBars = 14) -> np.ndarray:
    """Williams %R."""
    return values(view, momentum_wr, lbp=lbp)


@ta.feature(HL, of="momentum.AwesomeOscillatorIndicator.awesome_oscillator", warmup=slowest(0, "window1", "window2"))
def momentum_ao(view: View, *, window1: Bars = 5, window2: Bars = 34) -> np.ndarray:
    """Awesome oscillator."""
    return values(view, momentum_ao, window1=window1, window2=window2)


@ta.feature(CLOSE, of="momentum.ROCIndicator.roc", warmup=after(1, window=1), unit="percent", scale_free=True)
def momentum_roc(view: View, *, window: Bars = 12) -> np.ndarray:
    """Rate of change."""
    return values(view, momentum_roc, window=window)


@ta.feature(
    CLOSE,
    of="momentum.PercentagePriceOscillator.ppo",
    warmup=slowest(0, "window_slow", "window_fast"),
    forgets=BY_EMA,
    unit="percent",
    scale_free=True,
)
def momentum_ppo(view: View, *, window_slow: SeveralBars = 26, window_fast: SeveralBars = 12) -> np.ndarray:
    """Percentage price oscillator."""
    return values(view, momentum_ppo, window_slow=window_slow, window_fast=window_fast)


@ta.feature(
    CLOSE,
    of="momentum.PercentagePriceOscillator.ppo_signal",
    warmup=slowest(-1, "window_slow", "window_fast", window_sign=1),
    forgets=BY_EMA,
    unit="percent",
    scale_free=True,
)
def momentum_ppo_signal(
    view: View, *, window_slow: SeveralBars = 26, window_fast: SeveralBars = 12, window_sign: Bars = 9
) -> np.ndarray:
    """Percentage price oscillator, its signal line."""
    return values(view, momentum_ppo_signal, window_slow=window_slow, window_fast=window_fast, window_sign=window_sign)


@ta.feature(
    CLOSE,
    of="momentum.PercentagePriceOscillator.ppo_hist",
    warmup=slowest(-1, "window_slow", "window_fast", window_sign=1),
    forgets=BY_EMA,
    unit="percent",
    scale_free=True,
)
def momentum_ppo_hist(
    view: View, *, window_slow: SeveralBars = 26, window_fast: SeveralBars = 12, window_sign: Bars = 9
) -> np.ndarray:
    """Percentage price oscillator less its signal line."""
    return values(view, momentum_ppo_hist, window_slow=window_slow, window_fast=window_fast, window_sign=window_sign)


@ta.feature(
    VOLUME,
    of="momentum.PercentageVolumeOscillator.pvo",
    warmup=slowest(0, "window_slow", "window_fast"),
    forgets=BY_EMA,
    unit="percent",
    scale_free=True,
)
def momentum_pvo(view: View, *, window_slow: SeveralBars = 26, window_fast: SeveralBars = 12) -> np.ndarray:
    """Percentage volume oscillator."""
    return values(view, momentum_pvo, window_slow=window_slow, window_fast=window_fast)


@ta.feature(
    VOLUME,
    of="momentum.PercentageVolumeOscillator.pvo_signal",
    warmup=slowest(-1, "window_slow", "window_fast", window_sign=1),
    forgets=BY_EMA,
    unit="percent",
    scale_free=True,
)
def momentum_pvo_signal(
    view: View, *, window_slow: SeveralBars = 26, window_fast: SeveralBars = 12, window_sign: Bars = 9
) -> np.ndarray:
    """Percentage volume oscillator, its signal line."""
    return values(view, momentum_pvo_signal, window_slow=window_slow, window_fast=window_fast, window_sign=window_sign)


@ta.feature(
    VOLUME,
    of="momentum.PercentageVolumeOscillator.pvo_hist",
    warmup=slowest(-1, "window_slow", "window_fast", window_sign=1),
    forgets=BY_EMA,
    unit="percent",
    scale_free=True,
)
def momentum_pvo_hist(
    view: View, *, window_slow: SeveralBars = 26, window_fast: SeveralBars = 12, window_sign: Bars = 9
) -> np.ndarray:
    """Percentage volume oscillator less its signal line."""
    return values(view, momentum_pvo_hist, window_slow=window_slow, window_fast=window_fast, window_sign=window_sign)


@ta.feature(CLOSE, of="momentum.KAMAIndicator.kama", warmup=after(0, window=1), more=3_000)
def momentum_kama(view: View, *, window: SeveralBars = 10, pow1: Bars = 2, pow2: Bars = 30) -> np.ndarray:
    """Kaufman's adaptive average."""
    return values(view, momentum_kama, window=window, pow1=pow1, pow2=pow2)


@ta.feature(CLOSE, of="others.DailyReturnIndicator.daily_return", warmup=2, unit="percent", scale_free=True)
def others_dr(view: View) -> np.ndarray:
    """Return of a bar."""
    return values(view, others_dr)


@ta.feature(CLOSE, of="others.DailyLogReturnIndicator.daily_log_return", warmup=2, unit="percent", scale_free=True)
def others_dlr(view: View) -> np.ndarray:
    """Log return of a bar."""
    return values(view, others_dlr)


@ta.feature(
    CLOSE, of="others.CumulativeReturnIndicator.cumulative_return", chain=COMPOUNDED, unit="percent", scale_free=True
)
def others_cr(view: View) -> np.ndarray:
    """Return since the symbol's first bar."""
    return values(view, others_cr)
