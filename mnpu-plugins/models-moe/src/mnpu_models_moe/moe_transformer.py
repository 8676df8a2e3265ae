"""A transformer whose feed-forward layers are sparse mixtures of experts: each step runs through k experts of E.

Glossary
--------
B batch, L lookback, F input columns, D model width, A attention heads, W = D / A width of a head, E experts, k experts
that a step runs through, M hidden width of an expert. h (B, L, D) the residual stream, z its normalised copy.

The blocks, in reading order (pre-norm):

1. ``z = LayerNorm(h)``, ``q, k, v = split(W_qkv z)``, q and k turned by their position (rotary, [1, eq. 34])
2. ``h <- h + W_o softmax(q k^T / sqrt(W)) v``, over the steps up to the present one if ``causal`` [2, eq. 1]
3. ``h <- h + sum_{j<k} g_j f_{e(j)}(LayerNorm(h))``: the router picks the experts e(1) to e(k) of each step, with gates
   g [3, eq. 1 and 5; 4; 5; 6]. `routing` holds its equations and losses, `experts` how that is computed, `load` what
   is counted

and a last LayerNorm. Work grows with k M, not with E. The loss of the backbone's own is
``sum over blocks of (balance * L_balance + z * L_z)`` [4, eq. 4; 6, eq. 6]; training adds it to the head's.

[1] Su et al. (2021), RoFormer, arXiv:2104.09864. [2] Vaswani et al. (2017), Attention is all you need,
arXiv:1706.03762. [3] Shazeer et al. (2017), Outrageously large neural networks, arXiv:1701.06538. [4] Fedus, Zoph and
Shazeer (2022), Switch transformers, arXiv:2101.03961. [5] Lepikhin et al. (2021), GShard, arXiv:2006.16668. [6] Zoph et
al. (2022), ST-MoE, arXiv:2202.08906.

Departures: every feed-forward layer is a mixture (the papers alternate); capacity, where one is set, holds in training
only, so that a forecast depends on its own window alone.

Does not include: a shared expert, experts over several devices, dropout, an attention cache for single steps, local or
grouped-query attention.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one, refuse
from mnpu.nn.recompute import recomputing, through
from mnpu_models_moe.experts import Experts
from mnpu_models_moe.load import Load
from mnpu_models_moe.routing import Router

__all__ = ["Attention", "Block", "Mixture", "MoeTransformer"]


class MoeTransformer(nn.Module):
    """Transformer with sparse mixtures of experts: each step runs through the few experts that a router chooses.

    Parameters
    ----------
    n_features, lookback : int
        Input columns F and window length L.
    d_model : int, default=32
        Width D, a multiple of twice ``n_heads``.
    depth : int, default=2
        Blocks.
    n_heads : int, default=4
        Attention heads A.
    n_experts : int, default=8
        Experts E of each block.
    top_k : int, default=2
        Experts k that a step runs through.
    d_hidden : int, optional
        Hidden width M of an expert. Default: twice ``d_model``.
    causal : bool, default=True
        A step attends to the steps up to itself; otherwise to the whole window, all of which is past at its end.
    capacity_factor : float, optional
        In training an expert takes this many times its even share of a batch, and drops the rest. Default: no limit.
    balance, z : float, default=0.01, 0.001
        Factors of the load-balancing loss and of the router's z-loss.
    jitter : float, default=0.0
        Half the width of the noise that multiplies the router's input in training.
    collapse_below : float, default=0.25
        Use of the experts, from 0 (the same k take everything) to 1 (even), under which telemetry says ``collapsed``.
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
        n_experts: Annotated[int, Field(ge=1)] = 8,
        top_k: Annotated[int, Field(ge=1)] = 2,
        d_hidden: Annotated[int, Field(ge=1)] | None = None,
        causal: bool = True,
        capacity_factor: Annotated[float, Field(gt=0)] | None = None,
        balance: Annotated[float, Field(ge=0)] = 0.01,
        z: Annotated[float, Field(ge=0)] = 0.001,
        jitter: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        collapse_below: Annotated[float, Field(ge=0, le=1)] = 0.25,
    ) -> None:
        super().__init__()
        d_hidden = 2 * d_model if d_hidden is None else d_hidden
        sizes = {"n_features": n_features, "lookback": lookback, "d_model": d_model, "depth": depth}
        at_least_one("backbone", **sizes, n_heads=n_heads, n_experts=n_experts, top_k=top_k, d_hidden=d_hidden)
        if d_model % (2 * n_heads):
            raise refuse("backbone.d_model", d_model, expected=f"a multiple of twice n_heads, {2 * n_heads}")
        if top_k > n_experts:
            raise refuse("backbone.top_k", top_k, expected=f"at most n_experts, {n_experts}")
        _check_factors(capacity_factor, balance=balance, z=z, jitter=jitter, collapse_below=collapse_below)
        self.d_out, self.causal, self.balance, self.z = d_model, causal, balance, z
        self.embed = nn.Linear(n_features, d_model)
        self.blocks = nn.ModuleList(
            Block(
                Attention(d_model, n_heads, causal=causal),
                Mixture(
                    Router(d_model, n_experts, top_k, capacity_factor=capacity_factor, jitter=jitter),
                    Experts(n_experts, d_model, d_hidden),
                    Load(n_experts, top_k, collapse_below=collapse_below),
                ),
                d_model,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(d_model)

    @property
    def no_weight_decay(self) -> frozenset[str]:
        """Biases of the experts, which are matrices because there are several."""
        return frozenset(name for name, _ in self.named_parameters() if name.endswith(("experts.b1", "experts.b2")))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        h = self.embed(x)  # (B, L, D)
        for block in self.blocks:
            h, _ = through(self, block, h)  # (B, L, D)
        return self.norm(h)

    def summary(self, x: Tensor) -> Tensor:
        """The last step of ``forward``; the last block computes only that one: ``(B, L, F) -> (B, D)``."""
        return self._last(x)[0]

    def summary_and_loss(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The summary, and the loss that balances the experts and keeps logits small: ``(B, L, F) -> (B, D), ()``."""
        h, losses = self._last(x)
        factors = losses.new_tensor([self.balance, self.z])
        return h, (losses * factors).sum()

    def telemetry(self) -> dict[str, float]:
        """Of each block, over the training batches since it was last asked: what `Load.read` says."""
        return {
            f"blocks.{i}.{name}": value
            for i, block in enumerate(self.blocks)
            for name, value in block.mixture.load.read().items()
        }

    def _last(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.embed(x)  # (B, L, D)
        losses = []
        for block in self.blocks[:-1]:
            h, loss = through(self, block, h)  # (B, L, D)
            losses.append(loss)
        h, loss = through(self, self.blocks[-1].last, h)  # (B, 1, D)
        return self.norm(h[:, 0]), torch.stack([*losses, loss]).sum(0)


class Block(nn.Module):
    """Attention, then a mixture of experts, each with a norm before and a residual around it."""

    def __init__(self, attention: Attention, mixture: Mixture, d_model: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(d_model), attention
        self.norm2, self.mixture = nn.LayerNorm(d_model), mixture

    def last(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, L, D) -> (B, 1, D)``, the last step of ``forward``, and the losses of that one."""
        return self(h, last=True)

    def forward(self, h: Tensor, *, last: bool = False) -> tuple[Tensor, Tensor]:
        """``(B, L, D) -> (B, P, D)`` and the losses (2,), balance and z; P is 1 if ``last``, else L."""
        mixed = self.attention(self.norm1(h), last=last)  # (B, P, D)
        h = (h[:, -1:] if last else h) + mixed
        out, losses = self.mixture(self.norm2(h))
        return h + out, losses


class Attention(nn.Module):
    """Scaled dot-product attention with rotary positions: steps 1 and 2 of this module's docstring."""

    def __init__(self, d_model: int, n_heads: int, *, causal: bool) -> None:
        super().__init__()
        self.n_heads, self.causal = n_heads, causal
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, z: Tensor, *, last: bool = False) -> Tensor:
        """``(B, L, D) -> (B, P, D)``: every step, or the last alone."""
        q, k, v = self.qkv(z).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, A, L, W)
        angle = _angles(q)  # (L, W/2)
        q, k = _turned(q, angle).to(v.dtype), _turned(k, angle).to(v.dtype)
        q = q[:, :, -1:] if last else q  # (B, A, P, W)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal and not last)  # (B, A, P, W)
        return self.out(y.transpose(1, 2).flatten(2))


class Mixture(nn.Module):
    """Router and experts: step 3 of this module's docstring."""

    def __init__(self, router: Router, experts: Experts, load: Load) -> None:
        super().__init__()
        self.router, self.experts, self.load = router, experts, load

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, P, D) -> (B, P, D)`` and the losses (2,), balance and z."""
        tokens = z.flatten(0, 1)  # (T, D), T = B P
        routes = self.router(tokens)
        if self.training and not recomputing():
            self.load.count(routes.wanted, routes.chosen)
        y = self.experts(tokens, routes.gates, routes.chosen)  # (T, D)
        return y.unflatten(0, z.shape[:2]), torch.stack([routes.balance, routes.z])


def _angles(x: Tensor) -> Tensor:
    """How far each step turns each pair of channels of ``x`` (..., L, W): (L, W/2), never below float32."""
    length, width = x.shape[-2:]
    exact = torch.promote_types(x.dtype, torch.float32)  # bfloat16 knows no odd number above 256
    frequency = 10_000.0 ** (-torch.arange(0, width, 2, dtype=exact, device=x.device) / width)  # (W/2,)
    return torch.arange(length, dtype=exact, device=x.device).unsqueeze(-1) * frequency


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    """Each pair of channels of ``x`` (..., L, W) turned by its step's angle (L, W/2)."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def _check_factors(capacity_factor: float | None, **factors: float) -> None:
    if capacity_factor is not None and not capacity_factor > 0:
        raise refuse("backbone.capacity_factor", capacity_factor, expected="a positive number, or none for no limit")
    for name, value in factors.items():
        if name in ("balance", "z"):
            sound, expected = 0 <= value < float("inf"), "a number from 0"
        elif name == "jitter":
            sound, expected = 0 <= value < 1, "a number from 0 to 1, below 1"
        else:
            sound, expected = 0 <= value <= 1, "a number from 0 to 1"
        if not sound:
            raise refuse(f"backbone.{name}", value, expected=expected)
