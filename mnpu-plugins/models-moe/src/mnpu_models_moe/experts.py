"""The experts: E small networks, of which each token runs through the k that it chose, and through no other.

Glossary
--------
T tokens, k choices of a token, A = T k assignments, E experts, D model width, M hidden width of one expert.

Equation
--------
``y_t = sum_{j<k} g_{t,j} f_{e(t,j)}(x_t)`` with ``f_e(x) = W2_e gelu(W1_e x + b1_e) + b2_e`` and gates g.

The assignments are sorted by expert, so that each expert reads one contiguous slice: 2E matrix products whose sizes add
up to those of one dense network of hidden width k M, however many experts there are (the grouped product of Gale et al.
2023, MegaBlocks, by slices rather than by a block-sparse kernel). A dropped assignment is none: it has gate zero and
belongs to no slice.

The backward pass is written out, because that of sliced and gathered tensors fills with zeros what it does not touch:
it gathers by the inverse permutation where autograd would scatter, and computes gelu again rather than keep it. Where a
gradient is itself differentiated (Hessian products), and where a graph is exported, plain torch computes the same.

Does not include: experts spread over devices, a fused kernel, dropout inside an expert.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Experts", "all_experts", "chosen_experts"]

PART = 512  #: assignments at a time on a processor: what one step writes, the next one finds in its cache


class Experts(nn.Module):
    """E networks of one hidden layer, applied to the tokens that chose them.

    Parameters
    ----------
    n_experts, d_model, d_hidden : int
        E, D and M.
    """

    def __init__(self, n_experts: int, d_model: int, d_hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Parameter(_uniform(n_experts, d_model, d_hidden))  # (E, D, M)
        self.b1 = nn.Parameter(torch.zeros(n_experts, d_hidden))
        self.w2 = nn.Parameter(_uniform(n_experts, d_hidden, d_model))  # (E, M, D)
        self.b2 = nn.Parameter(torch.zeros(n_experts, d_model))

    def forward(self, x: Tensor, gates: Tensor, chosen: Tensor) -> Tensor:
        """``(T, D), (T, k), (T, k) -> (T, D)``; ``chosen`` is E where an assignment was dropped, its gate zero."""
        device = x.device.type  # autocast casts nothing for a function with its own gradient
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.w1.dtype
        x, gates, *weights = (n.to(kind) for n in (x, gates, self.w1, self.b1, self.w2, self.b2))
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return all_experts(x, gates, chosen, *weights)  # slices of unknown length cannot be exported
        order, ends = _by_expert(chosen, len(self.w1))
        return _Chosen.apply(x, gates, order, ends, *weights)


def all_experts(x: Tensor, gates: Tensor, chosen: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """The definition: every expert computes every token, and gates pick, ``(T, D) -> (T, D)``; E / k times the work."""
    hidden = F.gelu(torch.einsum("td,edm->etm", x, w1) + b1.unsqueeze(1))  # (E, T, M)
    outputs = torch.einsum("etm,emd->etd", hidden, w2) + b2.unsqueeze(1)  # (E, T, D)
    numbers = torch.arange(len(w1), device=x.device)
    weight = (gates.unsqueeze(-1) * (chosen.unsqueeze(-1) == numbers)).sum(1)  # (T, E)
    return torch.einsum("te,etd->td", weight, outputs)


def chosen_experts(
    x: Tensor, gates: Tensor, order: Tensor, ends: list[int], w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor
) -> Tensor:
    """Each expert on its slice of the sorted assignments, in plain torch: differentiable as often as one likes."""
    n_choices = gates.shape[1]
    token = order // n_choices  # (A,)
    kept = ends[-1]
    slices = x.index_select(0, token[:kept]).split(_sizes(ends))
    outputs = [
        torch.addmm(b2[e], F.gelu(torch.addmm(b1[e], part, w1[e])), w2[e]) for e, part in enumerate(slices) if len(part)
    ]
    if not outputs:
        return torch.zeros_like(x) + 0 * gates.sum()
    weighted = torch.cat(outputs) * gates.flatten().index_select(0, order[:kept]).unsqueeze(-1)
    return torch.zeros_like(x).index_add(0, token[:kept], weighted)


class _Chosen(torch.autograd.Function):
    """`chosen_experts` with its gradient by hand."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gates: Tensor, order: Tensor, ends: list[int], *weights: Tensor) -> Tensor:
        w1, b1, w2, b2 = weights
        token = order // gates.shape[1]  # (A,)
        before = x.new_empty(len(order), w1.shape[2])  # (A, M), sorted by expert; dropped assignments last
        outputs = x.new_empty(len(order), w2.shape[2])  # (A, D)
        outputs[ends[-1] :] = 0
        size = _part_of(x, len(order))
        scratch = _Scratch(x, size)
        for e, at in _parts(ends, size):
            rows = torch.index_select(x, 0, token[at], out=scratch("rows", at, x.shape[1]))
            torch.addmm(b1[e], rows, w1[e], out=before[at])
            hidden = torch.ops.aten.gelu.out(before[at], out=scratch("hidden", at, w1.shape[2]))
            torch.addmm(b2[e], hidden, w2[e], out=outputs[at])
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(len(order), device=order.device)
        ctx.ends = ends
        ctx.save_for_backward(x, gates, order, inverse, before, outputs, *weights)
        return F.embedding_bag(inverse.view_as(gates), outputs, mode="sum", per_sample_weights=gates)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gates, order, inverse, before, outputs, *weights = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable(ctx, grad, x, gates, order, weights)
        w1, _, w2, _ = weights
        token = order // gates.shape[1]
        gate = gates.flatten().index_select(0, order).unsqueeze(-1)  # (A, 1)
        of_gate = torch.zeros_like(gate[:, 0])
        of_rows = torch.empty_like(outputs)
        of_rows[ctx.ends[-1] :] = 0
        of_w1, of_b1, of_w2, of_b2 = (torch.zeros_like(w) for w in weights)
        size, (width, inside) = _part_of(x, len(order)), w1.shape[1:]
        scratch = _Scratch(x, size)
        for e, at in _parts(ctx.ends, size):
            back = torch.index_select(grad, 0, token[at], out=scratch("back", at, width))
            rows = torch.mul(back, outputs[at], out=scratch("rows", at, width))
            torch.sum(rows, 1, out=of_gate[at])
            back *= gate[at]
            hidden = torch.ops.aten.gelu.out(before[at], out=scratch("hidden", at, inside))  # again: cheaper than kept
            torch.addmm(of_w2[e], hidden.T, back, out=of_w2[e])
            of_b2[e] += back.sum(0)
            inner = torch.mm(back, w2[e].T, out=hidden)
            inner = torch.ops.aten.gelu_backward.grad_input(inner, before[at], grad_input=scratch("inner", at, inside))
            rows = torch.index_select(x, 0, token[at], out=rows)
            torch.addmm(of_w1[e], rows.T, inner, out=of_w1[e])
            of_b1[e] += inner.sum(0)
            torch.mm(inner, w1[e].T, out=of_rows[at])
        of_x = F.embedding_bag(inverse.view_as(gates), of_rows, mode="sum")
        return of_x, of_gate.index_select(0, inverse).view_as(gates), None, None, of_w1, of_b1, of_w2, of_b2


