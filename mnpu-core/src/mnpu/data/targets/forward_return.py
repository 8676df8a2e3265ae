"""The return of a position that is opened after the decision and held for a number of bars."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mnpu.data.fills import Fills, fill_prices
from mnpu.data.targets.horizons import checked_horizons, ends_of, require_bars
from mnpu.types import Labels, Panel

__all__ = ["ForwardReturn"]


class ForwardReturn:
    """Simple total return from the first fill after the decision to the price ``h`` bars later.

    Parameters
    ----------
    horizons : tuple of int, default=(5,)
        Bars from the fill, each at least 1, increasing. One label for each, never a path.

    Notes
    -----
    Dividends count as cash, and a share that is delisted meanwhile as what it became.
    NaN: where the price of the fill or of the end is missing, and in the last rows.
    """

    lookback = 0

    def __init__(self, horizons: tuple[int, ...] = (5,)) -> None:
        self.horizons = checked_horizons(horizons)

    def __call__(self, panel: Panel, fill: str = "next_close") -> Labels:
        """Labels of every decision of ``panel``, (T, A, H), for orders filled by the rule ``fill``."""
        n_times, n_assets = panel.shape
        require_bars(n_times, self.horizons[-1])
        fills = fill_prices(panel, fill)
        values = np.full((n_times, n_assets, len(self.horizons)), np.nan)
        for i, h in enumerate(self.horizons):
            values[:-h, :, i] = _received(fills, h) / fills.prices[:-h] - 1.0
        ends = tuple(ends_of(fills, h) for h in self.horizons)
        return Labels(values, fills.times, ends, self.horizons, "forward_return")


def _received(fills: Fills, bars: int) -> np.ndarray:
    """What one share of fill t is worth ``bars`` later, (T - bars, A): its price, and the cash paid meanwhile."""
    later = fills.prices[bars:]
    if not fills.cash.any() and not fills.ended.any():
        return later
    meanwhile = sliding_window_view(fills.cash[1:], bars, axis=0).sum(axis=-1)
    gone = sliding_window_view(fills.ended[1:], bars, axis=0).any(axis=-1)
    return np.where(gone, 0.0, later) + meanwhile
