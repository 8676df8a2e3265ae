"""A transformer over patches: stretches of bars become tokens, and causal attention relates the tokens.

After Nie, Nguyen, Sinthong and Kalagnanam (2023), "A Time Series is Worth 64 Words: Long-term Forecasting with
Transformers" (PatchTST, arXiv:2211.14730), section 3.1.

Glossary
--------
B batch, L lookback, F input columns, D model width, P bars of a patch, S stride, N patches (tokens), A attention heads,
G sequences: B windows, or B F columns where columns are independent. X_p (N, P) or (N, P F) the patches.

The blocks, in reading order:

1. optional, each column of a window to mean 0 and variance 1 ("Instance Normalization")
2. patches ``X_p``, which end at the window's last bar and at every S-th bar before it ("Patching")
3. tokens ``x_d = W_p X_p + W_pos`` ("Transformer Encoder")
4. ``depth`` times ``x <- x + MHA(LN(x))`` and ``x <- x + W_2 gelu(W_1 LN(x))``, attention
   ``softmax(Q K' / sqrt(D/A)) V`` over the tokens up to the present one
5. layer norm; where columns are independent, one linear map of all columns' tokens, (F D) -> D

Step t of the output is the token of the last patch that ends by t, so all steps up to t are all that it read: causal,
with news every S bars, and at the last bar always. Steps before the first patch ends (fewer than S) are zero. Instance
normalisation reads the whole window, so with it the backbone says that it is not causal.

Departures: pre-norm (Xiong et al. 2020, arXiv:2002.04745) with layer norm, where the paper has batch norm, which would
let windows see one another; attention is causal; the last token takes the place of the flattened ones; patches are
aligned with the end and padded with zeros before the window, where the paper repeats the last bar after it; what
instance normalisation took away is not added again, because the target is none of the columns. Columns are mixed in a
token by default: they are features of one asset rather than many series of one kind.

Does not include: batch normalisation, residual attention scores, masked pre-training, sparse attention, a streaming
step (positions count from the window's end, so every token changes with every bar).
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one, refuse
from mnpu.nn.recompute import through

__all__ = ["EncoderBlock", "PatchTransformer"]

PATCH = 8  # bars: half of the paper's, as windows here have tens of bars rather than hundreds


class PatchTransformer(nn.Module):
    """Transformer over patches of bars (PatchTST-like), causal from patch to patch.

    Parameters
    ----------
    n_features, lookback : int
        Input columns F and window length L.
    d_model : int, default=32
        Width D, a multiple of ``n_heads``.
    depth : int, default=2
        Blocks.
    n_heads : int, default=4
        Attention heads A.
    d_ff : int, optional
        Width inside the feed-forward part. Default: twice ``d_model``.
    patch_length : int, optional
        Bars P of a patch, at most the lookback. Default: 8, or the lookback where that is shorter.
    stride : int, optional
        Bars S from patch to patch, at most ``patch_length``. Default: half a patch.
    channels : {"mixed", "independent"}, default="mixed"
        One token of all columns, or tokens of each column through the same weights, mixed at the end: the paper's
        way, at F times the cost.
    instance_norm : bool, default=False
        Take mean and deviation of the window out of each column, which also makes the backbone non-causal.
    dropout : float, default=0.0
        Share of each branch's output left out in training.
    """

    streams = False
    checkpoint_activations = False

    def __init__(
        self,
        n_features: int,
        lookback: int,
        *,
        d_model: Annotated[int, Field(ge=1)] = 32,
        depth: Annotated[int, Field(ge=1)] = 2,
        n_heads: Annotated[int, Field(ge=1)] = 4,
        d_ff: Annotated[int, Field(ge=1)] | None = None,
        patch_length: Annotated[int, Field(ge=1)] | None = None,
        stride: Annotated[int, Field(ge=1)] | None = None,
        channels: Literal["mixed", "independent"] = "mixed",
        instance_norm: bool = False,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        d_ff = 2 * d_model if d_ff is None else d_ff
        at_least_one("backbone", n_features=n_features, lookback=lookback, d_model=d_model, depth=depth)
        at_least_one("backbone", n_heads=n_heads, d_ff=d_ff)
        if d_model % n_heads:
            raise refuse("backbone.d_model", d_model, expected=f"a multiple of n_heads, {n_heads}")
        if channels not in ("mixed", "independent"):
            raise refuse("backbone.channels", repr(channels), expected="mixed or independent")
        if not 0 <= dropout < 1:
            raise refuse("backbone.dropout", dropout, expected="a share from 0 up to, but not, 1")
        self.patch_length, self.stride = _patches(patch_length, stride, lookback)
        self.lookback, self.d_out, self.independent = lookback, d_model, channels == "independent"
        self.instance_norm, self.causal = instance_norm, not instance_norm
        self.n_patches = -(-lookback // self.stride)  # N: the first ends among the first S bars
        self.embed = nn.Linear(self.patch_length * (1 if self.independent else n_features), d_model)
        self.position = nn.Parameter(0.02 * torch.randn(self.n_patches, d_model))
        self.blocks = nn.ModuleList(EncoderBlock(d_model, n_heads, d_ff, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(d_model)
        self.mix = nn.Linear(n_features * d_model, d_model) if self.independent else nn.Identity()

    @property
    def no_weight_decay(self) -> frozenset[str]:
        """Positions, which are labels and no strengths."""
        return frozenset({"position"})

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        h = self.tokens(x)  # (G, N, D)
        for block in self.blocks:
            h = through(self, block, h)  # (G, N, D)
        h = self._across_columns(self.norm(h))  # (B, N, D)
        early = (self.lookback - 1) % self.stride  # bars before the first patch ends
        h = h.repeat_interleave(self.stride, dim=1)[:, : self.lookback - early]  # each holds until the next patch ends
        return F.pad(h, (0, 0, early, 0))  # (B, L, D)

    def summary(self, x: Tensor) -> Tensor:
        """The last step of ``forward``; the last block asks for that one alone: ``(B, L, F) -> (B, D)``."""
        h = self.tokens(x)  # (G, N, D)
        for block in self.blocks[:-1]:
            h = through(self, block, h)  # (G, N, D)
        h = self.norm(through(self, self.blocks[-1].last, h))  # (G, 1, D)
        return self._across_columns(h)[:, 0]

    def tokens(self, x: Tensor) -> Tensor:
        """Patches with their positions: ``(B, L, F) -> (G, N, D)``."""
        if self.instance_norm:
            x = x - x.mean(dim=1, keepdim=True)
            x = x / torch.sqrt(x.square().mean(dim=1, keepdim=True) + 1e-5)  # a constant column becomes zero
        before = (self.n_patches - 1) * self.stride + self.patch_length - self.lookback
        patches = F.pad(x.transpose(1, 2), (before, 0)).unfold(-1, self.patch_length, self.stride)  # (B, F, N, P)
        patches = patches.flatten(0, 1) if self.independent else patches.transpose(1, 2).flatten(2)
        return self.embed(patches) + self.position

    def _across_columns(self, h: Tensor) -> Tensor:
        if self.independent:
            columns = self.mix.in_features // h.shape[-1]
            h = h.unflatten(0, (-1, columns)).transpose(1, 2).flatten(2)  # (B, N, F D)
        return self.mix(h)  # (B, N, D)


class EncoderBlock(nn.Module):
    """Causal attention and a feed-forward part, each on normalised input and beside a residual: step 4 above."""

    def __init__(self, d_model: int, n_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm, self.ff_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key_value = nn.Linear(d_model, 2 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model)
        self.ff = nn.Sequential(nn.Linear(d_model, d_ff), nn.GELU(), nn.Linear(d_ff, d_model))
        self.drop = nn.Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        """``(G, N, D) -> (G, N, D)``."""
        z = self.attention_norm(h)
        return self._after_attention(h, self._attend(z, z, is_causal=True))

    def last(self, h: Tensor) -> Tensor:
        """``(G, N, D) -> (G, 1, D)``: the last token of ``forward``, which may attend to every one."""
        z = self.attention_norm(h)
        return self._after_attention(h[:, -1:], self._attend(z[:, -1:], z, is_causal=False))

    def _attend(self, asking: Tensor, asked: Tensor, *, is_causal: bool) -> Tensor:
        query = self._by_head(self.query(asking))  # (G, A, N or 1, D/A)
        key, value = (self._by_head(part) for part in self.key_value(asked).chunk(2, dim=-1))  # (G, A, N, D/A)
        read = F.scaled_dot_product_attention(query, key, value, is_causal=is_causal)
        return self.out(read.transpose(1, 2).flatten(2))  # (G, N or 1, D)

    def _after_attention(self, h: Tensor, read: Tensor) -> Tensor:
        h = h + self.drop(read)
        return h + self.drop(self.ff(self.ff_norm(h)))

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


def _patches(patch_length: int | None, stride: int | None, lookback: int) -> tuple[int, int]:
    patch_length = min(PATCH, lookback) if patch_length is None else patch_length
    at_least_one("backbone", patch_length=patch_length)
    if patch_length > lookback:
        raise refuse("backbone.patch_length", patch_length, expected=f"at most the lookback, {lookback}")
    stride = max(patch_length // 2, 1) if stride is None else stride
    at_least_one("backbone", stride=stride)
    if stride > patch_length:
        raise refuse(
            "backbone.stride", stride, expected=f"at most patch_length, {patch_length}, so that no bar is left out"
        )
    return patch_length, stride
