"""One fold's fit: made, taken up where it was begun, or read where it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnpu.assembly import Forecaster, Parts
from mnpu.types import FeatureFrame, Fold, Labels

__all__ = ["fit_fold"]


def fit_fold(
    parts: Parts,
    forecaster: Forecaster,
    frame: FeatureFrame,
    labels: Labels,
    fold: Fold,
    *,
    live: bool = False,
    kept: Path | None = None,
) -> Any:
    """Fit on a fold's training range.

    Parameters
    ----------
    parts : Parts
    forecaster : Forecaster
    frame : FeatureFrame
        The columns that the fold learns from.
    labels : Labels
    fold : Fold
    live : bool, default=False
        Draw a bar.
    kept : Path, optional
        Where a run keeps its fits as they are made.
    """
    from mnpu import training  # torch lives only here

    config = parts.config
    runtime = config.runtime
    shared: dict[str, Any] = {
        "lookback": config.model.lookback,
        "min_present": config.model.min_present,
        "seed": config.seed,
        "threads": runtime.threads,
    }

    def fit(*, checkpoints: Any = None) -> Any:
        if forecaster.whole is not None:  # has no steps to go on from
            return training.fit_whole(frame, labels, fold, forecaster=forecaster.whole, **shared)
        return training.fit(
            frame,
            labels,
            fold,
            backbone=forecaster.backbone,
            head=forecaster.head,
            train=config.train,
            device=runtime.device,
            progress=live,
            checkpoints=checkpoints,
            **shared,
        )

    def read(folder: Path) -> Any:
        builders = (forecaster.backbone, forecaster.head, forecaster.whole)
        return training.reloaded(folder, builders, runtime.device, runtime.threads)

    place = None if kept is None else kept / forecaster.name.replace("/", "~") / f"fold-{fold.number:02d}"
    return training.fit_or_resume(place, fit, read, every=config.train.checkpoint_every)
