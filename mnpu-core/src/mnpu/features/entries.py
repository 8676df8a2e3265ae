"""Entries of the feature cache: files of columns that are mapped, and checked before a byte of them is believed.

An entry begins with a line that says what it is and where its table lies, then come the columns, float32 (F, T, A), at
a place where a mapping may begin, then small arrays in float64 that continuing a column needs, then the table: what
each column is, what it was computed from, and the sum over its bytes. The first line is written last, and the file gets
its name after that; so an entry is whole or not there, whenever its writer is killed. While it is written it holds a
lock, by which others see that its writer lives.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mnpu.data.cache import LOCKED, checksum, tidy

__all__ = ["START", "SUFFIX", "Column", "Draft", "Entry", "allocate", "open_entry"]

SUFFIX = ".features"
START = 65_536  #: Where the columns begin; a mapping may begin there on any system.
_MAGIC = b"MNPU features 1\n"
_FIRST = len(_MAGIC) + 32 + 64

#: Place, rows and sum of a small array.
Small = tuple[int, int, str]


@dataclass(frozen=True)
class Column:
    """What the table says of a column.

    Attributes
    ----------
    name : str
    identity, data, side : str
        The keys of what it depends on, see `mnpu.features.keys`; ``identity`` is empty where it must not be used.
    sum : str
        Of its bytes.
    last : Small, optional
        Its last rows in full precision, (n, A).
    state : Small, optional
        What it carries after its last row, (S, A).
    """

    name: str
    identity: str
    data: str
    side: str
    sum: str = ""
    last: Small | None = None
    state: Small | None = None


@dataclass(frozen=True)
class Entry:
    """An entry that is open: T rows of A symbols of its columns."""

    path: Path
    file: BinaryIO
    rows: int
    symbols: int
    columns: tuple[Column, ...]

    def read(self, number: int) -> np.ndarray | None:
        """A column, float32 (T, A), in memory of its own; None where it is not what was written."""
        size = self.rows * self.symbols * 4
        raw = os.pread(self.file.fileno(), size, START + number * size)
        values = np.frombuffer(raw, np.float32) if len(raw) == size else None
        if values is None or checksum(values) != self.columns[number].sum:
            return None
        return values.reshape(self.rows, self.symbols)

    def small(self, place: Small | None) -> np.ndarray | None:
        """A small array, float64 (n, A); None where it is not what was written."""
        if place is None:
            return None
        at, n, total = place
        raw = os.pread(self.file.fileno(), n * self.symbols * 8, at)
        if len(raw) != n * self.symbols * 8:
            return None
        values = np.frombuffer(raw, np.float64).reshape(n, self.symbols).copy()
        return values if checksum(values) == total else None

    def map(self) -> np.ndarray:
        """All columns, float32 (F, T, A), read-only; not checked yet."""
        return _mapped(self.file, (len(self.columns), self.rows, self.symbols), mmap.ACCESS_READ)

    def touch(self) -> None:
        """It was used now."""
        with suppress(OSError):
            os.utime(self.path)


@contextmanager
def open_entry(path: Path) -> Iterator[Entry | None]:
    """The entry at ``path``; None where there is none, or it is another version's, or not whole."""
    try:
        file = path.open("rb")
    except OSError:
        yield None
        return
    with file:
        try:
            entry = _parse(path, file)
        except (OSError, ValueError, KeyError, TypeError):
            entry = None
        yield entry


def _parse(path: Path, file: BinaryIO) -> Entry | None:
    first = file.read(_FIRST)
    if len(first) != _FIRST or first[: len(_MAGIC)] != _MAGIC:
        return None
    at, length = (int(first[len(_MAGIC) + 16 * n : len(_MAGIC) + 16 * (n + 1)], 16) for n in range(2))
    if os.fstat(file.fileno()).st_size != at + length:
        return None
    file.seek(at)
    text = file.read(length)
    if hashlib.sha256(text).hexdigest().encode() != first[-64:]:
        return None
    told = json.loads(text)
    columns = tuple(_column(**column) for column in told["columns"])
    return Entry(path, file, told["rows"], told["symbols"], columns)


def _column(last: list[Any] | None, state: list[Any] | None, **told: str) -> Column:
    small = [None if place is None else (int(place[0]), int(place[1]), str(place[2])) for place in (last, state)]
    return Column(**told, last=small[0], state=small[1])


class Draft:
    """An entry that is being written beside its place; use it as a context, which removes what was not published.

    Parameters
    ----------
    place : Path
        Where it will lie.
    shape : tuple of int
        ``(F, T, A)``.

    Raises
    ------
    OSError
        There is no room or no right, or no such folder can be made.
    """

    def __init__(self, place: Path, shape: tuple[int, int, int]) -> None:
        self.place, self.shape = place, shape
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=place.stem[:40], suffix=LOCKED if _lock else ".tmp")
        self.path = Path(name)
        self._file = os.fdopen(handle, "r+b", buffering=0)
        try:
            if _lock is not None:
                _lock(self._file)
            allocate(self._file, START + int(np.prod(shape)) * 4)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        with suppress(OSError):
            self.path.unlink()

    def array(self) -> np.ndarray:
        """The columns, float32 (F, T, A), to be written into."""
        return _mapped(self._file, self.shape, mmap.ACCESS_WRITE)

    def put(self, number: int, values: np.ndarray) -> None:
        """Write the first rows of a column, float32 (t, A): quicker than through the mapping, where much is copied."""
        at, rest = START + number * self.shape[1] * self.shape[2] * 4, values.reshape(-1).view(np.uint8).data
        while len(rest):
            n = os.pwrite(self._file.fileno(), rest, at)
            at, rest = at + n, rest[n:]

    def add(self, values: np.ndarray) -> Small:
        """Append a small array, float64 (n, A)."""
        at = self._file.seek(0, os.SEEK_END)
        _write(self._file, np.ascontiguousarray(values, dtype=np.float64).tobytes())
        return at, len(values), checksum(values)

    def publish(self, columns: Sequence[Column]) -> None:
        """Write the table and give the entry its name; OSError where that cannot be."""
        told = {"rows": self.shape[1], "symbols": self.shape[2], "columns": [asdict(column) for column in columns]}
        text = json.dumps(told).encode()
        at = self._file.seek(0, os.SEEK_END)
        _write(self._file, text)
        self._file.seek(0)
        _write(self._file, _MAGIC + b"%016x%016x" % (at, len(text)) + hashlib.sha256(text).hexdigest().encode())
        os.replace(self.path, self.place)
        tidy(self.place)

    def read(self) -> np.ndarray:
        """What was written, read-only, published or not."""
        return _mapped(self._file, self.shape, mmap.ACCESS_READ)


def allocate(file: BinaryIO, size: int) -> None:
    """Make a file so long, with room on the disk for all of it: a mapping could not say that there is none."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    block = bytes(2**20)
    for at in range(0, size, len(block)):
        _write(file, block[: size - at])


def _write(file: BinaryIO, data: bytes) -> None:
    rest = memoryview(data)
    while len(rest):
        rest = rest[file.write(rest) :]


def _mapped(file: BinaryIO, shape: tuple[int, ...], access: int) -> np.ndarray:
    size = int(np.prod(shape)) * 4
    if size == 0:
        return np.zeros(shape, dtype=np.float32)
    return np.frombuffer(mmap.mmap(file.fileno(), size, access=access, offset=START), np.float32).reshape(shape)


def _locker() -> Any:
    try:
        import fcntl
    except ImportError:  # another system: what a crash leaves behind goes after an hour
        return None

    def lock(file: BinaryIO) -> None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    return lock


_lock = _locker()
