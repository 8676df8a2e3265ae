"""The TCN is the published block of dilated filters, whole, thinned to its last step, or bar by bar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mnpu.errors import ConfigError
from mnpu.nn.tcn import TCN, Block, CausalConv
from tests.core import backbone_checks as checks


def filtered(conv: CausalConv, x: np.ndarray) -> np.ndarray:
    """The sum over taps and the weights' normalisation, by loops in float64: (L, C) -> (L, D)."""
    v, g, b = (p.detach().double().numpy() for p in (conv.direction, conv.gain, conv.bias))
    y = np.tile(b, (len(x), 1))
    for d in range(len(g)):
        taps = g[d] * v[d] / np.sqrt((v[d] ** 2).sum())  # (C, K)
        for t in range(len(x)):
            for lag in range(conv.kernel_size):
                if t - lag * conv.dilation >= 0:
                    y[t, d] += taps[:, conv.kernel_size - 1 - lag] @ x[t - lag * conv.dilation]
    return y


def by_equations(backbone: TCN, x: np.ndarray) -> np.ndarray:
    """Blocks and final layer norm in float64: (L, F) -> (L, D)."""
    for block in backbone.blocks:
        branch = np.maximum(filtered(block.second, np.maximum(filtered(block.first, x), 0)), 0)
        if isinstance(block.skip, nn.Conv1d):
            weight, bias = (p.detach().double().numpy() for p in block.skip.parameters())
            x = x @ weight[..., 0].T + bias
        x = np.maximum(x + branch, 0)
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def make_tcn(n_features: int = 3, lookback: int = 20, **changed: object) -> TCN:
    """A network whose gains and biases are no longer what they start as."""
    torch.manual_seed(0)
    backbone = TCN(n_features, lookback, **{"d_model": 6, **changed}).eval()
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if name.endswith(("gain", "first.bias", "second.bias")):
                parameter += 0.3 * torch.randn_like(parameter)
    return backbone


@pytest.mark.parametrize("changed", [{}, {"kernel_size": 2}, {"kernel_size": 4, "depth": 2}, {"d_model": 3}])
def test_it_is_its_equations(rng: np.random.Generator, changed: dict[str, object]) -> None:
    backbone, x = make_tcn(**changed), rng.standard_normal((20, 3))
    computed = backbone(torch.from_numpy(x[None]).float())[0].detach().numpy()
    np.testing.assert_allclose(computed, by_equations(backbone, x), rtol=1e-3, atol=1e-4)


def test_by_hand_a_block_adds_two_filters_to_its_input() -> None:
    """Filters (1, 0, 1) / sqrt 2 times sqrt 2, two bars apart: each output adds the input of four bars ago."""
    block = Block(1, 1, kernel_size=3, dilation=2, dropout=0.0)
    with torch.no_grad():
        for conv in (block.first, block.second):
            conv.direction.copy_(torch.tensor([[[5.0, 0.0, 5.0]]]))
            conv.gain.fill_(2**0.5)
    x = torch.tensor([[[1.0, 2, 3, 4, 5, 6, 7, 8, 9]]])
    # first: x_t + x_{t-4}; second: that of the same, x_t + 2 x_{t-4} + x_{t-8}; block: beside x itself
    expected = [2.0, 4, 6, 8, 12, 16, 20, 24, 29]
    assert block(x)[0, 0].tolist() == pytest.approx(expected)


def test_the_reach_is_what_the_formula_says() -> None:
    backbone = make_tcn(2, 40, kernel_size=3, depth=3)
    assert backbone.receptive_field == 1 + 2 * 2 * (1 + 2 + 4)
    x = torch.randn(1, 40, 2, requires_grad=True)
    backbone(x)[0, -1].square().sum().backward()
    reached = x.grad[0].abs().sum(-1) > 0
    assert not reached[: 40 - 29].any()
    assert reached[40 - 29 :].sum() > 20


@pytest.mark.parametrize("lookback", [1, 2, 3, 5, 29, 30, 64])
def test_by_default_the_last_step_sees_the_whole_window_and_no_block_is_spare(lookback: int) -> None:
    backbone = TCN(2, lookback)
    assert backbone.receptive_field >= lookback
    assert len(backbone.blocks) == 1 or TCN(2, lookback, depth=len(backbone.blocks) - 1).receptive_field < lookback


