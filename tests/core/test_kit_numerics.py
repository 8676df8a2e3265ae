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


@pytest.mark.parametrize(
    ("backbone", "law", "detail"),
    [
        (Offset, "holds in bfloat16", "the summary is off by"),
        (Overflowing, "holds in bfloat16", "the gradient of map.weight is missing or not finite"),
        (Counting, "gives the same where its blocks are computed again", "summary or gradients are others"),
    ],
)
def test_what_breaks_a_law_is_told_and_nothing_else(backbone: type[nn.Module], law: str, detail: str) -> None:
    (broken,) = [text for text in broken_laws(backbone) if "bfloat16" in text or "again" in text.partition(":")[0]]
    assert broken.startswith(law)
    assert detail in broken


def test_what_they_spoil_holds_them() -> None:
    assert broken_laws(Plain) == []
    assert {"holds in bfloat16, with its gradients"} <= {o.law for o in backbone_laws(Plain)}
