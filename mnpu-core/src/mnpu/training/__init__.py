"""The torch island: fit a network on a fold, forecast with it, keep it on disk.

``fit`` needs Lightning, ``forecast`` and ``load`` do not; each is imported when it is first used, because Lightning
alone takes seconds and an agent has no need of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnpu.training.bundle import load as load
    from mnpu.training.device import device_kind as device_kind
    from mnpu.training.fitted import Fitted as Fitted
    from mnpu.training.fitting import fit as fit
    from mnpu.training.fold_calibration import calibrated as calibrated
    from mnpu.training.fold_calibration import kept_back as kept_back
    from mnpu.training.forecasting import Inputs as Inputs
    from mnpu.training.forecasting import forecast as forecast

__all__ = ["Fitted", "Inputs", "calibrated", "device_kind", "fit", "forecast", "kept_back", "load"]

_HOMES = {
    "Fitted": "mnpu.training.fitted",
    "Inputs": "mnpu.training.forecasting",
    "calibrated": "mnpu.training.fold_calibration",
    "device_kind": "mnpu.training.device",
    "fit": "mnpu.training.fitting",
    "forecast": "mnpu.training.forecasting",
    "kept_back": "mnpu.training.fold_calibration",
    "load": "mnpu.training.bundle",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mnpu.training' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
