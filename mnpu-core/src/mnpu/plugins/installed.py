"""Which installed distributions announce plugins, read from their folders.

``importlib.metadata`` answers the same question, but its import brings the ``email``, ``zipfile`` and ``socket``
modules, a quarter of the time of ``mnpu --help``. So folders on ``sys.path`` are read here, by the same rules, and
the standard library is asked only where something else than folders may hold distributions. A test holds both equal.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import NamedTuple

__all__ = ["EntryPoint", "entry_points", "identity", "normalise", "version_of"]


class EntryPoint(NamedTuple):
    """An entry point with the distribution that it comes from."""

    dist: str
    version: str
    entry: str
    value: str


def entry_points(group: str) -> list[EntryPoint]:
    """The entry points of ``group``, sorted; of a name that is installed twice the first on ``sys.path`` counts."""
    if _other_than_folders():
        return _by_standard_library(group)
    found: set[EntryPoint] = set()
    for folder in _distributions():
        points = _points(_text(folder, "entry_points.txt"), group)
        if points:
            dist, version = identity(_text(folder, "METADATA") or _text(folder, "PKG-INFO"))
            found.update(EntryPoint(dist, version, name, value) for name, value in points)
    return sorted(found)


def version_of(dist: str) -> str:
    """The version of an installed distribution, ``unknown`` if it is not installed."""
    if not _other_than_folders():
        for folder in _distributions():
            if _name_of(folder) == dist:
                return identity(_text(folder, "METADATA") or _text(folder, "PKG-INFO"))[1]
        return "unknown"
    from importlib import metadata

    try:
        return metadata.version(dist)
    except metadata.PackageNotFoundError:
        return "unknown"


def identity(text: str) -> tuple[str, str]:
    """Name and version from the head of METADATA."""
    head = text.partition("\n\n")[0]
    name = re.search(r"^Name:[ \t]*(\S+)", head, re.MULTILINE)
    version = re.search(r"^Version:[ \t]*(\S+)", head, re.MULTILINE)
    return normalise(name.group(1)) if name else "unknown", version.group(1) if version else "unknown"


def normalise(name: str) -> str:
    """The distribution name as package indexes compare it: ``Mnpu_Models.SSM`` is ``mnpu-models-ssm``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _other_than_folders() -> bool:
    """Whether an importer of its own, an archive or an egg on ``sys.path`` may hold distributions too."""
    finders = (finder for finder in sys.meta_path if finder is not PathFinder)
    return any(hasattr(finder, "find_distributions") for finder in finders) or any(
        path.endswith(".egg") or os.path.isfile(path) for path in sys.path
    )


def _distributions() -> Iterator[str]:
    """The ``.dist-info`` and ``.egg-info`` folders on ``sys.path``, each name once."""
    seen = set()
    for path in sys.path:
        try:
            names = os.listdir(path or ".")
        except OSError:
            continue
        for name in names:
            folder = os.path.join(path, name)
            if name.lower().endswith((".dist-info", ".egg-info")) and _name_of(folder) not in seen:
                seen.add(_name_of(folder))
                yield folder


def _name_of(folder: str) -> str:
    return normalise(os.path.basename(folder).rpartition(".")[0].partition("-")[0])


def _text(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _points(text: str, group: str) -> list[tuple[str, str]]:
    """Names and values in one section of ``entry_points.txt``."""
    if group not in text:
        return []
    section, points = "", []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == group and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            points.append((name.strip(), value.strip()))
    return points


def _by_standard_library(group: str) -> list[EntryPoint]:
    from importlib import metadata

    found = set()
    for point in metadata.entry_points(group=group):
        text = (point.dist.read_text("METADATA") or point.dist.read_text("PKG-INFO") or "") if point.dist else ""
        found.add(EntryPoint(*identity(text), point.name, point.value))
    return sorted(found)
