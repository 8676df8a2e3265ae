"""Peak memory of a process that reads a panel, over that of its arrays: ``python data_memory.py FOLDER``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mnpu.data.sqlite_loop  # noqa: F401  the compiler's own memory is none of the panel's
from mnpu.data.store import Store


def memory(key: str) -> int:
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if key in line)


def main(folder: str) -> None:
    store = Store.open(Path(folder) / "market.db")
    symbols = store.symbols()
    span = {"start": "2010-01-01", "end": "2020-01-01"}
    store.panel(symbols[:30], **span)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = memory("VmRSS")
    panel = store.panel(symbols, **span)
    arrays = sum(values.nbytes for values in panel.fields.values()) + panel.tradable.nbytes + 16 * len(panel.times)
    print(json.dumps([0.0, (memory("VmHWM") - before) * 1024 / arrays]))


if __name__ == "__main__":
    main(sys.argv[1])
