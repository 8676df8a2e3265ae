"""What training showed of itself, on disk: three long tables, read back as they were."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from mnpu.results_tables import read_table, texts, write_table
from mnpu.types import TrainingRecord

__all__ = ["read_training", "write_training"]

#: The file of each table of a `TrainingRecord`.
_FILES = {"measurements": "training.parquet", "landscape": "landscape.parquet", "alerts": "alerts.parquet"}


def write_training(folder: Path, record: TrainingRecord) -> None:
    """Write the tables that have rows; measurements always."""
    for name, file in _FILES.items():
        table: pd.DataFrame = getattr(record, name)
        if len(table) or name == "measurements":
            columns = {
                str(column): texts(values) if values.dtype == object else np.asarray(values)
                for column, values in table.items()
            }
            write_table(folder / file, [columns])


def read_training(folder: Path) -> TrainingRecord | None:
    """The record of a run, None for one that was made before there were any."""
    tables = {name: read_table(folder / file) for name, file in _FILES.items()}
    if tables["measurements"] is None:
        return None
    empty = TrainingRecord.of()
    found = {}
    for field in fields(TrainingRecord):
        own, table = getattr(empty, field.name), tables[field.name]
        if table is not None:
            own = pd.DataFrame({name: pd.Series(table[name].to_pylist(), dtype=own[name].dtype) for name in own})
        found[field.name] = own
    return TrainingRecord(**found)
