"""Columns that were read from a store, kept as a file that later reads map into memory.

An entry belongs to one query of one state of one store. The state is what the file system says of the database and of
its write-ahead log: device, number, size, and times of the last change in nanoseconds. Any write changes it, so a
changed store is read anew. A state is kept only once it is older than ``SETTLED`` seconds: two writes within one tick
of the file system's clock could not be told apart. Every byte that comes from an entry is checked against its sum
first. Whatever goes wrong with an entry or its folder, the store itself is read. An entry is written beside its place
and renamed, never changed in place, so one that is mapped stays whole for as long as it is used.

``MNPU_CACHE`` names the folder, or switches the cache off (``off``). The folder can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

__all__ = ["LIMIT", "LOCKED", "SETTLED", "cached", "checksum", "folder", "tidy"]

SETTLED = 2.0  #: Seconds since the last write of a store before what is read from it is kept.
LIMIT = 4 * 2**30  #: Bytes in the folder, above which the entries that were not used for the longest time go.
_WORTH_IT = 16 * 2**20  # below this a store is read about as quickly
_MAGIC = b"MNPU columns 1\n"
_ALIGNMENT = 65_536  # where a mapping may begin, on any system
_WIDTH = 509  # a prime, so that moved pages land in other columns of the sum
LOCKED = ".locked.tmp"  #: Ends the name of an unfinished entry whose writer holds a lock on it while it lives.
_KINDS = (".columns", ".features")  #: What the folder holds; together they stay below the limit.

Arrays = list[np.ndarray]


def folder() -> Path | None:
    """Where entries are kept; None where the cache is switched off."""
    chosen = os.environ.get("MNPU_CACHE")
    if chosen is not None:
        return None if chosen.strip().lower() in ("", "0", "no", "off", "false") else Path(chosen).expanduser()
    if sys.platform == "win32":
        home = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        home = "~/Library/Caches"
    else:
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    with suppress(RuntimeError):  # nobody's home
        return Path(home or "~").expanduser() / "mnpu" / "columns"
    return None


def cached(store: Path, query: Sequence[Any], read: Callable[[], Arrays]) -> Arrays:
    """The arrays that ``read`` returns, from an entry if there is one for ``query`` and the state of ``store``.

    Parameters
    ----------
    store : path
        A database file.
    query : sequence
        All that decides what ``read`` returns, beside the content of the store; texts and numbers.
    read : callable
        Returns one-dimensional arrays.

    Returns
    -------
    arrays : list of ndarray
        Private to the caller, who may write into them.
    """
    home = folder()
    if home is None:
        return read()
    began, state = time.time_ns(), _state(store)
    wanted = json.dumps([os.path.realpath(store), state, list(query)])
    entry = home / f"{_digest(os.path.realpath(store))}-{_digest(json.dumps(list(query)))}.columns"
    found = _load(entry, wanted)
    if found is not None:
        return found
    arrays = read()
    large = sum(array.nbytes for array in arrays) >= _WORTH_IT
    if large and state is not None and _state(store) == state and _settled(state, began):
        with suppress(OSError):  # no room, no right, no such folder: then it is read again
            _keep(entry, wanted, arrays)
    return arrays


def _state(store: Path) -> list[list[int]] | None:
    """What the file system says of the database and its log; None where it says nothing."""
    try:
        told = [_of(os.stat(store))]
        with suppress(FileNotFoundError):
            log = os.stat(f"{store}-wal")
            # A reader may leave an empty one, and changes its owner's time where it may do so, but never its content's.
            told += [_of(log)[:-1]] if log.st_size else []
        return told
    except OSError:
        return None


def _of(told: os.stat_result) -> list[int]:
    return [told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns]


def _settled(state: list[list[int]], now: int) -> bool:
    newest = max(max(part[3:]) for part in state)
    return now - newest > SETTLED * 1e9


def _load(entry: Path, wanted: str) -> Arrays | None:
    """The arrays of an entry; None where there is none, or it is another state's, or not whole."""
    try:
        with entry.open("rb") as file:
            arrays = _parse(file, wanted)
        if arrays is not None:
            os.utime(entry)  # used now
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return arrays


