"""The library ta: volume."""

from __future__ import annotations

import numpy as np

from mnpu.features.api import View
from mnpu.features.libraries.columns import BY_EMA, after, values
from mnpu.features.libraries.own_bars import ADDED, MULTIPLIED
from mnpu.features.libraries.ta_columns import CV, HLCV, HLV, Bars, SeveralBars, ta


@ta.feature(HLCV, of="volume.AccDistIndexIndicator.acc_dist_index", chain=ADDED, unit="shares")
def volume_adi(view: View) -> np.ndarray:
    """Accumulation/distribution index."""
    return values(view, volume_adi)


@ta.feature(CV, of="volume.OnBalanceVolumeIndicator.on_balance_volume", chain=ADDED, unit="shares")
def volume_obv(view: View) -> np.ndarray:
    """On-balance volume."""
    return values(view, volume_obv)


@ta.feature(
    HLCV,
    of="volume.ChaikinMoneyFlowIndicator.chaikin_money_flow",
    warmup=after(0, window=1),
    unit="ratio",
    scale_free=True,
)
def volume_cmf(view: View, *, window: SeveralBars = 20) -> np.ndarray:
    """Chaikin money flow."""
    return values(view, volume_cmf, window=window)


@ta.feature(
    CV,
    of="volume.ForceIndexIndicator.force_index",
    warmup=after(1, window=1),
    forgets=BY_EMA,
    unit="currency times shares",
)
def volume_fi(view: View, *, window: SeveralBars = 13) -> np.ndarray:
    """Force index."""
    return values(view, volume_fi, window=window)


@ta.feature(HLV, of="volume.EaseOfMovementIndicator.ease_of_movement", warmup=2, unit="currency squared per share")
def volume_em(view: View) -> np.ndarray:
    """Ease of movement."""
    return values(view, volume_em)


@ta.feature(
    HLV,
    of="volume.EaseOfMovementIndicator.sma_ease_of_movement",
    warmup=after(1, window=1),
    unit="currency squared per share",
)
def volume_sma_em(view: View, *, window: Bars = 14) -> np.ndarray:
    """Mean ease of movement."""
    return values(view, volume_sma_em, window=window)


@ta.feature(CV, of="volume.VolumePriceTrendIndicator.volume_price_trend", warmup=2, chain=ADDED, unit="shares")
def volume_vpt(view: View) -> np.ndarray:
    """Volume-price trend."""
    return values(view, volume_vpt)


@ta.feature(HLCV, of="volume.VolumeWeightedAveragePrice.volume_weighted_average_price", warmup=after(0, window=1))
def volume_vwap(view: View, *, window: Bars = 14) -> np.ndarray:
    """Volume-weighted average price of a window."""
    return values(view, volume_vwap, window=window)


@ta.feature(HLCV, of="volume.MFIIndicator.money_flow_index", warmup=after(1, window=1), unit="percent", scale_free=True)
def volume_mfi(view: View, *, window: SeveralBars = 14) -> np.ndarray:
    """Money flow index."""
    return values(view, volume_mfi, window=window)


@ta.feature(CV, of="volume.NegativeVolumeIndexIndicator.negative_volume_index", chain=MULTIPLIED, unit="points")
def volume_nvi(view: View) -> np.ndarray:
    """Negative volume index."""
    return values(view, volume_nvi)
