"""How long a command line takes to answer, from the start of its process to the end."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.bench.rows import EARLIER, Row

__all__ = ["measure"]

TARGET_MS = 150.0
REPEATS = 5
INSTALL_SECONDS = 240
CASES = (("plugins list", ("plugins", "list")), ("--help", ("--help",)))
#: Peer, its command, and its median in milliseconds on a 2-core machine, for where it cannot be installed.
PEERS = (("kedro", ("--help",), 351.0), ("llm", ("--help",), 567.0), ("dagster", ("--help",), 890.0))


def measure(workspace: Path) -> list[Row]:
    """Medians of five for MNPU and for each peer, alternating, with everything installed and caches warm.

    Parameters
    ----------
    workspace : path
        Where the environments of peers are made, and kept for the next time.
    """
    peers = [(name, arguments, _installed(name, workspace), earlier) for name, arguments, earlier in PEERS]
    commands = {("mnpu", case): (str(Path(sys.executable).with_name("mnpu")), *args) for case, args in CASES}
    commands |= {(name, ""): (str(command), *args) for name, args, command, _ in peers if command}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in commands}
    for repeat in range(REPEATS + 1):
        for key, command in commands.items():
            taken = _milliseconds(command)
            if repeat:  # the first start fills the caches
                times[key].append(taken)
    rows = []
    for case, _ in CASES:
        ours = round(median(times["mnpu", case]), 1)
        for name, args, command, earlier in peers:
            theirs = round(median(times[name, ""]), 1) if command else earlier
            peer = f"{name} {' '.join(args)}" + ("" if command else f" ({EARLIER})")
            rows.append(Row("startup", f"mnpu {case}", "ms", ours, peer, theirs, round(theirs / ours, 2), TARGET_MS))
    return rows


def _milliseconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return 1e3 * (time.perf_counter() - began)


def _installed(name: str, workspace: Path) -> Path | None:
    """The command of a peer in an environment of its own; None where it cannot be installed in reasonable time."""
    home = workspace / name
    command = home / "bin" / name
    uv = shutil.which("uv")
    if command.exists() or uv is None:
        return command if command.exists() else None
    try:
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True, capture_output=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(home / "bin" / "python"), name],
            check=True,
            capture_output=True,
            timeout=INSTALL_SECONDS,
        )
        _milliseconds((str(command), "--help"))
    except (subprocess.SubprocessError, OSError) as failure:
        print(f"{name} is not measured now: {failure}", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
        return None
    return command
