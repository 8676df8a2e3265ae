"""What the tests of every backbone ask: streamed, exported, in bfloat16, to disk and back, trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mnpu import training
from mnpu.nn.protocols import summary_of
from mnpu.testing.models import backbone_laws
from tests.core.training_world import FOLD, fit, make_world, rank_ic, settings

__all__ = [
    "assert_causal",
    "assert_close_in_bfloat16",
    "assert_exports",
    "assert_learns",
    "assert_survives_a_file",
    "broken_laws",
    "streamed",
]


def broken_laws(factory: Callable[..., nn.Module], **changed: Any) -> list[str]:
    """Laws of the conformance kit that a backbone with these settings breaks."""
    return [f"{o.law}: {o.detail}" for o in backbone_laws(lambda **sizes: factory(**sizes, **changed)) if not o.passed]


@torch.no_grad()
def assert_causal(backbone: nn.Module, x: Tensor) -> None:
    """No step moves when bars after it are replaced, and each bar moves its own step or a later one."""
    before = backbone(x)
    for t in range(x.shape[1]):
        changed = x.clone()
        changed[:, t] += 5.0
        moved = (backbone(changed) - before).abs().amax(dim=(0, 2))  # (L,)
        assert float(moved[:t].sum()) < 1e-4, f"bar {t} moves earlier steps"
        assert float(moved[t:].max()) > 1e-5, f"bar {t} moves nothing"


@torch.no_grad()
def streamed(backbone: Any, x: Tensor) -> Tensor:
    """The output (B, L, D) step by step, and the state never grows."""
    state, steps, sizes = backbone.initial_state(len(x)), [], set()
    for bar in x.unbind(1):
        h, state = backbone.step(bar, state)
        steps.append(h)
        sizes.add(sum(t.numel() for t in _tensors(state)))
    assert len(sizes) == 1
    return torch.stack(steps, dim=1)


@torch.no_grad()
def assert_exports(backbone: nn.Module, x: Tensor) -> None:
    """``torch.export`` gives the same numbers, for another number of windows too."""
    summary = _Summary(backbone.eval())
    for module in (backbone, summary):
        exported = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
        other = torch.cat([x, -x, x])
        torch.testing.assert_close(exported.module()(other), module(other), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def assert_close_in_bfloat16(backbone: nn.Module, x: Tensor) -> None:
    """Under autocast the output stays within the digits of bfloat16, relative to its own size."""
    full = backbone(x)
    with torch.autocast("cpu", torch.bfloat16):
        half, summary = backbone(x).float(), summary_of(backbone, x).float()
    allowed = 0.05 * float(full.std())
    assert float((half - full).square().mean().sqrt()) < allowed
    assert float((summary - full[:, -1]).square().mean().sqrt()) < allowed


@torch.no_grad()
def assert_survives_a_file(build: Callable[[], nn.Module], x: Tensor, path: Path) -> None:
    """Weights written with safetensors and read into a newly built backbone give the same output."""
    torch.manual_seed(0)
    backbone = build()
    save_file({name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}, path)
    torch.manual_seed(1)
    other = build()
    assert not torch.equal(other(x), backbone(x))
    other.load_state_dict(load_file(path))
    assert torch.equal(other(x), backbone(x))


def assert_learns(backbone: type[nn.Module], rng: np.random.Generator, *, at_least: float, **changed: Any) -> None:
    """It ranks out of sample what a signal on two lags of two columns makes of the next return."""
    world = make_world(rng)
    fitted = fit(world, backbone=backbone, train=settings(**changed))
    forecast = training.forecast(fitted, world.frame, rows=FOLD.test)
    assert rank_ic(forecast.median(), world.labels.values[..., 0]) > at_least


class _Summary(nn.Module):
    """What a network computes of its backbone."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        return summary_of(self.backbone, x)


def _tensors(state: Any) -> list[Tensor]:
    if isinstance(state, Tensor):
        return [state]
    return [t for part in state for t in _tensors(part)] if isinstance(state, list | tuple) else []
