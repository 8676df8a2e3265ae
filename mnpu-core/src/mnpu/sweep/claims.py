"""Who does a trial: one process at a time, whoever and wherever, and what became of it.

A trial has a file, locked while somebody does it; the system takes the lock back when that process ends, however it
does. What stands in it says that the trial was begun, or is done. It is a hint: the ledger decides.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnpu.errors import MnpuError

__all__ = ["Claim", "claim"]

_PAUSE = 0.2
#: Where the lock lies, behind whatever stands in the file.
_BYTE = 1 << 20


class Claim:
    """The right to do a trial, for as long as the block lasts."""

    def __init__(self, handle: int, path: Path) -> None:
        self._handle, self._path = handle, path

    @property
    def said(self) -> str:
        """What the last one left: nothing, ``begun`` or ``done``."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        return os.read(self._handle, 100).decode(errors="replace")

    def say(self, word: str) -> None:
        """Leave a word. A machine that stops may lose it, a process that is killed does not.

        Raises
        ------
        MnpuError
            There is no room for it.
        """
        try:
            os.lseek(self._handle, 0, os.SEEK_SET)
            os.write(self._handle, word.encode())
            os.ftruncate(self._handle, len(word))
        except OSError as error:
            raise _unwritable(self._path, error) from error


@contextmanager
def claim(path: Path, *, wait: bool) -> Iterator[Claim | None]:
    """Claim a trial by its file, or None if somebody else does it and one is not to ``wait``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        while not (got := _lock(handle)) and wait:
            time.sleep(_PAUSE)
        yield Claim(handle, path) if got else None
    finally:
        os.close(handle)  # and with it the lock


def _unwritable(path: Path, error: OSError) -> MnpuError:
    return MnpuError(
        f"cannot be written ({error.strerror or error})",
        where=str(path),
        expected="room, and a folder with write permission",
        next_step="Make room and run the sweep again: it goes on where it stopped.",
    )


def _lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, _BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
