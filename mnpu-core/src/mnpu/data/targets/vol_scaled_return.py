"""The return of a position in units of what the symbol usually moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from mnpu.data.targets.forward_return import ForwardReturn
from mnpu.data.targets.horizons import require_bars
from mnpu.data.targets.trailing import trailing_volatility
from mnpu.types import Labels, Panel

__all__ = ["VolScaledReturn"]


class VolScaledReturn:
    """Forward return divided by the symbol's volatility over the last bars before the decision.

    ``y = r_h / (sigma_t sqrt(h))``: about unit size for every symbol, regime and horizon, so that a calm symbol counts
    as much in the loss as a wild one. The volatility is known at the decision.

    Parameters
    ----------
    horizons : tuple of int, default=(5,)
        Bars from the fill, each at least 1, increasing.
    window : int, default=20
        Bars that the volatility looks back over.

    Notes
    -----
    NaN: where the forward return is, and where the volatility is: in the first ``window`` rows, where fewer than half
    of its returns are known, or where nothing moved.
    """

    def __init__(self, horizons: tuple[int, ...] = (5,), window: Annotated[int, Field(ge=2, le=2000)] = 20) -> None:
        self._returns = ForwardReturn(horizons)
        self.horizons, self.window = self._returns.horizons, window
        self.lookback = window

    def __call__(self, panel: Panel, fill: str = "next_close") -> Labels:
        """Labels of every decision of ``panel``, (T, A, H), for orders filled by the rule ``fill``."""
        require_bars(len(panel.times), self.horizons[-1], window=self.window)
        labels = self._returns(panel, fill)
        usual = trailing_volatility(panel, window=self.window)[:, :, None] * np.sqrt(self.horizons)  # (T, A, H)
        return replace(labels, values=labels.values / usual, name="vol_scaled_return")
