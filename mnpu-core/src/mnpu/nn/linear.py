"""The plain baseline: one linear map of the window, which every other backbone has to beat.

Glossary
--------
B batch, L lookback, F input columns, D model width.
W (D, L, F): one weight for every lag and column; ``W[:, L-1]`` meets the present bar, ``W[:, 0]`` the oldest.

Equation
--------
``h_t = b + sum_{k=0}^{L-1} W[:, L-1-k] x_{t-k}``, with ``x`` zero before the window: a finite impulse response, so
``h_t`` uses the past only, and the last step is the familiar linear map of the flattened window.

Does not include: a hidden layer, any non-linearity, normalisation, dropout, separate trend and remainder parts.
"""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one

__all__ = ["Linear"]


class Linear(nn.Module):
    """Linear map of the past window at every step: the plain baseline.

    Parameters
    ----------
    n_features, lookback : int
        Input columns F and window length L.
    d_model : int, default=32
        Output width D.
    """

    causal = True
    streams = False

    def __init__(self, n_features: int, lookback: int, *, d_model: Annotated[int, Field(ge=1)] = 32) -> None:
        super().__init__()
        at_least_one("backbone", n_features=n_features, lookback=lookback, d_model=d_model)
        self.n_features, self.lookback, self.d_out = n_features, lookback, d_model
        self.map = nn.Linear(lookback * n_features, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        weight = self.map.weight.view(self.d_out, self.lookback, self.n_features)
        past = F.pad(x.transpose(1, 2), (self.lookback - 1, 0))  # (B, F, 2L-1)
        return F.conv1d(past, weight.transpose(1, 2), self.map.bias).transpose(1, 2)  # (B, L, D)

    def summary(self, x: Tensor) -> Tensor:
        """The last step of ``forward`` in one product: ``(B, L, F) -> (B, D)``."""
        return self.map(x.flatten(1))  # (B, D)
