"""A planted fault: features that look one bar ahead."""

from __future__ import annotations

import numpy as np

from mnpu import feature


@feature(fields=("close",), scale_free=True, warmup=2, unit="fraction", scope="symbol")
def tomorrow(view):
    """Return of the next bar, which nobody can know."""
    close = view["close"]
    ahead = np.full_like(close, np.nan)
    ahead[:-1] = close[1:] / close[:-1] - 1
    return ahead
