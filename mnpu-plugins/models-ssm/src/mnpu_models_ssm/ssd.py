"""State-space duality: a scan whose decay is one number for a head, as matrix products over chunks.

After Dao and Gu (2024), "Transformers are SSMs" (arXiv:2405.21060), section 6 and listing 1.

Glossary
--------
B batch, L steps, H heads, P channels of a head, N state size, Q steps of a chunk, K chunks.
x (B, L, H, P) input, already times the step size; log_decay (B, L, H), not positive; b and c (B, L, N), shared by the
heads; state (B, N, H, P); y (B, L, H, P).

Equations
---------
``S_t = exp(log_decay_t) S_{t-1} + b_t x_t``, ``y_t = c_t S_t``, from ``S = 0``. With ``s_i`` the sum of log_decay from
the chunk's first step to step i, a chunk that begins with the state S is

1. ``y_i = sum_{j<=i} (c_i b_j) exp(s_i - s_j) x_j``: the steps of the same chunk, by an attention-like matrix
2. ``W = sum_j exp(s_last - s_j) b_j x_j``: what the chunk writes
3. ``S <- exp(s_last) S + W``: from chunk to chunk
4. ``y_i += exp(s_i) c_i S``: the chunks before

Plain torch on every device. A processor takes as many chunks at a time as its cache holds, an accelerator all of them.

Does not include: groups of b and c, a start other than zero.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["CHUNK", "ssd", "ssd_step"]

CHUNK = 64
CACHED = 1 << 18  #: numbers of the matrices of step 1 that a processor should work on at a time


def ssd(x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """``(B, L, H, P) -> (B, L, H, P)``, in chunks of ``chunk`` steps."""
    batch, length, heads, width = x.shape
    chunk = min(chunk, length)
    missing = -length % chunk  # filled with steps that neither write nor decay
    x, b, c = F.pad(x, (0, 0, 0, 0, 0, missing)), F.pad(b, (0, 0, 0, missing)), F.pad(c, (0, 0, 0, missing))
    log_decay = F.pad(log_decay, (0, 0, 0, missing))
    at_once = _chunks_at_once(x, batch * heads * chunk * chunk) * chunk
    state, outputs = x.new_zeros(batch, b.shape[-1], heads * width), []
    for part in zip(*(value.split(at_once, dim=1) for value in (x, log_decay, b, c)), strict=True):
        x_k, log_decay_k, b_k, c_k = (value.unflatten(1, (-1, chunk)) for value in part)
        y, state = _part(x_k, log_decay_k, b_k, c_k, state)
        outputs.append(y)
    return torch.cat(outputs, dim=1)[:, :length]


def ssd_step(x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """One step: x (B, H, P), log_decay (B, H), b and c (B, N), state (B, N, H, P) to y (B, H, P) and next state."""
    decay = log_decay.exp()[:, None, :, None]  # (B, 1, H, 1)
    state = torch.addcmul(b[:, :, None, None] * x.unsqueeze(1), decay, state)
    return (c[:, :, None, None] * state).sum(1), state


def _part(x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Steps 1 to 4 of this module's docstring for some chunks, (B, K, Q, ...), with state (B, N, HP)."""
    heads = x.shape[3]
    exact = log_decay.transpose(2, 3).to(_digits(x)).cumsum(-1)  # (B, K, H, Q): s
    so_far = exact.to(x.dtype)
    rest = (exact - so_far).detach().to(x.dtype)  # after a reset s is large, and its differences need these digits
    future = torch.ones(x.shape[2], x.shape[2], dtype=torch.bool, device=x.device).triu(1)  # (Q, Q)
    rest = (rest.unsqueeze(-1) - rest.unsqueeze(-2)).masked_fill(future, float("-inf"))
    between = (so_far.unsqueeze(-1) - so_far.unsqueeze(-2) + rest).exp()  # (B, K, H, Q, Q)
    pairs = (c @ b.transpose(2, 3)).unsqueeze(2)  # (B, K, 1, Q, Q)
    within = ((pairs * between) @ x.transpose(2, 3)).transpose(2, 3)  # (B, K, Q, H, P)
    to_end = (exact[..., -1:] - exact).to(x.dtype).exp().transpose(2, 3).unsqueeze(-1)  # (B, K, Q, H, 1)
    written = b.transpose(2, 3) @ (x * to_end).flatten(3)  # (B, K, N, HP): the heads side by side, in one product
    kept = so_far[..., -1].exp().repeat_interleave(x.shape[-1], dim=-1).unsqueeze(2)  # (B, K, 1, HP)
    before = []
    for kept_k, written_k in zip(kept.unbind(1), written.unbind(1), strict=True):
        before.append(state)  # (B, N, HP): what the chunk begins with
        state = torch.addcmul(written_k, kept_k, state)
    carried = (c @ torch.stack(before, dim=1)).unflatten(-1, (heads, -1))  # (B, K, Q, H, P)
    y = torch.addcmul(within, carried, so_far.exp().transpose(2, 3).unsqueeze(-1))
    return y.flatten(1, 2), state


def _digits(x: Tensor) -> torch.dtype:
    return x.dtype if x.device.type == "mps" else torch.float64  # Apple's devices have no float64


def _chunks_at_once(x: Tensor, each: int) -> int:
    on_processor = x.device.type == "cpu" and not torch.compiler.is_compiling()
    return max(1, CACHED // max(each, 1)) if on_processor else max(1, x.shape[1])
