"""TCN: residual blocks of dilated causal convolutions, over the window or bar by bar with ring buffers.

After Bai, Kolter and Koltun (2018), "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for
Sequence Modeling" (arXiv:1803.01271), section 3.

Glossary
--------
B batch, L lookback, F input columns, D model width, C columns of a block's input (F in the first block, then D),
K taps of a filter (``kernel_size``), i block from 0, d = 2^i its dilation, j tap, R receptive field.

Equations
---------
convolution  ``(f * x)_t = b + sum_j f_j x_{t - d j}``, with x zero before the window (section 3.2)
weights      ``f = g v / |v|``: weight normalisation (Salimans and Kingma 2016, arXiv:1602.07868, eq. 2)
branch       ``A(x) = drop(relu(f2 * drop(relu(f1 * x))))``, drop leaving out whole channels (figure 1 b)
block        ``o = relu(x + A(x))``; where C is not D, x passes a map of one tap first (section 3.3)
reach        ``R = 1 + 2 (K - 1) (2^depth - 1)``: how many bars the last step sees

The last step needs only every 2^i-th step of block i's input, counted from the end: `TCN.summary` computes those alone,
some 2 L steps instead of ``depth`` times L. A stream keeps the last (K - 1) d inputs of each convolution in a ring of d
columns with K - 1 slots, of which a step reads and writes a single column: its work depends on neither d nor history.

Departures: filters start with unit length; a layer norm follows the last block, as the scale grows with depth.

Does not include: batch normalisation, pooling, WaveNet's gates and skip connections to the output.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one, refuse
from mnpu.nn.recompute import through

__all__ = ["TCN", "CausalConv"]

#: What one convolution remembers: inputs (d, K-1, B, C), and the number of steps taken.
Ring = tuple[Tensor, int]


class TCN(nn.Module):
    """Temporal convolutional network: dilated causal filters in residual blocks, over a window or bar by bar.

    Parameters
    ----------
    n_features, lookback : int
        Input columns F and window length L.
    d_model : int, default=32
        Width D.
    kernel_size : int, default=3
        Taps K of a filter, at least 2.
    depth : int, optional
        Blocks; the dilation doubles with each and stays below the lookback. Default: the fewest that see all of it.
    dropout : float, default=0.0
        Share of channels left out in training.
    """

    causal = True
    streams = True
    checkpoint_activations = False

    def __init__(
        self,
        n_features: int,
        lookback: int,
        *,
        d_model: Annotated[int, Field(ge=1)] = 32,
        kernel_size: Annotated[int, Field(ge=2)] = 3,
        depth: Annotated[int, Field(ge=1)] | None = None,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        at_least_one("backbone", n_features=n_features, lookback=lookback, d_model=d_model, kernel_size=kernel_size)
        if kernel_size < 2:
            raise refuse("backbone.kernel_size", kernel_size, expected="at least 2 taps, to see more than one bar")
        if not 0 <= dropout < 1:
            raise refuse("backbone.dropout", dropout, expected="a share from 0 up to, but not, 1")
        depth = _depth(depth, lookback, kernel_size)
        self.d_out = d_model
        self.receptive_field = _receptive_field(depth, kernel_size)
        self.blocks = nn.ModuleList(
            Block(n_features if i == 0 else d_model, d_model, kernel_size, 2**i, dropout) for i in range(depth)
        )
        self.norm = nn.LayerNorm(d_model)

    @property
    def no_weight_decay(self) -> frozenset[str]:
        """Directions of filters: their length means nothing, so to shrink it only changes the size of later steps."""
        return frozenset(name for name, _ in self.named_parameters() if name.endswith("direction"))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        h = x.transpose(1, 2)  # (B, F, L)
        for block in self.blocks:
            h = through(self, block, h)  # (B, D, L)
        return self.norm(h.transpose(1, 2))  # (B, L, D)

    def summary(self, x: Tensor) -> Tensor:
        """The last step of ``forward``, without the steps that it does not need: ``(B, L, F) -> (B, D)``."""
        h = x[:, -self.receptive_field :].transpose(1, 2)  # (B, F, up to R)
        for block in self.blocks:
            h = through(self, block.thinned, h)  # (B, D, half as many)
        return self.norm(h[..., -1])  # (B, D)

    def initial_state(self, batch: int) -> list[Ring]:
        """Empty rings, one for each convolution."""
        return [ring for block in self.blocks for ring in block.initial_state(batch)]

    @torch.no_grad()
    def step(self, x: Tensor, state: list[Ring]) -> tuple[Tensor, list[Ring]]:
        """One bar in constant time: ``(B, F)`` and the rings to ``(B, D)`` and the same rings, written to.

        A step is for inference: it has no gradient, and the state that it was given is used up.
        """
        h, following = x, []
        for i, block in enumerate(self.blocks):
            h, rings = block.step(h, state[2 * i : 2 * i + 2])  # (B, D)
            following += rings
        return self.norm(h), following


class Block(nn.Module):
    """Two convolutions with ReLU and dropout, beside the input itself: ``relu(x + A(x))``."""

    def __init__(self, c_in: int, d_model: int, kernel_size: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = CausalConv(c_in, d_model, kernel_size, dilation)
        self.second = CausalConv(d_model, d_model, kernel_size, dilation)
        self.skip = nn.Identity() if c_in == d_model else nn.Conv1d(c_in, d_model, 1)
        self.drop = nn.Dropout1d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, L) -> (B, D, L)``."""
        branch = self.drop(F.relu(self.first(x)))  # (B, D, L)
        branch = self.drop(F.relu(self.second(branch)))  # (B, D, L)
        return F.relu(self.skip(x) + branch)

    def thinned(self, x: Tensor) -> Tensor:
        """The same for steps that lie ``dilation`` apart, and every second result, the last among them.

        ``(B, C, S) -> (B, D, (S + 1) // 2)``: what lies ``dilation`` apart in the window stands side by side here.
        """
        odd = (x.shape[-1] - 1) % 2  # of every pair, the second is kept
        branch = self.drop(F.relu(self.first.among_neighbours(x)))  # (B, D, S)
        branch = self.drop(F.relu(self.second.among_neighbours(branch, start=odd, stride=2)))
        return F.relu(self.skip(x[..., odd::2]) + branch)

    def initial_state(self, batch: int) -> list[Ring]:
        """Empty rings of both convolutions."""
        return [self.first.initial_state(batch), self.second.initial_state(batch)]

    def step(self, x: Tensor, state: list[Ring]) -> tuple[Tensor, list[Ring]]:
        """``(B, C)`` and two rings to ``(B, D)`` and the rings; nothing is dropped."""
        branch, first = self.first.step(x, state[0])
        branch, second = self.second.step(F.relu(branch), state[1])
        return F.relu(self.skip(x.unsqueeze(-1)).squeeze(-1) + F.relu(branch)), [first, second]


