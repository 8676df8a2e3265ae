"""One fold's fit: made, taken up where it was begun, or read where it is kept."""

from __future__ import annotations

from dataclasses import replace
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

    config, runtime = parts.config, parts.config.runtime
    shared: dict[str, Any] = {
        "lookback": config.model.lookback,
        "min_present": config.model.min_present,
        "seed": config.seed,
        "threads": runtime.threads,
    }
    backbone, head, whole = forecaster.backbone, forecaster.head, forecaster.whole
    recorder = training.Recorder(
        parts.instruments(),
        alerts=config.train.alerts,
        strategy=forecaster.name,
        fold=fold.number,
        seed=config.seed,
    )
    place = None if kept is None else kept / forecaster.name.replace("/", "~") / f"fold-{fold.number:02d}"

    def fit(checkpoints: Any) -> Any:
        if whole is not None:  # fitted at once: there is nothing between its begin and its end
            return training.fit_whole(frame, labels, fold, forecaster=whole, **shared)
        return training.fit(
            frame,
            labels,
            fold,
            backbone=backbone,
            head=head,
            checkpoint_activations=config.model.checkpoint_activations,
            train=config.train,
            device=runtime.device,
            progress=live,
            callbacks=[recorder],
            checkpoints=checkpoints,
            **shared,
        )

    def read(folder: Path) -> Any:
        return training.reloaded(folder, backbone, head, whole, device=runtime.device, threads=runtime.threads)

    fitted = training.fit_or_resume(place, fit, read, every=config.train.checkpoint_every, callbacks=[recorder])
    return fitted if whole is not None else replace(fitted, record=recorder.record())
