"""MNPU (Market NN Plus Ultra): from market data to a guarded, proven trading decision, by plugins.

Importing this package costs a few milliseconds: public names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnpu.agent import Agent as Agent
    from mnpu.data.store import Store as Store
    from mnpu.features import View as View
    from mnpu.features import feature as feature
    from mnpu.pipeline import run as run
    from mnpu.plugins.hookspecs import hookimpl as hookimpl
    from mnpu.plugins.registry import Registry as Registry
    from mnpu.types import Forecast as Forecast
    from mnpu.types import Metric as Metric
    from mnpu.types import Panel as Panel
    from mnpu.types import PolicyContext as PolicyContext
    from mnpu.types import Positions as Positions
    from mnpu.types import Result as Result
    from mnpu.types import Section as Section
    from mnpu.types import Violation as Violation

_HOMES = {
    "Agent": "mnpu.agent",
    "Forecast": "mnpu.types",
    "Metric": "mnpu.types",
    "Panel": "mnpu.types",
    "PolicyContext": "mnpu.types",
    "Positions": "mnpu.types",
    "Registry": "mnpu.plugins.registry",
    "Result": "mnpu.types",
    "Section": "mnpu.types",
    "Store": "mnpu.data.store",
    "View": "mnpu.features",
    "Violation": "mnpu.types",
    "feature": "mnpu.features",
    "hookimpl": "mnpu.plugins.hookspecs",
    "run": "mnpu.pipeline",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mnpu-core")
    if name not in _HOMES:
        raise AttributeError(f"module 'mnpu' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
