"""The selective scan is the recurrence of its equations, in every way to compute it, in both directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mnpu_models_ssm import machine
from mnpu_models_ssm import scan as ways

WAYS = [ways.chunked, ways.compiled]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def inputs(batch: int, length: int, channels: int, modes: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    draw = torch.Generator().manual_seed(length)
    u, b, c = (torch.randn(batch, length, n, generator=draw) for n in (channels, modes, modes))
    delta = 0.5 * torch.rand(batch, length, channels, generator=draw)
    a, skip = -4 * torch.rand(channels, modes, generator=draw) - 0.1, torch.randn(channels, generator=draw)
    return [value.to(dtype).requires_grad_() for value in (u, delta, a, b, c, skip)]


def by_hand(*values: Tensor) -> np.ndarray:
    """Equation (2) of the paper, one number at a time."""
    u, delta, a, b, c, skip = (value.detach().double().numpy() for value in values)
    y = np.zeros_like(u)
    for i, d in np.ndindex(u.shape[0], u.shape[2]):
        x = np.zeros(a.shape[1])
        for t in range(u.shape[1]):
            for n in range(a.shape[1]):
                x[n] = np.exp(delta[i, t, d] * a[d, n]) * x[n] + delta[i, t, d] * b[i, t, n] * u[i, t, d]
            y[i, t, d] = sum(c[i, t, n] * x[n] for n in range(a.shape[1])) + skip[d] * u[i, t, d]
    return y


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max().detach() / expected.abs().max().clamp(min=1e-9).detach())


@pytest.mark.parametrize("scan", [ways.reference, *WAYS])
def test_it_is_the_recurrence_of_the_paper(scan: ways.Scan) -> None:
    values = inputs(2, 21, 3, 4)
    np.testing.assert_allclose(scan(*values).detach().numpy(), by_hand(*values), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", [(1, 1, 1, 1), (3, 15, 5, 2), (2, 16, 4, 16), (2, 50, 130, 3), (1, 33, 257, 1)])
@pytest.mark.parametrize("scan", WAYS)
def test_every_way_equals_the_reference_with_its_gradients(
    scan: ways.Scan, size: tuple[int, int, int, int], dtype: torch.dtype
) -> None:
    values = inputs(*size, dtype)
    weight = torch.randn(size[:3], dtype=dtype, generator=torch.Generator().manual_seed(5))
    y, expected = scan(*values), ways.reference(*values)
    found = [y, *torch.autograd.grad(y, values, weight)]
    wanted = [expected, *torch.autograd.grad(expected, values, weight)]
    for name, one, other in zip(("y", "u", "delta", "a", "b", "c", "skip"), found, wanted, strict=True):
        assert distance(one, other) < TOLERANCE[dtype], name


@pytest.mark.parametrize("scan", WAYS)
def test_its_gradients_are_those_of_finite_differences(scan: ways.Scan) -> None:
    assert torch.autograd.gradcheck(scan, inputs(2, 18, 3, 2))


def test_the_compiled_scan_has_a_gradient_of_its_gradient() -> None:
    assert torch.autograd.gradgradcheck(ways.compiled, inputs(1, 5, 2, 2))


def test_only_what_asks_for_a_gradient_gets_one() -> None:
    values = [value.detach() for value in inputs(1, 20, 3, 2)]
    values[2].requires_grad_()
    assert ways.compiled(*values).requires_grad
    with torch.no_grad():
        assert not ways.compiled(*values).requires_grad


def test_the_order_in_memory_does_not_matter() -> None:
    values = inputs(2, 20, 3, 4)
    turned = [v.detach().transpose(-1, 0).contiguous().transpose(-1, 0).requires_grad_() for v in values]
    assert not turned[0].is_contiguous()
    y, other = ways.compiled(*values), ways.compiled(*turned)
    torch.testing.assert_close(y, other, rtol=0, atol=0)
    for one, two in zip(torch.autograd.grad(y.sum(), values), torch.autograd.grad(other.sum(), turned), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ALONE", 1)
    values, results = inputs(5, 40, 6, 3, torch.float32), []
    for threads in (1, 2, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        y = ways.compiled(*values)
        results.append([y, *torch.autograd.grad(y.square().sum(), values)])
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_decays_are_exact_from_none_to_all() -> None:
    """Write 1, read a step later: what comes back is the decay, exp(delta a)."""
    rates = np.concatenate([np.linspace(0, 4, 400), np.geomspace(1e-7, 80, 400)])
    u = torch.zeros(1, 2, len(rates))
    u[:, 0] = 1.0
    ones = torch.ones(1, 2, 1)
    a = -torch.from_numpy(rates).float()[:, None]
    y = ways.compiled(u, torch.ones_like(u), a, ones, ones, torch.zeros(len(rates)))[0, 1].numpy()
    expected = np.exp(a[:, 0].double().numpy())
    np.testing.assert_allclose(y, expected, rtol=2e-5)  # at exp(-80), rounding the exponent alone costs 5e-6
    near = rates < 0.3  # where every memory of some bars lives
    np.testing.assert_allclose(y[near], expected[near], rtol=3e-7)


@pytest.mark.parametrize("scan", WAYS)
def test_a_step_that_forgets_everything_stays_finite(scan: ways.Scan) -> None:
    values = inputs(1, 40, 3, 2, torch.float32)
    values[1] = (1e4 * values[1]).detach().requires_grad_()
    y, expected = scan(*values), ways.reference(*values)
    assert distance(y, expected) < 1e-5
    assert all(torch.isfinite(gradient).all() for gradient in torch.autograd.grad(y.sum(), values))


@pytest.mark.parametrize("scan", WAYS)
def test_a_long_window_loses_no_digits(scan: ways.Scan) -> None:
    values = [value.detach() for value in inputs(1, 3000, 2, 2, torch.float32)]
    assert distance(scan(*values), ways.reference(*(value.double() for value in values)).float()) < 1e-5


def test_steps_equal_the_scan() -> None:
    u, delta, a, b, c, skip = (value.detach() for value in inputs(2, 30, 3, 4))
    whole, state = ways.selective_scan(u, delta, a, b, c, skip), torch.zeros(2, 3, 4, dtype=torch.float64)
    for t in range(30):
        y, state = ways.selective_step(u[:, t], delta[:, t], a, b[:, t], c[:, t], skip, state)
        torch.testing.assert_close(y, whole[:, t], rtol=1e-12, atol=1e-12)


def test_the_way_suits_where_it_runs() -> None:
    assert ways.way(torch.zeros(1)) is ways.compiled
    assert ways.way(torch.zeros(1, dtype=torch.float16)) is ways.chunked
    assert ways.way(torch.zeros(1, device="meta")) is ways.chunked


def test_torch_func_is_served_by_plain_torch() -> None:
    u, *rest = (value.detach() for value in inputs(2, 9, 3, 2))
    found = torch.func.grad(lambda u: ways.selective_scan(u, *rest).square().sum())(u)
    u.requires_grad_()
    (expected,) = torch.autograd.grad(ways.selective_scan(u, *rest).square().sum(), u)
    torch.testing.assert_close(found, expected)
