"""What was imported into a store, as it remembers it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

__all__ = ["ImportRecord", "read_imports"]


@dataclass(frozen=True)
class ImportRecord:
    """One file on its way into one table; ``n_read`` is the sum of taken, present and refused."""

    imported_at: pd.Timestamp
    file: str
    target: str
    n_read: int
    n_taken: int
    n_present: int
    n_refused: int
    file_sha256: str
    mapping_sha256: str


def read_imports(path: Path) -> tuple[ImportRecord, ...]:
    """Every remembered import, oldest first; none where the store is no database (Parquet files, or a mapping)."""
    if not path.is_file() or not _is_database(path):
        return ()
    query = (
        "SELECT imported_at, file, target, n_read, n_taken, n_present, n_refused, file_sha256, mapping_sha256"
        " FROM imports ORDER BY imported_at"
    )
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(query).fetchall()
    return tuple(ImportRecord(pd.Timestamp(at, unit="ns", tz="UTC"), *rest) for at, *rest in rows)


def _is_database(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(6) == b"SQLite"
