"""Build a store from the data that ships with the package: deterministic, atomic, never downloaded."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from mnpu.data import bundled
from mnpu.data.calendars import get_calendar
from mnpu.data.insert import insert, insert_bars, insert_observations
from mnpu.data.migrations import create_schema
from mnpu.errors import ConfigError, MnpuError

__all__ = ["StoreSummary", "init_store", "publish"]

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
    if target.exists():
        raise _refuse(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    except OSError as error:
        raise _unwritable(target, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
            _fill(connection, progress or (lambda done, total, what: None))
        publish(temporary, target)
    except (OSError, sqlite3.OperationalError) as error:
        raise _unwritable(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)
    return summarise(target)


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
    # The file is thrown away unless it is finished, so a journal would protect nothing.
    connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON;")
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


def publish(temporary: Path, target: Path) -> None:
    """Give the finished file its name, unless someone else took the name meanwhile."""
    with temporary.open("rb+") as finished:
        os.fsync(finished.fileno())
    temporary.chmod(0o644)
    try:
        os.link(temporary, target)
    except FileExistsError as error:
        raise _refuse(target) from error
    except OSError:  # a file system without hard links
        if target.exists():
            raise _refuse(target) from None
        os.replace(temporary, target)
    with suppress(FileNotFoundError):
        temporary.unlink()


def _refuse(target: Path) -> ConfigError:
    return ConfigError(
        "exists already",
        where=str(target),
        expected="a new file, since a store is never overwritten",
        next_step="Choose another folder, or move the file away.",
    )


def _unwritable(target: Path, error: Exception) -> MnpuError:
    return MnpuError(
        f"cannot be written ({error})",
        where=str(target),
        expected="a folder with write permission and room",
        next_step="Choose another folder.",
    )
