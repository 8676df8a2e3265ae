"""Mamba and Mamba-2 are the published networks, in one pass or bar by bar."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnpu.errors import ConfigError
from mnpu.nn.protocols import summary_of
from mnpu.testing.models import backbone_laws
from mnpu_models_ssm.mamba import Mamba, SelectiveSSM
from mnpu_models_ssm.mamba2 import DualSSM, Mamba2
from tests.core.training_world import FOLD, fit, make_world, rank_ic, settings
from tests.models_ssm.published import MAMBA, MAMBA2, filled, waves

BOTH = pytest.mark.parametrize("backbone", [Mamba, Mamba2])


def selective() -> SelectiveSSM:
    return SelectiveSSM(4, d_inner=8, d_state=3, d_conv=4, dt_rank=1, dt=(0.001, 0.1))


def dual() -> DualSSM:
    return DualSSM(4, d_inner=8, head_dim=4, d_state=3, d_conv=4, chunk=4, dt=(0.001, 0.1))


@pytest.mark.parametrize(("mixer", "expected"), [(selective, MAMBA), (dual, MAMBA2)])
def test_a_mixer_gives_the_numbers_of_the_published_code(mixer: Callable[[], nn.Module], expected: list) -> None:
    y = filled(mixer()).double()(waves(1, 6, 4))[0]
    np.testing.assert_allclose(y.detach(), expected, rtol=2e-6, atol=2e-6)


def make_published() -> tuple[nn.Module, SelectiveSSM]:
    """mambapy's block, and ours with its weights."""
    mambapy = pytest.importorskip("mambapy.mamba", reason="mambapy is not installed")
    torch.manual_seed(0)
    other = mambapy.MambaBlock(mambapy.MambaConfig(d_model=4, n_layers=1, d_state=3, dt_rank=1))
    mixer = selective()
    mixer.load_state_dict(other.state_dict())
    return other, mixer


def test_a_mixer_and_its_gradients_equal_mambapy() -> None:
    other, mixer = make_published()
    h, pull = torch.randn(3, 40, 4, requires_grad=True), torch.randn(3, 40, 4)
    torch.testing.assert_close(mixer(h), other(h), rtol=1e-5, atol=1e-6)
    names = [name for name, _ in other.named_parameters()]
    expected = torch.autograd.grad(other(h), [h, *other.parameters()], pull)
    found = torch.autograd.grad(mixer(h), [h, *(mixer.get_parameter(name) for name in names)], pull)
    for name, one, two in zip(["h", *names], found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5, msg=lambda said, name=name: f"{name}: {said}")


@torch.no_grad()
def test_a_step_of_a_mixer_equals_mambapys() -> None:
    other, mixer = make_published()
    h, ours, theirs = torch.randn(2, 30, 4), mixer.initial_state(2), (None, torch.zeros(2, 8, 3))
    for t in range(30):
        y, ours = mixer.step(h[:, t], ours)
        expected, theirs = other.step(h[:, t], theirs)
        torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)


@BOTH
def test_it_keeps_every_law(backbone: type[nn.Module]) -> None:
    assert [outcome for outcome in backbone_laws(backbone) if not outcome.passed] == []


@BOTH
def test_steps_equal_the_whole_to_the_last_digits(backbone: type[nn.Module]) -> None:
    torch.manual_seed(0)
    module, x = backbone(3, 200).double(), torch.randn(2, 200, 3, dtype=torch.float64)
    whole, state = module(x), module.initial_state(2)
    for t in range(200):
        h, state = module.step(x[:, t], state)
        torch.testing.assert_close(h, whole[:, t], rtol=1e-9, atol=1e-9)


@BOTH
@pytest.mark.filterwarnings("error")
def test_steps_equal_the_whole_under_bfloat16(backbone: type[nn.Module]) -> None:
    torch.manual_seed(0)
    module, x = backbone(3, 30), torch.randn(2, 30, 3)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        whole, state = module(x), module.initial_state(2)
        for t in range(30):
            h, state = module.step(x[:, t], state)
            assert float((h - whole[:, t]).abs().max()) < 0.1


@BOTH
def test_it_takes_windows_of_any_length(backbone: type[nn.Module]) -> None:
    module = backbone(4, 8)
    assert module(torch.randn(2, 150, 4)).shape == (2, 150, 32)
    assert module(torch.randn(2, 1, 4)).shape == (2, 1, 32)


@BOTH
def test_it_can_be_exported(backbone: type[nn.Module]) -> None:
    class Summary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = backbone(3, 10)

        def forward(self, x: Tensor) -> Tensor:
            return summary_of(self.backbone, x)

    module, x = Summary().eval(), torch.randn(2, 10, 3)
    exported = torch.export.export(module, (x,)).module()
    torch.testing.assert_close(exported(x), module(x), rtol=1e-5, atol=1e-5)


def test_the_chunk_changes_no_result() -> None:
    torch.manual_seed(0)
    one, other = Mamba2(3, 50).double(), Mamba2(3, 50, chunk=7).double()
    other.load_state_dict(one.state_dict())
    x = torch.randn(2, 50, 3, dtype=torch.float64)
    torch.testing.assert_close(one(x), other(x), rtol=1e-10, atol=1e-10)


def test_time_scales_are_spared_from_weight_decay() -> None:
    mixer = "blocks.0.mixer."
    assert Mamba(4, 8, depth=1).no_weight_decay == {mixer + name for name in ("A_log", "D", "dt_proj.bias")}
    assert Mamba2(4, 8, depth=1).no_weight_decay == {mixer + name for name in ("A_log", "D", "dt_bias")}


def test_step_sizes_start_as_published() -> None:
    torch.manual_seed(0)
    mixer = Mamba(4, 8, d_model=64, dt_min=0.01, dt_max=0.2).blocks[0].mixer
    size = nn.functional.softplus(mixer.dt_proj.bias.detach())
    assert 0.0099 < float(size.min()) < 0.02
    assert 0.1 < float(size.max()) <= 0.2 * (1 + 1e-5)
    np.testing.assert_allclose(mixer.A_log.detach().exp()[5], np.arange(1, 17), rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "setting"),
    [
        (lambda: Mamba(3, 8, d_state=0), "backbone.d_state is 0, expected a positive integer"),
        (lambda: Mamba(3, 8, dt_rank=0), "backbone.dt_rank is 0"),
        (lambda: Mamba(3, 8, dt_min=0.5, dt_max=0.1), "backbone.dt_min is 0.5"),
        (lambda: Mamba2(3, 8, chunk=0), "backbone.chunk is 0"),
        (lambda: Mamba2(3, 8, head_dim=5), "backbone.head_dim is 5, expected a divisor of expand \\* d_model, 64"),
        (lambda: Mamba2(3, 8, dt_min=0.5, dt_max=0.1), "backbone.dt_min is 0.5"),
    ],
)
def test_impossible_sizes_are_refused_by_name(build: Callable[[], nn.Module], setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        build()


@BOTH
def test_it_learns_a_planted_signal(backbone: type[nn.Module], rng: np.random.Generator) -> None:
    from mnpu import training

    world = make_world(rng)
    fitted = fit(world, backbone=backbone)
    forecast = training.forecast(fitted, world.frame, rows=FOLD.test)
    assert rank_ic(forecast.median(), world.labels.values[..., 0]) > 0.6


@BOTH
def test_it_trains_in_bfloat16(backbone: type[nn.Module], rng: np.random.Generator) -> None:
    fitted = fit(make_world(rng), backbone=backbone, train=settings(precision="bf16", epochs=1))
    assert np.isfinite(fitted.best.validation)
