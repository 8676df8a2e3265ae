"""A multi-scale backbone: dilated filters at several scales, and attention across patches at several resolutions.

Glossary
--------
B batch, L lookback, F input columns, D model width, S scales, K taps of a filter, A attention heads, T steps that are
computed. ``s`` is a scale in bars: its filter reads the lags 0, s, 2s, ... (K-1)s. R resolutions, P points of a patch,
M patches of a resolution, N tokens. ``r`` is a resolution in bars: a point is the mean of r bars, a patch has P r bars.

The blocks, in reading order, for each step t on its own, from ``h_t = h0_t = E x_t``:

1. ``z_t = LayerNorm(h_t)``
2. ``c_{t,s} = sum_k w_{s,k} * z_{t-ks}``: one causal, dilated, depthwise filter for each scale [1, eq. 2 and fig. 3]
3. ``a_{t,s} = softmax_s(<q(z_t), c_{t,s}> / sqrt(D/A) + b_s)``: attention over the S scales of the same step,
   scaled dot product [2, eq. 1], in which keys and values are the ``c_{t,s}`` themselves
4. ``h_t <- h_t + GLU(M sum_s a_{t,s} c_{t,s})``: gated mixing of channels [3], residual

After ``depth`` of these blocks, once, the patches:

5. ``p_{r,i}(t) = mean of h0 over the bars t-(i+1)r+1 ... t-ir``: the i-th point of r bars back from step t
6. ``u_{r,j}(t) = LayerNorm(W_r [p_{r,jP+P-1}(t) ... p_{r,jP}(t)] + b_{r,j})``: the j-th patch back from step t is a
   token [4]; normalised, because a mean of many bars is small beside a bar, and would not be heard
7. ``h_t <- h_t + GLU(M' sum_{r,j} a_{t,r,j} V u_{r,j}(t))`` with ``a = softmax_{r,j}(<q'(z_t), K u_{r,j}(t)> /
   sqrt(D/A))``: every step asks the patches of all resolutions at once, residual

Resolution r reaches ``P M r`` bars back, so resolutions that grow by fours cover a window of L bars with a number of
tokens that grows with log L: what is near is seen bar by bar, what is far in means of many bars. Bars before the window
count as zero, as they do for the filters; a token of nothing else is left out of the attention.

[1] van den Oord et al. (2016), WaveNet. [2] Vaswani et al. (2017), Attention is all you need. [3] Dauphin et al.
(2017), Language modeling with gated convolutional networks. [4] Nie et al. (2023), A time series is worth 64 words
(PatchTST), whose patches have one resolution. Their combination is this file's own.

A block reads few steps of the one below it (seven for scales 1, 3, 9), so the last step alone costs a fraction of
the whole window: `Omni.summary` computes only the steps that it needs, by the same code. That is why the patches come
after the blocks: only the last step asks for them then, where before the blocks every step that these read would. And
it asks knowing what the filters found.

Does not include: attention between computed steps (tokens are means of the embedding, not of what the blocks made of
it), attention among tokens, experts, dropout, a streaming step.
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
POINTS = 4  # P: with resolutions that grow by as much, a point of one is a patch of the one before
PATCHES = 4  # M: a resolution reaches as far back as the newest patch of the next


class Omni(nn.Module):
    """Multi-scale backbone: dilated causal filters, and attention across patches at several resolutions.

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
        Parts of the width that weigh the scales, and the patches, independently.
    resolutions : tuple of int, optional
        Bars of a point, all different; a patch of 4 points is no longer than the lookback, but for 1, which always
        fits. Default: 1, 4, 16, ... until they reach the oldest bar of the window.
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
        resolutions: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        at_least_one(
            "backbone", n_features=n_features, lookback=lookback, d_model=d_model, depth=depth, n_heads=n_heads
        )
        if d_model % n_heads:
            raise refuse("backbone.d_model", d_model, expected=f"a multiple of n_heads, {n_heads}")
        self.lookback, self.d_out = lookback, d_model
        self.scales = _scales(scales, lookback)
        self.resolutions = _resolutions(resolutions, lookback)
        self.embed = nn.Linear(n_features, d_model)
        self.blocks = nn.ModuleList(ScaleBlock(d_model, len(self.scales), n_heads) for _ in range(depth))
        self.patches = PatchAttention(d_model, self.resolutions, n_heads, lookback)
        self.norm = nn.LayerNorm(d_model)
        for kind, wanted in (("whole", range(lookback)), ("last", [lookback - 1])):
            for i, rows in enumerate(_plan(list(wanted), self.scales, depth, lookback)):
                self.register_buffer(f"{kind}_{i}", torch.tensor(rows), persistent=False)

    @property
    def no_weight_decay(self) -> frozenset[str]:
        """Positions of the patches, which are labels and no strengths."""
        return frozenset({"patches.position"})

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        h0 = self.embed(x)  # (B, L, D)
        h = self._filtered(h0, "whole")  # (B, L, D)
        return self.norm(through(self, self.patches, h, h0))

    def summary(self, x: Tensor) -> Tensor:
        """The last step of ``forward``, without the steps that it does not need: ``(B, L, F) -> (B, D)``."""
        h0 = self.embed(x)  # (B, L, D)
        h = self._filtered(h0, "last")  # (B, 1, D)
        return self.norm(through(self, self.patches.last, h, h0))[:, 0]

    def _filtered(self, h: Tensor, kind: str) -> Tensor:
        for i, block in enumerate(self.blocks):
            h = through(self, block, h, getattr(self, f"{kind}_{i}"))  # (B, T_i, D)
        return h


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
        """``(B, T_in, D) -> (B, T_out, D)``; ``rows`` (T_out, S, K) index the steps that each tap reads.

        Row 0 stands for a step before the window, which is zero; row 1 is the first computed step.
        """
        n_out, n_scales, n_taps = rows.shape
        z = F.pad(self.norm(h), (0, 0, 1, 0))  # (B, 1 + T_in, D)
        read = z.index_select(1, rows.flatten()).unflatten(1, (n_out, n_scales, n_taps))  # (B, T, S, K, D)
        scales = (read * self.taps).sum(3)  # (B, T, S, D)
        present = rows[:, 0, 0]  # lag 0 of any scale
        attention = self._attention(z.index_select(1, present), scales)  # (B, T, S, A, 1)
        mixed = (attention * _by_head(scales, self.n_heads)).sum(2).flatten(2)  # (B, T, D)
        return h.index_select(1, present - 1) + F.glu(self.mix(mixed), dim=-1)

    def _attention(self, z: Tensor, scales: Tensor) -> Tensor:
        query = _by_head(self.query(z), self.n_heads).unsqueeze(2)  # (B, T, 1, A, D/A)
        score = (query * _by_head(scales, self.n_heads)).sum(-1) / math.sqrt(query.shape[-1])  # (B, T, S, A)
        return torch.softmax(score + self.prior, dim=2).unsqueeze(-1)


