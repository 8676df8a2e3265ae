"""What an instrument is: it looks at a fit while it runs, and says numbers. It changes nothing.

::

    begin(moment) ─▶ before_update, after_update ─▶ validated ─▶ epoch(moment) ─▶ end(moment)
                     a sample of the steps          each batch                    with the best weights

An instrument draws its random numbers from `Moment.generator`, never from torch's own generator, and looks at the
network inside `undisturbed`: a fit gives the same bits with it and without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mnpu.nn.network import Network
from mnpu.training.batches import Windows
from mnpu.training.reproducible import derived_seed

__all__ = ["Instrument", "Moment", "Reading", "Surface", "own_loss", "trainable", "undisturbed"]


@dataclass(frozen=True)
class Reading:
    """One number that an instrument says.

    Attributes
    ----------
    name : str
        What was measured.
    value : float
        NaN or infinite where the measurement says so.
    layer : str
        Part of the network that it is about, empty for the whole.
    """

    name: str
    value: float
    layer: str = ""


@dataclass(frozen=True)
class Surface:
    """Losses around the weights: ``losses`` (len(a), len(b)) at steps ``a`` and ``b`` along two directions.

    A line has ``b = (0.0,)``.
    """

    kind: str
    a: tuple[float, ...]
    b: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]


@dataclass
class Moment:
    """The fit at one instant, as an instrument sees it.

    Attributes
    ----------
    network : Network
    training, validation : Windows
    batch_size : int
        Windows of a step, as it is taken: fewer than the recipe asks for where there are too few.
    epoch, step : int
        Epochs and steps that have begun, from 1; 0 before the first.
    steps_per_epoch : int
    seed : int
        The fit's own; see `generator`.
    """

    network: Network
    training: Windows
    validation: Windows
    batch_size: int
    steps_per_epoch: int
    seed: int
    epoch: int = 0
    step: int = 0

    def generator(self, purpose: int, *path: int) -> torch.Generator:
        """A stream of random numbers of the instrument's own, the same in every run of this fit."""
        return torch.Generator().manual_seed(derived_seed(self.seed, 1_000_003, purpose, *path))


class Instrument:
    """Base with nothing to say; a third party overrides what it needs.

    Attributes
    ----------
    every_step : int
        Steps between two looks at the gradient, 0 for none. ``before_update`` is called where the gradient is whole
        and not yet clipped, ``after_update`` right after the optimizer has moved the weights.
    """

    every_step: int = 0

    def begin(self, moment: Moment) -> None:
        """The first step is about to be taken."""

    def before_update(self, moment: Moment) -> None:
        """Gradients are in ``parameter.grad``."""

    def after_update(self, moment: Moment) -> None:
        """The weights have moved."""

    def validated(self, moment: Moment, first: int, summaries: Tensor) -> None:
        """A batch of ``moment.validation`` was judged, that of the windows from position ``first`` on.

        ``summaries`` (B, D) are what the backbone says of them, in float32: the head forecasts from there without
        another pass. They are inference tensors, and the pass was one in ``train.precision``.
        """

    def epoch(self, moment: Moment) -> Sequence[Reading]:
        """An epoch has been trained and validated."""
        return ()

    def resume(self) -> None:
        """Every instrument has spoken; the next epoch begins."""

    def end(self, moment: Moment) -> Sequence[Reading | Surface]:
        """Training is over and the network has the best epoch's weights."""
        return ()

    def state(self) -> dict[str, list[float]]:
        """What it remembers from one epoch to the next, for a checkpoint."""
        return {}

    def restore(self, state: dict[str, list[float]]) -> None:
        """Take back what ``state`` gave, after ``begin``; numbers that are not finite come as text, ``"inf"``."""


@contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode with gradients enabled; modes and random numbers are as before afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    cuda = {p.device.index or 0 for p in network.parameters() if p.device.type == "cuda"}
    try:
        network.eval()
        # Lightning validates in inference mode, whose tensors can have no gradient.
        with torch.random.fork_rng(devices=sorted(cuda)), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that are trained, by name."""
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def own_loss(network: Network, windows: Windows) -> Callable[[Tensor], Tensor]:
    """Training's loss of the windows at some positions (B,): the head's, and the backbone's own where it has one."""

    def loss(index: Tensor) -> Tensor:
        batch = windows.batch(index.to(windows.first.device))
        own, more = network.losses(batch.x, batch.y)
        return own if more is None else own + more

    return loss
