"""The GRU is its equations, over a window or bar by bar."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mnpu.errors import ConfigError
from mnpu.nn.gru import GRU
from tests.core import backbone_checks as checks


def by_equations(backbone: GRU, x: np.ndarray) -> np.ndarray:
    """Equations 5 to 8 in float64, layer by layer and bar by bar: (L, F) -> (L, D)."""
    weights = {name: p.detach().double().numpy() for name, p in backbone.gru.named_parameters()}
    for layer in range(backbone.depth):
        w, u, b, c = (weights[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        h, states = np.zeros(backbone.d_out), []
        for bar in x:
            (w_r, w_z, w_n), (u_r, u_z, u_n) = np.split(w @ bar + b, 3), np.split(u @ h + c, 3)
            reset, update = 1 / (1 + np.exp(-(w_r + u_r))), 1 / (1 + np.exp(-(w_z + u_z)))
            h = (1 - update) * np.tanh(w_n + reset * u_n) + update * h
            states.append(h)
        x = np.array(states)
    return x


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_it_is_its_equations(rng: np.random.Generator, depth: int) -> None:
    torch.manual_seed(0)
    backbone, x = GRU(3, 12, d_model=5, depth=depth), rng.standard_normal((12, 3))
    computed = backbone(torch.from_numpy(x[None]).float())[0].detach().numpy()
    np.testing.assert_allclose(computed, by_equations(backbone, x), rtol=1e-4, atol=1e-5)


def test_by_hand_closed_gates_keep_half_of_the_past() -> None:
    """With no weights but the candidate's, every gate is a half: h goes half of the way to tanh(x)."""
    backbone = GRU(1, 2, d_model=1)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.zero_()
        backbone.gru.weight_ih_l0[2] = 1.0
    first, second = backbone(torch.tensor([[[1.0], [2.0]]]))[0, :, 0].tolist()
    assert first == pytest.approx(math.tanh(1) / 2)
    assert second == pytest.approx(math.tanh(1) / 4 + math.tanh(2) / 2)


@pytest.mark.parametrize("changed", [{}, {"depth": 2}])
def test_it_keeps_every_law(changed: dict[str, object]) -> None:
    assert checks.broken_laws(GRU, **changed) == []


def test_it_is_causal_bar_by_bar() -> None:
    torch.manual_seed(0)
    checks.assert_causal(GRU(2, 9, depth=2), torch.randn(2, 9, 2))


@pytest.mark.parametrize("depth", [1, 3])
def test_bar_by_bar_it_equals_the_whole_also_far_beyond_the_lookback(depth: int) -> None:
    torch.manual_seed(0)
    backbone, x = GRU(4, 8, depth=depth).eval(), torch.randn(3, 200, 4)
    torch.testing.assert_close(checks.streamed(backbone, x), backbone(x), rtol=1e-5, atol=1e-5)


def test_a_step_leaves_the_state_that_it_was_given() -> None:
    backbone, x = GRU(4, 8), torch.randn(3, 4)
    state = backbone.initial_state(3)
    first, _ = backbone.step(x, state)
    again, _ = backbone.step(x, state)
    assert torch.equal(first, again)


@pytest.mark.filterwarnings("ignore:The tensor attributes:UserWarning")  # torch's own GRU keeps a list of its weights
def test_exported_and_in_bfloat16_it_computes_the_same() -> None:
    torch.manual_seed(0)
    backbone, x = GRU(4, 16, depth=2), torch.randn(8, 16, 4)
    checks.assert_exports(backbone, x)
    checks.assert_close_in_bfloat16(backbone, x)


def test_its_weights_may_be_bfloat16_themselves() -> None:
    torch.manual_seed(0)
    backbone, x = GRU(4, 16), torch.randn(8, 16, 4)
    full = backbone(x).detach()
    half = backbone.to(torch.bfloat16)(x.to(torch.bfloat16))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float().detach(), full, rtol=0, atol=0.05)


def test_it_survives_a_file(tmp_path: Path) -> None:
    checks.assert_survives_a_file(lambda: GRU(4, 16), torch.randn(2, 16, 4), tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("build", "setting"),
    [
        (lambda: GRU(0, 8), "backbone.n_features is 0"),
        (lambda: GRU(3, 8, d_model=-4), "backbone.d_model is -4, expected a positive integer"),
        (lambda: GRU(3, 8, depth=0), "backbone.depth is 0"),
    ],
)
def test_impossible_sizes_are_refused_by_name(build: Callable[[], nn.Module], setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        build()


def test_it_learns_a_planted_signal(rng: np.random.Generator) -> None:
    checks.assert_learns(GRU, rng, at_least=0.6)


def test_it_trains_in_bfloat16(rng: np.random.Generator) -> None:
    checks.assert_learns(GRU, rng, at_least=0.3, precision="bf16", epochs=2)
