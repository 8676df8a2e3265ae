"""Import files into a store: each completely or not at all, and every row accounted for."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mnpu.data.importing.mapping import LoadedMapping
from mnpu.data.importing.one_file import FileOutcome, Importer, Progress
from mnpu.data.importing.plan import plan
from mnpu.data.importing.sink import create_store, writing

__all__ = ["FileOutcome", "ImportSummary", "Progress", "import_files", "import_into"]


@dataclass(frozen=True)
class ImportSummary:
    """What an import did."""

    store: Path
    files: tuple[FileOutcome, ...]

    @property
    def failed(self) -> tuple[FileOutcome, ...]:
        """The files of which nothing was taken, because they could not be read."""
        return tuple(outcome for outcome in self.files if outcome.error is not None)

    def total(self, name: str) -> int:
        """The sum over all files of ``n_read``, ``n_taken``, ``n_present`` or ``n_refused``."""
        return sum(getattr(outcome, name) for outcome in self.files)


def import_files(
    mapping: LoadedMapping,
    store: Path,
    *,
    files: Sequence[Path] = (),
    root: Path | None = None,
    quarantine: Path | None = None,
    progress: Progress | None = None,
    now: pd.Timestamp | None = None,
) -> ImportSummary:
    """Read the files that a mapping names into a store, which is made if there is none.

    Parameters
    ----------
    mapping : LoadedMapping
    store : Path
    files : sequence of Path, optional
        Only these files, each by the entry whose pattern it fits.
    root : Path, optional
        Where relative patterns start; by default the folder of the mapping.
    quarantine : Path, optional
        Folder for refused rows; by default ``quarantine`` beside the store.
    progress : callable, optional
    now : Timestamp, optional
        What counts as the future; by default the moment of the call.

    Returns
    -------
    summary : ImportSummary
        A file that cannot be read at all is among its ``failed``, and the others are imported.

    Raises
    ------
    ConfigError
        If a pattern fits no file, or a dataset or series is declared otherwise than in the store.
    DataError
        If the store is corrupt, no store, or of another version.
    MnpuError
        If the store is locked or read-only, or there is no room: the file at hand is undone, earlier ones stay.
    """
    jobs = plan(mapping, files=files, root=root)
    is_new = not store.exists() and create_store(store)
    moment = int((now or pd.Timestamp.now("UTC")).as_unit("ns").value)
    folder = quarantine or store.parent / "quarantine"
    outcomes = []
    with writing(store, has_readers=not is_new) as connection:
        for path, index in jobs:
            importer = Importer(connection, store, mapping, index, path, folder, moment, progress)
            outcomes.append(importer.run())
    return ImportSummary(store, tuple(outcomes))


def import_into(connection: sqlite3.Connection, mapping: LoadedMapping) -> tuple[FileOutcome, ...]:
    """Read all files of a mapping into an open store; refused rows are only counted. DataError for a broken file."""
    now = int(pd.Timestamp.now("UTC").as_unit("ns").value)
    outcomes = []
    for path, index in plan(mapping):
        outcome = Importer(connection, mapping.path, mapping, index, path, None, now, None).run()
        if outcome.error is not None:
            raise outcome.error
        outcomes.append(outcome)
    return tuple(outcomes)
