"""What several features share on the same data, computed by whoever asks first."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock

import numpy as np

__all__ = ["Memo", "Reads"]


#: Fields and series that were read, each as its name and ``field`` or ``series``.
Reads = set[tuple[str, str]]


class Memo:
    """What was computed once on one panel, with what was read for it; several threads may ask."""

    def __init__(self) -> None:
        self._held: dict[Hashable, tuple[np.ndarray, Reads]] = {}
        self._locks: dict[Hashable, Lock] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], tuple[np.ndarray, Reads]]) -> tuple[np.ndarray, Reads]:
        """The array under ``key`` and what it was made of, made by whoever comes first."""
        found = self._held.get(key)
        if found is None:
            with self._lock:
                lock = self._locks.setdefault(key, Lock())
            with lock:
                found = self._held.get(key)
                if found is None:
                    found = self._held[key] = make()
        return found
