"""Rows that were refused, in a file of their own: line, rule, reason, and the cells as they were."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from mnpu.data.importing.chunks import Chunk
from mnpu.data.importing.parse import show
from mnpu.data.importing.verdict import Verdict
from mnpu.leftovers import SUFFIX, unfinished

__all__ = ["Quarantine"]

HEADINGS = ("file", "line", "rule", "reason", "raw")


class Quarantine:
    """The refused rows of one file, written beside the store; nothing appears where nothing is refused.

    The name follows from the file's bytes and its place in the mapping, so a second import replaces the first one's.
    Without a folder, rows are only counted.
    """

    def __init__(self, folder: Path | None, source: Path, sha256: str, tag: str, columns: Sequence[str]) -> None:
        self.writes = folder is not None
        self.path = (folder or Path()) / f"{source.name}.{sha256[:8]}.{tag}.csv"
        self.source, self.columns = source.name, list(columns)
        self.counts: Counter[str] = Counter()
        self._begins = ""
        self._stream: IO[str] | None = None
        self._writer: Any = None

    @property
    def n(self) -> int:
        """Rows refused so far."""
        return sum(self.counts.values())

    def add(self, chunk: Chunk, verdict: Verdict) -> None:
        """Take in the rows of a piece that were refused, and the lines that had the wrong number of cells."""
        if not self.writes:
            codes = verdict.code[~verdict.ok].tolist()
            self.counts.update(["ragged"] * len(chunk.ragged))
            self.counts.update(verdict.rules[code][0] for code in codes)
            return
        for ragged in chunk.ragged:
            self.counts["ragged"] += 1
            reason = f"it has {ragged.found} cells, not {ragged.expected}"
            self._open().writerow([self.source, ragged.line, "ragged", reason, ragged.text, *[""] * len(self.columns)])
        rows = np.flatnonzero(~verdict.ok)
        if not len(rows):
            return
        which = pa.array(rows)
        cells = [
            chunk.columns[name].take(which).to_pylist() if name in chunk.columns else [None] * len(rows)
            for name in self.columns
        ]
        rules = [verdict.rules[code][0] for code in verdict.code[rows].tolist()]
        self.counts.update(rules)
        writer = self._open()
        for row, rule, line, *values in zip(rows.tolist(), rules, chunk.line[rows].tolist(), *cells, strict=True):
            writer.writerow([self.source, line, rule, verdict.reason(row), "", *map(show, values)])

    def keep(self) -> Path | None:
        """Give the file its name; None, and no file of an earlier import, if nothing was refused."""
        if not self.writes:
            return None
        if self._stream is None:
            self.path.unlink(missing_ok=True)
            return None
        self._stream.close()
        os.replace(self._temporary, self.path)
        self._stream = None
        return self.path

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._stream is not None:
            self._stream.close()
            self._temporary.unlink(missing_ok=True)
            self._stream = None

    @property
    def _temporary(self) -> Path:
        return self.path.with_name(f"{self._begins}{SUFFIX}")

    def _open(self) -> Any:
        if self._stream is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._begins = unfinished(self.path)
            self._stream = self._temporary.open("w", encoding="utf-8", newline="", errors="backslashreplace")
            self._writer = csv.writer(self._stream)
            self._writer.writerow([*HEADINGS, *self.columns])
        return self._writer
