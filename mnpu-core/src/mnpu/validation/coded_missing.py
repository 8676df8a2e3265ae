"""Numbers that mean "nothing": 0.0, -99.99, -999 and their like, and cells that are missing beside others."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mnpu.data.rows import PriceRows
from mnpu.types import Panel, SideTable
from mnpu.validation.bars import Table, bars_of, found, side_found
from mnpu.validation.findings import Context, Finding, Rule

__all__ = ["CodedMissing"]

SENTINEL = Rule(
    "missing values are missing, not a number such as -99.99",
    "error",
    "A code for missing is an extreme value to everything that reads it: a factor return of -9999 %.",
    "Name the code in the import's mapping, so that its cells become missing.",
)
ZERO = Rule(
    "0.0 is a value, not a gap",
    "warning",
    "A zero among large values is a fall of 100 % and a rise without bound.",
    "Map 0 to missing where the source writes it for no value.",
)
ZERO_VOLUME = Rule(
    "a symbol that trades has a volume",
    "warning",
    "A bar without volume could not be filled; mostly the volume is only missing.",
    "Leave the volume empty where it is not known, and the bar out where nothing traded.",
)
EMPTY_VOLUME = Rule(
    "a volume column holds volumes",
    "warning",
    "A column of zeros says that it is not measured: features of volume would be constant.",
    "Do not map the column at the import.",
)
MISSING_CELLS = Rule(
    "a bar has all the prices that its dataset has",
    "warning",
    "A bar with a close only cannot be filled at its open, and has no range.",
    "Fetch the bar again; it stays missing where it is.",
)

#: Numbers that files write for "no value".
CODES = (-99.0, -99.9, -99.99, -999.0, -999.9, -999.99, -9999.0, -9999.99, -99999.0, 99999.0, 999999.0, 9999999.0)


class CodedMissing:
    """Codes for missing values, zeros among large values, volumes of 0, and bars that lack some of their prices."""

    reads = (Panel, PriceRows, SideTable)
    rules = (SENTINEL, ZERO, ZERO_VOLUME, EMPTY_VOLUME, MISSING_CELLS)

    def check(self, table: Table, context: Context | None = None) -> list[Finding]:
        """Cells that hold no value but a number, of prices and of side data."""
        if isinstance(table, SideTable):
            return _side(table)
        read = bars_of(table)
        if read is None:
            return []
        bars, origin = read
        return [*_codes(bars, origin), *_volumes(bars, origin), *_cells(bars, origin)]


def _side(table: SideTable) -> list[Finding]:
    if not len(table):
        return []
    group, _ = pd.factorize(pd.MultiIndex.from_arrays([table.series.astype(str), table.symbol.astype(str)]))
    order = np.lexsort((table.knowledge_time.asi8, table.event_time.asi8, group))
    value, group = table.value[order], group[order]
    coded, zero = np.zeros((2, len(table)), dtype=bool)
    candidates = np.isin(value, CODES)
    for g in np.unique(group[candidates]):
        cells = value[group == g]
        rest = cells[~np.isin(cells, CODES) & np.isfinite(cells)]
        coded[order[(group == g) & candidates]] = _is_far(value[(group == g) & candidates], rest)
    inner = np.flatnonzero((value[1:-1] == 0) & (group[1:-1] == group[:-2]) & (group[1:-1] == group[2:])) + 1
    scale = pd.Series(np.abs(value)).groupby(group).transform("median").to_numpy()
    share = pd.Series(value == 0).groupby(group).transform("mean").to_numpy()
    beside = np.minimum(np.abs(value[inner - 1]), np.abs(value[inner + 1]))
    calm = np.abs(value[inner + 1] - value[inner - 1]) < 0.5 * beside
    signs = pd.Series(np.sign(value)).groupby(group).agg(["min", "max"]).to_numpy()[group[inner]]
    one_sign = (signs[:, 0] >= 0) | (signs[:, 1] <= 0)  # of a series that changes its sign, 0 is one more value
    zero[order[inner[(beside > 0.5 * scale[inner]) & (share[inner] < 0.02) & calm & one_sign]]] = True
    return [
        *side_found(SENTINEL, table, coded, lambda i: f"is {table.value[i]:g}, far from every other value"),
        *side_found(ZERO, table, zero, lambda i: "is 0 between values that are not near it"),
    ]


def _is_far(codes: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Whether each code lies further from the other values than these are spread."""
    if len(rest) < 3:
        return np.zeros(len(codes), dtype=bool)
    low, high = np.quantile(rest, [0.01, 0.99])
    spread = max(float(high - low), 1e-9)
    return (codes < low - 2 * spread) | (codes > high + 2 * spread)


def _codes(bars: PriceRows, origin: np.ndarray) -> list[Finding]:
    coded = np.zeros(len(bars), dtype=bool)
    names = [name for name in ("open", "high", "low", "close", "adj_close") if name in bars]
    for name in names:
        for at in np.flatnonzero(np.isin(bars[name], CODES)):
            start, stop = bars.starts[bars.code[at]], bars.starts[bars.code[at] + 1]
            rest = bars[name][start:stop]
            coded[at] |= bool(_is_far(bars[name][at : at + 1], rest[~np.isin(rest, CODES) & np.isfinite(rest)])[0])
    zero = np.zeros(len(bars), dtype=bool)
    for name in names:
        zero |= bars[name] == 0

    def describe(i: int) -> str:
        return "has " + ", ".join(f"{n} {bars[n][i]:g}" for n in names if bars[n][i] == 0 or bars[n][i] in CODES)

    return [
        *found(SENTINEL, bars, coded, describe, origin=origin),
        *found(ZERO, bars, zero & ~coded, describe, origin=origin),
    ]


def _volumes(bars: PriceRows, origin: np.ndarray) -> list[Finding]:
    if "volume" not in bars:
        return []
    volume = bars["volume"]
    n_symbols = len(bars.symbols)
    present = np.bincount(bars.code[~np.isnan(volume)], minlength=n_symbols)
    zeros = np.bincount(bars.code[volume == 0], minlength=n_symbols)
    never = (zeros == present) & (present > 0)
    begins = np.flatnonzero(~bars.same_symbol)
    return [
        *found(
            ZERO_VOLUME,
            bars,
            (volume == 0) & ~never[bars.code],
            lambda i: f"has volume 0, as {zeros[bars.code[i]]} of {present[bars.code[i]]} bars have",
            origin=origin,
        ),
        *found(
            EMPTY_VOLUME,
            bars,
            begins[never[bars.code[begins]]],
            lambda i: f"begins {present[bars.code[i]]} bars of volume 0",
            origin=origin,
        ),
    ]


def _cells(bars: PriceRows, origin: np.ndarray) -> list[Finding]:
    """Bars that lack a price which nearly all other bars of their symbol have."""
    names = [name for name in ("open", "high", "low", "close") if name in bars]
    rows = np.maximum(np.bincount(bars.code, minlength=len(bars.symbols)), 1)
    lacking = np.zeros(len(bars), dtype=bool)
    for name in names:
        missing = np.isnan(bars[name])
        usual = np.bincount(bars.code[missing], minlength=len(bars.symbols)) < 0.5 * rows
        lacking |= missing & usual[bars.code]
    return found(
        MISSING_CELLS,
        bars,
        lacking,
        lambda i: f"lacks {', '.join(name for name in names if np.isnan(bars[name][i]))}",
        origin=origin,
    )
