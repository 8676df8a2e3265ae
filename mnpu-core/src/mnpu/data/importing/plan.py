"""Which files an import reads, each by which entry of its mapping."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from mnpu.data.importing.mapping import Entry, LoadedMapping
from mnpu.errors import ConfigError

__all__ = ["plan"]


def plan(mapping: LoadedMapping, *, files: Sequence[Path] = (), root: Path | None = None) -> list[tuple[Path, int]]:
    """The files to read, each with the index of its entry, in the order of the mapping."""
    base = root or mapping.path.parent
    jobs: list[tuple[Path, int]] = []
    for index, entry in enumerate(mapping.entries):
        patterns = [entry.files] if isinstance(entry.files, str) else entry.files
        if files:
            jobs += [(path, index) for path in files if _fits(path, patterns, base)]
            continue
        for place, pattern in enumerate(patterns):
            # A link that leads nowhere is told when it is opened; only folders are no files.
            found = sorted(path for path in glob.glob(str(base / pattern), recursive=True) if not os.path.isdir(path))
            if not found and not entry.optional:
                keys = ("files",) if isinstance(entry.files, str) else ("files", place)
                raise ConfigError(
                    f"imports.{index}.files: {pattern} fits no file below {base}",
                    where=mapping.where(index, *keys),
                    expected="at least one",
                    next_step="Check --root, or say optional: true.",
                )
            jobs += [(Path(path), index) for path in found]
    return jobs if not files else _each_has_an_entry(mapping, files, jobs)


def _fits(path: Path, patterns: Sequence[str], base: Path) -> bool:
    return any(fnmatch(os.path.realpath(path), os.path.realpath(base / pattern)) for pattern in patterns)


def _named(path: Path, entry: Entry) -> bool:
    patterns = [entry.files] if isinstance(entry.files, str) else entry.files
    return any(fnmatch(path.name, Path(pattern).name) for pattern in patterns)


def _each_has_an_entry(
    mapping: LoadedMapping, files: Sequence[Path], jobs: list[tuple[Path, int]]
) -> list[tuple[Path, int]]:
    for path in files:
        if not path.is_file():
            what = "is no regular file" if path.exists() else "does not exist"
            raise ConfigError(what, where=str(path), expected="a file to import")
        if any(path == one for one, _ in jobs):
            continue
        # A file from elsewhere, by its name; or whatever it is called, where there is no choice.
        alike = [index for index, entry in enumerate(mapping.entries) if _named(path, entry)]
        if not alike and len(mapping.entries) > 1:
            raise ConfigError(
                "fits no entry of the mapping",
                where=str(path),
                expected="a file that one of its patterns fits",
                next_step=f"Add it to {mapping.path}.",
            )
        jobs += [(path, index) for index in alike or [0]]
    return jobs
