"""On-chain features, one number for each symbol, joined by the moment each value became known.

The rows of a metric are filed under a symbol (``BTCUSD``) or under its base (``BTC``); a symbol without rows has NaN.
Default names are those of Coin Metrics; every name is a parameter. Windows count published observations: days where a
series is daily. Release lags and maximum ages belong to the series and are declared where they are stored
(``mnpu data info``). Providers recompute history, so without vintages a value may be better than what was known.
"""

from __future__ import annotations

from mnpu_data_onchain.activity import (
    active_addresses_change,
    active_addresses_zscore,
    fee_share,
    fees_zscore,
    metric_change,
    metric_zscore,
    transaction_count_change,
    transaction_value_change,
)
from mnpu_data_onchain.mining import (
    difficulty_ribbon,
    difficulty_ribbon_width,
    hash_rate_change,
    hash_ribbon,
    issuance_rate,
    puell_multiple,
)
from mnpu_data_onchain.valuation import exchange_net_flow, mvrv, mvrv_zscore, nvt, nvt_signal

__all__ = [
    "active_addresses_change",
    "active_addresses_zscore",
    "difficulty_ribbon",
    "difficulty_ribbon_width",
    "exchange_net_flow",
    "fee_share",
    "fees_zscore",
    "hash_rate_change",
    "hash_ribbon",
    "issuance_rate",
    "metric_change",
    "metric_zscore",
    "mvrv",
    "mvrv_zscore",
    "nvt",
    "nvt_signal",
    "puell_multiple",
    "transaction_count_change",
    "transaction_value_change",
]
