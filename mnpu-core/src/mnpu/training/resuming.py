"""Fits of a run that are kept as they are made: what is done is read, what was begun goes on, the rest is fitted.

::

    FOLDER/bundle/         the finished fit, and in watched.json what its callbacks knew at the end, under one manifest
    FOLDER/progress/       checkpoints of the one in progress; removed when the bundle is whole
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnpu.errors import DataError
from mnpu.manifest import MANIFEST, parsed, read_sealed
from mnpu.training.bundle import load
from mnpu.training.callbacks import Callback
from mnpu.training.checkpoints import Checkpoints, Every, plain
from mnpu.training.device import device_kind
from mnpu.training.fitted import Fitted

__all__ = ["fit_or_resume", "reloaded"]

WATCHED = "watched.json"

log = logging.getLogger("mnpu.training")


def fit_or_resume(
    folder: Path | None,
    fit: Callable[..., Fitted],
    read: Callable[[Path], Fitted],
    *,
    every: str | None,
    callbacks: Sequence[Callback] = (),
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
    callbacks : sequence of Callback
        Those of ``fit``: where it is read, they are told what they knew.
    """
    if folder is None:
        return fit(checkpoints=None)
    bundle = folder / "bundle"
    if (bundle / MANIFEST).exists():
        try:
            fitted = read(bundle)
            _remind(callbacks, bundle)
            return fitted
        except (DataError, OSError) as error:
            log.warning("a finished fit cannot be read and is fitted again: %s", error)
    shutil.rmtree(bundle, ignore_errors=True)
    fitted = fit(checkpoints=None if every is None else Checkpoints(folder / "progress", Every.parse(every)))
    known = json.dumps({c.name: dict(c.state()) for c in callbacks if c.name}, default=plain)
    fitted.save(bundle, extra={WATCHED: known})
    shutil.rmtree(folder / "progress", ignore_errors=True)
    return fitted


def _remind(callbacks: Sequence[Callback], bundle: Path) -> None:
    states = parsed(read_sealed(bundle).get(WATCHED, b""), bundle / WATCHED)
    named = [callback for callback in callbacks if callback.name]
    if not {callback.name for callback in named} <= set(states):
        raise DataError("it does not hold what watched the fit", where=str(bundle))
    for callback in named:
        callback.load_state(states[callback.name])


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
