"""Parquet tables of a result: typed columns in, exact arrays out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mnpu.errors import MnpuError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "UNCALIBRATED",
    "Rows",
    "cell_keys",
    "quantile_name",
    "read_table",
    "repeated",
    "texts",
    "utc_ns",
    "write_table",
]

UNCALIBRATED = "uncalibrated."  #: Prefix of the columns of a forecast before its calibration.


class Rows:
    """The rows of one strategy (all, for None) of a table, column by column."""

    def __init__(self, table: pa.Table | None, strategy: str | None) -> None:
        import pyarrow.compute as pc

        if table is None:
            raise KeyError("a table is missing")
        self.table = table if strategy is None else table.filter(pc.equal(table["strategy"], strategy))

    def floats(self, name: str) -> np.ndarray:
        """A column as float64; null is NaN."""
        return np.asarray(self.table[name].to_numpy(), dtype=np.float64)

    def flags(self, name: str) -> np.ndarray:
        """A column as bool."""
        return np.asarray(self.table[name].to_numpy(), dtype=bool)

    def instants(self, name: str) -> pd.DatetimeIndex:
        """A column as UTC instants; null is NaT."""
        values = np.asarray(self.table[name].cast("timestamp[ns]").to_numpy(), dtype="datetime64[ns]")
        index: pd.DatetimeIndex = pd.DatetimeIndex(values, tz="UTC")
        return index


def cell_keys(times: pd.DatetimeIndex, symbols: tuple[str, ...]) -> dict[str, Any]:
    """Time and symbol of each cell of a (T, A) table, row by row."""
    import pyarrow as pa

    index = np.tile(np.arange(len(symbols), dtype=np.int32), len(times))
    coded = pa.DictionaryArray.from_arrays(pa.array(index), pa.array(list(symbols), pa.string()))
    return {"time": utc_ns(times).repeat(len(symbols)), "symbol": coded}


def repeated(text: str, n: int) -> pa.DictionaryArray:
    """The same text ``n`` times."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, dtype=np.int32)), pa.array([text], pa.string()))


def texts(values: Iterable[str]) -> pa.Array:
    """Any texts, one a row."""
    import pyarrow as pa

    return pa.array(list(values), pa.string())


def utc_ns(times: pd.DatetimeIndex) -> np.ndarray:
    """Instants as datetime64[ns], UTC."""
    return np.asarray(times.tz_convert("UTC").tz_localize(None).as_unit("ns"), dtype="datetime64[ns]")


def write_table(path: Path, parts: Sequence[Mapping[str, Any]]) -> None:
    """Write parts below each other; columns that a part lacks are null. Nothing is written for no parts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not parts:
        return
    tables = [pa.table({name: _column(values) for name, values in part.items()}) for part in parts]
    joined = pa.concat_tables(tables, promote_options="default").unify_dictionaries()
    pq.write_table(joined, path, compression="zstd")


def _column(values: Any) -> Any:
    import pyarrow as pa

    if not isinstance(values, np.ndarray):
        return values
    if values.dtype.kind == "M" and values.dtype != np.dtype("datetime64[D]"):
        return pa.array(values.astype("datetime64[ns]"), pa.timestamp("ns", tz="UTC"))
    return pa.array(values.tolist()) if values.dtype == object else pa.array(values)


def read_table(path: Path) -> pa.Table | None:
    """The table in a file, None if there is no file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    try:
        return pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise MnpuError(f"cannot be read ({str(error).splitlines()[0]})", where=str(path)) from error


def quantile_name(horizon: int, level: float) -> str:
    """Column of one quantile, as ``h5.q0.05``."""
    return f"h{horizon}.q{level!r}"
