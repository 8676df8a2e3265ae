"""A step of a mixer in one compiled call is the step by torch's operations, which has the gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mnpu_models_ssm.mamba import Mamba, SelectiveSSM

State = tuple[Tensor, Tensor]
NEAR = {torch.float32: 2e-5, torch.float64: 1e-11}


def make(d_model: int = 6, *, dtype: torch.dtype = torch.float64, **shape: int) -> SelectiveSSM:
    torch.manual_seed(0)
    sizes = {"d_inner": 2 * d_model, "d_state": 5, "d_conv": 4, "dt_rank": 2, **shape}
    mixer = SelectiveSSM(d_model, **sizes, dt=(0.001, 0.1)).to(dtype)
    with torch.no_grad():
        mixer.D.normal_()
        mixer.A_log.normal_()
    return mixer


def by_torch(mixer: SelectiveSSM, h: Tensor, state: State) -> tuple[Tensor, State]:
    y, state = mixer.step(h, state)
    assert y.requires_grad  # that way was taken
    return y.detach(), (state[0].detach(), state[1].detach())


@torch.no_grad()
def compiled(mixer: SelectiveSSM, h: Tensor, state: State) -> tuple[Tensor, State]:
    return mixer.step(h, state)


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("shape", [{}, {"d_conv": 1}, {"d_conv": 2, "d_state": 1, "dt_rank": 1}, {"d_state": 17}])
def test_it_equals_the_step_by_torch(shape: dict[str, int], batch: int, dtype: torch.dtype) -> None:
    mixer = make(**shape, dtype=dtype)
    one = other = mixer.initial_state(batch)
    for t in range(12):
        h = torch.randn(batch, 6, dtype=dtype, generator=torch.Generator().manual_seed(t))
        expected, one = by_torch(mixer, h, one)
        found, other = compiled(mixer, h, other)
        for a, b in zip((found, *other), (expected, *one), strict=True):
            torch.testing.assert_close(a, b, rtol=NEAR[dtype], atol=NEAR[dtype])


def test_the_state_that_it_was_given_is_left_as_it_was() -> None:
    mixer = make()
    _, state = compiled(mixer, torch.randn(2, 6, dtype=torch.float64), mixer.initial_state(2))
    before = [value.clone() for value in state]
    compiled(mixer, torch.randn(2, 6, dtype=torch.float64), state)
    assert all(torch.equal(a, b) for a, b in zip(state, before, strict=True))


def test_a_state_may_lie_in_memory_as_it_likes() -> None:
    mixer, h = make(), torch.randn(2, 6, dtype=torch.float64)
    _, (before, x) = compiled(mixer, h, mixer.initial_state(2))
    turned = (before.transpose(1, 2).contiguous().transpose(1, 2), x.transpose(1, 2).contiguous().transpose(1, 2))
    assert not turned[1].is_contiguous()
    assert torch.equal(compiled(mixer, h, turned)[0], compiled(mixer, h, (before, x))[0])


def test_large_and_small_step_sizes_stay_finite() -> None:
    mixer, h = make(dtype=torch.float32), 1e3 * torch.randn(2, 6)
    y, state = compiled(mixer, h, mixer.initial_state(2))
    expected, _ = by_torch(mixer, h, mixer.initial_state(2))
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert all(torch.isfinite(value).all() for value in (y, *state))


def test_it_sees_weights_that_changed() -> None:
    mixer, h = make(), torch.randn(1, 6, dtype=torch.float64)
    first, _ = compiled(mixer, h, mixer.initial_state(1))
    with torch.no_grad():
        mixer.out_proj.weight *= 2
    second, _ = compiled(mixer, h, mixer.initial_state(1))
    torch.testing.assert_close(second, 2 * first)


def test_a_whole_backbone_steps_as_it_passes() -> None:
    torch.manual_seed(0)
    backbone, x = Mamba(3, 40, d_model=16, depth=3).double().eval(), torch.randn(2, 40, 3, dtype=torch.float64)
    whole, state = backbone(x).detach(), backbone.initial_state(2)
    with torch.inference_mode():
        for t in range(40):
            h, state = backbone.step(x[:, t], state)
            torch.testing.assert_close(h.clone(), whole[:, t], rtol=1e-10, atol=1e-10)
