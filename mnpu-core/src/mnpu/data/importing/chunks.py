"""Pieces of a file: its columns, its rows with their lines, and the rows that do not even have the right cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from mnpu.errors import DataError

__all__ = ["Chunk", "Opened", "Ragged", "broken", "refuse_repeated"]


@dataclass(frozen=True)
class Ragged:
    """A line that has too few or too many cells."""

    line: int
    text: str
    found: int
    expected: int


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file: ``columns`` maps names to arrays (N,), ``line`` int64 (N,) counts from 1.

    Cells of a CSV are bytes as they stand in the file. In a Parquet file the line is the number of the row.
    """

    columns: Mapping[str, pa.Array]
    line: np.ndarray
    ragged: tuple[Ragged, ...] = ()

    def __len__(self) -> int:
        return len(self.line)


@dataclass
class Opened:
    """A file that is being read: its columns, and its rows in pieces. ``done`` counts bytes or rows of ``total``."""

    names: tuple[str, ...]
    chunks: Iterator[Chunk]
    total: int
    position: Callable[[], int] = field(default=lambda: 0)


def refuse_repeated(names: Sequence[str], where: str) -> None:
    """DataError if two columns have one name."""
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise DataError(
            f"two columns are called {twice[0]!r}",
            where=where,
            expected="each name once",
            next_step="Rename one of them: which one is meant would be a guess.",
        )


def broken(path: Path, what: str, error: Exception) -> DataError:
    """What to say of a file that is cut, damaged, or something else than ``what``."""
    return DataError(
        f"cannot be read ({error})",
        where=str(path),
        expected=f"a whole {what} file",
        next_step="Get it again; nothing of it was taken.",
    )
