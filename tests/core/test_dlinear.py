"""DLinear is a moving average, and linear maps of what it leaves and of what it takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mnpu.errors import ConfigError
from mnpu.nn.dlinear import DLinear
from tests.core import backbone_checks as checks


def as_published(backbone: DLinear, window: np.ndarray) -> np.ndarray:
    """The paper's model on one window (L, F): repeat the ends, average, map both parts, mix; in float64."""
    k, maps = backbone.kernel_size, []
    trend_maps, remainder_maps = (w.detach().double().numpy() for w in (backbone.trend, backbone.remainder))
    for f, column in enumerate(window.T):
        padded = np.concatenate([np.repeat(column[0], k // 2), column, np.repeat(column[-1], k // 2)])
        trend = np.array([padded[i : i + k].mean() for i in range(len(column))])
        which = f if len(trend_maps) > 1 else 0
        maps.append(trend_maps[which] @ trend + remainder_maps[which] @ (column - trend))
    weight, bias = (p.detach().double().numpy() for p in backbone.mix.parameters())
    return weight @ np.concatenate(maps) + bias


@pytest.mark.parametrize("individual", [False, True])
@pytest.mark.parametrize(("lookback", "kernel_size"), [(3, 3), (9, 5), (9, 9), (12, 7), (40, 25)])
def test_every_step_is_the_published_model_on_its_own_past(
    rng: np.random.Generator, lookback: int, kernel_size: int, individual: bool
) -> None:
    torch.manual_seed(0)
    backbone = DLinear(3, lookback, d_model=5, d_column=2, kernel_size=kernel_size, individual=individual)
    x = rng.standard_normal((lookback, 3))
    computed = backbone(torch.from_numpy(x[None]).float())[0].detach().numpy()
    past = np.concatenate([np.zeros((lookback - 1, 3)), x])
    expected = np.array([as_published(backbone, past[t : t + lookback]) for t in range(lookback)])
    np.testing.assert_allclose(computed, expected, rtol=1e-4, atol=1e-5)
    summary = backbone.summary(torch.from_numpy(x[None]).float())[0].detach().numpy()
    np.testing.assert_allclose(summary, expected[-1], rtol=1e-4, atol=1e-5)


def test_by_hand_a_kink_has_this_trend_and_remainder() -> None:
    """Window 0 0 3, averaged over 3 with its ends repeated: trend 0 1 2, remainder 0 -1 1."""
    backbone = DLinear(1, 3, d_model=1, d_column=1, kernel_size=3)
    with torch.no_grad():
        backbone.trend.copy_(torch.tensor([[[1.0, 10.0, 100.0]]]))
        backbone.remainder.copy_(torch.tensor([[[1000.0, 10_000.0, 100_000.0]]]))
        backbone.mix.weight.fill_(1.0)
        backbone.mix.bias.zero_()
    x = torch.tensor([[[0.0], [0.0], [3.0]]])
    assert backbone.summary(x).item() == pytest.approx(10 + 200 - 10_000 + 100_000)


def test_equal_maps_of_both_parts_make_the_average_vanish() -> None:
    backbone = DLinear(2, 30)
    with torch.no_grad():
        backbone.trend.copy_(backbone.remainder)
    torch.testing.assert_close(backbone.folded(), backbone.remainder)


@pytest.mark.parametrize("changed", [{}, {"individual": True}, {"kernel_size": 5}])
def test_it_keeps_every_law(changed: dict[str, object]) -> None:
    assert checks.broken_laws(DLinear, **changed) == []


@pytest.mark.parametrize("individual", [False, True])
def test_it_is_causal_bar_by_bar(individual: bool) -> None:
    torch.manual_seed(0)
    checks.assert_causal(DLinear(2, 9, kernel_size=5, individual=individual), torch.randn(2, 9, 2))


@pytest.mark.parametrize("individual", [False, True])
def test_exported_and_in_bfloat16_it_computes_the_same(individual: bool) -> None:
    torch.manual_seed(0)
    backbone, x = DLinear(4, 16, individual=individual), torch.randn(8, 16, 4)
    checks.assert_exports(backbone, x)
    checks.assert_close_in_bfloat16(backbone, x)


def test_it_survives_a_file(tmp_path: Path) -> None:
    checks.assert_survives_a_file(lambda: DLinear(4, 16), torch.randn(2, 16, 4), tmp_path / "w.safetensors")


def test_shared_maps_do_not_grow_with_the_columns() -> None:
    shapes = {name: tuple(p.shape) for name, p in DLinear(7, 16, d_column=3).named_parameters()}
    assert shapes["trend"] == shapes["remainder"] == (1, 3, 16)
    assert DLinear(7, 16, d_column=3, individual=True).trend.shape == (7, 3, 16)


@pytest.mark.parametrize(("lookback", "kernel_size"), [(3, 3), (4, 3), (24, 23), (25, 25), (64, 25)])
def test_the_average_is_the_papers_or_what_the_window_has_room_for(lookback: int, kernel_size: int) -> None:
    assert DLinear(2, lookback).kernel_size == kernel_size


@pytest.mark.parametrize(
    ("build", "setting"),
    [
        (lambda: DLinear(3, 2), "model.lookback is 2, expected at least 3 bars"),
        (lambda: DLinear(3, 8, d_model=0), "backbone.d_model is 0"),
        (lambda: DLinear(3, 8, d_column=0), "backbone.d_column is 0"),
        (lambda: DLinear(3, 8, kernel_size=4), "backbone.kernel_size is 4, expected an odd number"),
        (lambda: DLinear(3, 8, kernel_size=1), "backbone.kernel_size is 1, expected an odd number"),
        (lambda: DLinear(3, 8, kernel_size=9), "backbone.kernel_size is 9, expected at most the lookback, 8"),
    ],
)
def test_impossible_sizes_are_refused_by_name(build: Callable[[], nn.Module], setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        build()


def test_it_learns_a_planted_signal(rng: np.random.Generator) -> None:
    checks.assert_learns(DLinear, rng, at_least=0.6)


def test_it_trains_in_bfloat16(rng: np.random.Generator) -> None:
    checks.assert_learns(DLinear, rng, at_least=0.3, precision="bf16", epochs=2)
