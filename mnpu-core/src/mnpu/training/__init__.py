"""The torch island: fit a network on a fold, forecast with it, keep it on disk.

Each name is imported when it is first used: an agent that forecasts has no need of what fits.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnpu.training.backends import Layout as Layout
    from mnpu.training.backends import refuse_precision as refuse_precision
    from mnpu.training.bundle import load as load
    from mnpu.training.calibrating import adapt as adapt
    from mnpu.training.callbacks import Callback as Callback
    from mnpu.training.checkpoints import Checkpoints as Checkpoints
    from mnpu.training.device import device_kind as device_kind
    from mnpu.training.ensembles import fit_ensemble as fit_ensemble
    from mnpu.training.fitted import Fitted as Fitted
    from mnpu.training.fitting import fit as fit
    from mnpu.training.fold_calibration import adaptive_settings as adaptive_settings
    from mnpu.training.fold_calibration import calibrated as calibrated
    from mnpu.training.fold_calibration import kept_back as kept_back
    from mnpu.training.fold_calibration import refuse_uncalibrated as refuse_uncalibrated
    from mnpu.training.following import Follower as Follower
    from mnpu.training.following import Outcomes as Outcomes
    from mnpu.training.forecasting import Inputs as Inputs
    from mnpu.training.forecasting import forecast as forecast
    from mnpu.training.instruments.recorder import Recorder as Recorder
    from mnpu.training.loggers import LoggedFit as LoggedFit
    from mnpu.training.loggers import logging_to as logging_to
    from mnpu.training.resuming import fit_or_resume as fit_or_resume
    from mnpu.training.resuming import reloaded as reloaded
    from mnpu.training.warming import FromBundle as FromBundle
    from mnpu.training.warming import fingerprint as fingerprint
    from mnpu.training.whole import fit_whole as fit_whole

__all__ = [
    "Callback",
    "Checkpoints",
    "Fitted",
    "Follower",
    "FromBundle",
    "Inputs",
    "Layout",
    "LoggedFit",
    "Outcomes",
    "Recorder",
    "adapt",
    "adaptive_settings",
    "calibrated",
    "device_kind",
    "fingerprint",
    "fit",
    "fit_ensemble",
    "fit_or_resume",
    "fit_whole",
    "forecast",
    "kept_back",
    "load",
    "logging_to",
    "refuse_precision",
    "refuse_uncalibrated",
    "reloaded",
]

_HOMES = {
    "Callback": "mnpu.training.callbacks",
    "Checkpoints": "mnpu.training.checkpoints",
    "Fitted": "mnpu.training.fitted",
    "Follower": "mnpu.training.following",
    "Inputs": "mnpu.training.forecasting",
    "Layout": "mnpu.training.backends",
    "FromBundle": "mnpu.training.warming",
    "LoggedFit": "mnpu.training.loggers",
    "Outcomes": "mnpu.training.following",
    "Recorder": "mnpu.training.instruments.recorder",
    "adapt": "mnpu.training.calibrating",
    "adaptive_settings": "mnpu.training.fold_calibration",
    "calibrated": "mnpu.training.fold_calibration",
    "device_kind": "mnpu.training.device",
    "fingerprint": "mnpu.training.warming",
    "fit": "mnpu.training.fitting",
    "fit_ensemble": "mnpu.training.ensembles",
    "fit_or_resume": "mnpu.training.resuming",
    "fit_whole": "mnpu.training.whole",
    "forecast": "mnpu.training.forecasting",
    "kept_back": "mnpu.training.fold_calibration",
    "refuse_uncalibrated": "mnpu.training.fold_calibration",
    "load": "mnpu.training.bundle",
    "logging_to": "mnpu.training.loggers",
    "refuse_precision": "mnpu.training.backends",
    "reloaded": "mnpu.training.resuming",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mnpu.training' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
