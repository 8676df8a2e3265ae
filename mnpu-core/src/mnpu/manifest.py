"""A folder that vouches for itself: ``manifest.json``, written last, names every file and its hash.

::

    {"format": 2, "files": {"weights.safetensors": "<sha256>", ...}, "self": "<sha256 of format and files>"}

The manifest has one way to be written, and a hash of itself: it protects against damage, not against someone who
writes a whole new one. A folder is read as a whole, and refused as a whole: where the manifest is missing it was never
finished, and where a byte, a file more or a file less differs from what was written, nothing of it is used.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mnpu.atomic import write_atomically
from mnpu.errors import DataError, MnpuError

__all__ = ["FORMAT", "MANIFEST", "as_json", "parsed", "read_sealed", "seal", "well_formed"]

FORMAT = 2  #: 1 had no hash of itself, and no calibration or card beside the network
MANIFEST = "manifest.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_AGAIN = "Do not use it; write the bundle again."


def seal(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write ``files`` by name into the new or empty ``folder``, and the manifest last.

    Raises
    ------
    MnpuError
        If the folder holds something, or cannot be written, or a name is not one of a plain file.
    """
    folder = Path(folder)
    for name in files:
        if not _NAME.fullmatch(name) or name == MANIFEST:
            raise MnpuError(f"a file named {name!r}", where=str(folder), expected="letters, digits, dots and dashes")
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise MnpuError("it is not empty", where=str(folder), expected="a new folder for the bundle")
        for name, content in files.items():
            (folder / name).write_bytes(content)
        write_atomically(folder / MANIFEST, _sealed(hashes))
    except OSError as error:
        raise MnpuError(f"the bundle cannot be written ({error.strerror})", where=str(folder)) from error
    return folder


def read_sealed(folder: Path) -> dict[str, bytes]:
    """Every file of the folder by name, checked byte for byte.

    Raises
    ------
    DataError
        If the folder is unfinished, of a later format, a file is missing, changed or not in the manifest, or the
        manifest itself was changed.
    """
    folder = Path(folder)
    hashes = _hashes(_read(folder, MANIFEST), folder)
    contents = {name: _checked(folder, name, expected) for name, expected in hashes.items()}
    extra = sorted(name for name in _names(folder) if name not in {*hashes, MANIFEST})
    if extra:
        raise DataError(
            f"{extra[0]} is not in the manifest",
            where=str(folder),
            expected="what was written, and nothing else",
            next_step="Move it elsewhere: nobody vouches for it.",
        )
    return contents


def as_json(value: Any) -> bytes:
    """Plain data as JSON; NaN is refused."""
    return (json.dumps(value, indent=1, allow_nan=False, default=int) + "\n").encode()  # default: numpy integers


def parsed(content: bytes, where: str | Path) -> dict[str, Any]:
    """The JSON object in ``content``.

    Raises
    ------
    DataError
        It is none.
    """
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError("the bundle is not readable", where=str(where), next_step="Write it again.") from error
    if not isinstance(value, dict):
        raise DataError("the bundle is not readable", where=str(where), next_step="Write it again.")
    return value


@contextmanager
def well_formed(where: str | Path) -> Iterator[None]:
    """Refuse, as the bundle's fault, what cannot be read of a document that is whole and yet not as we write it.

    Hashes find damage, not a stranger's bundle: one that was sealed anew may say anything.

    Raises
    ------
    DataError
        In place of what a missing key, another type or a value without a meaning raises.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(
            f"it is not what a bundle says of itself ({cause})",
            where=str(where),
            expected="what mnpu-core writes",
            next_step=_AGAIN,
        ) from error


def _sealed(hashes: Mapping[str, str]) -> bytes:
    body = {"format": FORMAT, "files": dict(hashes)}
    return as_json({**body, "self": hashlib.sha256(as_json(body)).hexdigest()})


def _hashes(content: bytes, folder: Path) -> dict[str, str]:
    manifest = parsed(content, folder)
    written = manifest.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise DataError(
            f"bundle format {written}, which a later mnpu-core wrote",
            where=str(folder),
            expected=f"at most {FORMAT}",
            next_step="Run: pip install --upgrade mnpu-core",
        )
    if type(written) is not int or written not in (1, FORMAT):
        raise DataError(f"bundle format {written!r}", where=str(folder), expected=f"1 or {FORMAT}")
    hashes = manifest.get("files")
    if not isinstance(hashes, dict) or not all(_NAME.fullmatch(n) and isinstance(h, str) for n, h in hashes.items()):
        raise DataError("the manifest names no files", where=str(folder), next_step=_AGAIN)
    # format 1 had no hash of itself: one byte would be enough to call a manifest of format 2 that, and skip the hash
    if content != _sealed(hashes) and (written == FORMAT or "self" in manifest):
        raise _changed(folder, MANIFEST, "the manifest as it was written")
    return hashes


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise _unreadable(folder, name, error) from error


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError as error:
        raise _unreadable(folder, "what lies in it", error) from error


def _unreadable(folder: Path, what: str, error: OSError) -> DataError:
    refused = isinstance(error, PermissionError)
    return DataError(
        f"{what} cannot be read ({error.strerror})",
        where=str(folder),
        expected="files that you may read" if refused else "a finished bundle",
        next_step=f"Run: chmod -R u+rX {folder}"
        if refused
        else "Write the bundle again: one without a manifest was never finished.",
    )


def _checked(folder: Path, name: str, expected: str) -> bytes:
    content = _read(folder, name)
    if hashlib.sha256(content).hexdigest() != expected:
        raise _changed(folder, name, f"sha256 {expected[:12]}...")
    return content


def _changed(folder: Path, name: str, expected: str) -> DataError:
    return DataError(
        f"{name} has changed since the bundle was written", where=str(folder), expected=expected, next_step=_AGAIN
    )
