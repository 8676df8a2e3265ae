"""One fold's fit: made, taken up where it was begun, or read where it is kept; and what was seen of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mnpu.assembly import Forecaster, Parts
from mnpu.progress import Progress
from mnpu.types import FeatureFrame, Fold, Labels, TrainingRecord

__all__ = ["FITS", "LOGS", "fit_fold", "say_alerts", "training_record"]

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
    calibration: tuple[int, int] | None = None,
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
    calibration : (start, stop), optional
        Rows that are kept back to calibrate it.
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
    members = 1 if config.model.ensemble is None or whole is not None else config.model.ensemble.seeds
    recorders = [_recorder(parts, forecaster, fold, k) for k in range(members)]
    place = None if kept is None else kept / FITS / _folder(forecaster, fold)
    watchers = [[r, *_loggers(parts, forecaster, fold, k, kept)] for k, r in enumerate(recorders)]

    def fit(checkpoints: Any) -> Any:
        if whole is not None:  # fitted at once: there is nothing between its begin and its end
            return training.fit_whole(frame, labels, fold, forecaster=whole, **shared)
        fit_all = partial(training.fit, callbacks=watchers[0])
        if members > 1:
            fit_all = partial(training.fit_ensemble, members=members, watchers=watchers)
        return fit_all(
            frame,
            labels,
            fold,
            backbone=backbone,
            head=head,
            checkpoint_activations=config.model.checkpoint_activations,
            train=config.train,
            device=runtime.device,
            progress=live,
            calibration=calibration,
            warm_up=_start(parts, forecaster),
            checkpoints=checkpoints,
            layout=training.Layout(runtime.devices, runtime.strategy),
            **shared,
        )

    def read(folder: Path) -> Any:
        return training.reloaded(folder, backbone, head, whole, device=runtime.device, threads=runtime.threads)

    fitted = training.fit_or_resume(place, fit, read, every=config.train.checkpoint_every, callbacks=recorders)
    return fitted if whole is not None else replace(fitted, record=TrainingRecord.join(r.record() for r in recorders))


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


def _folder(forecaster: Forecaster, fold: Fold) -> Path:
    return Path(forecaster.name.replace("/", "~")) / f"fold-{fold.number:02d}"


def _recorder(parts: Parts, forecaster: Forecaster, fold: Fold, member: int) -> Any:
    """What instruments read of one fit; the first member is what is fitted without an ensemble."""
    from mnpu import training  # torch lives only here

    return training.Recorder(
        parts.instruments(),
        alerts=parts.config.train.alerts,
        strategy=forecaster.name,
        fold=fold.number,
        member=member,
        seed=parts.config.seed,
    )


def _member(forecaster: Forecaster, member: int) -> str:
    return f"{forecaster.name}, member {member + 1}" if member else forecaster.name


def _loggers(parts: Parts, forecaster: Forecaster, fold: Fold, member: int, kept: Path | None) -> Sequence[Any]:
    """What tells the recipe's loggers of one fit; the first member is what is fitted without an ensemble."""
    from mnpu import training  # torch lives only here

    if kept is None:
        return []
    settings = parts.config.train.model_dump(mode="json", exclude={"instruments", "alerts", "loggers"})
    folder, name = kept / LOGS / _folder(forecaster, fold), _member(forecaster, member)
    if member:
        folder = folder / f"member-{member:02d}"
    return training.logging_to(parts.loggers(), training.LoggedFit(kept.name, name, fold.number, folder, settings))


def _start(parts: Parts, forecaster: Forecaster) -> Any:
    """Where the weights of the judged network come from, None for new ones; the others beside it have their own."""
    from mnpu import training  # torch lives only here

    source = parts.config.model.starts_from
    if source is None or parts.warm_start is None or forecaster is not parts.forecasters[0]:
        return None
    return training.FromBundle(parts.warm_start, source.parts)
