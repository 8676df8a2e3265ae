"""Mamba-2: a selective state-space model with one decay for each head, computed in chunks by matrix products.

After Dao and Gu (2024), "Transformers are SSMs: generalized models and efficient algorithms through structured
state-space duality" (arXiv:2405.21060). Names of parameters are those of the published code, so published weights of a
mixer with one group load as they are.

Glossary
--------
B batch, L lookback, F input columns, D model width, E = expand D channels, H heads of P channels, E = H P, N state
size, K taps of the convolution.
``A_log`` (H,): A = -exp(A_log), one rate of decay for a head. ``D`` (H,): the skip. ``dt_bias`` (H,). delta (B, L, H).
``in_proj`` D to 2E + 2N + H, ``conv1d`` K taps for each of E + 2N channels, ``out_proj`` E to D.

The mixer (section 7.1, figure 6, the parallel block), in reading order:

1. ``z, (x, b, c), delta = in_proj(h)``
2. ``x, b, c = silu(conv1d(x, b, c))``, ``delta = softplus(delta + dt_bias)``
3. ``S_t = exp(delta_t A) S_{t-1} + delta_t b_t x_t``, ``y_t = c_t S_t + D x_t``, by `mnpu_models_ssm.ssd`
4. ``out_proj(RMSNorm(y silu(z)))``: the norm comes after the gate, as in the published code

A block is ``h + mixer(RMSNorm(h))``. Start: A uniform in [-16, -1], delta log-uniform in [dt_min, dt_max].

Departures: P is 16 and N is 32, not 64 and 128, since widths here are tens, not thousands.

Does not include: more than one group of b and c, biases of ``in_proj`` and ``out_proj``, an MLP beside the mixer,
limits of delta, dropout, a state that goes from one window to the next.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one, refuse
from mnpu_models_ssm.conv import CausalConv
from mnpu_models_ssm.ssd import CHUNK, ssd, ssd_step
from mnpu_models_ssm.stack import Block, Norm, Stack, gated, step_size_bias, wide

__all__ = ["Mamba2", "DualSSM"]


class Mamba2(Stack):
    """State-space duality backbone (Mamba-2): heads that choose what they remember, as matrix products over chunks.

    Parameters
    ----------
    n_features, lookback : int
        Input columns F and window length L.
    d_model : int, default=32
        Width D.
    depth : int, default=2
        Blocks.
    d_state : int, default=32
        State size N, shared by the channels of a head.
    expand : int, default=2
        Channels of a block in units of the width: E = expand D.
    head_dim : int, default=16
        Channels P of a head, a divisor of E.
    d_conv : int, default=4
        Taps K of the convolution before the scan.
    chunk : int, default=64
        Steps that are computed at a time; the result does not depend on it.
    dt_min, dt_max : float, default=0.001, 0.1
        Range of the initial step size: a head remembers about 1 / (dt |A|) bars.
    """

    def __init__(
        self,
        n_features: int,
        lookback: int,
        *,
        d_model: Annotated[int, Field(ge=1)] = 32,
        depth: Annotated[int, Field(ge=1)] = 2,
        d_state: Annotated[int, Field(ge=1)] = 32,
        expand: Annotated[int, Field(ge=1)] = 2,
        head_dim: Annotated[int, Field(ge=1)] = 16,
        d_conv: Annotated[int, Field(ge=1)] = 4,
        chunk: Annotated[int, Field(ge=1)] = CHUNK,
        dt_min: Annotated[float, Field(gt=0)] = 0.001,
        dt_max: Annotated[float, Field(gt=0)] = 0.1,
    ) -> None:
        sizes = {"n_features": n_features, "lookback": lookback, "d_model": d_model, "depth": depth}
        at_least_one("backbone", **sizes, d_state=d_state, expand=expand, head_dim=head_dim, d_conv=d_conv, chunk=chunk)
        if expand * d_model % head_dim:
            raise refuse("backbone.head_dim", head_dim, expected=f"a divisor of expand * d_model, {expand * d_model}")
        if not 0 < dt_min <= dt_max:
            raise refuse("backbone.dt_min", dt_min, expected=f"a positive number up to dt_max, {dt_max}")
        shape = {"d_inner": expand * d_model, "head_dim": head_dim, "d_state": d_state, "d_conv": d_conv}
        mixers = (DualSSM(d_model, **shape, chunk=chunk, dt=(dt_min, dt_max)) for _ in range(depth))
        super().__init__(n_features, d_model, (Block(d_model, mixer) for mixer in mixers), Norm(d_model))


class DualSSM(nn.Module):
    """The mixer: steps 1 to 4 of this module's docstring."""

    def __init__(
        self,
        d_model: int,
        *,
        d_inner: int,
        head_dim: int,
        d_state: int,
        d_conv: int,
        chunk: int,
        dt: tuple[float, float],
    ) -> None:
        super().__init__()
        heads = d_inner // head_dim
        self.chunk, self.heads, self.d_state = chunk, heads, d_state
        self.sizes = [d_inner, d_inner + 2 * d_state, heads]
        self.in_proj = nn.Linear(d_model, sum(self.sizes), bias=False)
        self.conv1d = CausalConv(d_inner + 2 * d_state, d_conv)
        self.dt_bias = nn.Parameter(step_size_bias(heads, *dt))  # (H,)
        self.A_log = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())  # (H,)
        self.D = nn.Parameter(torch.ones(heads))  # (H,)
        self.norm = Norm(d_inner)
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        """``(B, L, D) -> (B, L, D)``."""
        z, u, delta = self.in_proj(h).split(self.sizes, dim=-1)  # (B, L, E), (B, L, E + 2N), (B, L, H)
        return self.out_proj(self.norm(gated(self._scanned(u, delta), z)))

    def last(self, h: Tensor) -> Tensor:
        """``(B, L, D) -> (B, D)``: the last step of ``forward``."""
        to_z, to_rest = self.in_proj.weight.split([self.sizes[0], sum(self.sizes[1:])])
        u, delta = F.linear(h, to_rest).split(self.sizes[1:], dim=-1)
        y = self._scanned(u, delta)[:, -1]  # (B, E)
        return self.out_proj(self.norm(gated(y, F.linear(h[:, -1], to_z))))

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Zeros: the inputs of the convolution (B, K-1, E + 2N) and the state (B, N, H, P), never below float32."""
        (rates,) = wide(self.A_log)
        shape = (batch, self.d_state, self.heads, self.sizes[0] // self.heads)
        return self.conv1d.initial_state(batch), rates.new_zeros(shape)

    def step(self, h: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """``(B, D)`` and a state to ``(B, D)`` and the next state."""
        before, memory = state
        z, u, delta = self.in_proj(h).split(self.sizes, dim=-1)  # (B, E), (B, E + 2N), (B, H)
        u, before = self.conv1d.step(u, before)
        x, given, log_decay, b, c, skip = self._selected(F.silu(u), delta)
        y, memory = ssd_step(given, log_decay, b, c, memory)  # (B, H, P), (B, N, H, P)
        y = torch.addcmul(y, skip, x).flatten(-2)  # (B, E)
        return self.out_proj(self.norm(gated(y.to(h.dtype), z))), (before, memory)

    def _scanned(self, u: Tensor, delta: Tensor) -> Tensor:
        x, given, log_decay, b, c, skip = self._selected(self.conv1d.activated(u), delta)
        with torch.autocast(device_type=u.device.type, enabled=False):
            y = torch.addcmul(ssd(given, log_decay, b, c, chunk=self.chunk), skip, x)  # (B, L, H, P)
        return y.flatten(-2).to(u.dtype)  # (B, L, E)

    def _selected(self, u: Tensor, delta: Tensor) -> tuple[Tensor, ...]:
        """``x``, ``delta x`` (..., H, P), the log of the decay (..., H), ``b``, ``c`` (..., N), and D (H, 1)."""
        u, delta, bias, a_log, skip = wide(u, delta, self.dt_bias, self.A_log, self.D)
        x, b, c = u.split([self.sizes[0], self.d_state, self.d_state], dim=-1)
        x = x.unflatten(-1, (self.heads, -1))  # (..., H, P)
        delta = F.softplus(delta + bias)  # (..., H)
        return x, delta.unsqueeze(-1) * x, -delta * a_log.exp(), b, c, skip.unsqueeze(-1)