class CausalConv(nn.Module):
    """A dilated convolution that reads the present and the past, with normalised weights."""

    def __init__(self, c_in: int, d_model: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation
        self.direction = nn.Parameter(torch.randn(d_model, c_in, kernel_size))  # v; the last tap meets the present
        self.gain = nn.Parameter(torch.ones(d_model))  # g
        self.bias = nn.Parameter(torch.zeros(d_model))

    def weight(self) -> Tensor:
        """``g v / |v|``, (D, C, K)."""
        length = torch.linalg.vector_norm(self.direction, dim=(1, 2), keepdim=True)  # (D, 1, 1)
        return self.gain.view(-1, 1, 1) * self.direction / length

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, L) -> (B, D, L)``."""
        past = F.pad(x, ((self.kernel_size - 1) * self.dilation, 0))
        return F.conv1d(past, self.weight(), self.bias, dilation=self.dilation)

    def among_neighbours(self, x: Tensor, *, start: int = 0, stride: int = 1) -> Tensor:
        """The same without dilation, at every ``stride``-th step from ``start`` on: ``(B, C, S) -> (B, D, ..)``."""
        past = F.pad(x, (self.kernel_size - 1, 0))[..., start:]
        return F.conv1d(past, self.weight(), self.bias, stride=stride)

    def initial_state(self, batch: int) -> Ring:
        """No input yet, which is input of zero."""
        d_in = self.direction.shape[1]
        return self.direction.new_zeros(self.dilation, self.kernel_size - 1, batch, d_in).detach(), 0

    def step(self, x: Tensor, state: Ring) -> tuple[Tensor, Ring]:
        """``(B, C)`` and a ring to ``(B, D)`` and the ring.

        Inputs that lie a multiple of d apart share a column, so the K - 1 that are due stand in one, the oldest in the
        slot that x takes.
        """
        ring, taken = state
        column, slot = ring[taken % self.dilation], taken // self.dilation % (self.kernel_size - 1)  # (K-1, B, C)
        read = torch.cat([column.roll(-slot, dims=0), x.to(ring.dtype).unsqueeze(0)])  # (K, B, C), oldest first
        y = F.linear(read.permute(1, 2, 0).flatten(1), self.weight().flatten(1), self.bias)  # (B, D)
        column[slot] = x
        return y, (ring, taken + 1)


def _receptive_field(depth: int, kernel_size: int) -> int:
    return 1 + 2 * (kernel_size - 1) * (2**depth - 1)


def _depth(depth: int | None, lookback: int, kernel_size: int) -> int:
    if depth is None:
        depth = 1
        while _receptive_field(depth, kernel_size) < lookback:
            depth += 1
        return depth
    at_least_one("backbone", depth=depth)
    if depth > 1 and 2 ** (depth - 1) >= lookback:
        most = max((lookback - 1).bit_length(), 1)
        raise refuse(
            "backbone.depth", depth, expected=f"at most {most}, so that dilations stay below the lookback, {lookback}"
        )
    return depth
