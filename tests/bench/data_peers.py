"""What a peer needs for one piece of work of the topic ``data``: ``python data_peers.py WORK FOLDER REPEATS``.

Runs in the peer's environment, where MNPU is not installed. Prints the median in milliseconds and a number to compare
results by; for memory the peak over what the arrays need.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median

QUERY = "SELECT symbol, event_time, open, high, low, close, volume FROM prices"


def read_pandas(folder):
    import sqlite3

    import pandas as pd

    with sqlite3.connect(folder / "market.db") as connection:
        frame = pd.read_sql(QUERY, connection)
    return frame["close"].sum()


def read_adbc(folder):
    import adbc_driver_sqlite.dbapi as adbc

    with adbc.connect(str(folder / "market.db")) as connection, connection.cursor() as cursor:
        cursor.execute(QUERY)
        return cursor.fetch_arrow_table()["close"].to_numpy().sum()


def read_connectorx(folder):
    import connectorx

    table = connectorx.read_sql(f"sqlite://{folder / 'market.db'}", QUERY, return_type="arrow")
    return table["close"].to_numpy().sum()


def again_parquet(folder):
    import pandas as pd

    if not (folder / "prices.parquet").exists():
        import sqlite3

        with sqlite3.connect(folder / "market.db") as connection:
            pd.read_sql(QUERY, connection).to_parquet(folder / "prices.parquet", compression="zstd")
    return pd.read_parquet(folder / "prices.parquet")["close"].sum()


HELD = {}


def before_write_pandas(folder):
    import pandas as pd

    (folder / "peer.db").unlink(missing_ok=True)
    if not HELD:
        HELD["frame"] = pd.read_parquet(folder / "bars.parquet")


def write_pandas(folder):
    import sqlite3

    frame, connection = HELD["frame"], sqlite3.connect(folder / "peer.db")
    frame.to_sql("prices", connection, index=False)
    connection.close()
    return frame["close"].sum()


def _frames(folder):
    import numpy as np

    held = np.load(folder / "join.npz")
    names = np.array([f"S{i:03}" for i in range(int(held["who"].max()) + 1)])
    left = {"t": held["at"], "symbol": names[held["code"]]}
    return left, {"t": held["known"], "symbol": names[held["who"]], "value": held["value"]}


def join_pandas(folder, kept={}):  # noqa: B006
    import pandas as pd

    if not kept:
        left, right = _frames(folder)
        kept.update(left=pd.DataFrame(left), right=pd.DataFrame(right))
    return pd.merge_asof(kept["left"], kept["right"], on="t", by="symbol")["value"].sum()


def join_polars(folder, kept={}):  # noqa: B006
    import polars as pl

    if not kept:
        left, right = _frames(folder)
        kept.update(left=pl.DataFrame(left).set_sorted("t"), right=pl.DataFrame(right).set_sorted("t"))
    joined = kept["left"].join_asof(kept["right"], on="t", by="symbol", check_sortedness=False)
    return joined["value"].drop_nans().sum()


def _memory(key):
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if key in line)


def memory_pandas(folder):
    import sqlite3

    import pandas as pd

    connection = sqlite3.connect(folder / "market.db")
    pd.read_sql(f"{QUERY} LIMIT 100", connection)
    Path("/proc/self/clear_refs").write_text("5")
    before = _memory("VmRSS")
    frame = pd.read_sql(QUERY, connection)
    arrays = sum(frame[name].to_numpy().nbytes for name in frame.columns if name != "symbol")
    return (_memory("VmHWM") - before) * 1024 / arrays


def main(work, folder, repeats):
    function, folder = globals()[work], Path(folder)
    before = globals().get(f"before_{work}", lambda folder: None)  # not measured
    before(folder)
    result = function(folder)
    taken = []
    for _ in range(int(repeats)):
        before(folder)
        began = time.perf_counter()
        function(folder)
        taken.append(1e3 * (time.perf_counter() - began))
    print(json.dumps([median(taken) if taken else 0.0, float(result)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
