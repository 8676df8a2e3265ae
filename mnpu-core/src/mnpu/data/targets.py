"""What is forecast, with the interval of time that each label spans."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from mnpu.data.clock import utc
from mnpu.data.fills import Fills, fill_prices
from mnpu.errors import ConfigError, DataError
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

    def __init__(self, horizons: tuple[int, ...] = (5,)) -> None:
        chosen = tuple(horizons)
        if not chosen or chosen[0] < 1 or any(b <= a for a, b in pairwise(chosen)):
            raise ConfigError(
                f"horizons are {list(chosen)}",
                where="target.horizons",
                expected="increasing integers from 1, e.g. [1, 5]",
            )
        self.horizons = chosen

    def __call__(self, panel: Panel, fill: str = "next_close") -> Labels:
        """Labels of every decision of ``panel``, (T, A, H), for orders filled by the rule ``fill``."""
        n_times, n_assets = panel.shape
        if n_times < self.horizons[-1] + 2:
            raise DataError(
                f"{n_times} bars are too few for a horizon of {self.horizons[-1]}",
                where="target.horizons",
                expected=f"at least {self.horizons[-1] + 2} bars",
                next_step="Take a longer range or a shorter horizon.",
            )
        fills = fill_prices(panel, fill)
        values = np.full((n_times, n_assets, len(self.horizons)), np.nan)
        ends = []
        for i, h in enumerate(self.horizons):
            values[:-h, :, i] = _received(fills, h) / fills.prices[:-h] - 1.0
            nothing = pd.DatetimeIndex([pd.NaT] * h, tz="UTC").as_unit("ns")
            ends.append(utc(fills.times[h:].append(nothing)))
        return Labels(values, fills.times, tuple(ends), self.horizons, "forward_return")


def _received(fills: Fills, bars: int) -> np.ndarray:
    """What one share of fill t is worth ``bars`` later, (T - bars, A): its price, and the cash paid meanwhile."""
    later = fills.prices[bars:]
    if not fills.cash.any() and not fills.ended.any():
        return later
    meanwhile = sliding_window_view(fills.cash[1:], bars, axis=0).sum(axis=-1)
    gone = sliding_window_view(fills.ended[1:], bars, axis=0).any(axis=-1)
    return np.where(gone, 0.0, later) + meanwhile
