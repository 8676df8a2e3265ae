"""A small multi-scale backbone: dilated causal filters at several scales, and attention that weighs the scales.

Glossary
--------
B batch, L lookback, F input columns, D model width, S scales, K taps of a filter, A attention heads, P steps that
are computed. ``s`` is a scale in bars: its filter reads the lags 0, s, 2s, ... (K-1)s.

The blocks, in reading order, for each step t on its own:

1. ``z_t = LayerNorm(h_t)``
2. ``c_{t,s} = sum_k w_{s,k} * z_{t-ks}``: one causal, dilated, depthwise filter for each scale [1, eq. 2 and fig. 3]
3. ``a_{t,s} = softmax_s(<q(z_t), c_{t,s}> / sqrt(D/A) + b_s)``: attention over the S scales of the same step,
   scaled dot product [2, eq. 1], in which keys and values are the ``c_{t,s}`` themselves
4. ``h_t <- h_t + GLU(M sum_s a_{t,s} c_{t,s})``: gated mixing of channels [3], residual

[1] van den Oord et al. (2016), WaveNet. [2] Vaswani et al. (2017), Attention is all you need. [3] Dauphin et al.
(2017), Language modeling with gated convolutional networks. Their combination is this file's own.

A block reads few steps of the one below it (seven for scales 1, 3, 9), so the last step alone costs a fraction of
the whole window: `Omni.summary` computes only the steps that it needs, by the same code.

Does not include: attention between steps, position codes, experts, dropout, a streaming step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one, refuse
from mnpu.nn.recompute import through

__all__ = ["Omni"]

TAPS = 3  # K: with scales that triple, the filters tile the past without holes


class Omni(nn.Module):
    """Multi-scale backbone: dilated causal filters whose scales are weighed by attention at every step.

    Parameters
    ----------
    n_features, lookback : int
        Input columns F and window length L.
    d_model : int, default=32
        Width D, a multiple of ``n_heads``.
    depth : int, default=2
        Blocks.
    scales : tuple of int, optional
        Distance between a filter's taps in bars, each shorter than the lookback. Default: 1, 3 and 9, as far as they
        fit.
    n_heads : int, default=4
        Parts of the width that weigh the scales independently.
    """

    causal = True
    streams = False
    checkpoint_activations = False

    def __init__(
        self,
        n_features: int,
        lookback: int,
        *,
        d_model: Annotated[int, Field(ge=1)] = 32,
        depth: Annotated[int, Field(ge=1)] = 2,
        scales: tuple[int, ...] | None = None,
        n_heads: Annotated[int, Field(ge=1)] = 4,
    ) -> None:
        super().__init__()
        at_least_one(
            "backbone", n_features=n_features, lookback=lookback, d_model=d_model, depth=depth, n_heads=n_heads
        )
        if d_model % n_heads:
            raise refuse("backbone.d_model", d_model, expected=f"a multiple of n_heads, {n_heads}")
        self.lookback, self.d_out = lookback, d_model
        self.scales = _scales(scales, lookback)
        self.embed = nn.Linear(n_features, d_model)
        self.blocks = nn.ModuleList(ScaleBlock(d_model, len(self.scales), n_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(d_model)
        for kind, wanted in (("whole", range(lookback)), ("last", [lookback - 1])):
            for i, rows in enumerate(_plan(list(wanted), self.scales, depth, lookback)):
                self.register_buffer(f"{kind}_{i}", torch.tensor(rows), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        return self._compute(x, "whole")

    def summary(self, x: Tensor) -> Tensor:
        """The last step of ``forward``, without the steps that it does not need: ``(B, L, F) -> (B, D)``."""
        return self._compute(x, "last")[:, 0]

    def _compute(self, x: Tensor, kind: str) -> Tensor:
        h = self.embed(x)  # (B, L, D)
        for i, block in enumerate(self.blocks):
            h = through(self, block, h, getattr(self, f"{kind}_{i}"))  # (B, P_i, D)
        return self.norm(h)


class ScaleBlock(nn.Module):
    """Filters at S scales, attention over them, gated mixing, residual: steps 1 to 4 of this module's docstring."""

    def __init__(self, d_model: int, n_scales: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(d_model)
        self.taps = nn.Parameter(torch.empty(n_scales, TAPS, d_model).uniform_(-1, 1))  # variance 1/K: keeps scale
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.prior = nn.Parameter(torch.zeros(n_scales, n_heads))
        self.mix = nn.Linear(d_model, 2 * d_model)

    def forward(self, h: Tensor, rows: Tensor) -> Tensor:
        """``(B, P_in, D) -> (B, P_out, D)``; ``rows`` (P_out, S, K) index the steps that each tap reads.

        Row 0 stands for a step before the window, which is zero; row 1 is the first computed step.
        """
        n_out, n_scales, n_taps = rows.shape
        z = F.pad(self.norm(h), (0, 0, 1, 0))  # (B, 1 + P_in, D)
        read = z.index_select(1, rows.flatten()).unflatten(1, (n_out, n_scales, n_taps))  # (B, P, S, K, D)
        scales = (read * self.taps).sum(3)  # (B, P, S, D)
        present = rows[:, 0, 0]  # lag 0 of any scale
        attention = self._attention(z.index_select(1, present), scales)  # (B, P, S, A, 1)
        mixed = (attention * self._by_head(scales)).sum(2).flatten(2)  # (B, P, D)
        return h.index_select(1, present - 1) + F.glu(self.mix(mixed), dim=-1)

    def _attention(self, z: Tensor, scales: Tensor) -> Tensor:
        query = self._by_head(self.query(z)).unsqueeze(2)  # (B, P, 1, A, D/A)
        score = (query * self._by_head(scales)).sum(-1) / math.sqrt(query.shape[-1])  # (B, P, S, A)
        return torch.softmax(score + self.prior, dim=2).unsqueeze(-1)

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1))


def _scales(scales: Sequence[int] | None, lookback: int) -> tuple[int, ...]:
    if scales is None:
        return tuple(s for s in (1, 3, 9) if s < max(lookback, 2))
    if not scales:
        raise refuse("backbone.scales", list(scales), expected="at least one scale")
    for scale in scales:
        at_least_one("backbone", scales=scale)
        if scale >= lookback:
            raise refuse("backbone.scales", list(scales), expected=f"scales shorter than the lookback, {lookback}")
    return tuple(scales)


def _plan(wanted: list[int], scales: Sequence[int], depth: int, lookback: int) -> list[list[list[list[int]]]]:
    """For each block, from the first: which rows of its input the taps of every wanted step read.

    The last block must produce the ``wanted`` steps; each block below it, the steps that the one above reads.
    """
    outputs = [wanted]
    for _ in range(depth - 1):
        read = {t - k * s for t in outputs[0] for s in scales for k in range(TAPS)}
        outputs.insert(0, sorted(t for t in read if t >= 0))
    inputs = [list(range(lookback)), *outputs[:-1]]
    plan = []
    for have, want in zip(inputs, outputs, strict=True):
        row = {t: i + 1 for i, t in enumerate(have)}  # 0: before the window
        plan.append([[[row.get(t - k * s, 0) for k in range(TAPS)] for s in scales] for t in want])
    return plan
