"""A million rows: from files into a store, out of it into arrays twice, joined, validated; and in what memory."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from tests.bench.data_import import import_seconds, make_bars
from tests.bench.peers import Peer, ask
from tests.bench.rows import Row

__all__ = ["measure"]

REPEATS = 5
FEW = 3  # of what takes seconds
SYMBOLS, BARS = 525, 1905
RELEASES = 100_000
SCRIPT = Path(__file__).with_name("data_peers.py")
READ_FASTER, JOIN_FASTER = 4.0, 8.0  # than pandas
AGAIN_MS = 20.0  # 50 million rows a second
MEMORY = 1.3
IMPORT_FASTER = 4.0  # than DataFrame.to_sql, which checks nothing and has no key
CHECK_MS = 3_000.0
STREAM_MB = 600.0  # whatever the size of the file
STREAMED_BARS = (5_000, 15_000)  # of 200 symbols: a small file, and one three times as large


READ = (
    Peer("pandas.read_sql", "pandas", ("pandas", "pyarrow"), "read_pandas", 1_810.0),
    Peer("adbc", "adbc", ("adbc-driver-sqlite", "pyarrow", "numpy"), "read_adbc", 427.0),
    Peer("connectorx", "connectorx", ("connectorx", "pyarrow", "numpy"), "read_connectorx", 356.0),
)
WRITE = (Peer("DataFrame.to_sql", "pandas", ("pandas", "pyarrow"), "write_pandas", 3_440.0),)
AGAIN = (Peer("pandas.read_parquet", "pandas", ("pandas", "pyarrow"), "again_parquet", 91.0),)
JOIN = (
    Peer("pandas.merge_asof", "pandas", ("pandas", "pyarrow"), "join_pandas", 38.3),
    Peer("polars join_asof", "polars", ("polars", "numpy"), "join_polars", 31.2),
)
NOBODY = "none: the target"
MEMORIES = (Peer("pandas.read_sql", "pandas", ("pandas", "pyarrow"), "memory_pandas", 5.0, 0),)


def measure(workspace: Path) -> list[Row]:
    """Medians of five for MNPU and for each peer, one after the other, on files and a store that are made up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_store(folder / "market.db")
        make_releases(folder / "join.npz")
        settings = dict(os.environ)
        try:
            return [row for part in PARTS for row in part(folder, workspace)]
        finally:
            os.environ.clear()
            os.environ.update(settings)


def reads(folder: Path, workspace: Path) -> list[Row]:
    """The first read of a panel, which keeps its columns for the second, and the second."""
    from mnpu.data import cache
    from mnpu.data.store import Store

    os.environ["MNPU_CACHE"] = str(folder / "cache")
    store = Store.open(folder / "market.db")
    symbols = store.symbols()
    panel = lambda: store.panel(symbols, start="2010-01-01", end="2020-01-01")
    bars = lambda: store._bars([("made_up", symbol) for symbol in symbols], 0, 2**62)
    time.sleep(cache.SETTLED + 0.1)
    forget = lambda: shutil.rmtree(folder / "cache", ignore_errors=True)
    first, held = _median(panel, before=forget)
    closes = float(np.nansum(held["close"]))
    again, _ = _median(panel)
    mapped, _ = _median(bars)
    rows = _beside("first read of a panel", first, READ, folder, workspace, faster=READ_FASTER, result=closes)
    rows += _beside("second read, columns", mapped, AGAIN, folder, workspace, target=AGAIN_MS, result=closes)
    target = rows[0].target  # no slower than a first read may be
    return rows + _beside("second read, a panel", again, AGAIN, folder, workspace, target=target, result=closes)


def join(folder: Path, workspace: Path) -> list[Row]:
    """Rows in the order of time with the code of their symbol, beside frames in the order of time."""
    from mnpu.data.asof import Releases, join_rows

    held = np.load(folder / "join.npz")
    at, code, known, who, value = (held[name] for name in ("at", "code", "known", "who", "value"))
    columns = {"event_time": known, "knowledge_time": known, "value": value, "code": who, "n_codes": SYMBOLS}
    taken, joined = _median(lambda: join_rows(at, code, Releases.of(**columns)))
    result = float(np.nansum(joined.value))
    return _beside("point-in-time join", taken, JOIN, folder, workspace, faster=JOIN_FASTER, result=result)


def memory(folder: Path, workspace: Path) -> list[Row]:
    """Peak memory of a process that reads a panel, over that of the panel's arrays."""
    if not Path("/proc/self/clear_refs").exists():
        return []
    env = {**os.environ, "MNPU_CACHE": "off"}
    _, ours = ask(Path(sys.executable), Path(__file__).with_name("data_memory.py"), folder, env=env)
    rows = []
    for peer in MEMORIES:
        _, shown, found = peer.measured(SCRIPT, folder, workspace)
        theirs = found if shown == peer.name else peer.earlier
        rows.append(
            Row("data", "memory of a panel", "x arrays", round(ours, 2), shown, round(theirs, 2), theirs / ours, MEMORY)
        )
    return rows


def imports(folder: Path, workspace: Path) -> list[Row]:
    """Clean files into a store that does not exist yet; the peer writes the same rows into a table without a key."""
    from mnpu.data.store import Store

    home = folder / "import"
    home.mkdir()
    make_bars(home)
    rows: list[Row] = []
    for kind in ("parquet", "csv"):
        taken = 1e3 * import_seconds(home, f"bars.{kind}", repeats=REPEATS, keep=True)
        with Store.open(home / "imported.db")._reading() as connection:
            closes = connection.execute("SELECT sum(close) FROM prices").fetchone()[0]
        case = f"import of {'Parquet' if kind == 'parquet' else 'CSV'}"
        rows += _beside(case, taken, WRITE, home, workspace, faster=IMPORT_FASTER, result=closes)
    return rows


