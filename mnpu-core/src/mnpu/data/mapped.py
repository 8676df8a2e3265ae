"""Files and databases of another shape read in place of a store, by a mapping: nothing is written to disk."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mnpu.data.arrays_table import Writer
from mnpu.data.columns import Key, Rows, read_rows
from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_into
from mnpu.data.migrations import create_schema
from mnpu.data.store import Store

__all__ = ["MappedStore"]


@dataclass(frozen=True)
class MappedStore(Store):
    """What a mapping names, open for reading; rows that an import would refuse are left out, and told in the log.

    The rows are read once, when the store is first asked, and held in memory as long as it is.
    """

    @cached_property
    def _tables(self) -> sqlite3.Connection:
        # Questions come one after the other, but not always from the thread that asked first.
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=Writer)
        create_schema(connection)
        refused: Counter[str] = Counter()
        for outcome in import_into(connection, load_mapping(self.path)):
            refused.update(outcome.reasons)
        if refused:
            told = ", ".join(f"{n:,} {rule}" for rule, n in refused.most_common())
            logging.getLogger("mnpu.data").warning(
                "%s: %d rows are left out (%s). See them with: mnpu data import", self.path, sum(refused.values()), told
            )
        connection.execute("PRAGMA query_only = ON")
        return connection

    def __getstate__(self) -> dict[str, Path]:
        """The path alone: another process reads for itself."""
        return {"path": self.path}

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        yield self._tables

    def _rows(self, query: str, keys: Sequence[Key], n_floats: int, at_most: int) -> Rows:
        return read_rows(self._tables, self.path, query, keys, n_ints=1, n_floats=n_floats, at_most=0)

    def _check(self) -> None:
        load_mapping(self.path)
