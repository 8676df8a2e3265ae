"""A network with everything that its forecasts depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from mnpu.data.scaling import Scaler
from mnpu.nn.ensemble import Ensemble
from mnpu.nn.network import Network
from mnpu.nn.whole import Whole
from mnpu.training.calibrating import Calibration
from mnpu.training.seen import Seen
from mnpu.types import Fold, TrainingRecord

__all__ = ["Epoch", "Fitted"]


@dataclass(frozen=True)
class Epoch:
    """Mean loss over an epoch's training windows, and over all validation windows after it; scaled targets.

    ``telemetry`` is what the backbone reported on itself, such as the load of its experts.
    """

    train: float
    validation: float
    telemetry: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Fitted:
    """What ``fit`` returns: enough to forecast, and to save and load again.

    Attributes
    ----------
    network : Network, Ensemble or Whole
        In evaluation mode, with the weights of the best epoch; or a whole model in the place of a network.
    scaler : Scaler
        Fitted on the training range.
    target_scale : float64 (H,)
        Standard deviation of each horizon's label over the training windows.
    names : tuple of str (F,)
        Feature columns, in order.
    horizons : tuple of int (H,)
    levels : tuple of float (Q,)
    lookback : int
    min_present : float
        Fraction of a window's cells that must be present.
    fold : Fold
    history : tuple of Epoch
        Of an ensemble, the first member's; empty for a whole model.
    threads : int
        Threads for forecasts: their number decides the last bits.
    calibration : Calibration or None
        What every forecast goes through, where the recipe calibrates once a fold.
    record : TrainingRecord or None
        What instruments read while it was fitted; kept with the run, not with the bundle.
    members : tuple of tuple of Epoch
        The history of each member of an ensemble; empty for a single network.
    pretraining : tuple of float
        Mean loss of each epoch of pre-training; empty without it.
    seen : Seen or None
        What its weights have seen, with all that they began with. None for a bundle that does not say.
    follows_from : Timestamp or None
        First decision that adaptive calibration learns the outcome of; None where the recipe has no such calibration.
    labels_learnt : float64 ndarray (H, K) or None
        What the target took from the training range, ``Labels.learnt``; in units of the label before it.
    """

    network: Network | Ensemble | Whole
    scaler: Scaler
    target_scale: np.ndarray
    names: tuple[str, ...]
    horizons: tuple[int, ...]
    levels: tuple[float, ...]
    lookback: int
    min_present: float
    fold: Fold
    history: tuple[Epoch, ...]
    threads: int = 1
    calibration: Calibration | None = None
    record: TrainingRecord | None = None
    members: tuple[tuple[Epoch, ...], ...] = ()
    pretraining: tuple[float, ...] = ()
    seen: Seen | None = None
    follows_from: pd.Timestamp | None = None
    labels_learnt: np.ndarray | None = None

    @property
    def thresholds(self) -> np.ndarray | None:
        """What parts the classes of the head, (H, C - 1), in units of the label; None where it names none."""
        scaled = getattr(getattr(self.network, "head", None), "thresholds", None)
        return None if scaled is None else scaled.double().cpu().numpy() * self.target_scale[:, None]

    @property
    def best(self) -> Epoch | None:
        """The epoch whose weights were kept: the first with the smallest validation loss; None for a whole model."""
        return min(self.history, key=lambda epoch: epoch.validation, default=None)

    @property
    def n_parameters(self) -> int:
        """Numbers that were trained, of all members; what a network only remembers, as its thresholds, is none."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def save(self, folder: Path, *, extra: Mapping[str, str] | None = None) -> Path:
        """Write a bundle; see `mnpu.training.bundle.save`."""
        from mnpu.training.bundle import save  # a bundle knows what is fitted, not the other way round

        return save(self, folder, extra=extra or {})
