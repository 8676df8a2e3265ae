"""Peak memory of a process that imports a CSV: ``python data_stream.py FOLDER BARS``, of 200 symbols."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mnpu.data.importing.mapping import load_mapping
from mnpu.data.importing.run import import_files

MAPPING = """imports:
  - files: bars.csv
    table: prices
    dataset: {name: made_up, vendor: nobody, frequency: 1h, stamp: close, calendar: CRYPTO, currency: USD,
              licence: none}
"""
HOUR = 3_600


def main(folder: str, bars: str) -> None:
    home = Path(folder)
    (home / "mapping.yaml").write_text(MAPPING)
    with (home / "bars.csv").open("w") as stream:
        stream.write("timestamp,symbol,open,high,low,close,volume\n")
        for symbol in range(200):
            for bar in range(int(bars)):
                price = 50 + (bar * 7_919 + symbol * 104_729) % 9_973 / 10_000
                cells = f"{price:.4f},{price + 1:.4f},{price - 1:.4f},{price:.4f},{1 + bar % 1_000}.0"
                stream.write(f"{946_684_800 + bar * HOUR},S{symbol:04d},{cells}\n")
    summary = import_files(load_mapping(home / "mapping.yaml"), home / "imported.db")
    assert summary.total("n_taken") == 200 * int(bars)
    peak = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    print(json.dumps([(home / "bars.csv").stat().st_size, peak * 1024]))


if __name__ == "__main__":
    main(*sys.argv[1:])
