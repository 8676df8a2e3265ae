"""Omni, once more by loops in plain numpy; what its last step sees; and that one step alone is that of all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

import torch
from torch import nn

from mnpu.nn.omni import Omni

LOOKBACKS = (1, 2, 3, 16, 17, 64, 300)


def build(lookback: int, resolutions: tuple[int, ...] | None = None, **settings: int) -> Omni:
    torch.manual_seed(0)
    backbone = Omni(3, lookback, resolutions=resolutions, **settings).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter += 0.1 * torch.randn_like(parameter)  # no zero or one left to hide what is not computed
    return backbone


def windows(lookback: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, lookback, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("lookback", "resolutions"),
    [(1, None), (5, None), (20, None), (70, None), (13, (3, 1)), (33, (8,)), (33, (2, 7, 5))],
)
def test_every_step_is_that_of_loops_over_resolutions_patches_points_and_heads(
    lookback: int, resolutions: tuple[int, ...] | None
) -> None:
    backbone = build(lookback, resolutions, d_model=6, n_heads=2).double()
    x = windows(lookback).double()
    computed = backbone(x).detach().numpy()
    for window, found in zip(x.numpy(), computed, strict=True):
        np.testing.assert_allclose(found, by_loops(backbone, window), rtol=1e-10, atol=1e-10)


def by_loops(backbone: Omni, x: np.ndarray) -> np.ndarray:
    """All steps of one window (L, F), as the module's docstring says it, without a tensor operation over steps."""
    h0 = np.stack([affine(backbone.embed, row) for row in x])
    h = list(h0)
    for block in backbone.blocks:
        h = [filters(block, h, t, backbone.scales) for t in range(len(x))]
    h = [patches(backbone.patches, h[t], h0, t, backbone.resolutions) for t in range(len(x))]
    return np.stack([normal(backbone.norm, row) for row in h])


def filters(block: nn.Module, h: Sequence[np.ndarray], t: int, scales: Sequence[int]) -> np.ndarray:
    """Steps 1 to 4, of step t."""
    z, taps = [normal(block.norm, row) for row in h[: t + 1]], weights(block.taps)
    filtered = [
        sum((taps[i, k] * z[t - k * s] for k in range(3) if t >= k * s), np.zeros_like(z[0]))
        for i, s in enumerate(scales)
    ]
    read = by_heads(affine(block.query, z[t]), filtered, filtered, block.n_heads, weights(block.prior))
    return h[t] + gated(block.mix, read)


def patches(part: nn.Module, h: np.ndarray, h0: np.ndarray, t: int, resolutions: Sequence[int]) -> np.ndarray:
    """Steps 5 to 7, of step t: four patches of four points of r bars, no bar after t, none before the first."""
    tokens, place = [], -1
    for i, r in enumerate(resolutions):
        offered = min(4, int(np.ceil(len(h0) / (4 * r))))
        for j in reversed(range(offered)):  # oldest first, as their positions are kept
            place += 1
            if t - 4 * r * j < 0:
                continue  # wholly before the window
            points = []
            for p in (3, 2, 1, 0):
                newest = t - 4 * r * j - r * p
                bars = [h0[bar] for bar in range(newest - r + 1, newest + 1) if bar >= 0]
                points.append(sum(bars, np.zeros_like(h)) / r)
            token = weights(part.embed[i].weight) @ np.concatenate(points)
            tokens.append(normal(part.token_norm, token + weights(part.position)[place]))
    both = [affine(part.key_value, token) for token in tokens]
    keys, values = [k[: len(h)] for k in both], [k[len(h) :] for k in both]
    query = affine(part.query, normal(part.norm, h))
    read = by_heads(query, keys, values, part.n_heads, np.zeros((len(tokens), part.n_heads)))
    return h + gated(part.mix, read)


