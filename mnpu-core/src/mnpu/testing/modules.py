"""What the laws of backbones and heads share: a trial, how its outcome is told, and the looks at a module.

Each law is a function that returns what it saw amiss, or nothing. A component that raises breaks the law that it
raised in; the laws after it are still tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from mnpu.testing import LawOutcome

__all__ = [
    "BATCH",
    "CLOSE",
    "FEATURES",
    "LOOKBACK",
    "WIDTH",
    "Law",
    "Trial",
    "changed_by_disk",
    "differs",
    "distance",
    "fill",
    "outcomes_of",
    "tensors",
    "without_gradient",
]

BATCH, LOOKBACK, FEATURES, WIDTH = 6, 24, 5, 8
CLOSE = 1e-5  #: what rounding may change; a real dependence is thousands of times larger


@dataclass(frozen=True)
class Trial:
    """What a law may use: a way to build the component anew, and the seed."""

    build: Callable[[], nn.Module]
    seed: int

    def module(self, seed: int | None = None) -> nn.Module:
        """A new instance in evaluation mode, its weights drawn from ``seed``."""
        torch.manual_seed(self.seed if seed is None else seed)
        return self.build().eval()

    def draw(self, *shape: int, seed: int = 1) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(*shape, generator=torch.Generator().manual_seed(self.seed + seed))

    def windows(self, seed: int = 1) -> Tensor:
        """Model input (B, L, F)."""
        return self.draw(BATCH, LOOKBACK, FEATURES, seed=seed)

    def summaries(self, seed: int = 1) -> Tensor:
        """Head input (B, D)."""
        return self.draw(BATCH, WIDTH, seed=seed)


Law = Callable[[Trial], str]


def outcomes_of(laws: dict[str, Law], trial: Trial) -> list[LawOutcome]:
    """What each law saw, or what was raised in it."""
    outcomes = []
    for name, law in laws.items():
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            try:
                seen = law(trial)
            except Exception as error:  # a stranger's code: whatever it raises is what there is to report
                seen = f"it raised {type(error).__name__}: {error}"
        outcomes.append(LawOutcome(name, not seen, seen))
    return outcomes


def distance(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to numbers above 1; infinite where one is not a number."""
    gap = float(((a - b).abs() / b.abs().clamp(min=1)).max().detach())
    return gap if gap == gap else float("inf")


def without_gradient(module: nn.Module) -> str:
    """The parameters that no gradient reached, or one whose gradient is not finite."""
    dead = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any()):
            dead.append(name)
        elif parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            return f"the gradient of {name} is not finite"
    return f"no gradient reaches {', '.join(dead)}" if dead else ""


def differs(trial: Trial, output: Callable[[nn.Module], Tensor]) -> str:
    """Whether the same input, or the same seed, gives another output."""
    module = trial.module()
    if not torch.equal(output(module), output(module)):
        return "the same input gives another output the second time"
    return "" if torch.equal(output(module), output(trial.module())) else "the same seed builds other weights"


def changed_by_disk(trial: Trial, output: Callable[[nn.Module], Tensor]) -> str:
    """Whether an output changes when the weights go through safetensors."""
    module, other = trial.module(), trial.module(seed=trial.seed + 1)
    other.load_state_dict(load(save({name: t.detach().contiguous() for name, t in module.state_dict().items()})))
    return "" if torch.equal(output(module), output(other)) else "saved and loaded, it gives another output"


def fill(module: nn.Module, trial: Trial, scale: float, seed: int) -> None:
    """Draw every parameter from a normal distribution of size ``scale``."""
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(scale * trial.draw(*parameter.shape, seed=10 * seed + i))


def tensors(state: Any) -> Iterable[Tensor]:
    """Every tensor in a nested state."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        yield from (tensor for value in state.values() for tensor in tensors(value))
    elif isinstance(state, list | tuple):
        yield from (tensor for value in state for tensor in tensors(value))
