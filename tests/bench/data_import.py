"""Importing a million bars from a file into a new store: parsed, checked, keyed and recorded."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

__all__ = ["import_seconds", "make_bars"]

MAPPING = """imports:
  - files: bars.*
    table: prices
    dataset: {name: made_up, vendor: nobody, frequency: 1h, stamp: close, calendar: CRYPTO, currency: USD,
              licence: none}
"""


def make_bars(folder: Path, *, n_symbols: int = 200, n_bars: int = 5000) -> pd.DataFrame:
    """Write ``bars.parquet``, ``bars.csv`` and ``mapping.yaml``; the frame is what a peer writes."""
    rng = np.random.default_rng(20240229)
    steps = rng.normal(0.0, 1e-3, (n_symbols, n_bars))
    close = (50 * np.exp(np.cumsum(steps, axis=1))).round(4).ravel()
    frame = pd.DataFrame(
        {
            "timestamp": np.tile(pd.date_range("2000-01-01", periods=n_bars, freq="1h", tz="UTC"), n_symbols),
            "symbol": np.repeat([f"S{i:04d}" for i in range(n_symbols)], n_bars),
            "open": close,
            "high": close + 1,
            "low": close - 1,
            "close": close,
            "volume": rng.integers(1, 10**6, n_symbols * n_bars).astype(float),
        }
    )
    frame.to_parquet(folder / "bars.parquet")
    frame.to_csv(folder / "bars.csv", index=False)
    (folder / "mapping.yaml").write_text(MAPPING)
    return frame


def import_seconds(folder: Path, name: str, *, repeats: int = 5, keep: bool = False) -> float:
    """Median seconds to import ``name`` (``bars.parquet`` or ``bars.csv``) into a store that does not exist yet.

    The first import, which fills caches, does not count. ``keep`` leaves the last ``imported.db``.
    """
    from mnpu.data.importing.mapping import load_mapping
    from mnpu.data.importing.run import import_files

    mapping, store = load_mapping(folder / "mapping.yaml"), folder / "imported.db"
    taken = []
    for _ in range(repeats + 1):
        store.unlink(missing_ok=True)
        begun = time.perf_counter()
        summary = import_files(mapping, store, files=[folder / name])
        taken.append(time.perf_counter() - begun)
        assert summary.total("n_taken") == summary.total("n_read") > 0
    if not keep:
        store.unlink()
    return median(taken[1:])
