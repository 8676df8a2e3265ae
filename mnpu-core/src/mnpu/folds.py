"""One fold's fit: made, taken up where it was begun, or read where it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnpu.assembly import Forecaster, Parts
from mnpu.types import FeatureFrame, Fold, Labels

__all__ = ["FITS", "LOGS", "fit_fold"]

#: Folder of a run in progress that holds its fits; a finished run has it no longer.
FITS = "fits"
#: Folder of a run that loggers write into.
LOGS = "logs"


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
        Folder of the run: its fits are kept in it as they are made, and what its loggers write.
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
    place = None if kept is None else kept / FITS / _folder(forecaster, fold)
    loggers = [] if kept is None else _loggers(parts, forecaster, fold, kept)

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
            callbacks=[recorder, *loggers],
            checkpoints=checkpoints,
            **shared,
        )

    def read(folder: Path) -> Any:
        return training.reloaded(folder, backbone, head, whole, device=runtime.device, threads=runtime.threads)

    fitted = training.fit_or_resume(place, fit, read, every=config.train.checkpoint_every, callbacks=[recorder])
    return fitted if whole is not None else replace(fitted, record=recorder.record())


def _folder(forecaster: Forecaster, fold: Fold) -> Path:
    return Path(forecaster.name.replace("/", "~")) / f"fold-{fold.number:02d}"


def _loggers(parts: Parts, forecaster: Forecaster, fold: Fold, kept: Path) -> Sequence[Any]:
    """What tells the recipe's loggers of one fit."""
    from mnpu import training

    settings = parts.config.train.model_dump(mode="json", exclude={"instruments", "alerts", "loggers"})
    folder = kept / LOGS / _folder(forecaster, fold)
    return training.logging_to(
        parts.loggers(), training.LoggedFit(kept.name, forecaster.name, fold.number, folder, settings)
    )
