"""One measurement as a row, and how rows are kept: ``bench.json`` for machines, ``docs/benchmarks.md`` for people."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

__all__ = ["EARLIER", "Row", "keep", "table", "timed"]

T = TypeVar("T")

EARLIER = "measured earlier on a 2-core machine"
COLUMNS = ("case", "unit", "mnpu", "peer", "peer_value", "ratio", "target")


@dataclass(frozen=True)
class Row:
    """MNPU beside one peer. ``ratio`` is peer over MNPU (above 1 is better); ``target`` bounds MNPU from above."""

    topic: str
    case: str
    unit: str
    mnpu: float
    peer: str
    peer_value: float
    ratio: float
    target: float

    @property
    def missed(self) -> bool:
        """Whether the target was missed."""
        return self.mnpu > self.target


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| " + " | ".join(name.replace("_", " ") for name in COLUMNS) + " |"]
    lines.append("|" + "|".join("---:" if i in (2, 4, 5, 6) else "---" for i in range(len(COLUMNS))) + "|")
    for row in rows:
        cells = [getattr(row, name) for name in COLUMNS]
        shown = [f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in cells]
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def timed(work: Callable[[], T], *, repeats: int) -> tuple[float, T]:
    """Median of the milliseconds, after one run that compiles and fills caches, and what the work returned."""
    found, taken = work(), []
    for _ in range(repeats):
        began = time.perf_counter()
        found = work()
        taken.append(1e3 * (time.perf_counter() - began))
    return median(taken), found


def keep(rows: Sequence[Row], root: Path) -> None:
    """Replace the topics of ``rows`` in ``bench.json``, and write ``docs/benchmarks.md`` from all that is then held."""
    path = root / "bench.json"
    held = [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []
    topics = {row.topic for row in rows}
    kept = [*(row for row in held if row.topic not in topics), *rows]
    path.write_text(json.dumps([asdict(row) for row in kept], indent=2) + "\n", encoding="utf-8")
    (root / "docs" / "benchmarks.md").write_text(_page(kept), encoding="utf-8")


def _page(rows: Sequence[Row]) -> str:
    parts = [
        "# Benchmarks",
        "Written by `nox -s bench`. Each figure is a median, of five where its topic takes no more; each peer runs in "
        "the same run, those with needs of their own in an environment of their own, unless its row says that it was "
        "measured earlier. The ratio is the peer's figure over MNPU's: "
        "above 1 MNPU is better. A missed target fails the session.",
        f"Last run: {os.cpu_count()} cores, Python {platform.python_version()} on {platform.system()}.",
    ]
    for topic in dict.fromkeys(row.topic for row in rows):
        parts += [f"## {topic}", table([row for row in rows if row.topic == topic])]
    return "\n\n".join(parts) + "\n"
