"""One fold's fit: made, taken up where it was begun, or read where it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
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
    callbacks: Sequence[Any] = (),
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
    callbacks : sequence of mnpu.training.Callback
        What watches it.
    """
    from mnpu import training  # torch lives only here

    config, name = parts.config, f"fold-{fold.number:02d}"
    strategy = forecaster.name.replace("/", "~")
    if kept is not None:
        settings = config.train.model_dump(mode="json", exclude={"instruments", "alerts", "loggers"})
        logs = training.LoggedFit(kept.name, forecaster.name, fold.number, kept / LOGS / strategy / name, settings)
        callbacks = [*callbacks, *training.logging_to(parts.loggers(), logs)]
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
        checkpoint_activations=config.model.checkpoint_activations,
        train=config.train,
        seed=config.seed,
        device=runtime.device,
        threads=runtime.threads,
        progress=live,
        callbacks=callbacks,
    )

    def read(folder: Path) -> Any:
        return training.reloaded(folder, forecaster.backbone, forecaster.head, runtime.device, runtime.threads)

    place = None if kept is None else kept / FITS / strategy / name
    return training.fit_or_resume(place, fit, read, every=config.train.checkpoint_every, callbacks=callbacks)
