"""Environments of peers: each in a folder of its own, made once and kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["ask", "python_with"]

INSTALL_SECONDS = 240


def python_with(name: str, packages: Sequence[str], workspace: Path) -> Path | None:
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