class PatchAttention(nn.Module):
    """Patches of all resolutions as tokens, which every step asks: steps 5 to 7 of this module's docstring."""

    present: Tensor

    def __init__(self, d_model: int, resolutions: Sequence[int], n_heads: int, lookback: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        n_patches = [min(PATCHES, -(-lookback // (POINTS * r))) for r in resolutions]  # M: fewer in a short window
        self.sizes = list(zip(resolutions, n_patches, strict=True))
        self.embed = nn.ModuleList(nn.Linear(POINTS * d_model, d_model, bias=False) for _ in resolutions)
        self.position = nn.Parameter(0.02 * torch.randn(sum(m for _, m in self.sizes), d_model))
        self.norm, self.token_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key_value = nn.Linear(d_model, 2 * d_model, bias=False)
        self.mix = nn.Linear(d_model, 2 * d_model)
        newest = torch.tensor([POINTS * r * j for r, m in self.sizes for j in reversed(range(m))])  # (N,) bars back
        self.register_buffer("present", newest <= torch.arange(lookback).unsqueeze(1), persistent=False)  # (L, N)

    def forward(self, h: Tensor, h0: Tensor) -> Tensor:
        """``(B, L, D), (B, L, D) -> (B, L, D)``: every step, with the patches that end at it."""
        return self._attend(h, self._tokens(h0), self.present)

    def last(self, h: Tensor, h0: Tensor) -> Tensor:
        """``(B, 1, D), (B, L, D) -> (B, 1, D)``: the last step of ``forward``, for which all patches are present."""
        return self._attend(h, self._last_tokens(h0), None)

    def _tokens(self, h0: Tensor) -> Tensor:
        """Tokens of every step, oldest patch first: ``(B, L, D) -> (B, L, N, D)``."""
        length, tokens = h0.shape[1], []
        for (r, m), embed in zip(self.sizes, self.embed, strict=True):
            before = F.pad(h0.transpose(1, 2), (POINTS * r - 1, 0))  # (B, D, P r - 1 + L)
            means = F.avg_pool1d(before, r, stride=1).transpose(1, 2)  # (B, (P - 1) r + L, D): each ends r bars on
            points = [means[:, i * r : i * r + length] for i in range(POINTS)]  # of the patch that ends at t
            patches = embed(torch.cat(points, dim=-1))  # (B, L, D)
            shifts = [POINTS * r * j for j in reversed(range(m))]
            tokens += [F.pad(patches, (0, 0, shift, 0))[:, :length] for shift in shifts]
        return torch.stack(tokens, dim=2) + self.position

    def _last_tokens(self, h0: Tensor) -> Tensor:
        """Tokens of the last step alone, from as many bars as it reaches: ``(B, L, D) -> (B, 1, N, D)``."""
        length, tokens = h0.shape[1], []
        for (r, m), embed in zip(self.sizes, self.embed, strict=True):
            n = POINTS * r * m
            bars = F.pad(h0, (0, 0, n - length, 0)) if n > length else h0[:, length - n :]  # (B, n, D)
            points = bars.unflatten(1, (m, POINTS, r)).mean(3)  # (B, M, P, D)
            tokens.append(embed(points.flatten(2)))  # (B, M, D)
        return (torch.cat(tokens, dim=1) + self.position).unsqueeze(1)

    def _attend(self, h: Tensor, tokens: Tensor, present: Tensor | None) -> Tensor:
        query = _by_head(self.query(self.norm(h)), self.n_heads).unsqueeze(2)  # (B, T, 1, A, D/A)
        key, value = (_by_head(part, self.n_heads) for part in self.key_value(self.token_norm(tokens)).chunk(2, dim=-1))
        score = (query * key).sum(-1) / math.sqrt(query.shape[-1])  # (B, T, N, A)
        if present is not None:
            score = score.masked_fill(~present.unsqueeze(-1), -math.inf)  # never all: the newest patch has step t
        read = (torch.softmax(score, dim=2).unsqueeze(-1) * value).sum(2).flatten(2)  # (B, T, D)
        return h + F.glu(self.mix(read), dim=-1)


def _by_head(x: Tensor, n_heads: int) -> Tensor:
    return x.unflatten(-1, (n_heads, -1))


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


def _resolutions(resolutions: Sequence[int] | None, lookback: int) -> tuple[int, ...]:
    if resolutions is None:
        found = [1]
        while POINTS * PATCHES * found[-1] < lookback:
            found.append(POINTS * found[-1])
        return tuple(found)
    if not resolutions:
        raise refuse("backbone.resolutions", list(resolutions), expected="at least one resolution")
    for resolution in resolutions:
        at_least_one("backbone", resolutions=resolution)
        if resolution > 1 and POINTS * resolution > lookback:
            expected = f"patches of {POINTS} points no longer than the lookback, {lookback}"
            raise refuse("backbone.resolutions", list(resolutions), expected=expected)
    if len(set(resolutions)) < len(resolutions):
        raise refuse("backbone.resolutions", list(resolutions), expected="resolutions that do not repeat")
    return tuple(resolutions)


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
