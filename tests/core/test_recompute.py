"""Blocks that are computed again in the backward pass give the same loss and gradients, and keep less meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

import torch
from torch import Tensor, nn

from mnpu.nn.omni import Omni
from mnpu.nn.protocols import summary_and_loss_of, telemetry_of
from mnpu.nn.recompute import offers, recompute, recomputing
from mnpu.plugins.registry import Registry
from tests.core.training_world import fit, make_world, settings

REGISTRY = Registry.discover()
#: With what is random or counted in each: it must come out the same the second time.
SETTINGS: dict[str, dict[str, Any]] = {
    "omni": {"depth": 3},
    "patch_transformer": {"depth": 3, "dropout": 0.3},
    "tcn": {"dropout": 0.3},
    "s4d": {"depth": 3},
    "mamba": {"depth": 3},
    "mamba2": {"depth": 3},
    "moe_transformer": {"depth": 3, "jitter": 0.1, "capacity_factor": 1.0},
}
INSTALLED = [name for name in SETTINGS if any(c.name == name for c in REGISTRY.components("backbone"))]
LOOKBACK, COLUMNS = 40, 5


def build(name: str, *, again: bool) -> nn.Module:
    torch.manual_seed(0)
    backbone = REGISTRY.build("backbone", name, SETTINGS[name], n_features=COLUMNS, lookback=LOOKBACK).train()
    return recompute(backbone) if again else backbone


def one_step(backbone: nn.Module, x: Tensor, *, whole: bool) -> tuple[Tensor, int]:
    """The loss of a step after its backward pass, and the bytes that its forward pass kept."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        h, own = (backbone(x), None) if whole else summary_and_loss_of(backbone, x)
        loss = h.square().sum() + (0 if own is None else own)
    parameters = {p.untyped_storage().data_ptr() for p in backbone.parameters()}
    loss.backward()
    return loss.detach(), sum(size for place, size in kept.items() if place not in parameters)


@pytest.mark.parametrize("whole", [True, False], ids=["every step", "summary"])
@pytest.mark.parametrize("name", INSTALLED)
def test_loss_and_gradients_are_the_same_to_the_last_bit(name: str, whole: bool) -> None:
    x = torch.randn(6, LOOKBACK, COLUMNS, generator=torch.Generator().manual_seed(2))
    plain, again = build(name, again=False), build(name, again=True)
    assert offers(plain)
    (loss, kept), (loss_again, kept_again) = one_step(plain, x, whole=whole), one_step(again, x, whole=whole)
    assert torch.equal(loss, loss_again)
    for (place, p), q in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert p.grad is not None, place
        assert q.grad is not None, place
        assert torch.equal(p.grad, q.grad), place
    assert telemetry_of(plain) == telemetry_of(again)
    assert kept_again < 0.5 * kept, (kept_again, kept)


def test_nothing_is_computed_again_without_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a forecast has no backward pass")

    backbone = build("omni", again=True)
    monkeypatch.setattr("mnpu.nn.recompute.checkpoint", refused)
    with torch.no_grad():
        assert backbone(torch.zeros(2, LOOKBACK, COLUMNS)).shape == (2, LOOKBACK, 32)
    assert not recomputing()


def test_a_fit_is_the_same_with_and_without() -> None:
    world = make_world(np.random.default_rng(1))
    plain = fit(world, backbone=Omni, train=settings(epochs=2))
    again = fit(world, backbone=Omni, train=settings(epochs=2), checkpoint_activations=True)
    assert plain.history == again.history
    for p, q in zip(plain.network.state_dict().values(), again.network.state_dict().values(), strict=True):
        assert torch.equal(p, q)


def test_a_backbone_without_blocks_is_left_as_it_is() -> None:
    linear = REGISTRY.build("backbone", "linear", {}, n_features=COLUMNS, lookback=LOOKBACK)
    assert not offers(linear)
    assert recompute(linear) is linear
