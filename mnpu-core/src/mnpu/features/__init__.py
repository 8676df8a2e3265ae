"""Features: functions of what was known at each decision, and nothing else.

A feature is a plain function of a :class:`View`, marked with :func:`feature`; a source is a module of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnpu.features.api import View as View
    from mnpu.features.api import feature as feature

__all__ = ["View", "feature"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'mnpu.features' has no attribute {name!r}")
    from mnpu.features import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return list(__all__)
