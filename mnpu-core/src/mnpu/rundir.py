"""A run's directory: it says what state the run is in, and is finished only after everything in it was written.

``run.json`` holds the state and is replaced as a whole, never edited. The one that says ``finished`` comes last and
carries the sha256 of every other file. A run whose process ended without a word is shown as ``interrupted``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnpu.atomic import write_atomically
from mnpu.errors import ConfigError, MnpuError

if TYPE_CHECKING:
    from mnpu.types import Run

__all__ = ["RunDirectory", "list_runs", "open_run", "write_atomically"]

_STATE = "run.json"
_LOG = "log.jsonl"  # still written to while the run ends, so it has no hash
_DAMAGED = "Run the pipeline again; what is there was left as it is."


@dataclass(frozen=True)
class RunDirectory:
    """One run's folder. ``run_id`` is the recipe and a counter: ``0f3a…-001``."""

    path: Path

    @property
    def run_id(self) -> str:
        """Name of the folder."""
        return self.path.name

    @classmethod
    def create(cls, root: str | Path, recipe_id: str) -> RunDirectory:
        """Make the next directory of a recipe; several processes may do so at once.

        Raises
        ------
        ConfigError
            ``root`` is a file.
        MnpuError
            ``root`` cannot be written.
        """
        root = Path(root)
        try:
            root.mkdir(parents=True, exist_ok=True)
            taken = [int(p.name.rpartition("-")[2]) for p in root.glob(f"{recipe_id}-*") if _counter(p.name, recipe_id)]
            number = max(taken, default=0) + 1
            while True:
                path = root / f"{recipe_id}-{number:03d}"
                try:
                    path.mkdir()
                    break
                except FileExistsError:  # another process was faster
                    number += 1
            directory = cls(path)
            directory._write_state({"status": "running", **_process(), "started_at": _now()})
        except OSError as error:
            raise _refused(root, error) from error
        return directory

    def start(self, run: Run, resolved: Mapping[str, Any], *, marks: Mapping[str, Any] | None = None) -> None:
        """Record what is about to run: the run in ``run.json``, the configuration in ``resolved.yaml``.

        ``marks`` are what it is called by whoever asked for it.
        """
        from mnpu.config.dump import dump

        self.write_text("resolved.yaml", dump(resolved))
        self._write_state({**self.state, "run": run_record(run), **({"marks": dict(marks)} if marks else {})})

    def reopen(self) -> None:
        """Mark the run running again, by this process; when it was begun and taken up stays on record."""
        state = self.state
        kept: dict[str, Any] = {name: state[name] for name in ("started_at", "run", "marks") if name in state}
        kept["resumed_at"] = [*state.get("resumed_at", []), _now()]
        self._write_state({"status": "running", **_process(), **kept})

    def finish(self, **facts: Any) -> None:
        """Mark the run finished, as the last write; ``facts`` are kept beside the state."""
        files = {name: _hash(self.path / name) for name in self._files()}
        self._write_state({**self.state, **facts, "status": "finished", "ended_at": _now(), "files": files})

    def fail(self, error: BaseException) -> None:
        """Mark the run failed and keep the cause."""
        cause = {"type": type(error).__name__, "message": str(error) or type(error).__name__}
        if not isinstance(error, (MnpuError, KeyboardInterrupt)):
            cause["traceback"] = "".join(traceback.format_exception(error))
        self._write_state({**self.state, "status": "failed", "ended_at": _now(), "error": cause})

    @property
    def state(self) -> dict[str, Any]:
        """Content of ``run.json``.

        Raises
        ------
        MnpuError
            It is missing or damaged.
        """
        try:
            state = json.loads((self.path / _STATE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MnpuError("is not a run", where=str(self.path), expected=f"a folder with a {_STATE}") from None
        except (OSError, ValueError) as error:
            raise MnpuError(f"cannot be read ({error})", where=str(self.path / _STATE), next_step=_DAMAGED) from error
        if not isinstance(state, dict) or "status" not in state:
            raise MnpuError("holds no status", where=str(self.path / _STATE), next_step=_DAMAGED)
        for name in ("run", "error", "files"):
            if not isinstance(state.get(name, {}), dict):
                raise MnpuError(f"{name} is no map", where=str(self.path / _STATE), next_step=_DAMAGED)
        return state

    @property
    def status(self) -> str:
        """``running``, ``finished``, ``failed``, or ``interrupted`` if its process is gone."""
        state = self.state
        if state["status"] == "running" and not _alive(state):
            return "interrupted"
        return str(state["status"])

    def changed_files(self) -> list[str]:
        """Files of a finished run that are missing or differ from what was written."""
        recorded = self.state.get("files", {})
        return [n for n, sha in recorded.items() if not (self.path / n).is_file() or _hash(self.path / n) != sha]

    def write_text(self, name: str, text: str) -> Path:
        """Write a file of the run as a whole."""
        return write_atomically(self.path / name, text.encode())

    def write_json(self, name: str, value: Any) -> Path:
        """Write plain data as JSON; NaN is refused."""
        return self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def _write_state(self, state: Mapping[str, Any]) -> None:
        self.write_json(_STATE, {"run_id": self.run_id, **state})

    def _files(self) -> list[str]:
        paths = (p for p in self.path.rglob("*") if p.is_file() and p.name not in (_STATE, _LOG))
        return sorted(p.relative_to(self.path).as_posix() for p in paths)


def open_run(root: str | Path, run: str | Path) -> RunDirectory:
    """The run with this id (or the only one it begins), or in this folder.

    Raises
    ------
    ConfigError
        There is none, or several ids begin so.
    """
    root, text = Path(root), str(run)
    for path in (Path(text), root / text):
        if text and (path / _STATE).is_file():
            return RunDirectory(path.resolve())
    ids = [directory.run_id for directory in list_runs(root)]
    begun = [name for name in ids if text and name.startswith(text)]
    if len(begun) == 1:
        return RunDirectory((root / begun[0]).resolve())
    if begun:
        raise ConfigError(f"'{text}' is the beginning of {', '.join(begun)}", expected="one run")
    hint = f"Latest: {', '.join(ids[-3:])}." if ids else "There is no run in it yet; begin one with: mnpu run FILE."
    raise ConfigError(f"no run '{text}' in {root}", next_step=hint)


def list_runs(root: str | Path) -> list[RunDirectory]:
    """Every run directory in ``root``, the oldest first; a root that does not exist holds none."""
    found = [RunDirectory(path.parent) for path in Path(root).glob(f"*/{_STATE}")]
    return sorted(found, key=lambda directory: (_started(directory), directory.run_id))


def run_record(run: Run) -> dict[str, Any]:
    """A `Run` as plain data; text from the environment stays as it was written."""
    record = {name: getattr(run, name) for name in run.__dataclass_fields__}
    return {
        **record,
        "versions": dict(run.versions),
        "config": dict(run.config),
        "started_at": run.started_at.isoformat(),
    }


def _counter(name: str, recipe_id: str) -> bool:
    return re.fullmatch(rf"{re.escape(recipe_id)}-\d{{3,}}", name) is not None


def _started(directory: RunDirectory) -> str:
    try:
        return str(directory.state.get("started_at", ""))
    except MnpuError:
        return ""


def _refused(root: Path, error: OSError) -> MnpuError:
    blocking = next((p for p in (root, *root.parents) if p.exists()), root)
    if not blocking.is_dir():
        return ConfigError("is a file", where=str(blocking), expected="a folder for run directories")
    return MnpuError(
        f"cannot be written ({error.strerror or error})",
        where=str(root),
        expected="a folder where runs can be kept",
        next_step="Choose another one with --runs DIR.",
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in _blocks(file):
            digest.update(block)
    return digest.hexdigest()


def _blocks(file: Any) -> Iterator[bytes]:
    while block := file.read(1 << 20):
        yield block


def _process() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "process_started": _start_ticks(os.getpid())}


def _alive(state: Mapping[str, Any]) -> bool:
    """Whether the process of a running run is still there; on another host nobody can tell, so it counts as alive."""
    pid = state.get("pid")
    if state.get("host") != socket.gethostname() or not isinstance(pid, int):
        return True
    if sys.platform == "win32":
        return _alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # no process has a number that the system cannot count to
        return False
    except PermissionError:
        return True
    recorded = state.get("process_started")
    return recorded is None or recorded == _start_ticks(pid)  # the number may belong to a later process


def _alive_on_windows(pid: int) -> bool:
    import ctypes

    kernel: Any = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return False
    code = ctypes.c_ulong()
    kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return code.value == 259  # STILL_ACTIVE


def _start_ticks(pid: int) -> int | None:
    """When the process began, in clock ticks since boot; None where the system does not say."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])
