"""The selective scan of Mamba: one definition, three ways to compute it, chosen where it runs.

After Gu and Dao (2023), "Mamba: linear-time sequence modeling with selective state spaces" (arXiv:2312.00752).

Glossary
--------
B batch, L steps, D channels, N state size of a channel, T steps of a chunk, K chunks.
u (B, L, D) input, delta (B, L, D) positive step sizes, a (D, N) negative, b and c (B, L, N) how a step is written and
read, skip (D,), x (B, D, N) state, y (B, L, D) output.

Equations
---------
``x_t = exp(delta_t a) x_{t-1} + delta_t u_t b_t``, ``y_t = sum_n c_{t,n} x_{t,n} + skip u_t``, from ``x = 0``: the
recurrence (2) with zero-order hold (4) for ``a`` and, as in the published code, its first order for ``b``.

Ways
----
``reference``  the recurrence, a step at a time: the definition, which the others must equal
``chunked``    plain torch for accelerators and for export: T steps of all chunks at once, then the chunks in turn, so
               about 2 sqrt(L) operations in a row. It holds (B, L, D, N) numbers
``compiled``   machine code for the processor: fused, with a derived backward, and holds one state in sixteen

Every one is linear in L in both directions. No decay is ever divided by and no exponent is positive, so a long window
neither overflows nor loses digits.

Does not include: a complex or full ``a``, a start other than zero, a gradient through the last state.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mnpu_models_ssm.machine import compilable

__all__ = ["chunked", "compiled", "reference", "selective_scan", "selective_step", "way"]

Scan = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def selective_scan(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor) -> Tensor:
    """``(B, L, D)`` to ``(B, L, D)``, computed in the `way` that suits where ``u`` lives."""
    return way(u)(u, delta, a, b, c, skip)


def way(u: Tensor) -> Scan:
    """Compiled loops on a processor; plain torch elsewhere, and where the operations are traced."""
    return compiled if compilable(u) else chunked


def selective_step(
    u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One step: ``u`` and ``delta`` (B, D), ``b`` and ``c`` (B, N), state (B, D, N) to output (B, D) and next state."""
    decay = torch.exp(delta.unsqueeze(-1) * a)  # (B, D, N)
    state = torch.addcmul((delta * u).unsqueeze(-1) * b.unsqueeze(1), decay, state)
    return torch.addcmul((state * c.unsqueeze(1)).sum(-1), skip, u), state


def reference(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor) -> Tensor:
    """The recurrence as it is written. Unbound steps, since the backward of a slice is as long as the whole."""
    state, outputs = u.new_zeros(u.shape[0], *a.shape), []
    for now in zip(u.unbind(1), delta.unbind(1), b.unbind(1), c.unbind(1), strict=True):
        u_t, delta_t, b_t, c_t = now
        y, state = selective_step(u_t, delta_t, a, b_t, c_t, skip, state)
        outputs.append(y)
    return torch.stack(outputs, dim=1)


def chunked(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor) -> Tensor:
    """Two levels: within all chunks at once, then from chunk to chunk."""
    length = u.shape[1]
    steps = max(1, math.isqrt(length))  # T: balances the operations of the two levels
    split = (-(-length // steps), steps)  # K, T
    missing = split[0] * steps - length  # filled with steps of size 0, which change no state
    fed, delta, b, c = (F.pad(v, (0, 0, 0, missing)).unflatten(1, split) for v in (delta * u, delta, b, c))
    decay = torch.exp(delta.unsqueeze(-1) * a)  # (B, K, T, D, N)
    written = fed.unsqueeze(-1) * b.unsqueeze(-2)  # (B, K, T, D, N)
    state, within = torch.zeros_like(written[:, :, 0]), []
    for decay_t, written_t in zip(decay.unbind(2), written.unbind(2), strict=True):
        state = torch.addcmul(written_t, decay_t, state)  # (B, K, D, N): as if each chunk began at zero
        within.append(state)
    so_far = torch.exp(delta.cumsum(2).unsqueeze(-1) * a)  # (B, K, T, D, N): decay since the chunk's start
    carry, before = torch.zeros_like(state[:, 0]), []
    for decay_k, state_k in zip(so_far[:, :, -1].unbind(1), state.unbind(1), strict=True):
        before.append(carry)  # (B, D, N): what the chunk began with
        carry = torch.addcmul(state_k, decay_k, carry)
    states = torch.addcmul(torch.stack(within, dim=2), so_far, torch.stack(before, dim=1).unsqueeze(2))
    y = (states @ c.unsqueeze(-1)).squeeze(-1).flatten(1, 2)[:, :length]  # (B, L, D)
    return y + skip * u


def compiled(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor) -> Tensor:
    """Machine code, for float32 and float64 on a processor."""
    from mnpu_models_ssm.scan_compiled import scan  # imports numba

    return scan(u, delta, a, b, c, skip)
