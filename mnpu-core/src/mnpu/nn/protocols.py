"""What a backbone and a head are, for those who write one. Nothing has to be inherited.

Shape letters: B batch, L lookback, F input columns, D model width, H horizons, Q quantile levels, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = [
    "Backbone",
    "BackboneWithLoss",
    "Head",
    "HeadOutput",
    "StreamingBackbone",
    "WatchedBackbone",
    "output_of",
    "summary_and_loss_of",
    "summary_of",
    "telemetry_of",
]


class Backbone(Protocol):
    """``nn.Module`` built as ``cls(n_features, lookback, **settings)``.

    Attributes
    ----------
    d_out : int
        Width D of the output.
    causal : bool
        Output at step t depends on input up to t only. A non-causal backbone is legal: the whole window is past.
    streams : bool
        Whether it is a `StreamingBackbone`.

    Notes
    -----
    Optional: ``summary(x) -> (B, D)``, the last step of ``forward(x)`` where that is cheaper to compute alone;
    ``no_weight_decay``, the names of parameters that must not shrink; and ``checkpoint_activations``, False, where its
    blocks are sent `mnpu.nn.recompute.through` and can be computed again in the backward pass. The conformance kit
    holds all three to their word.
    """

    d_out: int
    causal: bool
    streams: bool

    def __call__(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``; the last step summarises the window. B may be 0."""
        ...


class StreamingBackbone(Backbone, Protocol):
    """A backbone that also takes one step at a time, with a state of fixed size."""

    def initial_state(self, batch: int) -> Any:
        """State before the first step of a window."""
        ...

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """``(B, F)`` and a state to ``(B, D)`` and the next state; L steps equal one ``forward``."""
        ...


class BackboneWithLoss(Backbone, Protocol):
    """A backbone with a loss of its own, such as one that keeps its experts evenly used.

    Training minimises the head's loss plus this one; validation, the choice of the best epoch and the recorded losses
    are the head's alone. Summary and loss come from one call, so that nothing is kept on the module between calls.
    """

    def summary_and_loss(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, L, F)`` to the summary (B, D) and a finite scalar, its factor included."""
        ...


class WatchedBackbone(Backbone, Protocol):
    """A backbone that reports on itself once an epoch."""

    def telemetry(self) -> dict[str, float]:
        """Numbers by name, over the forward passes in training mode since the last call, which starts them anew.

        Recorded with the epoch. Where the last part of a name is ``collapsed`` and its value is not zero, a part of the
        network is no longer used: the alert ``collapse`` says so, where a `mnpu.training.Recorder` watches, with the
        numbers ``use`` and ``collapse_below`` of the same part as its value and threshold, where they are there.
        """
        ...


@dataclass(frozen=True)
class HeadOutput:
    """What a head says: ``quantiles`` (B, H, Q), and where it names classes their ``probabilities`` and ``evidence``.

    ``probabilities`` (B, H, C) sum to one; ``evidence`` (B, H), positive, grows with how sure the head is of them.
    """

    quantiles: Tensor
    probabilities: Tensor | None = None
    evidence: Tensor | None = None


class Head(Protocol):
    """``nn.Module`` built as ``cls(d_in, n_horizons, **settings)``, with its own proper loss.

    Attributes
    ----------
    levels : tuple of float (Q,)
        Increasing, symmetric around 0.5, which is one of them.

    Notes
    -----
    Optional: ``is_point``, true where every quantile is one number; ``thresholds``, a buffer (H, C - 1) that parts its
    classes in scaled targets, as temperatures and metrics of classes need it; ``fit_targets(y)``, called once before
    training with the scaled targets (N, H) of the training windows, for what a head takes from them (thresholds of
    classes): it keeps that in buffers, which the bundle saves with the weights.
    """

    levels: tuple[float, ...]

    def loss(self, h: Tensor, y: Tensor) -> Tensor:
        """``(B, D), (B, H) -> ()``: smallest in expectation where the forecast is the truth."""
        ...

    def forecast(self, h: Tensor) -> Tensor | HeadOutput:
        """``(B, D) -> (B, H, Q)``: quantiles that never cross, alone or in a `HeadOutput`. B may be 0."""
        ...


def output_of(head: torch.nn.Module, h: Tensor) -> HeadOutput:
    """What ``head`` forecasts from summaries ``h`` (B, D), in the one form for heads with and without classes."""
    said = head.forecast(h)
    return said if isinstance(said, HeadOutput) else HeadOutput(said)


def summary_of(backbone: torch.nn.Module, x: Tensor) -> Tensor:
    """The last step of the backbone's output, by its own shortcut where it has one: ``(B, L, F) -> (B, D)``."""
    shortcut = getattr(backbone, "summary", None)
    return backbone(x)[:, -1] if shortcut is None else shortcut(x)


def summary_and_loss_of(backbone: torch.nn.Module, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """The summary (B, D) and the backbone's own loss, None where it has none."""
    both = getattr(backbone, "summary_and_loss", None)
    return (summary_of(backbone, x), None) if both is None else both(x)


def telemetry_of(backbone: torch.nn.Module) -> dict[str, float]:
    """What the backbone reports on itself, empty where it reports nothing."""
    own = getattr(backbone, "telemetry", None)
    return {} if own is None else own()
