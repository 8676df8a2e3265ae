"""Where networks live: the processor, or a GPU."""

from __future__ import annotations

import torch

from mnpu.errors import ConfigError

__all__ = ["device_kind"]


def device_kind(device: str) -> str:
    """``cpu`` or ``cuda`` for ``cpu``, ``cuda`` or ``auto``: cuda where there is one.

    Raises
    ------
    ConfigError
        The device is unknown, or cuda is wanted and torch finds none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ConfigError(f"runtime.device is {device!r}", expected="auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("runtime.device is 'cuda' and torch finds none", next_step="Use auto or cpu.")
    return device
