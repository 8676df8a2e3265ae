"""Peak memory of a process that computes Alpha158, over that of its values: ``features_memory.py SYMBOLS BARS``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mnpu.features.compute import compute
from tests.bench.features_world import alpha158, nothing, prices


def memory(key: str) -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if key in line)


def main(symbols: str, bars: str) -> None:
    planned, side = alpha158(), nothing()
    compute(planned, prices(20, 300), side)  # the compiler's own memory is none of the values'
    panel = prices(int(symbols), int(bars))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = memory("VmRSS")
    frame = compute(planned, panel, side)
    peak = memory("VmHWM")
    size = frame.values.size * 4
    print(json.dumps([peak * 1024 / 1e9, (peak - before) * 1024 / size]))


if __name__ == "__main__":
    main(*sys.argv[1:])
