"""Net returns by month and year, as a table that is coloured by size."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mnpu.report.format import NOT_AVAILABLE, percent
from mnpu.types import Result, Section, Table

__all__ = ["calendar_returns", "monthly"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def calendar_returns(result: Result) -> Section:
    """Compound net returns of each month and year, newest year first.

    A month or year that the run covers in part shows the part that it covers.
    """
    table = monthly(result)
    if table.empty:
        return Section("Calendar returns", ("The run made no decision.",))
    scale = float(np.nanquantile(np.abs(table.to_numpy()), 0.95)) or 1.0
    rows, shade = [], []
    for year in sorted(table.index, reverse=True):
        cells = table.loc[year].to_numpy(dtype=float)
        whole = float(np.nanprod(1 + cells) - 1)
        rows.append((str(year), *(_cell(value) for value in cells), percent(whole)))
        shade.append((None, *(_tone(value, scale) for value in cells), None))
    return Section(
        "Calendar returns",
        (
            "Net returns of the strategy, compounded within each month and year; a return counts where its decision "
            "was made.",
            Table(("Year", *_MONTHS, "Year’s total"), tuple(rows), shade=tuple(shade)),
        ),
    )


def monthly(result: Result) -> pd.DataFrame:
    """Compound net return, one row per year and one column per month 1 to 12; NaN where no decision was made."""
    net = pd.Series(np.asarray(result.net, dtype=float), index=result.times)
    if net.empty:
        return pd.DataFrame(columns=range(1, 13), dtype=float)
    grown = (1 + net).groupby([net.index.year, net.index.month]).prod(min_count=1) - 1
    return grown.unstack().reindex(columns=range(1, 13))


def _cell(value: float) -> str:
    return "" if not np.isfinite(value) else percent(value) or NOT_AVAILABLE


def _tone(value: float, scale: float) -> float | None:
    return None if not np.isfinite(value) else float(np.clip(value / scale, -1, 1))
