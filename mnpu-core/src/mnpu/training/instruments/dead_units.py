"""Dead units: rows of weights that no window can move any more.

A unit is a row of a tensor with two or more axes (a filter; an expert, where experts are stacked). It is dead where
the gradient of the loss with respect to its weights vanishes for every group of windows that is looked at: a rectifier
that is shut for all of them, an expert that nobody is sent to, a part that the output does not depend on. Asking the
gradient finds them whichever activation function is used, and without touching the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field

from mnpu.training.instruments.api import Instrument, Moment, Reading, own_loss, trainable, undisturbed
from mnpu.training.instruments.probe import evenly

__all__ = ["DeadUnits"]

_NOTHING = 1e-9  #: Of the largest row of the layer: less is the rounding of a sum that is zero.
_GROUPS = 4


class DeadUnits(Instrument):
    """Share of units whose weights have no gradient on any training window that is looked at, layer by layer.

    Parameters
    ----------
    windows : int, default=512
        Training windows, spread evenly.
    every : int, default=1
        Epochs between two looks; each costs one gradient over the windows.
    """

    def __init__(self, *, windows: Annotated[int, Field(ge=1)] = 512, every: Annotated[int, Field(ge=1)] = 1) -> None:
        self.windows, self.every = windows, every

    def epoch(self, moment: Moment) -> Sequence[Reading]:
        """Count them."""
        if moment.epoch % self.every:
            return ()
        named = {name: p for name, p in trainable(moment.network).items() if p.ndim >= 2}
        index, loss = evenly(moment.training, self.windows), own_loss(moment.network, moment.training)
        largest = {name: torch.zeros(len(p), dtype=torch.float64) for name, p in named.items()}
        with undisturbed(moment.network):
            for part in index.chunk(_GROUPS):
                slopes = torch.autograd.grad(
                    loss(part), list(named.values()), allow_unused=True, materialize_grads=True
                )
                for name, slope in zip(named, slopes, strict=True):
                    rows = slope.flatten(1).norm(dim=1).double().cpu()
                    largest[name] = torch.maximum(largest[name], rows)
        dead = {name: int((rows <= _NOTHING * rows.max()).sum()) for name, rows in largest.items()}
        units = sum(len(rows) for rows in largest.values())
        said = [Reading("dead_units", sum(dead.values()) / max(units, 1))]
        return [*said, *(Reading("dead_units", n / len(largest[name]), name) for name, n in dead.items())]
