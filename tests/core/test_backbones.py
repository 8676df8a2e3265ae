"""Backbones in core: what they compute, what they refuse, and that the laws catch networks that only look like one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mnpu.errors import ConfigError
from mnpu.nn.linear import Linear
from mnpu.nn.omni import TAPS, Omni, ScaleBlock
from mnpu.testing.models import backbone_laws


@pytest.mark.parametrize("backbone", [Linear, Omni])
def test_our_backbones_keep_every_law(backbone: type[nn.Module]) -> None:
    assert [outcome for outcome in backbone_laws(backbone) if not outcome.passed] == []


def test_linear_is_a_weighted_sum_of_the_past() -> None:
    torch.manual_seed(0)
    backbone, x = Linear(3, 5, d_model=2), torch.randn(1, 5, 3)
    weight = backbone.map.weight.detach().numpy().reshape(2, 5, 3)
    expected = np.tile(backbone.map.bias.detach().numpy(), (5, 1))
    for t in range(5):
        for lag in range(t + 1):
            expected[t] += weight[:, 5 - 1 - lag] @ x[0, t - lag].numpy()
    np.testing.assert_allclose(backbone(x)[0].detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_block_of_omni_is_filters_attention_and_a_gated_residual() -> None:
    torch.manual_seed(0)
    backbone = Omni(3, 8, d_model=4, depth=1, scales=(1, 3), n_heads=2)
    block, x = backbone.blocks[0], torch.randn(1, 8, 3)
    h = backbone.embed(x)[0].detach()  # (L, D)
    expected = torch.stack([_block_step(block, h, t, scales=(1, 3)) for t in range(8)])
    computed = block(h.unsqueeze(0), backbone.whole_0)[0]
    torch.testing.assert_close(computed.detach(), expected)


def _block_step(block: ScaleBlock, h: Tensor, t: int, *, scales: tuple[int, ...]) -> Tensor:
    """Steps 1 to 4 of the module's docstring for one step and one window, by loops in plain Python."""
    with torch.no_grad():
        z = [(row - row.mean()) / torch.sqrt(row.var(unbiased=False) + 1e-5) for row in h]
        filtered = []
        for i, scale in enumerate(scales):
            reads = [(k, t - k * scale) for k in range(TAPS) if t - k * scale >= 0]
            filtered.append(sum((block.taps[i, k] * z[at] for k, at in reads), torch.zeros(4)))
        query, mixed = block.query.weight @ z[t], torch.zeros(4)
        for head in range(2):
            part = slice(2 * head, 2 * head + 2)
            scores = torch.stack([query[part] @ c[part] / 2**0.5 for c in filtered]) + block.prior[:, head]
            mixed[part] = sum(a * c[part] for a, c in zip(scores.softmax(0), filtered, strict=True))
        value, gate = block.mix(mixed).chunk(2)
        return h[t] + value * torch.sigmoid(gate)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_omni_computes_the_last_step_alone_exactly_as_with_all_others(depth: int) -> None:
    torch.manual_seed(0)
    backbone, x = Omni(3, 20, d_model=8, depth=depth).eval(), torch.randn(4, 20, 3)
    torch.testing.assert_close(backbone.summary(x), backbone(x)[:, -1])


@pytest.mark.parametrize("lookback", [1, 2, 4, 64])
def test_omni_uses_the_scales_that_fit_the_lookback(lookback: int) -> None:
    assert Omni(3, lookback)(torch.randn(2, lookback, 3)).shape == (2, lookback, 32)


