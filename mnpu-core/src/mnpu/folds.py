"""One fold's fit: made, taken up where it was begun, or read where it is kept; and what was seen of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnpu.assembly import Forecaster, Parts
from mnpu.progress import Progress
from mnpu.types import FeatureFrame, Fold, Labels, TrainingRecord

__all__ = ["fit_fold", "say_alerts", "training_record"]


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


def training_record(fitted: Mapping[str, Sequence[Any]]) -> TrainingRecord | None:
    """What instruments read in all fits, None where none was watched."""
    found = [fit.record for fits in fitted.values() for fit in fits if getattr(fit, "record", None) is not None]
    return TrainingRecord.join(found) if found else None


def say_alerts(fitted: Any, progress: Progress) -> None:
    """Say what the alerts of one fit were, each once."""
    record: TrainingRecord | None = getattr(fitted, "record", None)
    if record is None:
        return
    acted = {"stop": " Training was stopped.", "lower_lr": " The learning rate was lowered."}
    for alert in record.alerts.drop_duplicates("name").to_dict("records"):
        where = f"{alert['strategy']}, fold {alert['fold'] + 1}, epoch {alert['epoch']}"
        layer = f" in {alert['layer']}" if alert["layer"] else ""
        progress.say(f"warning: {where}: {alert['message']}{layer}.{acted.get(alert['action'], '')}")
