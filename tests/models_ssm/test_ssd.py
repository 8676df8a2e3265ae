"""State-space duality is the recurrence of its equations, whatever the chunk."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mnpu_models_ssm import scan, ssd


def inputs(length: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Two windows, three heads of four channels, states of five."""
    draw = torch.Generator().manual_seed(length)
    x = torch.randn(2, length, 3, 4, generator=draw)
    b, c = (torch.randn(2, length, 5, generator=draw) for _ in range(2))
    log_decay = -2 * torch.rand(2, length, 3, generator=draw)
    return [value.to(dtype).requires_grad_() for value in (x, log_decay, b, c)]


def as_selective_scan(x: Tensor, log_decay: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """A head is P channels of a selective scan with the same step size and rate -1: the duality of section 3.

    The input comes times the step size there, hence the division.
    """
    delta = -log_decay.repeat_interleave(4, dim=-1)  # (B, L, HP)
    a, skip = -torch.ones(12, 5, dtype=x.dtype), torch.zeros(12, dtype=x.dtype)
    return scan.reference(x.flatten(2) / delta, delta, a, b, c, skip).unflatten(-1, (3, 4))


@pytest.mark.parametrize("chunk", [1, 7, 64])
@pytest.mark.parametrize("length", [1, 7, 30])
def test_it_is_a_selective_scan_with_one_decay_for_a_head(length: int, chunk: int) -> None:
    values = inputs(length)
    y, expected = ssd.ssd(*values, chunk=chunk), as_selective_scan(*values)
    torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)
    weight = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(5))
    wanted = torch.autograd.grad(expected, values, weight)
    for one, other in zip(torch.autograd.grad(y, values, weight), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)


def test_single_precision_is_close() -> None:
    values = [value.detach() for value in inputs(200)]
    single = ssd.ssd(*(value.float() for value in values))
    assert float((single - ssd.ssd(*values)).abs().max()) < 1e-5 * float(single.abs().max())


def test_its_gradients_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(lambda *values: ssd.ssd(*values, chunk=3), inputs(7))


def test_a_processor_takes_some_chunks_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = inputs(50)
    whole = ssd.ssd(*values, chunk=4)
    monkeypatch.setattr(ssd, "CACHED", 2 * 2 * 3 * 16)
    torch.testing.assert_close(ssd.ssd(*values, chunk=4), whole, rtol=1e-12, atol=1e-12)


def test_a_step_that_forgets_everything_stays_finite() -> None:
    x, log_decay, b, c = inputs(70, torch.float32)
    y = ssd.ssd(x, 1e4 * log_decay, b, c)
    assert torch.isfinite(y).all()
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(y.sum(), (x, log_decay, b, c)))


def test_a_reset_costs_no_digits_of_what_follows() -> None:
    x, log_decay, b, c = (value.detach() for value in inputs(60))
    log_decay = torch.where(torch.arange(60)[:, None] < 30, -1000.0, 0.01 * log_decay).float()
    single = ssd.ssd(x.float(), log_decay, b.float(), c.float())
    whole = ssd.ssd(x, log_decay.double(), b, c)
    assert float((single - whole).abs().max()) < 5e-6 * float(whole.abs().max())


def test_steps_equal_the_whole() -> None:
    x, log_decay, b, c = (value.detach() for value in inputs(20))
    whole, state = ssd.ssd(x, log_decay, b, c, chunk=6), x.new_zeros(2, 5, 3, 4)
    for t in range(20):
        y, state = ssd.ssd_step(x[:, t], log_decay[:, t], b[:, t], c[:, t], state)
        torch.testing.assert_close(y, whole[:, t], rtol=1e-12, atol=1e-12)
