"""Gradient and update norms, layer by layer, on a sample of the steps.

Glossary
--------
g the gradient before clipping, theta the weights, Delta the change of the weights by one step of the optimizer. A layer
is the module that owns a parameter, such as ``backbone.blocks.0.attention``.

``update_ratio = |Delta| / |theta|`` near 1e-3 is usual; far above it training jumps, far below it stands still. Sums
over a layer are exact; the sampled steps are spread evenly over the epoch, so that a small network is not slowed down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mnpu.training.instruments.api import Instrument, Moment, Reading, trainable

__all__ = ["Norms"]

_TINY = 1e-30


class Norms(Instrument):
    """Gradient norms (before clipping), update norms and their ratio to the weights, for every layer.

    Parameters
    ----------
    samples : int, default=16
        Steps of an epoch that are looked at, spread evenly.

    Notes
    -----
    Readings of an epoch: ``gradient_norm`` and ``update_norm`` (root mean square over the sampled steps),
    ``update_ratio``, each for the whole and for every layer; ``gradient_norm_max``; ``gradient_nan``, the sampled steps
    whose gradient was not finite, which the other norms leave out.
    """

    def __init__(self, *, samples: Annotated[int, Field(ge=1)] = 16) -> None:
        self.samples = samples
        self._gradients: list[Tensor] = []
        self._updates: list[Tensor] = []
        self._before: list[Tensor] = []
        self._weights = torch.zeros(0)

    def begin(self, moment: Moment) -> None:
        """Look at every n-th step."""
        self.every_step = max(moment.steps_per_epoch // self.samples, 1)
        parameters = trainable(moment.network)
        self._parameters = list(parameters.values())
        self._layers = [name.rpartition(".")[0] or name for name in parameters]
        self._forget()

    def before_update(self, moment: Moment) -> None:
        """Norms of the gradient, and the weights before the step."""
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters]
        self._gradients.append(torch.stack(torch._foreach_norm(grads)).detach().double() ** 2)
        self._before = [p.detach().clone() for p in self._parameters]

    def after_update(self, moment: Moment) -> None:
        """Norms of the step and of the weights."""
        if not self._before:
            return
        now = [p.detach() for p in self._parameters]
        moved = torch._foreach_sub(now, self._before)
        self._updates.append(torch.stack(torch._foreach_norm(moved)).double() ** 2)
        self._weights = torch.stack(torch._foreach_norm(now)).double() ** 2
        self._before = []

    def epoch(self, moment: Moment) -> Sequence[Reading]:
        """Norms over the epoch's sampled steps."""
        if not self._gradients:
            return ()
        gradients = torch.stack(self._gradients)  # (steps, parameters), squared
        finite = torch.isfinite(gradients).all(dim=1)
        said = [Reading("gradient_nan", float((~finite).sum()))]
        if not finite.all():
            at = int((~torch.isfinite(gradients)).any(dim=0).nonzero()[0])
            said.append(Reading("gradient_nan", float((~torch.isfinite(gradients[:, at])).sum()), self._layers[at]))
        if finite.any():
            whole = gradients[finite].sum(dim=1).sqrt()
            said.append(Reading("gradient_norm_max", float(whole.max())))
            said += self._by_layer("gradient_norm", gradients[finite].mean(dim=0))
        if self._updates:
            updates = torch.stack(self._updates).mean(dim=0)
            said += self._by_layer("update_norm", updates)
            said += self._by_layer("update_ratio", updates, self._weights)
        self._forget()
        return said

    def state(self) -> dict[str, list[float]]:
        """The sampled steps of an epoch that is not over."""
        parts = {"gradients": self._gradients, "updates": self._updates, "weights": [self._weights]}
        return {name: [v for tensor in tensors for v in tensor.tolist()] for name, tensors in parts.items()}

    def restore(self, state: dict[str, list[float]]) -> None:
        """Go on in the middle of an epoch."""
        device, n = self._parameters[0].device, len(self._parameters)
        found = {
            name: list(torch.tensor([float(v) for v in values], dtype=torch.float64, device=device).split(n))
            for name, values in state.items()
            if values
        }
        self._gradients, self._updates = found.get("gradients", []), found.get("updates", [])
        self._weights = found.get("weights", [self._weights])[0]

    def _by_layer(self, name: str, squares: Tensor, below: Tensor | None = None) -> list[Reading]:
        """Roots of sums over the whole and over each layer; divided by those of ``below`` if it is given."""
        sums: dict[str, list[float]] = {"": [0.0, 0.0]}
        lower = torch.ones_like(squares) if below is None else below
        for layer, top, bottom in zip(self._layers, squares.tolist(), lower.tolist(), strict=True):
            for key in ("", layer):
                total = sums.setdefault(key, [0.0, 0.0])
                total[0] += top
                total[1] += bottom
        return [
            Reading(name, math.sqrt(top if below is None else top / max(bottom, _TINY)), layer)
            for layer, (top, bottom) in sums.items()
        ]

    def _forget(self) -> None:
        self._gradients, self._updates, self._before = [], [], []
