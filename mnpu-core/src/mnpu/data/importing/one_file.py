"""One file on its way into a store: read, judged and written in one transaction, every row accounted for."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mnpu.data.importing.assets import update_assets
from mnpu.data.importing.build import build
from mnpu.data.importing.cells import Context
from mnpu.data.importing.chunks import Chunk, Opened
from mnpu.data.importing.clocks import NO_TIME, recorded
from mnpu.data.importing.files import digest, open_file, state
from mnpu.data.importing.mapping import DatasetSpec, Entry, LoadedMapping
from mnpu.data.importing.parse import numbers, text_of
from mnpu.data.importing.quarantine import Quarantine
from mnpu.data.importing.roles import find_roles, knowledge_column
from mnpu.data.importing.rows import CONFLICT, NEW, PRESENT, Rows, insert_rows, merge
from mnpu.data.importing.scores import insert_scores
from mnpu.data.importing.sink import Sink
from mnpu.data.importing.verdict import Verdict
from mnpu.data.migrations import explain_sqlite
from mnpu.errors import DataError, MnpuError

__all__ = ["FileOutcome", "Importer", "Progress"]

#: Called as ``progress(file, done, total)`` after each piece of a file.
Progress = Callable[[str, int, int], None]
T = TypeVar("T")
TARGETS = {"calendar": "calendar_events", "universe": "universes"}
#: Tables whose rows have one clock or none, so that they are not compared as vintages.
WRITERS = {"assets": update_assets, "news_scores": insert_scores}


@dataclass(frozen=True)
class FileOutcome:
    """What became of the rows of one file; ``n_read`` is always the sum of taken, present and refused.

    ``n_elsewhere`` counts the rows that ``where`` leaves to other entries. ``error`` is set where nothing of the file
    was taken because it could not be read at all.
    """

    file: Path
    entry: int
    target: str
    n_taken: int = 0
    n_present: int = 0
    n_refused: int = 0
    n_elsewhere: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    quarantine: Path | None = None
    error: MnpuError | None = None
    seconds: float = 0.0

    @property
    def n_read(self) -> int:
        """Rows of the file that this entry read."""
        return self.n_taken + self.n_present + self.n_refused


@dataclass
class Importer:
    """One file on its way into the store.

    Parameters
    ----------
    connection : Connection
        Of the store, open for writing and outside a transaction.
    store : Path
        Of the store, for messages.
    mapping : LoadedMapping
    index : int
        Of the file's entry.
    path : Path
    folder : Path, optional
        Where refused rows are kept; None only counts them.
    now : int
        What counts as the future, ns since 1970.
    progress : callable, optional
    """

    connection: sqlite3.Connection
    store: Path
    mapping: LoadedMapping
    index: int
    path: Path
    folder: Path | None
    now: int
    progress: Progress | None

    def run(self) -> FileOutcome:
        """Read the file in one transaction."""
        begun = time.perf_counter()
        outcome = FileOutcome(self.path, self.index, TARGETS.get(self.entry.table, self.entry.table))
        waste: Quarantine | None = None
        try:
            before = state(self.path)
            sha256 = digest(self.path)
            opened = open_file(self.path, self.entry)
            waste = Quarantine(self.folder, self.path, sha256, f"{self.index + 1}-{self.entry.table}", opened.names)
            self.connection.execute("BEGIN IMMEDIATE")
            outcome = self._rows(opened, waste, outcome)
            if state(self.path) != before:
                raise DataError(
                    "was changed while it was read",
                    where=str(self.path),
                    expected="a file that nobody writes to",
                    next_step="Nothing of it was taken. Import it again once it is complete.",
                )
            outcome = replace(outcome, quarantine=waste.keep())
            self._record(sha256, outcome)
            self.connection.execute("COMMIT")
        except DataError as error:
            outcome = FileOutcome(self.path, self.index, outcome.target, error=error)
        except sqlite3.Error as error:
            raise explain_sqlite(error, self.store) from error
        except OSError as error:
            raise MnpuError(
                f"cannot be read or its refused rows not be written ({error})",
                where=str(self.path),
                next_step="Nothing of this file was taken. Repair it or make room, then run the command again.",
            ) from error
        finally:
            if waste is not None:
                waste.discard()
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        return replace(outcome, seconds=time.perf_counter() - begun)

    @property
    def entry(self) -> Entry:
        """What the mapping says of it."""
        return self.mapping.entries[self.index]

    def _rows(self, opened: Opened, waste: Quarantine, outcome: FileOutcome) -> FileOutcome:
        where = str(self.path)
        roles = find_roles(self.entry, opened.names, where=where)
        sink = Sink(self.connection, self.entry, self.mapping.where(self.index))
        sink.declare_dataset()
        context = self._context(opened.names, roles)
        taken = present = elsewhere = 0
        for pieces, left_out in _ahead(self._built(chunk, context) for chunk in opened.chunks):
            elsewhere += left_out
            for piece in pieces:
                status = self._piece(piece, sink, waste)
                taken += int((status == NEW).sum())
                present += int((status == PRESENT).sum())
            if self.progress is not None:
                self.progress(self.path.name, opened.position(), opened.total)
        return replace(
            outcome,
            n_taken=taken,
            n_present=present,
            n_refused=waste.n,
            n_elsewhere=elsewhere,
            reasons=dict(waste.counts.most_common()),
        )

    def _built(self, chunk: Chunk, context: Context) -> tuple[list[_Piece], int]:
        """The rows that ``where`` chooses, as rows of the table, and how many it leaves; asks nothing of the store."""
        mine, left_out = self._chosen(chunk)
        pieces = []
        for cells, its_context in _pieces(mine, context):
            verdict, rows = Verdict(len(cells)), None
            if self.entry.table not in WRITERS:
                rows, verdict = build(cells, its_context)
            pieces.append(_Piece(cells, its_context, rows, verdict))
        return pieces, left_out

    def _piece(self, piece: _Piece, sink: Sink, waste: Quarantine) -> np.ndarray:
        """Take in some rows; their status, without those that were refused."""
        chunk, rows, verdict = piece.chunk, piece.rows, piece.verdict
        if rows is None:
            status = WRITERS[self.entry.table](self.connection, chunk, piece.context, verdict)
        else:
            merged = merge(self.connection, rows)
            told: dict[int, str] = {}
            for i, words in merged.conflicts.items():
                told.setdefault(int(rows.row[i]), words)
            refused = np.zeros(len(chunk), dtype=bool)
            refused[list(told)] = True
            verdict.refuse(refused, "conflict", "another value is there with the same key", detail=told.__getitem__)
            new = (merged.status == NEW) & ~refused[rows.row]
            merged = replace(merged, status=np.where(new, NEW, PRESENT))
            sink.before(rows, merged)
            insert_rows(self.connection, rows if bool(new.all()) else rows.take(np.flatnonzero(new)))
            status = np.full(len(chunk), PRESENT, dtype=np.int8)
            status[rows.row[new]] = NEW
            status[refused] = CONFLICT
        waste.add(chunk, verdict)
        result: np.ndarray = status[verdict.ok]
        return result

    def _context(self, names: Sequence[str], roles: Mapping[str, str]) -> Context:
        where = str(self.path)
        column = knowledge_column(self.entry, names, where=where)
        assets, calendar = self._dataset()
        return Context(self.entry, self.path, roles, column, self.now, self._censored(column), assets, calendar)

    def _dataset(self) -> tuple[frozenset[str], str]:
        """The assets and the calendar of the dataset that the rows refer to."""
        if self.entry.table != "corporate_actions" or self.entry.dataset is None:
            return frozenset(), ""
        name = self.entry.dataset.name if isinstance(self.entry.dataset, DatasetSpec) else self.entry.dataset
        query = "SELECT calendar, adjustment FROM datasets WHERE name = ?"
        row = self.connection.execute(query, (name,)).fetchone()
        if row is None:
            raise DataError(
                f"there is no dataset {name!r}",
                where=self.mapping.where(self.index, "dataset"),
                expected="one in the store",
                next_step="Import its prices first: put their entry before this one.",
            )
        if row[1] != "none":
            raise DataError(
                f"the prices of dataset {name!r} are adjusted for {row[1]} already",
                where=self.mapping.where(self.index, "dataset"),
                expected="a dataset as traded, whose actions are not in its prices",
                next_step="Leave this entry out, or import the prices as they were traded.",
            )
        symbols = self.connection.execute("SELECT symbol FROM assets WHERE dataset = ?", (name,))
        return frozenset(symbol for (symbol,) in symbols), str(row[0])

    def _censored(self, column: str | None) -> int | None:
        rule = self.entry.knowledge or (self.entry.series.knowledge if self.entry.series else None)
        if rule is None or rule.censored is None or column is None:
            return None
        if rule.censored != "earliest":
            stamp = pd.Timestamp(rule.censored)
            if len(rule.censored) <= len("2016-06-29"):  # a date is known when it is over, as in the column
                stamp += pd.Timedelta(days=1) - pd.Timedelta(seconds=1)
            return int((stamp.tz_localize("UTC") if stamp.tz is None else stamp).as_unit("ns").value)
        earliest = None
        for chunk in open_file(self.path, self.entry).chunks:
            _, at = recorded(chunk.columns[column], rule.zone or self.entry.time.zone, where=str(self.path))
            at = at[at != NO_TIME]
            if len(at):
                earliest = int(at.min()) if earliest is None else min(earliest, int(at.min()))
        return earliest

    def _chosen(self, chunk: Chunk) -> tuple[Chunk, int]:
        """The rows that ``where`` and ``where_not`` choose, and how many they leave."""
        keep = np.ones(len(chunk), dtype=bool)
        for name, wanted in self.entry.where.items():
            keep &= _among(chunk, name, wanted, str(self.path))
        for name, unwanted in self.entry.where_not.items():
            keep &= ~_among(chunk, name, unwanted, str(self.path))
        if keep.all():
            return chunk, 0
        which = pa.array(np.flatnonzero(keep))
        columns = {name: column.take(which) for name, column in chunk.columns.items()}
        return Chunk(columns, chunk.line[keep], chunk.ragged), int((~keep).sum())

    def _record(self, sha256: str, outcome: FileOutcome) -> None:
        """Remember the import, unless it changed nothing and the same one is remembered already."""
        key = (sha256, self.mapping.sha256, outcome.target)
        seen = self.connection.execute(
            "SELECT 1 FROM imports WHERE file_sha256 = ? AND mapping_sha256 = ? AND target = ?", key
        ).fetchone()
        if outcome.n_taken == 0 and seen:
            return
        counts = (outcome.n_read, outcome.n_taken, outcome.n_present, outcome.n_refused)
        columns = "imported_at, file_sha256, mapping_sha256, target, file, n_read, n_taken, n_present, n_refused"
        self.connection.execute(
            f"INSERT INTO imports ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (time.time_ns(), *key, self.path.name, *counts),
        )


@dataclass(frozen=True)
class _Piece:
    """Some rows of a file; ``rows`` are those that may come in, None for a table that has no rows of its own."""

    chunk: Chunk
    context: Context
    rows: Rows | None
    verdict: Verdict


def _ahead(parts: Iterator[T]) -> Iterator[T]:
    """The same parts; the next one is read and checked while SQLite is busy with this one."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = reader.submit(next, parts, None)
            yield part


