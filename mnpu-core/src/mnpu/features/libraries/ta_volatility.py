"""The library ta: volatility and bands."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View
from mnpu.features.libraries.columns import BY_WILDER, after, values
from mnpu.features.libraries.ta_columns import CLOSE, HLC, Positive, SeveralBars, ta


@ta.feature(CLOSE, of="volatility.BollingerBands.bollinger_mavg", warmup=after(0, window=1))
def volatility_bbm(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Bollinger bands, the middle."""
    return values(view, volatility_bbm, window=window)


@ta.feature(CLOSE, of="volatility.BollingerBands.bollinger_hband", warmup=after(0, window=1))
def volatility_bbh(view: View, *, window: SeveralBars = 20, window_dev: Positive = 2) -> np.ndarray:
    """Bollinger bands, the upper one."""
    return values(view, volatility_bbh, window=window, window_dev=window_dev)


@ta.feature(CLOSE, of="volatility.BollingerBands.bollinger_lband", warmup=after(0, window=1))
def volatility_bbl(view: View, *, window: SeveralBars = 20, window_dev: Positive = 2) -> np.ndarray:
    """Bollinger bands, the lower one."""
    return values(view, volatility_bbl, window=window, window_dev=window_dev)


@ta.feature(
    CLOSE, of="volatility.BollingerBands.bollinger_wband", warmup=after(0, window=1), unit="percent", scale_free=True
)
def volatility_bbw(view: View, *, window: SeveralBars = 20, window_dev: Positive = 2) -> np.ndarray:
    """Width of the Bollinger bands."""
    return values(view, volatility_bbw, window=window, window_dev=window_dev)


@ta.feature(
    CLOSE, of="volatility.BollingerBands.bollinger_pband", warmup=after(0, window=1), unit="fraction", scale_free=True
)
def volatility_bbp(view: View, *, window: SeveralBars = 20, window_dev: Positive = 2) -> np.ndarray:
    """Place of the close between the Bollinger bands."""
    return values(view, volatility_bbp, window=window, window_dev=window_dev)


@ta.feature(
    CLOSE,
    of="volatility.BollingerBands.bollinger_hband_indicator",
    warmup=after(0, window=1),
    unit="0 or 1",
    scale_free=True,
)
def volatility_bbhi(view: View, *, window: SeveralBars = 20, window_dev: Positive = 2) -> np.ndarray:
    """Whether the close is above the upper Bollinger band."""
    return values(view, volatility_bbhi, window=window, window_dev=window_dev)


@ta.feature(
    CLOSE,
    of="volatility.BollingerBands.bollinger_lband_indicator",
    warmup=after(0, window=1),
    unit="0 or 1",
    scale_free=True,
)
def volatility_bbli(view: View, *, window: SeveralBars = 20, window_dev: Positive = 2) -> np.ndarray:
    """Whether the close is below the lower Bollinger band."""
    return values(view, volatility_bbli, window=window, window_dev=window_dev)


@ta.feature(HLC, of="volatility.KeltnerChannel.keltner_channel_mband", warmup=after(0, window=1))
def volatility_kcc(view: View, *, window: SeveralBars = 10) -> np.ndarray:
    """Keltner channel, the middle."""
    return values(view, volatility_kcc, window=window)


@ta.feature(HLC, of="volatility.KeltnerChannel.keltner_channel_hband", warmup=after(0, window=1))
def volatility_kch(view: View, *, window: SeveralBars = 10) -> np.ndarray:
    """Keltner channel, the upper band."""
    return values(view, volatility_kch, window=window)


@ta.feature(HLC, of="volatility.KeltnerChannel.keltner_channel_lband", warmup=after(0, window=1))
def volatility_kcl(view: View, *, window: SeveralBars = 10) -> np.ndarray:
    """Keltner channel, the lower band."""
    return values(view, volatility_kcl, window=window)


@ta.feature(
    HLC,
    of="volatility.KeltnerChannel.keltner_channel_wband",
    warmup=after(0, window=1),
    unit="percent",
    scale_free=True,
)
def volatility_kcw(view: View, *, window: SeveralBars = 10) -> np.ndarray:
    """Width of the Keltner channel."""
    return values(view, volatility_kcw, window=window)


@ta.feature(
    HLC,
    of="volatility.KeltnerChannel.keltner_channel_pband",
    warmup=after(0, window=1),
    unit="fraction",
    scale_free=True,
)
def volatility_kcp(view: View, *, window: SeveralBars = 10) -> np.ndarray:
    """Place of the close in the Keltner channel."""
    return values(view, volatility_kcp, window=window)


@ta.feature(
    HLC,
    of="volatility.KeltnerChannel.keltner_channel_hband_indicator",
    warmup=after(0, window=1),
    unit="0 or 1",
    scale_free=True,
)
def volatility_kchi(view: View, *, window: SeveralBars = 10) -> np.ndarray:
    """Whether the close is above the Keltner channel."""
    return values(view, volatility_kchi, window=window)


@ta.feature(
    HLC,
    of="volatility.KeltnerChannel.keltner_channel_lband_indicator",
    warmup=after(0, window=1),
    unit="0 or 1",
    scale_free=True,
)
def volatility_kcli(view: View, *, window: SeveralBars = 10) -> np.ndarray:
    """Whether the close is below the Keltner channel."""
    return values(view, volatility_kcli, window=window)


@ta.feature(HLC, of="volatility.DonchianChannel.donchian_channel_lband", warmup=after(0, window=1))
def volatility_dcl(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Donchian channel, the lower band."""
    return values(view, volatility_dcl, window=window)


@ta.feature(HLC, of="volatility.DonchianChannel.donchian_channel_hband", warmup=after(0, window=1))
def volatility_dch(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Donchian channel, the upper band."""
    return values(view, volatility_dch, window=window)


@ta.feature(HLC, of="volatility.DonchianChannel.donchian_channel_mband", warmup=after(0, window=1))
def volatility_dcm(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Donchian channel, the middle."""
    return values(view, volatility_dcm, window=window)


@ta.feature(
    HLC,
    of="volatility.DonchianChannel.donchian_channel_wband",
    warmup=after(0, window=1),
    unit="percent",
    scale_free=True,
)
def volatility_dcw(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Width of the Donchian channel."""
    return values(view, volatility_dcw, window=window)


@ta.feature(
    HLC,
    of="volatility.DonchianChannel.donchian_channel_pband",
    warmup=after(0, window=1),
    unit="fraction",
    scale_free=True,
)
def volatility_dcp(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Place of the close in the Donchian channel."""
    return values(view, volatility_dcp, window=window)


@ta.feature(HLC, of="volatility.AverageTrueRange.average_true_range", warmup=after(0, window=1), forgets=BY_WILDER)
def volatility_atr(view: View, *, window: SeveralBars = 10) -> np.ndarray:
    """Average true range."""
    return values(view, volatility_atr, window=window)


@ta.feature(CLOSE, of="volatility.UlcerIndex.ulcer_index", warmup=after(-1, window=2), unit="percent", scale_free=True)
def volatility_ui(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Ulcer index."""
    return values(view, volatility_ui, window=window)
