"""The net returns of a run alone, read from its folder: what comparing it with other trials needs, and no more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from mnpu.errors import MnpuError
from mnpu.results_tables import Rows, read_table
from mnpu.types import Result

__all__ = ["Returns", "read_returns", "returns_of"]


@dataclass(frozen=True)
class Returns:
    """Net returns per bar of a run.

    Attributes
    ----------
    times : DatetimeIndex (T,)
        Decision times.
    net : float64 ndarray (T,)
        Of the judged strategy.
    models : mapping of str to float64 ndarray (T,)
        Of every strategy of the run that makes forecasts, the judged one among them; rules are not tried, they are
        there to compare with.
    paths : float64 ndarray (P, T) or None
        Of the judged strategy on every history of the split, where it has several.
    periods_per_year : float or None
    """

    times: pd.DatetimeIndex
    net: np.ndarray
    models: Mapping[str, np.ndarray] = field(default_factory=dict)
    paths: np.ndarray | None = None
    periods_per_year: float | None = None


def returns_of(result: Result) -> Returns:
    """The returns of a result."""
    models = {each.name: each.net for each in (result, *result.comparisons) if each.forecast is not None}
    paths = np.stack([path.net for path in result.paths]) if result.paths else None
    return Returns(result.times, result.net, models, paths, result.periods_per_year)


def read_returns(run_dir: str | Path) -> Returns | None:
    """The returns of the run in a folder; None where it holds no whole result."""
    folder = Path(run_dir)
    try:
        record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        table, paths = read_table(folder / "diagnostics.parquet"), read_table(folder / "paths.parquet")
        own = {each["name"]: Rows(table, each["name"]) for each in record["strategies"]}
        first = next(iter(own.values()))
        times = first.instants("time")
        models = {each["name"]: own[each["name"]].floats("net") for each in record["strategies"] if each["forecast"]}
        of_paths = None if paths is None else Rows(paths, None).floats("net").reshape(-1, len(times))
        q = float(record["strategies"][0]["periods_per_year"])
        return Returns(times, first.floats("net"), models, of_paths, q)
    except (OSError, ValueError, KeyError, TypeError, StopIteration, MnpuError):
        return None
