"""DLinear: a moving average splits each column into trend and remainder, and each part is mapped linearly over time.

After Zeng, Chen, Zhang and Xu (2023), "Are Transformers Effective for Time Series Forecasting?" (arXiv:2205.13504),
section 4; the decomposition is that of Autoformer (Wu et al. 2021, arXiv:2106.13008, eq. 1).

Glossary
--------
B batch, L lookback, F input columns, D model width, M numbers that each column's window is mapped to.
X (L,) the window of one column, P (L, L) moving average over ``kernel_size`` bars, T = P X its trend, R = X - T.
W_t, W_r (M, L) linear maps over time, one pair for all columns or one for each.

Equations
---------
decomposition  ``T = AvgPool(Pad(X))``, ``R = X - T``; the window's first and last bar are repeated as padding
maps           ``z = W_r R + W_t T`` for each column, shared or individual (the paper's DLinear-S and DLinear-I)
folded         ``z = E X`` with ``E = W_r + (W_t - W_r) P``: the decomposition is linear, so it is done on the weights
mixing         ``h = V [z_1 .. z_F] + b``, (F M) -> D

How step t is answered: by the window of L bars that ends there, with zeros for bars before the input. The last step is
the published model on the published centred average, and every earlier step is the same map of its own past; nothing
reads beyond t, so the whole is causal. As ``E`` does not depend on the input, this is one filter over time.

What it can represent is one linear map of the window; what the decomposition changes is the way there (trends are
learnt faster than wiggles), and with few M the columns share their shapes over time.

Departures: columns are mixed, because the target is none of them; M numbers take the place of the paper's horizon.

Does not include: NLinear's subtraction of the last value, several moving averages (FEDformer's mixture), a
non-linearity, dropout, a streaming step.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one, refuse

__all__ = ["DLinear"]

KERNEL = 25  # bars of the paper's moving average


class DLinear(nn.Module):
    """Trend and remainder of every column, each mapped linearly over time (DLinear).

    Parameters
    ----------
    n_features, lookback : int
        Input columns F and window length L, at least 3 bars.
    d_model : int, default=32
        Output width D.
    d_column : int, default=4
        Numbers M that each column's window is mapped to before columns are mixed.
    kernel_size : int, optional
        Bars of the moving average, odd, from 3 up to the lookback. Default: 25, or what a shorter window has room for.
    individual : bool, default=False
        Maps over time for each column, instead of one pair that all columns share.
    """

    causal = True
    streams = False

    def __init__(
        self,
        n_features: int,
        lookback: int,
        *,
        d_model: Annotated[int, Field(ge=1)] = 32,
        d_column: Annotated[int, Field(ge=1)] = 4,
        kernel_size: Annotated[int, Field(ge=3)] | None = None,
        individual: bool = False,
    ) -> None:
        super().__init__()
        at_least_one("backbone", n_features=n_features, lookback=lookback, d_model=d_model, d_column=d_column)
        self.n_features, self.lookback, self.d_out = n_features, lookback, d_model
        self.kernel_size = _kernel_size(kernel_size, lookback)
        maps = (n_features if individual else 1, d_column, lookback)  # (F or 1, M, L)
        bound = lookback**-0.5  # that of a linear layer with L inputs
        self.trend = nn.Parameter(torch.empty(maps).uniform_(-bound, bound))  # W_t
        self.remainder = nn.Parameter(torch.empty(maps).uniform_(-bound, bound))  # W_r
        self.mix = nn.Linear(n_features * d_column, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        maps = self.folded()  # (F or 1, M, L)
        past = F.pad(x.transpose(1, 2), (self.lookback - 1, 0))  # (B, F, 2L-1)
        if len(maps) == 1:
            z = F.conv1d(past.flatten(0, 1).unsqueeze(1), maps[0].unsqueeze(1))  # (B F, M, L)
            z = z.unflatten(0, (-1, self.n_features)).flatten(1, 2)  # (B, F M, L)
        else:
            z = F.conv1d(past, maps.flatten(0, 1).unsqueeze(1), groups=self.n_features)  # (B, F M, L)
        return self.mix(z.transpose(1, 2))  # (B, L, D)

    def summary(self, x: Tensor) -> Tensor:
        """The last step of ``forward``, as products: ``(B, L, F) -> (B, D)``."""
        maps = self.folded()  # (F or 1, M, L)
        shared = len(maps) == 1
        z = x.transpose(1, 2) @ maps[0].T if shared else torch.einsum("blf,fml->bfm", x, maps)  # (B, F, M)
        return self.mix(z.flatten(1))

    def folded(self) -> Tensor:
        """``E = W_r + (W_t - W_r) P``, (F or 1, M, L), with the average applied to the weights.

        P is a sliding mean of the padded window. Its transpose spreads every weight over the bars that were averaged,
        and what falls on the padding belongs to the bar that was repeated there.
        """
        k, half = self.kernel_size, self.kernel_size // 2
        spread = F.avg_pool1d(F.pad(self.trend - self.remainder, (k - 1, k - 1)), k, stride=1)  # (.., L + k - 1)
        first = spread[..., : half + 1].sum(-1, keepdim=True)
        last = spread[..., -half - 1 :].sum(-1, keepdim=True)
        return self.remainder + torch.cat([first, spread[..., half + 1 : -half - 1], last], dim=-1)


def _kernel_size(kernel_size: int | None, lookback: int) -> int:
    if lookback < 3:
        raise refuse("model.lookback", lookback, expected="at least 3 bars, to have a trend and a remainder")
    if kernel_size is None:
        return min(KERNEL, lookback - 1 + lookback % 2)
    at_least_one("backbone", kernel_size=kernel_size)
    if kernel_size < 3 or kernel_size % 2 == 0:
        raise refuse("backbone.kernel_size", kernel_size, expected="an odd number from 3 up, to have a centre")
    if kernel_size > lookback:
        raise refuse("backbone.kernel_size", kernel_size, expected=f"at most the lookback, {lookback}")
    return kernel_size
