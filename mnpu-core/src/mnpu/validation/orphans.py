"""Side data about symbols without prices, and corporate actions of symbols that do not exist."""

from __future__ import annotations

import numpy as np

from mnpu.data.rows import PriceRows
from mnpu.types import SideTable
from mnpu.validation.bars import Table, side_found
from mnpu.validation.findings import Context, Finding, Rule

__all__ = ["Orphans"]

ORPHAN_SIDE = Rule(
    "side data is filed under a symbol that has prices",
    "warning",
    "Rows under another name (BTC beside BTCUSD) join to nothing, and the feature is silently empty.",
    "Set the base of the symbol that the rows are about, or ignore this if its prices are not needed.",
)
ORPHAN_ACTION = Rule(
    "a corporate action is of a symbol that has prices",
    "warning",
    "A split under another name adjusts nothing, and the price falls in half.",
    "Correct the symbol of the corporate action.",
)


#: Kinds whose symbol is a country, a currency or a region, and no asset.
ABOUT_PLACES = ("benchmark", "calendar", "macro")


class Orphans:
    """Rows about symbols that the store has no prices of; it needs the context of ``mnpu data check``."""

    reads = (PriceRows, SideTable)
    rules = (ORPHAN_SIDE, ORPHAN_ACTION)

    def check(self, table: Table, context: Context | None = None) -> list[Finding]:
        """Symbols of side data, or of corporate actions, that have no prices."""
        if context is None:
            return []
        if isinstance(table, SideTable):
            return _side(table, context) if context.bases else []
        return _actions(table, context) if isinstance(table, PriceRows) else []


def _side(table: SideTable, context: Context) -> list[Finding]:
    symbol = table.symbol.astype(str)
    names, first, which = np.unique(symbol, return_index=True, return_inverse=True)
    elsewhere = np.array([getattr(i, "kind", "macro") in ABOUT_PLACES for i in table.info.values()], dtype=bool)
    places = np.array(list(table.info), dtype=str)[elsewhere]
    orphan = np.array([bool(name) and name not in context.bases for name in names])
    rows = np.bincount(which)
    chosen = first[orphan]
    chosen = chosen[~np.isin(table.series[chosen].astype(str), places)]
    count = dict(zip(names.tolist(), rows.tolist(), strict=True))
    return side_found(
        ORPHAN_SIDE,
        table,
        chosen,
        lambda i: f"is filed under {symbol[i]}, which has no prices ({count[symbol[i]]} rows)",
    )


def _actions(table: PriceRows, context: Context) -> list[Finding]:
    with_bars = {table.symbols[code] for code in np.unique(table.code)}
    lost = sorted(symbol for symbol in context.actions if symbol not in with_bars)
    if not lost:
        return []
    records = tuple({"symbol": symbol, "n_actions": len(context.actions[symbol].event_time)} for symbol in lost[:5])
    rule = ORPHAN_ACTION
    return [Finding(rule.text, rule.severity, len(lost), f"{lost[0]} has no prices", rule.hint, records)]