def _differentiable(
    ctx: Any, grad: Tensor, x: Tensor, gates: Tensor, order: Tensor, weights: list[Tensor]
) -> tuple[Tensor | None, ...]:
    """The same gradients as a graph, for those who differentiate them again."""
    output = chosen_experts(x, gates, order, ctx.ends, *weights)
    wanted = [t for t in (x, gates, *weights) if t.requires_grad]
    found = iter(torch.autograd.grad(output, wanted, grad, create_graph=True, materialize_grads=True))
    of_x, of_gates, *rest = (next(found) if t.requires_grad else None for t in (x, gates, *weights))
    return of_x, of_gates, None, None, *rest


def _by_expert(chosen: Tensor, n_experts: int) -> tuple[Tensor, list[int]]:
    """The order (A,) of assignments by expert, and where each expert's slice ends; dropped ones come last."""
    # stable: the same sums in the same order, every time
    experts, order = torch.sort(chosen.flatten(), stable=True)
    ends = torch.searchsorted(experts, torch.arange(n_experts, device=experts.device), right=True)
    return order, ends.tolist()


class _Scratch:
    """Room for what one part needs and the next one overwrites: memory that is warm, and asked for once."""

    def __init__(self, like: Tensor, size: int) -> None:
        self.like, self.size = like, size
        self.held: dict[str, Tensor] = {}

    def __call__(self, name: str, at: slice, width: int) -> Tensor:
        if name not in self.held:
            self.held[name] = self.like.new_empty(self.size, width)
        return self.held[name][: at.stop - at.start]


def _parts(ends: list[int], size: int) -> list[tuple[int, slice]]:
    """The slices of the experts that somebody chose, in parts of ``size`` rows at most."""
    slices = enumerate(zip([0, *ends], ends, strict=False))
    return [(e, slice(i, min(i + size, b))) for e, (a, b) in slices for i in range(a, b, size)]


def _part_of(x: Tensor, count: int) -> int:
    """Rows at a time: what a processor's cache holds; all of them on an accelerator, which likes few large products."""
    return max(min(PART, count) if x.device.type == "cpu" else count, 1)


def _sizes(ends: list[int]) -> list[int]:
    return [b - a for a, b in zip([0, *ends], ends, strict=False)]


def _uniform(n_experts: int, fan_in: int, fan_out: int) -> Tensor:
    """Weights of every expert as `nn.Linear` would draw them."""
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(n_experts, fan_in, fan_out).uniform_(-bound, bound)
