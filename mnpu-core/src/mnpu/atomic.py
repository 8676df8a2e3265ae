"""Files and folders that appear under their name whole, or not at all.

Whatever is written lies beside its place under a hidden name meanwhile, and gets its own last. What a killed process
left under such a name goes when the same thing is written again. ``new_file`` and ``new_folder`` are for what takes
long to write and never overwrites, ``write_new`` and ``write_atomically`` for bytes that are there already.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mnpu.errors import ConfigError, MnpuError
from mnpu.leftovers import SUFFIX, unfinished

__all__ = ["Wording", "is_no_room", "new_file", "new_folder", "write_atomically", "write_new"]

Failures = tuple[type[Exception], ...]


@dataclass(frozen=True)
class Wording:
    """What errors say of one kind of target.

    ``expected`` is what a name should be that is taken, ``instead`` what to do then, ``elsewhere`` what to do where
    nothing can be written.
    """

    expected: str
    instead: str
    elsewhere: str = "Choose another folder."

    def taken(self, where: Path) -> ConfigError:
        """There is something of that name, which is not to be overwritten."""
        return ConfigError("exists already", where=str(where), expected=self.expected, next_step=self.instead)

    def unwritable(self, where: Path, error: Exception) -> MnpuError:
        """The place refuses to be written to."""
        return MnpuError(
            f"cannot be written ({error})",
            where=str(where),
            expected="a folder with write permission and room",
            next_step=self.elsewhere,
        )


@contextmanager
def new_file(target: Path, wording: Wording, *, failures: Failures = (OSError,)) -> Iterator[Path]:
    """A hidden file to fill, which becomes ``target`` at the end of the block.

    Parameters
    ----------
    target : Path
        Its folder is created.
    wording : Wording
    failures : tuple of exception types
        What means that it cannot be written.

    Raises
    ------
    ConfigError
        If ``target`` exists, before the block or after it.
    MnpuError
        If it cannot be written. Nothing is left behind.
    """
    if target.exists():
        raise wording.taken(target)
    with _explained(target, wording, failures):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=unfinished(target), suffix=SUFFIX)
        os.close(handle)
        hidden = Path(name)
        try:
            yield hidden
            with hidden.open("rb+") as finished:
                os.fsync(finished.fileno())
            hidden.chmod(0o644)
            try:
                _claim(hidden, target)
            except FileExistsError as error:
                raise wording.taken(target) from error
        finally:
            hidden.unlink(missing_ok=True)


@contextmanager
def new_folder(
    target: Path,
    wording: Wording,
    *,
    where: Path | None = None,
    is_taken: Callable[[Path], bool] = Path.exists,
    failures: Failures = (OSError,),
) -> Iterator[Path]:
    """A hidden folder to fill, which becomes ``target`` at the end of the block; parameters and errors as above.

    ``where`` is how errors name it. ``is_taken`` may let an empty folder pass, which is then replaced.
    """
    where = where or target
    if is_taken(target):
        raise wording.taken(where)
    with _explained(where, wording, failures):
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(dir=target.parent, prefix=unfinished(target), suffix=SUFFIX))
        try:
            yield hidden
            hidden.chmod(0o755)
            if is_taken(target):
                raise wording.taken(where)
            _rename(hidden, target, wording.taken(where))
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def is_no_room(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is a full disk: a folder's fault and not that of what was to be written."""
    full = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
    while error is not None:
        if isinstance(error, OSError) and error.errno in full:
            return True
        error = error.__cause__ or error.__context__
    return False


def write_atomically(path: Path, data: bytes) -> Path:
    """Write ``path`` as a whole or not at all, whatever it was before; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _draft(path, data) as draft:
        os.replace(draft, path)
    return path


def write_new(path: Path, data: bytes) -> Path:
    """Write a file that must not exist, else FileExistsError; of several processes one succeeds."""
    with _draft(path, data) as draft:
        _claim(draft, path)
    return path


@contextmanager
def _draft(path: Path, data: bytes) -> Iterator[Path]:
    """The bytes on disk beside ``path``, for as long as the block lasts."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _claim(finished: Path, target: Path) -> None:
    """Give a finished file its name; FileExistsError if someone else has taken that."""
    try:
        os.link(finished, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: there an empty file of that name is the lock
        target.open("xb").close()
        try:
            os.replace(finished, target)
        except OSError:
            target.unlink()
            raise


def _rename(finished: Path, target: Path, taken: ConfigError) -> None:
    try:
        if target.is_dir():
            target.rmdir()  # an empty one
        os.rename(finished, target)
    except OSError as error:
        if target.exists():  # someone else was faster
            raise taken from error
        raise


@contextmanager
def _explained(where: Path, wording: Wording, failures: Failures) -> Iterator[None]:
    try:
        yield
    except failures as error:
        raise wording.unwritable(where, error) from error
