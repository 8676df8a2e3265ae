"""What a forecaster is, for those who write one from nothing; who wraps a regression has `Regression`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from mnpu.forecasters.windows import Windows

__all__ = ["Forecaster"]


class Forecaster(Protocol):
    """A whole model, built as ``cls(**settings)`` once for each fold. Nothing has to be inherited.

    Attributes
    ----------
    levels : tuple of float (Q,)
        Strictly increasing, symmetric around 0.5, which is one of them.

    Notes
    -----
    Optional: ``libraries``, a tuple of the distributions that it computes with, whose versions a run then records and
    counts as part of its environment.
    """

    levels: tuple[float, ...]

    def fit(self, training: Windows, validation: Windows, *, seed: int, threads: int) -> None:
        """Learn from ``training``; ``validation`` follows it in time, and no label reaches from one into the other.

        The same arguments give the same bits.
        """
        ...

    def forecast(self, windows: Windows) -> np.ndarray:
        """Quantiles (N, H, Q) of the scaled target that never cross; a window's do not depend on its neighbours."""
        ...

    def save(self) -> Mapping[str, bytes]:
        """What was learnt, as files by name; what reads them must not execute anything that stands in them."""
        ...

    def load(self, files: Mapping[str, bytes]) -> None:
        """Become the forecaster that ``save`` wrote ``files`` of."""
        ...