def validation(folder: Path, workspace: Path) -> list[Row]:
    """All shipped rules on every table of a store."""
    from mnpu.data.store import Store
    from mnpu.plugins.registry import Registry
    from mnpu.validation.check import check_store

    registry = Registry.discover()
    names = [c.name for c in registry.components("validator") if c.dist == "mnpu-core"]
    rules = {name: registry.build("validator", name, {}) for name in names}
    store = Store.open(folder / "market.db")
    taken, _ = _median(lambda: check_store(store, rules), repeats=FEW)
    figures = (round(taken, 1), NOBODY, CHECK_MS, round(CHECK_MS / taken, 2), CHECK_MS)
    return [Row("data", f"validation by all {len(names)} validators, 1 M rows (median of {FEW})", "ms", *figures)]


def stream(folder: Path, workspace: Path) -> list[Row]:
    """Peak memory of a process that imports a CSV: no more for a file of three times the size."""
    if not Path("/proc/self/clear_refs").exists():
        return []
    found = []
    for bars in STREAMED_BARS:
        home = folder / f"stream{bars}"
        home.mkdir()
        size, peak = ask(Path(sys.executable), Path(__file__).with_name("data_stream.py"), home, bars)
        found.append((size / 1e6, peak / 1e6))
        shutil.rmtree(home)
    (small, low), (large, high) = found
    case = f"peak memory of an import, CSV of {large:.0f} MB (of {small:.0f} MB: {low:.0f})"
    figures = (round(high, 1), "the file itself", round(large, 1), round(large / high, 2), STREAM_MB)
    return [Row("data", case, "MB", *figures)]


#: What is measured, in the order of the table.
PARTS: tuple[Callable[[Path, Path], list[Row]], ...] = (imports, reads, join, validation, memory, stream)


def _beside(
    case: str,
    ours: float,
    peers: tuple[Peer, ...],
    folder: Path,
    workspace: Path,
    *,
    result: float,
    faster: float = 0.0,
    target: float = 0.0,
) -> list[Row]:
    """One row for each peer; the target is a number, or so many times as fast as the first peer."""
    rows = []
    for peer in peers:
        theirs, shown, found = peer.measured(SCRIPT, folder, workspace)
        if shown == peer.name and not np.isclose(found, result, rtol=1e-9):
            raise AssertionError(f"{case}: {peer.name} found {found}, MNPU {result}")
        target = target or theirs / faster
        figures = (round(ours, 2), shown, round(theirs, 1), round(theirs / ours, 2), round(target, 1))
        rows.append(Row("data", f"{case}, 1 M rows", "ms", *figures))
    return rows


def _median(
    work: Callable[[], object], *, before: Callable[[], object] = lambda: None, repeats: int = REPEATS
) -> tuple[float, object]:
    """Milliseconds, after one run that compiles and fills caches, and what the work returned."""
    taken = []
    for _ in range(repeats + 1):
        before()
        began = time.perf_counter()
        result = work()
        taken.append(1e3 * (time.perf_counter() - began))
    return median(taken[1:]), result


def make_store(path: Path) -> None:
    """A store of one dataset: 525 symbols, each with the same 1,905 sessions."""
    from mnpu.data.build import create_schema

    rng = np.random.default_rng(0)
    days = pd.bdate_range("2010-01-04", periods=BARS) + pd.Timedelta(hours=16)
    at = days.tz_localize("America/New_York").tz_convert("UTC").as_unit("ns").asi8.tolist()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        create_schema(connection)
        connection.execute("BEGIN")
        insert(connection, "datasets", {**dict.fromkeys(DATASET_TEXTS, ""), **DATASET})
        for a in range(SYMBOLS):
            symbol = f"S{a:03}"
            key = {"dataset": "made_up", "symbol": symbol}
            insert(connection, "assets", {**key, "first_bar": at[0], "last_bar": at[-1], "n_bars": BARS})
            close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, BARS)))
            prices = [close.tolist(), (close * 1.01).tolist(), (close * 0.99).tolist(), close.tolist()]
            volume = rng.integers(1, 1_000_000, BARS).astype(float).tolist()
            connection.executemany(
                "INSERT INTO prices (dataset, symbol, event_time, knowledge_time, open, high, low, close, volume)"
                " VALUES ('made_up', ?, ?, ?, ?, ?, ?, ?, ?)",
                zip([symbol] * BARS, at, at, *prices, volume, strict=True),
            )
        connection.execute("COMMIT")


DATASET_TEXTS = ("vendor", "adjusted_as_of", "licence", "note")
DATASET = {"name": "made_up", "frequency": "1d", "stamp": "close", "adjustment": "none", "calendar": "XNYS"}
DATASET |= {"currency": "USD"}


def insert(connection: sqlite3.Connection, table: str, row: Mapping[str, object]) -> None:
    """One row by the names of its columns; the others get what the schema says."""
    places = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))


def make_releases(path: Path) -> None:
    """A million rows in the order of time and 100,000 releases, each with the code of its symbol."""
    rng = np.random.default_rng(0)
    n = SYMBOLS * BARS
    np.savez(
        path,
        at=np.sort(rng.integers(0, 10**18, n)),
        code=rng.integers(0, SYMBOLS, n).astype("int32"),
        known=np.sort(rng.integers(0, 10**18, RELEASES)),
        who=rng.integers(0, SYMBOLS, RELEASES).astype("int32"),
        value=rng.normal(size=RELEASES),
    )
