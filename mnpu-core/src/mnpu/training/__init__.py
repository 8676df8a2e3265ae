"""The torch island: fit a network on a fold, forecast with it, keep it on disk.

Each name is imported when it is first used: an agent that forecasts has no need of what fits.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnpu.training.bundle import load as load
    from mnpu.training.callbacks import Callback as Callback
    from mnpu.training.device import device_kind as device_kind
    from mnpu.training.fitted import Fitted as Fitted
    from mnpu.training.fitting import fit as fit
    from mnpu.training.forecasting import Inputs as Inputs
    from mnpu.training.forecasting import forecast as forecast
    from mnpu.training.whole import fit_whole as fit_whole

__all__ = ["Callback", "Fitted", "Inputs", "device_kind", "fit", "fit_whole", "forecast", "load"]

_HOMES = {
    "Callback": "mnpu.training.callbacks",
    "Fitted": "mnpu.training.fitted",
    "Inputs": "mnpu.training.forecasting",
    "device_kind": "mnpu.training.device",
    "fit": "mnpu.training.fitting",
    "fit_whole": "mnpu.training.whole",
    "forecast": "mnpu.training.forecasting",
    "load": "mnpu.training.bundle",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mnpu.training' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
