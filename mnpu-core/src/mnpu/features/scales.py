"""Whether columns are as scale-free as they say, tried on prices that a vendor adjusted with later knowledge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mnpu.errors import MnpuError
from mnpu.features.checks import adjusted_symbols, levels_error
from mnpu.features.evaluation import Work, evaluate, evaluate_into
from mnpu.features.plan import PlannedFeature
from mnpu.types import Panel, SideTable

__all__ = ["find_level", "scale_changes"]

#: Fields in the currency of a price, and the share of a column's values that may change when they are multiplied:
#: where two prices are nearly equal, rounding may decide.
MONEY = ("open", "high", "low", "close", "dividend", "open_dividend", "total_close", "delisting")
FEW = 1e-3
#: Rows on which that is tried.
NEWEST = 64


def find_level(work: Work) -> MnpuError | None:
    """The error about a column that says it is scale-free, and is not, where it could read an adjusted level.

    ``work`` is done. The newest rows tell: those of columns without a state are computed once more, from other prices,
    and a column that gives the same numbers from these is accepted. Of any other, and of those with a state, rows
    after a warm-up of their own are compared. What goes wrong meanwhile is returned, too, as it is worth less than
    what else is found out about the values.
    """
    try:
        _refuse_levels(work)
    except MnpuError as error:
        return error
    return None


def _refuse_levels(work: Work) -> None:
    panel, side = work.panel, work.side
    adjusted = adjusted_symbols(panel)
    claims = [f for f, column in enumerate(work.planned) if column.spec.scale_free and column.spec.fields]
    if not adjusted or not claims:
        return
    plain = [f for f in claims if not work.planned[f].spec.state]
    doubtful = set(claims) - {f for f, same in zip(plain, _same(work, plain, adjusted), strict=True) if same}
    columns = [work.planned[f] for f in sorted(doubtful)]
    if not columns:
        return
    recent = _newest(columns, panel)
    first = 0 if any(column.spec.state for column in columns) else max(len(recent.times) - NEWEST, 0)
    values = evaluate(columns, recent, side, first=first)
    share = scale_changes(columns, recent, side, values, adjusted).mean(axis=(0, 1))
    for column, changed in zip(columns, share.tolist(), strict=True):
        if changed > FEW:
            what = "it reads price levels, although it says that it is scale-free"
            raise levels_error(what, column.spec, adjusted, panel)


def scale_changes(
    planned: Sequence[PlannedFeature],
    panel: Panel,
    side: SideTable,
    values: np.ndarray,
    symbols: Sequence[int],
) -> np.ndarray:
    """Where ``values`` change when the prices of each of ``symbols`` are multiplied by a number of its own.

    Boolean, of the shape of ``values``, which are those of the last rows; nowhere true for a scale-free column. The
    numbers are powers of two, so that ratios stay equal to the last bit; they differ between symbols, as adjustments
    do, so that comparing prices of two symbols shows.
    """
    other = evaluate(planned, _scaled(panel, symbols), side, first=len(panel.times) - len(values))
    size = np.max(np.abs(values), axis=(0, 1), initial=0.0, where=np.isfinite(values))
    changed: np.ndarray = ~np.isclose(other, values, rtol=1e-6, atol=1e-9 * size, equal_nan=True)
    return changed


def _scaled(panel: Panel, symbols: Sequence[int]) -> Panel:
    factor = np.ones(panel.shape[1])
    factor[list(symbols)] = 2.0 ** (1 + np.arange(len(symbols)) * 5 % 11)
    money = {name: field * factor for name, field in panel.fields.items() if name in MONEY}
    return replace(panel, fields={**panel.fields, **money})


def _newest(columns: Sequence[PlannedFeature], panel: Panel) -> Panel:
    rows = len(panel.times)
    return panel.rows(max(rows - max(column.spec.warmup for column in columns) - NEWEST, 0), rows)


def _same(work: Work, numbers: Sequence[int], adjusted: Sequence[int]) -> list[bool]:
    """Whether each column of the newest rows, as they were computed, is the same float32 from scaled prices."""
    if not numbers:
        return []
    columns = [work.planned[f] for f in numbers]
    recent = _newest(columns, work.panel)
    wanted = min(NEWEST, len(recent.times))
    other = np.empty((len(columns), wanted, work.panel.shape[1]), dtype=np.float32)
    first = len(recent.times) - wanted
    evaluate_into(other, columns, _scaled(recent, adjusted), work.side, first=first)
    rows = work.target.array.shape[1]
    found = []
    for f, scaled in zip(numbers, other, strict=True):
        values = work.target.array[f, rows - wanted :]
        differ = (scaled != values) & ((scaled == scaled) | (values == values))  # NaN is like NaN
        found.append(bool(np.count_nonzero(differ) <= FEW * differ.size))
    return found