@pytest.mark.parametrize(
    ("build", "setting"),
    [
        (lambda: Linear(3, 8, d_model=0), "backbone.d_model is 0"),
        (lambda: Linear(0, 8), "backbone.n_features is 0"),
        (lambda: Omni(3, 8, depth=0), "backbone.depth is 0"),
        (lambda: Omni(3, 8, d_model=30), r"backbone.d_model is 30, expected a multiple of n_heads, 4"),
        (lambda: Omni(3, 8, scales=(1, 8)), r"backbone.scales is \[1, 8\], expected scales shorter than the lookback"),
        (lambda: Omni(3, 8, scales=(0,)), "backbone.scales is 0"),
        (lambda: Omni(3, 8, scales=()), r"backbone.scales is \[\]"),
        (lambda: Omni(3, 8, resolutions=()), r"backbone.resolutions is \[\]"),
        (lambda: Omni(3, 8, resolutions=(1, 3)), r"backbone.resolutions is \[1, 3\], expected patches of 4 points"),
        (lambda: Omni(3, 8, resolutions=(2, 2)), r"backbone.resolutions is \[2, 2\], expected resolutions that do not"),
        (lambda: Omni(3, 8, resolutions=(True,)), "backbone.resolutions is True"),
    ],
)
def test_impossible_sizes_are_refused_by_name(build: Callable[[], nn.Module], setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        build()


class Faulty(nn.Module):
    """A sound backbone, from which each fault below departs in one way."""

    causal = True
    streams = False

    def __init__(self, n_features: int, lookback: int) -> None:
        super().__init__()
        self.d_out = 8
        self.inner = Linear(n_features, lookback, d_model=8)
        self.norm = nn.LayerNorm(8)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        return self.norm(self.inner(x))


class ZeroedNorm(Faulty):
    """Its layer norm starts at zero, so its output is zero whatever it is shown."""

    def __init__(self, n_features: int, lookback: int) -> None:
        super().__init__(n_features, lookback)
        nn.init.zeros_(self.norm.weight)


class NormOverTime(Faulty):
    """Normalises over the steps of a window, so every step sees the last one."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        h = self.inner(x)
        return (h - h.mean(dim=1, keepdim=True)) / h.std(dim=1, keepdim=True)


class NormOverBatch(Faulty):
    """Normalises over the batch, so windows see one another."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        h = self.inner(x)
        return h - h.mean(dim=0, keepdim=True)


class LastBarOnly(Faulty):
    """Forgets the window but for its last bar."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        return torch.nn.functional.linear(x, self.inner.map.weight[:, : x.shape[-1]])


class DeadParameter(Faulty):
    """Has a parameter that nothing depends on."""

    def __init__(self, n_features: int, lookback: int) -> None:
        super().__init__(n_features, lookback)
        self.forgotten = nn.Parameter(torch.ones(3))


class OtherSummary(Faulty):
    """Its shortcut computes something else than the last step."""

    def summary(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, D)``."""
        return self(x).mean(dim=1)


class ForgetfulStep(Faulty):
    """Says that it streams, and carries nothing from one bar to the next."""

    streams = True

    def initial_state(self, batch: int) -> list[Tensor]:
        """Nothing."""
        return []

    def step(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The present bar alone."""
        return self(x.unsqueeze(1))[:, -1], state


class Noisy(Faulty):
    """Gives another answer each time."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        return super().forward(x) + 0.01 * torch.randn(8)


class NeedsWindows(Faulty):
    """Divides by the number of windows."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        return super().forward(x) * (len(x) // len(x))


class LossOfNothing(Faulty):
    """Has a loss of its own that is no number where there are no windows."""

    def summary_and_loss(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, L, F) -> (B, D), ()``."""
        h = self(x)[:, -1]
        return h, h.square().mean()


class WrongWidth(Faulty):
    """Says another width than it has."""

    def __init__(self, n_features: int, lookback: int) -> None:
        super().__init__(n_features, lookback)
        self.d_out = 9


def test_the_backbone_that_the_faults_depart_from_is_sound() -> None:
    assert [outcome for outcome in backbone_laws(Faulty) if not outcome.passed] == []


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        (ZeroedNorm, "does not start dead"),
        (NormOverTime, "is causal where it says so"),
        (NormOverBatch, "treats every window on its own"),
        (LastBarOnly, "does not start dead"),
        (DeadParameter, "gives every parameter a finite gradient"),
        (OtherSummary, "summary is the last step"),
        (ForgetfulStep, "steps equal the whole window"),
        (Noisy, "gives the same output again"),
        (WrongWidth, "maps (B, L, F)"),
        (NeedsWindows, "gives nothing for no windows"),
        (LossOfNothing, "gives nothing for no windows"),
    ],
)
def test_a_planted_fault_breaks_its_law(fault: type[nn.Module], law: str) -> None:
    broken = {outcome.law: outcome.detail for outcome in backbone_laws(fault) if not outcome.passed}
    assert any(name.startswith(law) for name in broken), broken


def test_a_backbone_that_raises_breaks_the_law_instead_of_the_check() -> None:
    class Raises(Faulty):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError("no idea")

    assert "it raised ValueError: no idea" in {outcome.detail for outcome in backbone_laws(Raises)}
