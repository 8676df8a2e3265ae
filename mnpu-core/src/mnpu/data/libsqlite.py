"""SQLite's own functions, from the very library that Python's ``sqlite3`` uses.

There are never two copies of SQLite in one process, whose locks would undo each other. Where the library is out of
reach (linked into Python without its names), everything is done by the interpreter.
"""

from __future__ import annotations

import ctypes
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Handle", "addresses", "handle_of_next", "lender", "library"]

_POINTER, _TEXT, _NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_OPENED = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, _POINTER)


@cache
def library() -> Any:
    """SQLite as Python's own module has it, None where its functions are out of reach."""
    import _sqlite3

    home = getattr(_sqlite3, "__file__", None)
    beside = Path(home).with_name("sqlite3.dll") if home else None
    try:
        found = ctypes.CDLL(str(beside) if sys.platform == "win32" and beside else home)
        found.sqlite3_libversion.restype = ctypes.c_char_p
        if found.sqlite3_libversion().decode() != sqlite3.sqlite_version or not found.sqlite3_threadsafe():
            return None
        found.sqlite3_open_v2.argtypes = [_TEXT, ctypes.POINTER(_POINTER), _NUMBER, _TEXT]
        found.sqlite3_prepare_v2.argtypes = [_POINTER, _TEXT, _NUMBER, ctypes.POINTER(_POINTER), _POINTER]
        found.sqlite3_exec.argtypes = [_POINTER, _TEXT, _POINTER, _POINTER, _POINTER]
        found.sqlite3_busy_timeout.argtypes = [_POINTER, _NUMBER]
        found.sqlite3_bind_text.argtypes = [_POINTER, _NUMBER, _TEXT, _NUMBER, _POINTER]
        found.sqlite3_bind_int64.argtypes = [_POINTER, _NUMBER, ctypes.c_int64]
        for name in ("reset", "finalize", "close_v2", "step", "column_type", "column_int64", "column_double"):
            getattr(found, f"sqlite3_{name}").argtypes = [_POINTER]
    except (OSError, AttributeError):  # linked into Python without its names
        return None
    return found


@cache
def lender() -> Any:
    """The same library, where it has what tables of arrays need besides; else None."""
    found = library()
    if found is None or sqlite3.sqlite_version_info < (3, 9) or ctypes.sizeof(_POINTER) != 8:
        return None
    try:
        found.sqlite3_create_module_v2.argtypes = [_POINTER, _TEXT, _POINTER, _POINTER, _POINTER]
        found.sqlite3_auto_extension.argtypes = [_OPENED]
        found.sqlite3_cancel_auto_extension.argtypes = [_OPENED]
    except AttributeError:
        return None
    return found


@cache
def addresses(names: tuple[str, ...]) -> np.ndarray:
    """Where the functions ``sqlite3_<name>`` are, int64, for compiled code to call."""
    found = [ctypes.cast(getattr(library(), f"sqlite3_{name}"), ctypes.c_void_p).value for name in names]
    return np.array(found, dtype="int64")


class Handle:
    """SQLite's own pointer to a connection; None where it cannot be had."""

    pointer: int | None = None


@contextmanager
def handle_of_next() -> Iterator[Handle]:
    """The handle of the connection that this thread opens inside the block.

    SQLite tells every new connection to those who asked for it (``sqlite3_auto_extension``), so that nobody has to
    know where Python keeps the pointer.
    """
    handle, sqlite = Handle(), lender()
    if sqlite is None:
        yield handle
        return
    with _asking:
        _waiting[threading.get_ident()] = handle
        sqlite.sqlite3_auto_extension(_opened)  # once, however many ask
    try:
        yield handle
    finally:
        with _asking:
            del _waiting[threading.get_ident()]
            if not _waiting:
                sqlite.sqlite3_cancel_auto_extension(_opened)


_asking = threading.Lock()
_waiting: dict[int, Handle] = {}


@_OPENED
def _opened(database: int, _error: int, _functions: int) -> int:
    """Called by SQLite in the thread that opens a connection."""
    handle = _waiting.get(threading.get_ident())
    if handle is not None:
        handle.pointer = database
    return 0
