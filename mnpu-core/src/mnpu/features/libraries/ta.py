"""The columns of the library ta under their own names, computed by ta: pip install "mnpu-core[ta]".

Names and defaults are those of ``ta.add_all_ta_features``. ta is given each symbol's own complete bars: a missing bar
is left out and has no value, nor has a bar before the first value. Its ``fillna`` is not offered, as it fills gaps
and the first rows with what nobody knew. What recurs from bar to bar begins anew so far back that the start is worth
less than 1e-9 of the column's range, and is carried, so that a value bar by bar is the value of the batch.

ta computes with frames of pandas, symbol by symbol: a step of one column and symbol takes milliseconds, while the
same indicators of `mnpu.features.technical` and of TA-Lib are hundreds of times as fast.
"""

# ruff: noqa: F401  what is imported here is registered

from __future__ import annotations

from mnpu.features.libraries.ta_momentum import (
    momentum_ao,
    momentum_kama,
    momentum_ppo,
    momentum_ppo_hist,
    momentum_ppo_signal,
    momentum_pvo,
    momentum_pvo_hist,
    momentum_pvo_signal,
    momentum_roc,
    momentum_rsi,
    momentum_stoch,
    momentum_stoch_rsi,
    momentum_stoch_rsi_d,
    momentum_stoch_rsi_k,
    momentum_stoch_signal,
    momentum_tsi,
    momentum_uo,
    momentum_wr,
    others_cr,
    others_dlr,
    others_dr,
)
from mnpu.features.libraries.ta_trend import (
    trend_adx,
    trend_adx_neg,
    trend_adx_pos,
    trend_aroon_down,
    trend_aroon_ind,
    trend_aroon_up,
    trend_cci,
    trend_dpo,
    trend_ema_fast,
    trend_ema_slow,
    trend_ichimoku_a,
    trend_ichimoku_b,
    trend_ichimoku_base,
    trend_ichimoku_conv,
    trend_macd,
    trend_macd_diff,
    trend_macd_signal,
    trend_mass_index,
    trend_psar_down,
    trend_psar_down_indicator,
    trend_psar_up,
    trend_psar_up_indicator,
    trend_sma_fast,
    trend_sma_slow,
    trend_stc,
    trend_trix,
    trend_vortex_ind_diff,
    trend_vortex_ind_neg,
    trend_vortex_ind_pos,
)
from mnpu.features.libraries.ta_volatility import (
    volatility_atr,
    volatility_bbh,
    volatility_bbhi,
    volatility_bbl,
    volatility_bbli,
    volatility_bbm,
    volatility_bbp,
    volatility_bbw,
    volatility_dch,
    volatility_dcl,
    volatility_dcm,
    volatility_dcp,
    volatility_dcw,
    volatility_kcc,
    volatility_kch,
    volatility_kchi,
    volatility_kcl,
    volatility_kcli,
    volatility_kcp,
    volatility_kcw,
    volatility_ui,
)
from mnpu.features.libraries.ta_volume import (
    volume_adi,
    volume_cmf,
    volume_em,
    volume_fi,
    volume_mfi,
    volume_nvi,
    volume_obv,
    volume_sma_em,
    volume_vpt,
    volume_vwap,
)

__all__ = ["REFUSED", "REQUIRES"]

#: What the features need beside core: what is imported, and what brings it.
REQUIRES = {"ta": "mnpu-core[ta]"}

_MEAN = "its first rows stand on the mean of all closes, later ones among them"

#: Columns of ta that look ahead, and why.
REFUSED = {
    **dict.fromkeys(("trend_kst", "trend_kst_sig", "trend_kst_diff"), _MEAN),
    **dict.fromkeys(("trend_visual_ichimoku_a", "trend_visual_ichimoku_b"), f"{_MEAN}; trend_ichimoku_a and _b do not"),
}