def by_heads(
    query: np.ndarray, keys: list[np.ndarray], values: list[np.ndarray], n_heads: int, prior: np.ndarray
) -> np.ndarray:
    read, width = np.zeros_like(query), len(query) // n_heads
    for head in range(n_heads):
        own = slice(head * width, (head + 1) * width)
        scores = np.array([query[own] @ key[own] / np.sqrt(width) for key in keys]) + prior[:, head]
        attention = np.exp(scores) / np.exp(scores).sum()
        read[own] = sum(a * value[own] for a, value in zip(attention, values, strict=True))
    return read


def gated(mix: nn.Linear, read: np.ndarray) -> np.ndarray:
    value, gate = np.split(affine(mix, read), 2)
    return value / (1 + np.exp(-gate))


def normal(norm: nn.LayerNorm, row: np.ndarray) -> np.ndarray:
    return (row - row.mean()) / np.sqrt(row.var() + 1e-5) * weights(norm.weight) + weights(norm.bias)


def affine(linear: nn.Linear, row: np.ndarray) -> np.ndarray:
    return weights(linear.weight) @ row + (0 if linear.bias is None else weights(linear.bias))


def weights(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().numpy()


@pytest.mark.parametrize("lookback", [16, 64, 300])
def test_the_last_step_sees_every_bar_of_the_window(lookback: int) -> None:
    x = windows(lookback).requires_grad_()
    build(lookback).summary(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=(0, 2)) > 0).all()


@pytest.mark.parametrize("lookback", [16, 64, 300])
def test_a_step_sees_as_far_back_as_the_window_and_nothing_after_it(lookback: int) -> None:
    backbone = build(lookback)
    for t in (0, 1, lookback // 2, lookback - 2):
        x = windows(lookback, batch=1).requires_grad_()
        backbone(x)[:, t].square().sum().backward()
        assert x.grad is not None
        seen = x.grad.abs().sum(dim=(0, 2)) > 0
        assert seen[: t + 1].all()
        assert not seen[t + 1 :].any()


@pytest.mark.parametrize(
    ("lookback", "resolutions"),
    [
        (2, (1,)),
        (16, (1,)),
        (17, (1, 4)),
        (64, (1, 4)),
        (65, (1, 4, 16)),
        (300, (1, 4, 16, 64)),
        (8192, (1, 4, 16, 64, 256, 1024)),
    ],
)
def test_resolutions_grow_by_fours_until_they_reach_the_oldest_bar(lookback: int, resolutions: tuple[int, ...]) -> None:
    with torch.device("meta"):
        backbone = Omni(3, lookback, depth=1, scales=(1,))
    assert backbone.resolutions == resolutions
    assert len(backbone.patches.position) <= 4 * len(resolutions)


@pytest.mark.parametrize("lookback", LOOKBACKS)
def test_the_last_step_alone_is_that_of_all_steps(lookback: int) -> None:
    backbone, x = build(lookback), windows(lookback, batch=5)
    torch.testing.assert_close(backbone.summary(x), backbone(x)[:, -1], rtol=0, atol=1e-6)


def test_a_patch_may_be_as_long_as_the_window() -> None:
    backbone, x = build(64, (16, 3)), windows(64)
    torch.testing.assert_close(backbone.summary(x), backbone(x)[:, -1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("lookback", LOOKBACKS)
def test_no_windows_give_no_steps(lookback: int) -> None:
    backbone, x = build(lookback), windows(lookback, batch=0)
    assert backbone(x).shape == (0, lookback, 32)
    assert backbone.summary(x).shape == (0, 32)


def test_weights_in_bfloat16_give_the_same_but_for_rounding() -> None:
    full, half, x = build(70), build(70).bfloat16(), windows(70)
    torch.testing.assert_close(half(x.bfloat16()).float(), full(x), rtol=0, atol=0.15)
    torch.testing.assert_close(half.summary(x.bfloat16()).float(), full.summary(x), rtol=0, atol=0.15)


def test_positions_of_patches_do_not_decay() -> None:
    assert build(64).no_weight_decay == {"patches.position"}
