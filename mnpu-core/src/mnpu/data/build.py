"""Build a store from the data that ships with the package: deterministic, atomic, never downloaded."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from mnpu.atomic import Wording, new_file
from mnpu.data import bundled
from mnpu.data.calendars import get_calendar
from mnpu.data.insert import insert, insert_bars, insert_observations
from mnpu.data.migrations import create_schema
from mnpu.errors import MnpuError

__all__ = ["StoreSummary", "init_store", "new_store"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class StoreSummary:
    """What ``init_store`` wrote."""

    path: Path
    n_datasets: int
    n_assets: int
    n_bars: int
    n_splits: int
    n_series: int
    n_observations: int
    n_bytes: int


def init_store(path: str | Path, *, progress: Progress | None = None) -> StoreSummary:
    """Write a new store at ``path`` from the bundled data.

    Parameters
    ----------
    path : path
        Where the database will be. Its folder is created.
    progress : callable, optional
        Called as ``progress(done, total, what)`` before each part.

    Returns
    -------
    summary : StoreSummary

    Raises
    ------
    ConfigError
        If ``path`` exists: a store is never overwritten.
    MnpuError
        If it cannot be written. Nothing is left behind.
    """
    target = Path(path)
    with new_store(target) as connection:
        _fill(connection, progress or (lambda done, total, what: None))
    return summarise(target)


@contextmanager
def new_store(path: Path, *, elsewhere: str = "Choose another folder.") -> Iterator[sqlite3.Connection]:
    """An empty database to fill, which becomes the store at ``path`` at the end of the block.

    ``elsewhere`` is the next step where it cannot be written; errors as of ``init_store``.
    """
    wording = Wording(
        "a new file, since a store is never overwritten", "Choose another folder, or move the file away.", elsewhere
    )
    with (
        new_file(path, wording, failures=(OSError, sqlite3.OperationalError)) as hidden,
        closing(sqlite3.connect(hidden, isolation_level=None)) as connection,
    ):
        # The file is thrown away unless it is finished, so a journal would protect nothing.
        connection.execute("PRAGMA journal_mode = OFF")
        yield connection


def summarise(path: Path) -> StoreSummary:
    """Count what a store holds."""
    with closing(sqlite3.connect(path)) as connection:

        def count(table: str) -> int:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

        return StoreSummary(
            path=path,
            n_datasets=count("datasets"),
            n_assets=count("assets"),
            n_bars=count("prices"),
            n_splits=count("corporate_actions"),
            n_series=count("series"),
            n_observations=count("observations"),
            n_bytes=path.stat().st_size,
        )


def _fill(connection: sqlite3.Connection, progress: Progress) -> None:
    connection.executescript("PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON;")
    create_schema(connection)
    declared = sorted(bundled.datasets(), key=lambda row: row["name"])
    total = len(declared) + 2
    connection.execute("BEGIN")
    for done, row in enumerate(declared):
        progress(done, total, row["name"])
        insert_bars(connection, bundled.load_bars(row))
    _insert_splits(connection)
    progress(len(declared), total, "macro series")
    for observations in bundled.load_observations():
        insert_observations(connection, observations)
    _insert_meta(connection)
    connection.execute("COMMIT")
    progress(total - 1, total, "checking")
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise MnpuError(f"{len(broken)} rows refer to nothing", where=str(broken[0][0]))
    progress(total, total, "done")


def _insert_splits(connection: sqlite3.Connection) -> None:
    calendars = dict(connection.execute("SELECT name, calendar FROM datasets"))
    rows = []
    for row in bundled.splits():
        session = np.array([row["ex_date"]], dtype="datetime64[D]")
        # Announced earlier, on a day that the source does not give: visible from the open at which it takes effect.
        at = int(get_calendar(calendars[row["dataset"]]).session_open(session).asi8[0])
        about = (row["dataset"], row["symbol"], at, at, row["kind"], float(row["ratio"]), row["source"])
        rows.append((*about, "declared"))
    columns = "dataset symbol event_time knowledge_time kind ratio source basis"
    insert(connection, "corporate_actions", columns, sorted(rows))


def _insert_meta(connection: sqlite3.Connection) -> None:
    rows = [("source", "bundled data of mnpu-core")]
    rows += [(f"sha256:{name}", digest) for name, digest in _digests()]
    insert(connection, "meta", "key value", rows)


def _digests() -> Iterator[tuple[str, str]]:
    folder = files("mnpu.data") / "bundle"
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith((".parquet", ".csv", ".json")):
            yield entry.name, hashlib.sha256(entry.read_bytes()).hexdigest()