@pytest.mark.parametrize("changed", [{}, {"kernel_size": 2}, {"kernel_size": 4, "depth": 2}, {"depth": 1}])
@pytest.mark.parametrize("lookback", [1, 2, 7, 20, 33])
def test_the_last_step_alone_is_the_last_step(lookback: int, changed: dict[str, object]) -> None:
    if 2 ** (changed.get("depth", 1) - 1) >= max(lookback, 2):
        pytest.skip("too deep for this window")
    backbone, x = make_tcn(3, lookback, **changed), torch.randn(4, lookback, 3)
    torch.testing.assert_close(backbone.summary(x), backbone(x)[:, -1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("changed", [{}, {"kernel_size": 2}, {"kernel_size": 4, "depth": 2}, {"dropout": 0.5}])
def test_it_keeps_every_law(changed: dict[str, object]) -> None:
    assert checks.broken_laws(TCN, **changed) == []


def test_it_is_causal_bar_by_bar() -> None:
    checks.assert_causal(make_tcn(2, 15), torch.randn(2, 15, 2))


@pytest.mark.parametrize("changed", [{}, {"kernel_size": 2}, {"kernel_size": 5, "depth": 3}])
def test_bar_by_bar_it_equals_the_whole_also_far_beyond_the_lookback(changed: dict[str, object]) -> None:
    backbone, x = make_tcn(4, 16, **changed), torch.randn(3, 150, 4)
    torch.testing.assert_close(checks.streamed(backbone, x), backbone(x).detach(), rtol=1e-4, atol=1e-5)


def test_a_step_reads_and_writes_one_column_of_the_ring() -> None:
    conv = CausalConv(2, 3, kernel_size=3, dilation=4)
    ring, taken = conv.initial_state(1)
    with torch.no_grad():
        for t in range(9):
            before = ring.clone()
            _, (ring, taken) = conv.step(torch.full((1, 2), t + 1.0), (ring, taken))
            changed = (ring != before).nonzero()[:, :2].unique(dim=0)
            assert changed.tolist() == [[t % 4, t // 4 % 2]]
    assert taken == 9
    assert sorted(ring[..., 0, 0].flatten().tolist()) == [2, 3, 4, 5, 6, 7, 8, 9]  # the last (K - 1) d inputs


def test_exported_and_in_bfloat16_it_computes_the_same() -> None:
    backbone, x = make_tcn(4, 16), torch.randn(8, 16, 4)
    checks.assert_exports(backbone, x)
    checks.assert_close_in_bfloat16(backbone, x)


def test_it_survives_a_file(tmp_path: Path) -> None:
    checks.assert_survives_a_file(lambda: TCN(4, 16), torch.randn(2, 16, 4), tmp_path / "w.safetensors")


def test_dropout_leaves_out_whole_channels_in_training_only() -> None:
    torch.manual_seed(0)
    backbone, x = TCN(3, 16, dropout=0.5), torch.randn(2, 16, 3)
    assert not torch.equal(backbone.train()(x), backbone(x))
    assert torch.equal(backbone.eval()(x), backbone(x))
    dropped = backbone.blocks[0].train().drop(torch.ones(4, 32, 16))
    assert ((dropped == 0).all(-1) | (dropped == 2).all(-1)).all()


def test_directions_are_spared_from_weight_decay() -> None:
    assert TCN(3, 16, depth=1).no_weight_decay == {"blocks.0.first.direction", "blocks.0.second.direction"}


@pytest.mark.parametrize(
    ("build", "setting"),
    [
        (lambda: TCN(3, 8, d_model=0), "backbone.d_model is 0"),
        (lambda: TCN(3, 8, kernel_size=1), "backbone.kernel_size is 1, expected at least 2 taps"),
        (lambda: TCN(3, 8, depth=0), "backbone.depth is 0"),
        (lambda: TCN(3, 8, depth=4), "backbone.depth is 4, expected at most 3, so that dilations stay below"),
        (lambda: TCN(3, 9, depth=5), "backbone.depth is 5, expected at most 4"),
        (lambda: TCN(3, 8, dropout=1.0), "backbone.dropout is 1.0, expected a share"),
    ],
)
def test_impossible_sizes_are_refused_by_name(build: Callable[[], nn.Module], setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        build()


@pytest.mark.parametrize("lookback", [2, 8, 9])
def test_the_depth_that_a_refusal_names_is_possible(lookback: int) -> None:
    assert TCN(3, lookback, depth=(lookback - 1).bit_length())(torch.randn(1, lookback, 3)).shape == (1, lookback, 32)


def test_it_learns_a_planted_signal(rng: np.random.Generator) -> None:
    checks.assert_learns(TCN, rng, at_least=0.6)


def test_it_trains_in_bfloat16(rng: np.random.Generator) -> None:
    checks.assert_learns(TCN, rng, at_least=0.3, precision="bf16", epochs=2)
