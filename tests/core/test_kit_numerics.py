"""The laws of numbers in training find what breaks them."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

import torch
from torch import Tensor, nn

from mnpu.nn.recompute import through
from mnpu.testing.models import backbone_laws
from tests.core.backbone_checks import broken_laws


class Plain(nn.Module):
    """A layer over the flattened window, for others to spoil."""

    causal = False
    streams = False

    def __init__(self, n_features: int, lookback: int) -> None:
        super().__init__()
        self.d_out = 8
        self.map = nn.Linear(n_features * lookback, 8)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        return self.map(x.flatten(1)).unsqueeze(1).expand(-1, x.shape[1], -1)


class Offset(Plain):
    """Harmless in 24 bits; in 8 bits the thousand swallows the rest."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        h = super().forward(x)
        return (h + torch.tensor(1000.0, dtype=h.dtype)) - 1000.0


class Overflowing(Plain):
    """Its gradient is not a number in bfloat16 alone."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        h = super().forward(x)
        return h * (0 * torch.sqrt(h.abs().max() - h.abs().max()) + 1) if h.dtype == torch.bfloat16 else h


class Stubborn(Plain):
    """Answers in float32, whatever its weights are."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        return super().forward(x).float()


class Rounded(Plain):
    """Keeps large angles in a buffer, which a conversion of the weights rounds to whole turns and more."""

    def __init__(self, n_features: int, lookback: int) -> None:
        super().__init__(n_features, lookback)
        self.register_buffer("angle", 1000.0 + torch.arange(8))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        return super().forward(x) * (1.5 + torch.sin(self.angle))


class Counting(Plain):
    """Says that its block can be computed again, and it counts its calls."""

    checkpoint_activations = False

    def __init__(self, n_features: int, lookback: int) -> None:
        super().__init__(n_features, lookback)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        return through(self, self.counted, x)

    def counted(self, x: Tensor) -> Tensor:
        """Another number each time, in training."""
        self.calls += self.training
        h = Plain.forward(self, x)
        return torch.tanh(h * (1 + 0.5 * self.calls))


AUTOCAST, CONVERTED = "holds in bfloat16, with its gradients", "computes with weights in bfloat16"
AGAIN = "gives the same where its blocks are computed again"


@pytest.mark.parametrize(
    ("backbone", "laws", "detail"),
    [
        (Offset, {AUTOCAST, CONVERTED}, "the summary is off by"),
        (Overflowing, {AUTOCAST, CONVERTED}, "the gradient of map.weight is missing or not finite"),
        (Stubborn, {CONVERTED}, "it gives {'output': 'torch.float32'}, expected bfloat16"),
        (Rounded, {CONVERTED}, "the summary is off by"),
        (Counting, {AGAIN}, "summary or gradients are others"),
    ],
)
def test_what_breaks_a_law_is_told_and_nothing_else(backbone: type[nn.Module], laws: set[str], detail: str) -> None:
    told = {o.law: o.detail for o in backbone_laws(backbone) if not o.passed and o.law in (AUTOCAST, CONVERTED, AGAIN)}
    assert set(told) == laws
    assert all(detail in text for text in told.values())


def test_what_they_spoil_holds_them() -> None:
    assert broken_laws(Plain) == []
    assert {AUTOCAST, CONVERTED, AGAIN} <= {o.law for o in backbone_laws(Plain)}
