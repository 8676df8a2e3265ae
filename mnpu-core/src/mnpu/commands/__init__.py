"""The commands of ``mnpu``, one module each; a module is imported when its command runs."""

from __future__ import annotations

from pathlib import Path

__all__ = ["own_commands"]


def own_commands() -> dict[str, Path]:
    """Name to file of every command in this folder, in the order of the alphabet."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return {path.stem.replace("_", "-"): path for path in files if not path.name.startswith("_")}
