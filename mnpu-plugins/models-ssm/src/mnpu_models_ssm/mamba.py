"""Mamba: a state-space model whose step size, input map and output map depend on the input (selection).

After Gu and Dao (2023), "Mamba: linear-time sequence modeling with selective state spaces" (arXiv:2312.00752).
Names of parameters are those of the published code, so published weights of a mixer load as they are.

Glossary
--------
B batch, L lookback, F input columns, D model width, E = expand D channels, N state size of a channel, R rank of the
step size, K taps of the convolution.
``A_log`` (E, N): A = -exp(A_log), the rates of decay. ``D`` (E,): the skip. delta (B, L, E): step sizes.
``in_proj`` D to 2E, ``conv1d`` K taps a channel, ``x_proj`` E to R + 2N, ``dt_proj`` R to E, ``out_proj`` E to D.

The mixer (figure 3), in reading order:

1. ``u, z = in_proj(h)``
2. ``u = silu(conv1d(u))``
3. ``r, b, c = x_proj(u)``, ``delta = softplus(dt_proj(r))``: the selection (algorithm 2, section 3.6)
4. ``x_t = exp(delta_t A) x_{t-1} + delta_t b_t u_t``, ``y_t = c_t x_t + D u_t``: `mnpu_models_ssm.scan`
5. ``out_proj(y silu(z))``

A block is ``h + mixer(RMSNorm(h))``. Start: A_n = -n (S4D-Real, section 3.6), delta log-uniform in [dt_min, dt_max].

Does not include: biases of ``in_proj`` and ``out_proj``, norms inside the mixer, the smaller start of ``out_proj`` in
deep stacks, dropout, a bidirectional scan, a state that goes from one window to the next.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnpu.data.compiled import compiled
from mnpu.nn.checks import at_least_one, refuse
from mnpu_models_ssm.conv import CausalConv
from mnpu_models_ssm.machine import compilable
from mnpu_models_ssm.scan import selective_scan, selective_step
from mnpu_models_ssm.stack import Block, Norm, Stack, gated, step_size_bias, wide

__all__ = ["Mamba", "SelectiveSSM"]


class Mamba(Stack):
    """Selective state-space backbone (Mamba): what is remembered, and how long, depends on the input.

    Parameters
    ----------
    n_features, lookback : int
        Input columns F and window length L.
    d_model : int, default=32
        Width D.
    depth : int, default=2
        Blocks.
    d_state : int, default=16
        State size N of each channel.
    expand : int, default=2
        Channels of a block in units of the width: E = expand D.
    d_conv : int, default=4
        Taps K of the convolution before the scan.
    dt_rank : int, optional
        Rank R of the map to the step size. Default: D / 16, rounded up.
    dt_min, dt_max : float, default=0.001, 0.1
        Range of the initial step size: a channel's slowest mode remembers about 1 / dt bars.
    """

    def __init__(
        self,
        n_features: int,
        lookback: int,
        *,
        d_model: Annotated[int, Field(ge=1)] = 32,
        depth: Annotated[int, Field(ge=1)] = 2,
        d_state: Annotated[int, Field(ge=1)] = 16,
        expand: Annotated[int, Field(ge=1)] = 2,
        d_conv: Annotated[int, Field(ge=1)] = 4,
        dt_rank: Annotated[int, Field(ge=1)] | None = None,
        dt_min: Annotated[float, Field(gt=0)] = 0.001,
        dt_max: Annotated[float, Field(gt=0)] = 0.1,
    ) -> None:
        sizes = {"n_features": n_features, "lookback": lookback, "d_model": d_model, "depth": depth}
        at_least_one("backbone", **sizes, d_state=d_state, expand=expand, d_conv=d_conv)
        rank = math.ceil(d_model / 16) if dt_rank is None else dt_rank
        at_least_one("backbone", dt_rank=rank)
        if not 0 < dt_min <= dt_max:
            raise refuse("backbone.dt_min", dt_min, expected=f"a positive number up to dt_max, {dt_max}")
        shape = {"d_inner": expand * d_model, "d_state": d_state, "d_conv": d_conv, "dt_rank": rank}
        mixers = (SelectiveSSM(d_model, **shape, dt=(dt_min, dt_max)) for _ in range(depth))
        super().__init__(n_features, d_model, (Block(d_model, mixer) for mixer in mixers), Norm(d_model))


class SelectiveSSM(nn.Module):
    """The mixer: steps 1 to 5 of this module's docstring."""

    def __init__(
        self, d_model: int, *, d_inner: int, d_state: int, d_conv: int, dt_rank: int, dt: tuple[float, float]
    ) -> None:
        super().__init__()
        self.sizes = [dt_rank, d_state, d_state]
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.conv1d = CausalConv(d_inner, d_conv)
        self.x_proj = nn.Linear(d_inner, dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(dt_rank, d_inner)
        self.A_log = nn.Parameter(torch.arange(1, d_state + 1, dtype=torch.float32).log().repeat(d_inner, 1))  # (E, N)
        self.D = nn.Parameter(torch.ones(d_inner))  # (E,)
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)
        with torch.no_grad():
            self.dt_proj.weight.uniform_(-(dt_rank**-0.5), dt_rank**-0.5)
            self.dt_proj.bias.copy_(step_size_bias(d_inner, *dt))

    def forward(self, h: Tensor) -> Tensor:
        """``(B, L, D) -> (B, L, D)``."""
        u, z = self.in_proj(h).chunk(2, dim=-1)  # (B, L, E) each
        return self.out_proj(gated(self._scanned(u), z))

    def last(self, h: Tensor) -> Tensor:
        """``(B, L, D) -> (B, D)``: the last step of ``forward``."""
        to_u, to_z = self.in_proj.weight.chunk(2)  # (E, D) each
        y = self._scanned(F.linear(h, to_u))[:, -1]  # (B, E)
        return self.out_proj(gated(y, F.linear(h[:, -1], to_z)))

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        """Zeros: the inputs of the convolution (B, K-1, E) and the state (B, E, N), which is never below float32."""
        (rates,) = wide(self.A_log)
        return self.conv1d.initial_state(batch), rates.new_zeros(batch, *rates.shape)

    def step(self, h: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """``(B, D)`` and a state to ``(B, D)`` and the next state; machine code where no gradient is asked for."""
        if not torch.is_grad_enabled() and compilable(h) and h.dtype == self.D.dtype:
            return self._compiled_step(h, *state)
        before, x = state
        u, z = self.in_proj(h).chunk(2, dim=-1)  # (B, E) each
        u, before = self.conv1d.step(u, before)
        u = F.silu(u)
        y, x = selective_step(*self._selected(u), x)  # (B, E), (B, E, N)
        return self.out_proj(gated(y, z).to(h.dtype)), (before, x)

    def _compiled_step(self, h: Tensor, before: Tensor, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The same in one call, some thirty operations of torch being longer than their work."""
        from mnpu_models_ssm import step_loops as loops  # imports numba

        conv, held = self.conv1d, (before.contiguous(), x.contiguous())
        values = [h.contiguous(), self.in_proj.weight, conv.weight, conv.bias, self.x_proj.weight, self.dt_proj.weight]
        values += [self.dt_proj.bias, self.A_log.exp(), self.D, self.out_proj.weight, *held]
        out = [torch.empty_like(value) for value in (values[0], *held)]
        arrays = [value.detach().numpy() for value in (*values, *out)]
        compiled(loops.mixer, relaxed=loops.RELAXED)(*arrays)
        return out[0], (out[1], out[2])

    def _scanned(self, u: Tensor) -> Tensor:
        selected = self._selected(self.conv1d.activated(u))
        with torch.autocast(device_type=u.device.type, enabled=False):
            return selective_scan(*selected).to(u.dtype)  # (B, L, E)

    def _selected(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The scan's arguments for ``u`` (..., E): itself, delta, A, b, c and D."""
        r, b, c = self.x_proj(u).split(self.sizes, dim=-1)  # (..., R), (..., N), (..., N)
        delta = F.softplus(*wide(self.dt_proj(r)))  # (..., E)
        u, b, c, a_log, skip = wide(u, b, c, self.A_log, self.D)
        return u, delta, -a_log.exp(), b, c, skip
