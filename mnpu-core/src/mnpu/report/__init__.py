"""The report: sections in an investor's reading order, written by whichever renderers are installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnpu.plugins.registry import Registry
    from mnpu.types import Result

__all__ = ["write"]


def write(result: Result, directory: str | os.PathLike[str], formats: Sequence[str], registry: Registry) -> list[Path]:
    """Write ``report.<format>`` for each format, from the same sections.

    Parameters
    ----------
    result : Result
    directory : path
        Made if it is missing. A file appears whole or not at all.
    formats : sequence of str
        Names of renderers. A missing one is a PluginError that says what to install.
    registry : Registry
        Where renderers and further sections come from.

    Returns
    -------
    paths : list of Path
        In the order of ``formats``.
    """
    from mnpu.atomic import write_atomically
    from mnpu.report.sections import added_sections, sections, title

    renderers = {name: registry.load("renderer", name) for name in dict.fromkeys(formats)}
    parts = sections(result, added=added_sections(result, registry))
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        write_atomically(folder / f"report.{name}", render(title(result), parts).encode())
        for name, render in renderers.items()
    ]
