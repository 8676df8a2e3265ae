"""A sweep's rows as one Parquet file, to be kept and shared."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from mnpu.atomic import write_atomically
from mnpu.errors import MnpuError
from mnpu.sweep.catalogue import Catalogue

__all__ = ["export", "frame"]


def frame(catalogue: Catalogue) -> pd.DataFrame:
    """A row for each trial, failed ones too: axes, ``status``, ``error``, ``decisions``, facts and metrics."""
    rows = [
        {
            **{f"axis.{name}": value for name, value in entry.axes.items()},
            "status": "finished",
            "error": "",
            "run_id": entry.run_id,
            "trial": entry.trial,
            "decisions": entry.decisions,
            **entry.facts,
            **{f"metric.{name}": value for name, value in entry.values.items()},
        }
        for entry in catalogue.entries
    ]
    failed = [
        {
            **{f"axis.{name}": value for name, value in each["axes"].items()},
            "status": "failed",
            **{name: each[name] for name in ("error", "run_id", "trial")},
        }
        for each in catalogue.failed
    ]
    found: pd.DataFrame = pd.DataFrame([*rows, *failed])
    return found


def export(catalogue: Catalogue, path: Path) -> Path:
    """Write `frame` to ``path``, whole or not at all.

    Raises
    ------
    MnpuError
        It cannot be written.
    """
    buffer = io.BytesIO()
    frame(catalogue).to_parquet(buffer, index=False, compression="zstd")
    try:
        return write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise MnpuError(f"cannot be written ({error.strerror or error})", where=str(path)) from error
