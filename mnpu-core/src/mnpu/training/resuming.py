"""Fits of a run that are kept as they are made: what is done is read, what was begun goes on, the rest is fitted.

::

    FOLDER/bundle/         the finished fit
    FOLDER/progress/       checkpoints of the one in progress; removed when the bundle is whole
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnpu.errors import DataError
from mnpu.manifest import MANIFEST
from mnpu.training.bundle import load
from mnpu.training.checkpoints import Checkpoints, Every
from mnpu.training.device import device_kind
from mnpu.training.fitted import Fitted

__all__ = ["fit_or_resume", "reloaded"]

log = logging.getLogger("mnpu.training")


def fit_or_resume(
    folder: Path | None, fit: Callable[..., Fitted], read: Callable[[Path], Fitted], *, every: str | None
) -> Fitted:
    """The fit that belongs into ``folder``.

    Parameters
    ----------
    folder : Path or None
        Of this fit alone; None to keep nothing.
    fit : callable
        ``fit(checkpoints=...)`` makes it, from a checkpoint if there is one.
    read : callable
        Reads the finished one from the folder of its bundle.
    every : str or None
        How often a checkpoint is written, as ``1 epoch``; None for never.
    """
    if folder is None:
        return fit(checkpoints=None)
    bundle, progress = folder / "bundle", folder / "progress"
    if (bundle / MANIFEST).exists():
        try:
            return read(bundle)
        except DataError as error:
            log.warning("a finished fit cannot be read and is fitted again: %s", error)
    shutil.rmtree(bundle, ignore_errors=True)
    fitted = fit(checkpoints=None if every is None else Checkpoints(progress, Every.parse(every)))
    fitted.save(bundle)
    shutil.rmtree(progress, ignore_errors=True)
    return fitted


def reloaded(
    folder: Path,
    backbone: Callable[..., Any],
    head: Callable[..., Any],
    forecaster: Callable[[], Any] | None,
    *,
    device: str,
    threads: int,
) -> Fitted:
    """A bundle as its fit returned it: on the device, with the threads."""
    fitted = load(folder, backbone, head, forecaster)
    return replace(fitted, network=fitted.network.to(device_kind(device)), threads=threads)
