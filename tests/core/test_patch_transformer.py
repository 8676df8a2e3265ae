"""The patch transformer cuts patches where it says, attends to the past only, and refuses what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnpu.errors import ConfigError
from mnpu.nn.patch_transformer import EncoderBlock, PatchTransformer
from tests.core import backbone_checks as checks

SHAPES = [{}, {"channels": "independent"}, {"instance_norm": True}, {"patch_length": 5, "stride": 3}]


def make(n_features: int = 3, lookback: int = 16, **changed: object) -> PatchTransformer:
    torch.manual_seed(0)
    return PatchTransformer(n_features, lookback, **{"d_model": 8, "n_heads": 2, **changed}).eval()


def reading(backbone: PatchTransformer) -> PatchTransformer:
    """Tokens that show the bars of their patches: an embedding that copies, and no positions."""
    with torch.no_grad():
        backbone.embed.weight.copy_(torch.eye(*backbone.embed.weight.shape))
        backbone.embed.bias.zero_()
        backbone.position.zero_()
    return backbone


def test_by_hand_patches_end_at_the_last_bar_and_begin_with_zeros() -> None:
    """Bars 1 to 7, patches of 4, stride 2: they end at bars 7, 5, 3 and 1."""
    backbone = reading(make(1, 7, patch_length=4, stride=2))
    tokens = backbone.tokens(torch.arange(1.0, 8.0).view(1, 7, 1))[0, :, :4]
    assert tokens.tolist() == [[0, 0, 0, 1], [0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]


def test_by_hand_a_patch_of_several_columns_holds_one_after_the_other() -> None:
    x = torch.stack([torch.arange(1.0, 5.0), torch.arange(10.0, 50.0, 10.0)], dim=-1).unsqueeze(0)  # (1, 4, 2)
    mixed = reading(make(2, 4, patch_length=2, stride=2)).tokens(x)[0, :, :4]
    assert mixed.tolist() == [[1, 2, 10, 20], [3, 4, 30, 40]]
    own = reading(make(2, 4, patch_length=2, stride=2, channels="independent")).tokens(x)[:, :, :2]
    assert own.tolist() == [[[1, 2], [3, 4]], [[10, 20], [30, 40]]]


@pytest.mark.parametrize(
    ("lookback", "patch_length", "stride"), [(7, 4, 3), (16, 8, 4), (16, 5, 5), (9, 9, 2), (1, 1, 1)]
)
def test_every_bar_is_in_a_patch_and_each_step_holds_the_last_finished_one(
    lookback: int, patch_length: int, stride: int
) -> None:
    backbone = make(2, lookback, patch_length=patch_length, stride=stride)
    x = torch.randn(2, lookback, 2)
    h = backbone.tokens(x)
    for block in backbone.blocks:
        h = block(h)
    h, ends = backbone.norm(h), [t for t in range(lookback) if (lookback - 1 - t) % stride == 0]
    assert h.shape[1] == len(ends) == backbone.n_patches
    output = backbone(x)
    for t in range(lookback):
        finished = [n for n, end in enumerate(ends) if end <= t]
        expected = h[:, finished[-1]] if finished else torch.zeros(2, 8)
        torch.testing.assert_close(output[:, t], expected)


def test_instance_norm_takes_mean_and_deviation_out_of_each_column() -> None:
    backbone = reading(make(2, 8, patch_length=4, stride=4, instance_norm=True, channels="independent"))
    x = 5.0 + 3.0 * torch.randn(3, 8, 2)
    bars = backbone.tokens(x)[:, :, :4].unflatten(0, (3, 2)).flatten(2)  # (B, F, L)
    expected = ((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True, unbiased=False)).transpose(1, 2)
    torch.testing.assert_close(bars, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(backbone(7.0 + 2.0 * x), backbone(x), rtol=1e-3, atol=1e-3)
    assert torch.isfinite(backbone(torch.ones(1, 8, 2))).all()


def test_a_block_is_pre_norm_attention_to_the_past_and_a_feed_forward_part() -> None:
    torch.manual_seed(0)
    block, h = EncoderBlock(4, 2, 6, 0.0), torch.randn(1, 5, 4)
    expected = torch.stack([_block_step(block, h[0], t) for t in range(5)])
    torch.testing.assert_close(block(h)[0].detach(), expected)


@torch.no_grad()
def _block_step(block: EncoderBlock, h: Tensor, t: int) -> Tensor:
    """One token by plain loops over heads and the tokens that it may see."""
    z = torch.stack([_normalised(token) for token in h[: t + 1]])
    query, (keys, values) = block.query.weight @ z[t], (z @ block.key_value.weight.T).split(4, dim=-1)
    read = torch.zeros(4)
    for part in (slice(0, 2), slice(2, 4)):
        weights = torch.stack([query[part] @ key[part] / 2**0.5 for key in keys]).softmax(0)
        read[part] = sum((w * value[part] for w, value in zip(weights, values, strict=True)), torch.zeros(2))
    token = h[t] + block.out.weight @ read + block.out.bias
    inside = block.ff[0].weight @ _normalised(token) + block.ff[0].bias
    gelu = inside * 0.5 * (1 + torch.erf(inside / 2**0.5))
    return token + block.ff[2].weight @ gelu + block.ff[2].bias


def _normalised(token: Tensor) -> Tensor:
    return (token - token.mean()) / torch.sqrt(token.var(unbiased=False) + 1e-5)


def test_independent_columns_meet_in_the_last_map_only() -> None:
    backbone, x = make(3, 16, channels="independent"), torch.randn(2, 16, 3)
    with torch.no_grad():
        backbone.mix.weight[:, 8:16] = 0.0  # column 1 is left out
    other = x.clone()
    other[..., 1] = torch.randn(2, 16)
    torch.testing.assert_close(backbone(other), backbone(x))


@pytest.mark.parametrize("changed", [*SHAPES, {"depth": 1}, {"patch_length": 24, "stride": 7}])
def test_it_keeps_every_law(changed: dict[str, object]) -> None:
    assert checks.broken_laws(PatchTransformer, **changed) == []


def test_with_instance_norm_it_does_not_say_that_it_is_causal() -> None:
    assert make().causal
    assert not make(instance_norm=True).causal


@pytest.mark.parametrize("channels", ["mixed", "independent"])
def test_it_is_causal_bar_by_bar(channels: str) -> None:
    checks.assert_causal(make(2, 15, patch_length=5, stride=2, channels=channels), torch.randn(2, 15, 2))


@pytest.mark.parametrize("changed", SHAPES)
def test_exported_and_in_bfloat16_it_computes_the_same(changed: dict[str, object]) -> None:
    backbone, x = make(4, 16, **changed), torch.randn(8, 16, 4)
    checks.assert_exports(backbone, x)
    checks.assert_close_in_bfloat16(backbone, x)


@pytest.mark.parametrize("channels", ["mixed", "independent"])
def test_it_survives_a_file(tmp_path: Path, channels: str) -> None:
    checks.assert_survives_a_file(
        lambda: PatchTransformer(4, 16, channels=channels), torch.randn(2, 16, 4), tmp_path / "w.safetensors"
    )


@pytest.mark.parametrize("lookback", [1, 2, 5, 64])
def test_default_patches_fit_any_lookback(lookback: int) -> None:
    backbone = PatchTransformer(3, lookback)
    assert (backbone.patch_length, backbone.stride) == (min(8, lookback), max(min(8, lookback) // 2, 1))
    assert backbone(torch.randn(2, lookback, 3)).shape == (2, lookback, 32)


def test_dropout_acts_in_training_only() -> None:
    backbone, x = make(dropout=0.5), torch.randn(2, 16, 3)
    assert not torch.equal(backbone.train()(x), backbone(x))
    assert torch.equal(backbone.eval()(x), backbone(x))


def test_positions_are_spared_from_weight_decay() -> None:
    assert make().no_weight_decay == {"position"}


@pytest.mark.parametrize(
    ("build", "setting"),
    [
        (lambda: PatchTransformer(3, 8, d_model=30), "backbone.d_model is 30, expected a multiple of n_heads, 4"),
        (lambda: PatchTransformer(3, 8, n_heads=0), "backbone.n_heads is 0"),
        (lambda: PatchTransformer(3, 8, depth=0), "backbone.depth is 0"),
        (lambda: PatchTransformer(3, 8, d_ff=0), "backbone.d_ff is 0"),
        (lambda: PatchTransformer(3, 8, patch_length=0), "backbone.patch_length is 0"),
        (
            lambda: PatchTransformer(3, 8, patch_length=9),
            "backbone.patch_length is 9, expected at most the lookback, 8",
        ),
        (
            lambda: PatchTransformer(3, 8, patch_length=4, stride=5),
            "backbone.stride is 5, expected at most patch_length",
        ),
        (lambda: PatchTransformer(3, 8, stride=0), "backbone.stride is 0"),
        (lambda: PatchTransformer(3, 8, channels="both"), "backbone.channels is 'both', expected mixed or independent"),
        (lambda: PatchTransformer(3, 8, dropout=-0.1), "backbone.dropout is -0.1"),
    ],
)
def test_impossible_sizes_are_refused_by_name(build: Callable[[], nn.Module], setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        build()


def with_channels(channels: str) -> Callable[..., nn.Module]:
    return lambda n_features, lookback: PatchTransformer(n_features, lookback, channels=channels)


@pytest.mark.parametrize("channels", ["mixed", "independent"])
def test_it_learns_a_planted_signal(rng: np.random.Generator, channels: str) -> None:
    checks.assert_learns(with_channels(channels), rng, at_least=0.6)


def test_it_trains_in_bfloat16(rng: np.random.Generator) -> None:
    checks.assert_learns(PatchTransformer, rng, at_least=0.3, precision="bf16", epochs=2)
