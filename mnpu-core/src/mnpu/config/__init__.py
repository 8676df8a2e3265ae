"""A pipeline as one YAML file: read strictly, checked completely, saved resolved."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnpu.config.load import LoadedConfig as LoadedConfig
    from mnpu.config.load import load_config as load_config

_LAZY = ("LoadedConfig", "load_config")

__all__ = ["LoadedConfig", "load_config"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'mnpu.config' has no attribute {name!r}")
    return getattr(import_module("mnpu.config.load"), name)
