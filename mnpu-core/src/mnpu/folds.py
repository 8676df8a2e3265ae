"""One fold's fit: made, taken up where it was begun, or read where it is kept."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mnpu.assembly import Forecaster, Parts
from mnpu.results_training import read_training, write_training
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
    fit = partial(
        training.fit,
        frame,
        labels,
        fold,
        backbone=forecaster.backbone,
        head=forecaster.head,
        lookback=config.model.lookback,
        min_present=config.model.min_present,
        train=config.train,
        seed=config.seed,
        device=runtime.device,
        threads=runtime.threads,
        progress=live,
    )
    place = None if kept is None else kept / forecaster.name.replace("/", "~") / f"fold-{fold.number:02d}"

    def watched(**more: Any) -> Any:
        recorder = training.Recorder(
            parts.instruments(),
            alerts=config.train.alerts,
            strategy=forecaster.name,
            fold=fold.number,
            seed=config.seed,
        )
        fitted, record = fit(callbacks=[recorder], **more), recorder.record()
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
            write_training(place, record)  # before the bundle: what is finished has its record
        return replace(fitted, record=record)

    def read(folder: Path) -> Any:
        fitted = training.reloaded(folder, forecaster.backbone, forecaster.head, runtime.device, runtime.threads)
        return replace(fitted, record=read_training(folder.parent))

    return training.fit_or_resume(place, watched, read, every=config.train.checkpoint_every)