def _parse(file: BinaryIO, wanted: str) -> Arrays | None:
    """Each array is mapped on its own, so that letting go of it gives its memory back."""
    start = len(_MAGIC) + 80
    prefix = file.read(start)
    if prefix[: len(_MAGIC)] != _MAGIC:
        return None
    length = int(prefix[len(_MAGIC) : len(_MAGIC) + 16], 16)
    if not 0 <= length <= os.fstat(file.fileno()).st_size:  # what was damaged may ask for more memory than there is
        return None
    text = file.read(length)
    if hashlib.sha256(text).hexdigest().encode() != prefix[-64:]:
        return None
    header = json.loads(text)
    if header["wanted"] != wanted or header["size"] != os.fstat(file.fileno()).st_size:
        return None
    arrays = []
    for kind, n, offset, total in header["arrays"]:
        array = np.zeros(0, dtype=kind)
        if n:
            length = n * array.itemsize
            array = np.frombuffer(mmap.mmap(file.fileno(), length, access=mmap.ACCESS_COPY, offset=offset), dtype=kind)
        if checksum(array) != total:
            return None
        arrays.append(array)
    return arrays


def _keep(entry: Path, wanted: str, arrays: Arrays) -> None:
    """Write an entry beside its place and give it its name when it is whole."""
    entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    described = [[array.dtype.str, len(array), 0, checksum(array)] for array in arrays]
    room = len(_header(wanted, described, 2**62)) + 20 * len(arrays)  # offsets are not known yet
    at = room
    for array, line in zip(arrays, described, strict=True):
        at += -at % _ALIGNMENT
        line[2] = at
        at += array.nbytes
    handle, name = tempfile.mkstemp(dir=entry.parent, prefix=entry.stem, suffix=".tmp")
    try:
        with open(handle, "wb") as file:
            file.write(_header(wanted, described, at))
            for array, line in zip(arrays, described, strict=True):
                file.write(b"\0" * (line[2] - file.tell()))
                file.write(np.ascontiguousarray(array).data)
        os.replace(name, entry)
    finally:
        with suppress(OSError):
            os.unlink(name)
    tidy(entry)


def _header(wanted: str, described: list[list[Any]], size: int) -> bytes:
    text = json.dumps({"wanted": wanted, "size": size, "arrays": described}).encode()
    return _MAGIC + b"%016x" % len(text) + hashlib.sha256(text).hexdigest().encode() + text


def checksum(array: np.ndarray) -> str:
    """A sum over every byte that changes with each word and with its place; as fast as memory."""
    raw = np.ascontiguousarray(array).reshape(-1).view("uint8")
    words = raw[: len(raw) // 8 * 8].view("uint64")
    whole = len(words) // _WIDTH * _WIDTH
    columns = words[:whole].reshape(-1, _WIDTH).sum(axis=0, dtype="uint64")
    return hashlib.sha256(columns.tobytes() + words[whole:].tobytes() + raw[len(words) * 8 :].tobytes()).hexdigest()


def tidy(newest: Path) -> None:
    """Remove what was not used for the longest time while there is too much, and what a crash left behind."""
    entries = []
    for path in newest.parent.iterdir():
        with suppress(OSError):
            told = path.stat()
            if path.suffix == ".tmp" and _abandoned(path, time.time() - told.st_mtime):
                path.unlink()
            elif path.suffix in _KINDS and path != newest:
                entries.append((told.st_mtime, told.st_size, path))
    total = newest.stat().st_size
    for _, size, path in sorted(entries, reverse=True):
        total += size
        if total > LIMIT:
            with suppress(OSError):
                path.unlink()


def _abandoned(path: Path, age_s: float) -> bool:
    """Whether whoever wrote a file beside its place is gone: at once where it would hold a lock, else after an hour."""
    if path.name.endswith(LOCKED):
        import fcntl  # only where such a file could be locked

        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True
    return age_s > 3600


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
