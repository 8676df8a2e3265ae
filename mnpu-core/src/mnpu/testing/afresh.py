"""A source as it is when a process imports it: what its module remembered since is not there.

A feature that keeps what it computed from the first data it saw (a scaler that is fitted once, a cache by date) gives
the same values whatever the future is replaced by later. It tells itself apart only where it is shown another future
at first sight.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

from mnpu.features.select import features_of

__all__ = ["functions_afresh"]


def functions_afresh(module: ModuleType) -> Mapping[str, Callable[..., Any]]:
    """The features of a source, by name, as a process has them that has asked none of them yet.

    The modules of its package are imported with it, those of core are not; none where it has no file of its own or
    cannot be imported twice.
    """
    spec = getattr(module, "__spec__", None)
    if spec is None or spec.loader is None or not str(spec.origin).endswith(".py"):
        return {}
    with _forgotten(_its_package(module.__name__)):
        again = module_from_spec(spec)
        sys.modules[module.__name__] = again
        try:
            spec.loader.exec_module(again)
        except Exception:  # some modules may be imported once only: of those nothing can be said here
            return {}
    return features_of(again)


def _its_package(name: str) -> list[str]:
    top = name.partition(".")[0]
    if top == "mnpu":
        return [name]
    return [found for found in sys.modules if found == top or found.startswith(f"{top}.")]


@contextmanager
def _forgotten(names: list[str]) -> Iterator[None]:
    """Whatever is imported meanwhile is imported anew, if it is one of ``names``; afterwards all is as it was."""
    before = {name: sys.modules[name] for name in names if _is_python(sys.modules.get(name))}
    for name in before:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in before:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def _is_python(module: ModuleType | None) -> bool:
    return str(getattr(module, "__file__", "")).endswith(".py")
