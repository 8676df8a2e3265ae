"""The short convolution and its SiLU are their equations, whichever way computes them, in both directions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mnpu_models_ssm import machine
from mnpu_models_ssm.conv import CausalConv, _Activated

SIZES = [(1, 1, 1, 1), (2, 9, 3, 4), (2, 2, 5, 4), (3, 40, 37, 3), (1, 7, 300, 2)]


def make(size: tuple[int, int, int, int], dtype: torch.dtype = torch.float64) -> tuple[CausalConv, Tensor]:
    batch, length, channels, taps = size
    torch.manual_seed(0)
    return CausalConv(channels, taps).to(dtype), torch.randn(batch, length, channels, dtype=dtype)


def by_hand(conv: CausalConv, x: Tensor) -> np.ndarray:
    """One number at a time."""
    weight, bias, window = conv.weight.detach()[:, 0].numpy(), conv.bias.detach().numpy(), x.detach().numpy()
    y, taps = np.zeros_like(window), weight.shape[1]
    for i, t, w in np.ndindex(*window.shape):
        s = bias[w]
        for k in range(taps):
            if t - taps + 1 + k >= 0:
                s += weight[w, k] * window[i, t - taps + 1 + k, w]
        y[i, t, w] = s / (1 + math.exp(-s))
    return y


@pytest.mark.parametrize("size", SIZES)
def test_it_is_a_sum_over_the_past_and_its_silu(size: tuple[int, int, int, int]) -> None:
    conv, x = make(size)
    assert machine.compilable(x)
    np.testing.assert_allclose(conv.activated(x).detach(), by_hand(conv, x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(F.silu(conv(x)).detach(), by_hand(conv, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 2e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("size", SIZES)
def test_its_gradients_are_those_of_plain_torch(
    size: tuple[int, int, int, int], dtype: torch.dtype, near: float
) -> None:
    conv, x = make(size, dtype)
    x.requires_grad_()
    pull, values = torch.randn(x.shape, dtype=dtype), [x, conv.weight, conv.bias]
    found = torch.autograd.grad(conv.activated(x), values, pull)
    expected = torch.autograd.grad(F.silu(conv(x)), values, pull)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=near, atol=near * float(other.abs().max()))


def test_its_gradients_and_theirs_are_those_of_finite_differences() -> None:
    conv, x = make((2, 6, 2, 3))
    values = (x.requires_grad_(), conv.weight, conv.bias)
    assert torch.autograd.gradcheck(_Activated.apply, values)
    assert torch.autograd.gradgradcheck(_Activated.apply, values)


def test_a_gradient_is_given_to_what_asks_for_it_alone() -> None:
    conv, x = make((2, 6, 2, 3))
    conv.requires_grad_(False)
    (found,) = torch.autograd.grad(conv.activated(x.requires_grad_()).sum(), x)
    (expected,) = torch.autograd.grad(F.silu(conv(x)).sum(), x)
    torch.testing.assert_close(found, expected)


def test_columns_of_a_wider_array_are_served() -> None:
    conv, x = make((2, 9, 3, 4))
    wider = torch.cat([x, x], dim=-1)[..., :3]
    assert not wider.is_contiguous()
    assert torch.equal(conv.activated(wider), conv.activated(x))


def test_large_numbers_stay_finite() -> None:
    conv, x = make((1, 8, 4, 2), torch.float32)
    large = (1e4 * x).requires_grad_()
    y = conv.activated(large)
    torch.testing.assert_close(y, F.silu(conv(large)), rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(y.sum(), large)
    assert torch.isfinite(gradient).all()


def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ALONE", 1)
    conv, x = make((5, 20, 6, 4), torch.float32)
    values, results = [x.requires_grad_(), conv.weight, conv.bias], []
    for threads in (1, 2, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        y = conv.activated(x)
        results.append([y, *torch.autograd.grad(y.square().sum(), values)])
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_steps_equal_the_whole() -> None:
    conv, x = make((2, 12, 3, 4))
    whole, state = conv.activated(x), conv.initial_state(2)
    for t in range(12):
        y, state = conv.step(x[:, t], state)
        torch.testing.assert_close(F.silu(y), whole[:, t], rtol=1e-12, atol=1e-12)


def test_plain_torch_serves_where_machine_code_cannot() -> None:
    conv, x = make((2, 5, 3, 4))
    mixed = conv.activated(x.float().to(torch.bfloat16).to(torch.float64))
    with torch.autocast("cpu", torch.bfloat16):
        half = conv.float().activated(x.to(torch.bfloat16))
    assert half.dtype == torch.bfloat16
    np.testing.assert_allclose(half.detach().float(), mixed.detach(), atol=0.03)
    single = x.float()
    found = torch.func.vmap(lambda one: conv.activated(one.unsqueeze(0)).squeeze(0))(single)
    torch.testing.assert_close(found, conv.activated(single), rtol=1e-5, atol=1e-6)
