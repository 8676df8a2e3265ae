"""The selective scan as machine code inside torch's differentiation. Letters as in `mnpu_models_ssm.scan`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from mnpu.data.compiled import compiled
from mnpu_models_ssm import scan_loops as loops
from mnpu_models_ssm.machine import spread
from mnpu_models_ssm.scan import chunked

__all__ = ["scan"]


def scan(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor) -> Tensor:
    """``(B, L, D)`` to ``(B, L, D)``; every argument of one dtype, float32 or float64."""
    return _Scan.apply(u, delta, a, b, c, skip)


class _Scan(torch.autograd.Function):
    """Holds the inputs and the state of one in STRIDE steps; any gradient of a gradient comes from the plain way."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor) -> Tensor:
        arrays = _arrays(u, delta, a, b, c, skip)
        batch, length, channels = u.shape
        kept = math.ceil(length / loops.STRIDE) if any(ctx.needs_input_grad) else 0
        marks = u.new_empty(batch, kept, a.shape[1], channels)
        y = torch.empty_like(u, memory_format=torch.contiguous_format)
        kernel = compiled(loops.forward, relaxed=loops.RELAXED)
        spread(lambda first, last: kernel(*arrays, first, last, marks.numpy(), y.numpy()), batch, a.numel() * length)
        ctx.save_for_backward(u, delta, a, b, c, skip, marks)
        return y

    @staticmethod
    def backward(ctx: Any, g_y: Tensor) -> tuple[Tensor, ...]:
        *inputs, marks = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants the gradient of this gradient
            with torch.enable_grad():
                again = [value.detach().requires_grad_() if not value.requires_grad else value for value in inputs]
                return torch.autograd.grad(chunked(*again), again, g_y, create_graph=True)
        u, _, a, b, _, _ = inputs
        batch, length, channels = u.shape
        arrays, g = _arrays(*inputs), g_y.contiguous().numpy()
        g_u, g_delta = torch.empty_like(u, memory_format=torch.contiguous_format), u.new_empty(u.shape)
        g_a, g_skip = u.new_zeros(batch, a.shape[1], channels), u.new_zeros(batch, channels)
        g_b, g_c = u.new_zeros(b.shape), u.new_zeros(b.shape)
        out = [value.numpy() for value in (g_u, g_delta, g_a, g_b, g_c, g_skip)]
        kernel = compiled(loops.backward, relaxed=loops.RELAXED)
        spread(lambda first, last: kernel(*arrays, marks.numpy(), g, first, last, *out), batch, a.numel() * length)
        return g_u, g_delta, g_a.sum(0).T, g_b, g_c, g_skip.sum(0)


def _arrays(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor) -> list[Any]:
    """Inputs as the loops read them, without a copy where they lie so already."""
    turned = (a.detach().T.double() * math.log2(math.e)).to(a.dtype).contiguous()  # (N, D), rounded once
    return [value.detach().contiguous().numpy() for value in (u, delta, turned, b, c, skip)]