def _among(chunk: Chunk, name: str, values: Sequence[object], where: str) -> np.ndarray:
    """Whether each row's cell is one of ``values``: numbers by value, the rest as text."""
    if name not in chunk.columns:
        raise DataError(f"no column {name!r}", where=where, expected=f"one of {', '.join(chunk.columns)}")
    column = chunk.columns[name]
    plain = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    found = np.zeros(len(chunk), dtype=bool)
    if plain:
        found |= np.isin(numbers(column)[0], plain)
    words = [str(value).lower() if isinstance(value, bool) else value for value in values if value not in plain]
    if words:
        text = text_of(column)[0]
        found |= pc.fill_null(pc.is_in(text, value_set=pa.array(words, pa.string())), False).to_numpy(
            zero_copy_only=False
        )
    return found


def _pieces(chunk: Chunk, context: Context) -> Iterator[tuple[Chunk, Context]]:
    """A piece as it is; or, where each series has its own column, one piece a series with the cells that it has."""
    if not context.entry.wide:
        yield chunk, context
        return
    ragged = chunk.ragged
    for series, column in context.entry.wide.items():
        text = chunk.columns[column]
        some = pc.is_valid(text).to_numpy(zero_copy_only=False)
        if pa.types.is_floating(text.type):
            some &= ~np.isnan(numbers(text)[0])
        which = pa.array(np.flatnonzero(some))
        cells = {name: cells.take(which) for name, cells in chunk.columns.items()}
        yield (
            Chunk(cells, chunk.line[some], ragged),
            replace(context, roles={**context.roles, "value": column}, wide_series=series),
        )
        ragged = ()
