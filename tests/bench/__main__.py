"""Run benchmark topics: ``python -m tests.bench [TOPIC ...]``. Without a topic, all of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench import data, experts, features, memory, scan, simulation, startup, strategies, sweep, training, windows
from tests.bench.rows import keep, table

ROOT = Path(__file__).parents[2]
TOPICS = {
    "data": data.measure,
    "experts": experts.measure,
    "features": features.measure,
    "memory": memory.measure,
    "scan": scan.measure,
    "simulation": simulation.measure,
    "startup": startup.measure,
    "statistics": strategies.measure,
    "sweep": sweep.measure,
    "training": training.measure,
    "windows": windows.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Measure, print, keep; 1 where a target is missed, 2 for an unknown topic."""
    unknown = [name for name in arguments if name not in TOPICS]
    if unknown:
        print(f"no topic named {', '.join(unknown)}, expected some of: {', '.join(TOPICS)}.", file=sys.stderr)
        return 2
    rows = [row for name in arguments or TOPICS for row in TOPICS[name](ROOT / ".nox" / "bench-peers")]
    print(table(rows))
    keep(rows, ROOT)
    missed = {(row.topic, row.case): row for row in rows if row.missed}.values()  # once, whatever the peers
    for row in missed:
        print(f"{row.topic}: {row.case} took {row.mnpu} {row.unit}, the target is {row.target}.", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
