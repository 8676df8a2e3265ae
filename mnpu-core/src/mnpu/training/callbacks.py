"""What watches a fit: a base class with a method for each moment, and the bar that is drawn where a person looks.

::

    on_fit_start
    for each epoch:
        for each step:
            on_gradients      # all gradients of the step are there, neither clipped nor applied
            on_step           # the weights have moved
        for each validation batch:
            on_validation     # the loss of its windows is known
        on_epoch              # validated and judged: loop.history[-1] is this epoch
        on_epoch_over         # loop.epoch counts it as done
    on_fit_end                # or on_error
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from mnpu.training.loop import Loop

__all__ = ["Bar", "Callback"]


class Callback:
    """Something that watches a fit. Every method may be left out; one that is, costs nothing.

    Notes
    -----
    A callback that only watches must not change the bits of the training: it draws random numbers from a generator of
    its own, and leaves weights, gradients, modes and the optimizer's state as it found them. What it may do to the
    training goes through `Loop.stop` and `Loop.lower_lr`.

    Attributes
    ----------
    name : str
        Under which its state is kept in a checkpoint; unique among the callbacks of a fit.
    """

    name: str = ""

    def on_fit_start(self, loop: Loop) -> None:
        """Everything is built, nothing was trained; after a resumption, what was trained is restored."""

    def on_gradients(self, loop: Loop) -> None:
        """The gradients of a step are complete, before they are clipped; ``loop.loss`` is that of its last batch."""

    def on_step(self, loop: Loop) -> None:
        """The optimizer has stepped; ``loop.gradient_norm`` is the norm before clipping."""

    def on_validation(self, loop: Loop, first: int, summaries: Tensor) -> None:
        """A batch of validation windows was judged, as in ``on_epoch``, which has not come yet.

        Parameters
        ----------
        loop : Loop
        first : int
            Position of the batch's first window among those that this process validates.
        summaries : Tensor (B, D)
            What the backbone says of each, in float32 and from a pass in ``train.precision``; an inference tensor.
        """

    def on_epoch(self, loop: Loop) -> None:
        """An epoch was validated: ``loop.history[-1]``.

        The network is in evaluation mode and has the weights that were validated: their average, with ``train.ema``.
        """

    def on_epoch_over(self, loop: Loop) -> None:
        """Nothing of the epoch is left to do; the network has the weights of its last step."""

    def on_fit_end(self, loop: Loop) -> None:
        """The last epoch has ended."""

    def on_error(self, loop: Loop, error: BaseException) -> None:
        """The fit ends by ``error``, which goes on to the caller."""

    def state(self) -> Mapping[str, Any]:
        """What a checkpoint must keep of it, as plain data: numbers, texts, lists and maps with text keys."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave, before ``on_fit_start``."""


class Bar(Callback):
    """A bar on standard error that disappears when the fit ends; nothing where nobody watches."""

    name = "bar"

    def __init__(self, title: str) -> None:
        self.title = title
        self.drawn: Any = None

    def on_fit_start(self, loop: Loop) -> None:
        """Open the bar, if standard error is a terminal."""
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import Progress

        self.drawn = Progress(console=Console(stderr=True), transient=True)
        self.task = self.drawn.add_task(self.title, total=loop.total_steps, completed=loop.step)
        self.drawn.start()

    def on_step(self, loop: Loop) -> None:
        """One step further."""
        if self.drawn is not None:
            self.drawn.advance(self.task)

    def on_fit_end(self, loop: Loop) -> None:
        """Close the bar."""
        self._close()

    def on_error(self, loop: Loop, error: BaseException) -> None:
        """Close the bar."""
        self._close()

    def _close(self) -> None:
        if self.drawn is not None:
            self.drawn.stop()
            self.drawn = None
