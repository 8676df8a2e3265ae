"""Versions of the store's schema: one SQL file a step, and the upgrade of a store in one transaction.

A new store runs every step, an old one the steps that it lacks, so there is one definition of each version. A store
of an older version is refused with the command that upgrades it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from mnpu.errors import DataError, MnpuError

__all__ = [
    "APPLICATION_ID",
    "SCHEMA_VERSION",
    "Migrated",
    "check_file",
    "check_version",
    "create_schema",
    "explain_sqlite",
    "migrate",
    "run_steps",
    "undo_unfinished",
]

APPLICATION_ID = 0x4D4E5055  #: "MNPU": tells a store from any other SQLite file.
SCHEMA_VERSION = 3
WAIT_SECONDS = 10.0  #: For another process to finish its own writing.
REBUILD = "Build one with: mnpu init DIR"
TABLES = frozenset({"meta", "datasets", "assets", "prices", "corporate_actions", "series", "observations"})
ADDED = {2: frozenset({"universes", "calendar_events", "news", "news_scores", "imports"})}


@dataclass(frozen=True)
class Migrated:
    """A store and the versions before and after ``migrate``."""

    path: Path
    before: int
    after: int


def create_schema(connection: sqlite3.Connection, *, version: int = SCHEMA_VERSION) -> None:
    """Create the empty tables of ``version``; STRICT where this SQLite knows it (3.37)."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    run_steps(connection, 0, version)
    connection.commit()  # the steps insert and update, so a connection in Python's own mode has begun a transaction


def run_steps(connection: sqlite3.Connection, before: int, after: int) -> None:
    """Take a connection from version ``before`` to ``after``; the caller owns the transaction, if there is one."""
    for version in range(before + 1, after + 1):
        for statement in _statements(version):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")


def migrate(path: str | Path) -> Migrated:
    """Upgrade the store at ``path`` to the newest version: completely, or not at all.

    Raises
    ------
    DataError
        If it is missing, corrupt, not a store, or newer than this version of mnpu-core.
    MnpuError
        If it cannot be written.
    """
    target = Path(path)
    check_file(target)
    try:
        with closing(sqlite3.connect(target, isolation_level=None, timeout=WAIT_SECONDS)) as connection:
            # Checked under the lock: someone else may have been upgrading it a moment ago.
            connection.execute("BEGIN IMMEDIATE")
            before = check_version(connection, target, older=True)
            _check_pages(connection, target)
            if before < SCHEMA_VERSION:
                n = _count(connection)
                run_steps(connection, before, SCHEMA_VERSION)
                if _count(connection) != n:
                    raise MnpuError("the upgrade would have lost rows, so it was undone", where=str(target))
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise explain_sqlite(error, target) from error
    return Migrated(target, before, SCHEMA_VERSION)


def check_file(path: Path) -> None:
    """DataError unless a file with something in it is there."""
    where = str(path)
    if not path.is_file():
        raise DataError("no store there", where=where, expected="a database file", next_step=REBUILD)
    if path.stat().st_size == 0:
        raise DataError("the file is empty", where=where, expected="a store", next_step=REBUILD)


def undo_unfinished(path: Path) -> None:
    """Undo what a killed writer had begun: SQLite does so for the next one who opens the store for writing.

    Whoever only reads would be refused meanwhile. While a writer lives, this changes nothing; where it cannot be done,
    the read says why.
    """
    if not path.with_name(f"{path.name}-journal").exists():
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=WAIT_SECONDS)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def check_version(connection: sqlite3.Connection, path: Path, *, older: bool = False) -> int:
    """The schema version of an open store; DataError if it is no store, of another version, or not whole.

    ``older`` lets an older version pass, for whoever is about to upgrade it.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    where = str(path)
    if application != APPLICATION_ID:
        raise DataError("an SQLite file that is no store", where=where, expected="a store", next_step=REBUILD)
    if not (1 if older else SCHEMA_VERSION) <= version <= SCHEMA_VERSION:
        known = "Upgrade mnpu-core." if version > SCHEMA_VERSION else f"Upgrade it with: mnpu data migrate {path}"
        raise DataError(
            f"schema version {version}",
            where=where,
            expected=f"version {SCHEMA_VERSION}",
            next_step=known if version >= 1 else REBUILD,
        )
    wanted = TABLES.union(*(names for added, names in ADDED.items() if added <= version))
    if missing := sorted(wanted - tables):
        raise DataError(
            f"tables are missing: {', '.join(missing)}", where=where, expected="a whole store", next_step=REBUILD
        )
    return version


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """DataError if a page is damaged: that is not carried over into another version, nor called up to date."""
    connection.execute("PRAGMA ignore_check_constraints = ON")  # what rows may say is for `mnpu data check`
    try:
        told = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    finally:
        connection.execute("PRAGMA ignore_check_constraints = OFF")
    if told != "ok":
        raise DataError(
            f"is damaged ({told})".replace("\n", " "),
            where=str(path),
            expected="a whole store",
            next_step="Restore a copy of it, or build a new one and import its files again. It was left as it is.",
        )


def explain_sqlite(error: sqlite3.Error, path: Path) -> MnpuError:
    """What SQLite said, as an error with a next step; nothing that was in the store is lost."""
    text, where = str(error), str(path)
    if "locked" in text or "busy" in text:
        return MnpuError(
            "is locked by another process",
            where=where,
            expected="one writer at a time",
            next_step="Wait until the other one has finished, then run the command again.",
        )
    if "readonly" in text or "unable to open" in text:
        return MnpuError(
            f"cannot be written ({text})",
            where=where,
            expected="a file and a folder with write permission",
            next_step="Change the permissions, or copy the store to another folder.",
        )
    if "full" in text or "disk I/O" in text:
        return MnpuError(
            f"cannot be written further ({text})",
            where=where,
            expected="room for the new rows, twice while they are written",
            next_step="The store is as it was before. Make room, then run the command again.",
        )
    return DataError(
        f"cannot be read as a store ({text})",
        where=where,
        expected="a database written by mnpu init",
        next_step="Move it away and build a new one: mnpu init DIR",
    )


def _count(connection: sqlite3.Connection) -> list[int]:
    return [int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in sorted(TABLES)]


def _statements(version: int) -> Iterator[str]:
    text = (files("mnpu.data") / "schema" / f"{version:04d}.sql").read_text("utf-8")
    if sqlite3.sqlite_version_info < (3, 37):
        text = text.replace(") STRICT, WITHOUT ROWID", ") WITHOUT ROWID")
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
