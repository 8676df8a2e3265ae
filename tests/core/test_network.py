"""A network is a backbone under a head, in whatever digits it is asked to compute."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

import torch

from mnpu.nn.network import Network
from mnpu.plugins.registry import Registry

REGISTRY = Registry.discover()
EACH_HEAD = pytest.mark.parametrize("head", [component.name for component in REGISTRY.components("head")])


def make(head: str) -> Network:
    torch.manual_seed(0)
    backbone = REGISTRY.build("backbone", "gru", {}, n_features=3, lookback=12)
    return Network(backbone, REGISTRY.build("head", head, {}, d_in=backbone.d_out, n_horizons=2))


@EACH_HEAD
def test_converted_to_bfloat16_it_keeps_a_head_in_float32(head: str) -> None:
    network, x, y = make(head), torch.randn(4, 12, 3), torch.randn(4, 2)
    full = network(x)
    network.to(torch.bfloat16)
    assert {p.dtype for p in network.backbone.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in network.head.parameters()} == {torch.float32}
    quantiles = network(x.bfloat16())
    assert quantiles.dtype == torch.float32
    torch.testing.assert_close(quantiles, full, rtol=0.02, atol=0.02)  # scaled targets; 8 bits are 0.4 % of 1
    network.loss(x.bfloat16(), y).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


@EACH_HEAD
def test_in_float64_it_computes_in_float64(head: str) -> None:
    network, x, y = make(head), torch.randn(4, 12, 3), torch.randn(4, 2)
    single = network(x)
    double = network.double()(x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-5, atol=1e-5)
    assert network.loss(x.double(), y.double()).dtype == torch.float64


@EACH_HEAD
def test_it_forecasts_nothing_for_no_windows(head: str) -> None:
    network = make(head)
    assert network(torch.randn(0, 12, 3)).shape == (0, 2, len(network.head.levels))
