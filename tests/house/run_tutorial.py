"""Execute the blocks of a page in order, in an empty folder outside the repository.

``python tests/house/run_tutorial.py docs/tutorial.md``, with MNPU installed in this interpreter's environment. A
block ``bash`` runs in one shell session, where a failing line ends it; a block with ``title="path"`` is written to that
path; ``text`` is only shown. Packages that the page installs are removed at the end.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", flags=re.M | re.S)


class Block(NamedTuple):
    """One fenced block, and the line of the page on which it begins."""

    language: str
    title: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page in order; one that is neither shown, written nor run is an error."""
    for found in FENCE.finditer(page):
        block = Block(found[1], found[2] or "", found[3], page.count("\n", 0, found.start()) + 1)
        if block.language not in ("bash", "text") and not block.title:
            raise ValueError(f"line {block.line}: a {block.language} block without a title cannot be executed")
        yield block


def execute(page: Path) -> int:
    """Run a page; the first line that fails ends it with 1."""
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    environment.pop("PYTHONPATH", None)
    before = installed()
    try:
        with tempfile.TemporaryDirectory(prefix="tutorial-") as home:
            folder = Path(home)
            for block in blocks(page.read_text(encoding="utf-8")):
                if block.language == "bash":
                    done, folder = run(block, folder, environment)
                    if done:
                        print(f"{page}:{block.line}: the block failed with exit code {done}", file=sys.stderr)
                        return 1
                elif block.language != "text":
                    path = folder / block.title
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(block.text, encoding="utf-8")
                    print(f"--- wrote {block.title}", flush=True)
    finally:
        added = sorted(installed() - before)
        if added:
            subprocess.run([sys.executable, "-m", "pip", "uninstall", "--quiet", "--yes", *added], check=False)
    return 0


def run(block: Block, folder: Path, environment: dict[str, str]) -> tuple[int, Path]:
    """Run a block with bash in ``folder``; its exit code, and the folder in which it ended."""
    # ``! command`` expects a failure: bash alone would ignore a success there.
    lines = [f"if {line[2:]}; then exit 99; fi" if line.startswith("! ") else line for line in block.text.splitlines()]
    state = folder / ".where"
    script = "\n".join(["set -euo pipefail", *lines, f'pwd > "{state}"'])
    print("".join(f"$ {line}\n" for line in block.text.splitlines()), end="", flush=True)
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        return done.returncode, folder
    ended = Path(state.read_text(encoding="utf-8").strip())
    state.unlink()
    return 0, ended


def installed() -> set[str]:
    """Names of the distributions in this interpreter's environment."""
    script = "import importlib.metadata as m; print(*{d.metadata['Name'] for d in m.distributions()}, sep='\\n')"
    listed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


if __name__ == "__main__":
    sys.exit(execute(Path(sys.argv[1])))
