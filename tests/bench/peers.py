"""Environments of peers: each in a folder of its own, made once and kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.rows import EARLIER

__all__ = ["Peer", "ask"]

INSTALL_SECONDS = 240


@dataclass(frozen=True)
class Peer:
    """A peer's work, the environment that it needs, and its earlier result for where that cannot be made."""

    name: str
    environment: str
    packages: tuple[str, ...]
    work: str
    earlier: float
    repeats: int = 5

    def measured(self, script: Path, folder: Path, workspace: Path) -> tuple[float, str, float]:
        """Milliseconds that it takes, how it is shown, and the number that it finds; NaN where nothing was run."""
        python = _python_with(self.environment, self.packages, workspace)
        if python is None:
            return self.earlier, f"{self.name} ({EARLIER})", float("nan")
        taken, found = ask(python, script, self.work, folder, self.repeats)
        return taken, self.name, found


def _python_with(name: str, packages: Sequence[str], workspace: Path) -> Path | None:
    """The interpreter of an environment that holds ``packages``; None where it cannot be made in reasonable time."""
    home = workspace / name
    python = home / "bin" / "python"
    uv = shutil.which("uv")
    if (home / "complete").exists():
        return python
    if uv is None:
        return None
    shutil.rmtree(home, ignore_errors=True)
    try:
        for command in (
            [uv, "venv", "--quiet", "--python", sys.executable, str(home)],
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *packages],
        ):
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    except (subprocess.SubprocessError, OSError) as failure:
        print(f"{name} is not measured now: {failure}", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
        return None
    (home / "complete").touch()
    return python


def ask(python: Path, script: Path, *arguments: object, env: Mapping[str, str] | None = None) -> Any:
    """What ``script`` prints as JSON on its last line, run by another interpreter."""
    command = [str(python), str(script), *map(str, arguments)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env, timeout=600)
    return json.loads(answer.stdout.splitlines()[-1])
