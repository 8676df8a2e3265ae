"""The short causal convolution before a scan, with its SiLU: compiled on a processor, plain torch elsewhere.

Glossary: B windows, L steps, W channels, K taps.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnpu.data.compiled import compiled
from mnpu_models_ssm.machine import compilable, spread

__all__ = ["CausalConv"]


class CausalConv(nn.Conv1d):
    """A filter of K taps for each channel: ``y_t = bias + sum_k w_k x_{t-K+1+k}``, zero before the window."""

    def __init__(self, channels: int, taps: int) -> None:
        super().__init__(channels, channels, taps, groups=channels, padding=taps - 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, W) -> (B, L, W)``."""
        y = super().forward(x.transpose(1, 2))[..., : x.shape[1]]  # (B, W, L)
        # contiguous: what follows acts on channels, and mixed strides would make it several times slower
        return y.transpose(1, 2).contiguous()

    def activated(self, x: Tensor) -> Tensor:
        """``silu(forward(x))``, ``(B, L, W) -> (B, L, W)``, in one pass where loops of machine code can serve."""
        assert self.bias is not None
        if compilable(x) and x.dtype == self.weight.dtype:
            return _Activated.apply(x, self.weight, self.bias)
        return F.silu(self(x))

    def initial_state(self, batch: int) -> Tensor:
        """The K - 1 inputs before the first, (B, K-1, W): zeros."""
        return self.weight.new_zeros(batch, self.kernel_size[0] - 1, self.in_channels)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, W)`` and the inputs before it to ``(B, W)`` and the inputs before the next."""
        seen = torch.cat([state, x.unsqueeze(1).to(state.dtype)], dim=1)  # (B, K, W)
        return (seen * self.weight[:, 0].T).sum(1) + self.bias, seen[:, 1:]


class _Activated(torch.autograd.Function):
    """Holds the input alone; any gradient of a gradient comes from plain torch."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        from mnpu_models_ssm import conv_loops as loops  # imports numba

        arrays, y = _arrays(x, weight, bias), torch.empty_like(x, memory_format=torch.contiguous_format)
        out, kernel = y.numpy(), compiled(loops.forward, relaxed=loops.RELAXED)
        spread(lambda first, last: kernel(*arrays, first, last, out), len(x), _work(x, weight))
        ctx.save_for_backward(x, weight, bias)
        return y

    @staticmethod
    def backward(ctx: Any, g_y: Tensor) -> tuple[Tensor, ...]:
        from mnpu_models_ssm import conv_loops as loops

        x, weight, bias = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody wants the gradient of this gradient
            with torch.enable_grad():
                again = [
                    value if value.requires_grad else value.detach().requires_grad_() for value in (x, weight, bias)
                ]
                return torch.autograd.grad(_plain(*again), again, g_y, create_graph=True)
        batch, _, channels = x.shape
        arrays, g = _arrays(x, weight, bias), g_y.contiguous().numpy()
        g_x, g_bias = x.new_zeros(x.shape), x.new_zeros(batch, channels)
        g_taps = x.new_zeros(batch, weight.shape[-1], channels)
        out = [value.numpy() for value in (g_x, g_taps, g_bias)]
        kernel = compiled(loops.backward, relaxed=loops.RELAXED)
        spread(lambda first, last: kernel(*arrays, g, first, last, *out), batch, _work(x, weight))
        return g_x, g_taps.sum(0).T.unsqueeze(1), g_bias.sum(0)


def _plain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    length, taps = x.shape[1], weight.shape[-1]
    y = F.conv1d(x.transpose(1, 2), weight, bias, padding=taps - 1, groups=len(weight))
    return F.silu(y[..., :length].transpose(1, 2))


def _arrays(x: Tensor, weight: Tensor, bias: Tensor) -> list[Any]:
    """Inputs as the loops read them, the taps as (K, W)."""
    return [value.detach().contiguous().numpy() for value in (x, weight[:, 0].T, bias)]


def _work(x: Tensor, weight: Tensor) -> int:
    return x.shape[1] * weight.numel()
