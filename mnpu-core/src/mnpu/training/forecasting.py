"""Forecast: every usable window of some decisions through a fitted network."""

from __future__ import annotations

import numpy as np
import torch

from mnpu.data.windows import window_index
from mnpu.errors import DataError
from mnpu.training.batches import gather
from mnpu.training.fitted import Fitted
from mnpu.training.reproducible import n_threads
from mnpu.types import FeatureFrame, Forecast

__all__ = ["forecast"]


def forecast(fitted: Fitted, frame: FeatureFrame, *, rows: tuple[int, int], batch_size: int = 512) -> Forecast:
    """Predictive quantiles for the decisions ``rows[0] <= t < rows[1]``.

    Parameters
    ----------
    fitted : Fitted
    frame : FeatureFrame
        The columns that the network was fitted on; a window may begin before ``rows``. The last ``lookback`` rows
        are enough for the last decision.
    rows : (start, stop)
        Decisions after the training range.
    batch_size : int, default=512
        Windows at a time; it changes no forecast by more than rounding.

    Returns
    -------
    Forecast
        All T rows of the frame, in units of the label; NaN outside ``rows`` and where no window is usable.

    Raises
    ------
    DataError
        If the columns differ, or a decision lies in the training range.
    """
    if frame.names != fitted.names:
        raise DataError(
            f"the features are {', '.join(frame.names)}",
            where="forecast",
            expected=f"those of the fit: {', '.join(fitted.names)}",
            next_step="Compute the features of the recipe that the network was fitted with.",
        )
    start, stop = max(rows[0], 0), min(rows[1], len(frame.times))
    fitted.scaler.check_scoring(frame.times[start:stop])
    quantiles = np.full((*frame.tradable.shape, len(fitted.horizons), len(fitted.levels)), np.nan)
    time, symbol = window_index(
        frame.values,
        None,
        frame.tradable,
        rows=(start, stop),
        lookback=fitted.lookback,
        min_present=fitted.min_present,
    )
    if len(time):
        origin = max(start - fitted.lookback + 1, 0)
        scaled = fitted.scaler.scale(frame.values[origin:stop])
        quantiles[time, symbol] = _quantiles(fitted, scaled, time - origin, symbol, batch_size)
    return Forecast(frame.times, frame.symbols, fitted.horizons, fitted.levels, quantiles)


def _quantiles(fitted: Fitted, scaled: np.ndarray, time: np.ndarray, symbol: np.ndarray, batch_size: int) -> np.ndarray:
    """Quantiles (N, H, Q), float64: float32 widens exactly and a positive factor keeps the order."""
    device = next(fitted.network.parameters()).device
    windows = gather(scaled, time, symbol, lookback=fitted.lookback, device=device)
    fitted.network.eval()
    with torch.inference_mode(), n_threads(fitted.threads):
        parts = [fitted.network(batch.x).double().cpu() for batch in windows.chunks(batch_size)]
    return torch.cat(parts).numpy() * fitted.target_scale[:, None]
