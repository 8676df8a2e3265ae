"""A whole model (`mnpu.forecasters`) in the place of a network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mnpu.forecasters import Forecaster, Windows
from mnpu.nn.protocols import HeadOutput

__all__ = ["Whole"]


class Whole(nn.Module):
    """A forecaster in the place of a network: windows in, quantiles out; it has no tensors of its own.

    Parameters
    ----------
    forecaster : Forecaster
    n_columns, lookback : int
        F' and L of its windows.
    """

    def __init__(self, forecaster: Forecaster, *, n_columns: int, lookback: int) -> None:
        super().__init__()
        self.forecaster, self.n_columns, self.lookback = forecaster, n_columns, lookback

    def forecast(self, x: Tensor) -> HeadOutput:
        """Quantiles (B, H, Q) of the scaled target, float64, for windows ``x`` (B, L, F')."""
        rows = np.ascontiguousarray(x.reshape(len(x), self.lookback * self.n_columns).cpu().numpy())
        quantiles = self.forecaster.forecast(Windows(rows, np.arange(len(rows)), self.lookback))
        return HeadOutput(torch.from_numpy(np.ascontiguousarray(quantiles)))

    def nothing(self) -> HeadOutput:
        """What it says of no window."""
        return self.forecast(torch.empty(0, self.lookback, self.n_columns))
