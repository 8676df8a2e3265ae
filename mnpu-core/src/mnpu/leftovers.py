"""Unfinished files: a hidden name beside their place while they are written, and none that nobody is writing.

What is interrupted removes its own file. What is killed cannot, so the name says who is writing, and whoever next
writes the same thing removes what nobody is writing any more.
"""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import shutil
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["SUFFIX", "unfinished"]

SUFFIX = ".tmp"


def unfinished(target: Path) -> str:
    """What the name of ``target`` begins with until it is whole; what killed processes left of it is removed."""
    begins = f".{target.name}."
    for left in target.parent.glob(f"{glob.escape(begins)}*{SUFFIX}"):
        machine, _, rest = left.name[len(begins) :].partition("-")
        process = rest.partition("-")[0]
        if machine == _machine() and process.isdigit() and not _runs(int(process)):
            _remove(left)
    return f"{begins}{_machine()}-{os.getpid()}-"


def _machine() -> str:
    """Tells machines that share a folder apart: the processes of another one cannot be seen."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _runs(process: int) -> bool:
    """Whether a process of this machine is there; on Windows, where asking would end it, always."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()
