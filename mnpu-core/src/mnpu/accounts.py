"""What the simulator is given of a run: the market around its decisions, how its account trades, what guards it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mnpu.data.conditions import execution_arrays, funding_paid
from mnpu.data.currency import OPEN_RATE, RATE, in_account_currency
from mnpu.data.fills import Fills, fill_notes, marks
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Conditions, Execution
from mnpu.simulation.surroundings import surroundings
from mnpu.types import Forecast, Panel, SideTable

if TYPE_CHECKING:
    from mnpu.assembly import Parts
    from mnpu.pipeline import Prepared

__all__ = ["account", "account_around", "account_notes", "as_quoted", "guarded", "market", "market_around"]


def market(prepared: Prepared) -> dict[str, Any]:
    """What the market did around each evaluated decision, as the simulator takes it."""
    return market_around(prepared.priced, prepared.fills, *prepared.rows)


def market_around(panel: Panel, fills: Fills, first: int, stop: int) -> dict[str, Any]:
    """The same around the decisions ``first <= t < stop`` of a panel, whose last one is held to the fill after it."""
    return {
        "prices": fills.prices[first : stop + 1],
        "fill_times": fills.times[first:stop],
        "tradable": panel.tradable[first:stop],
        "marks": marks(in_account_currency(panel), fills)[first:stop],
        "cash": fills.cash[first : stop + 1],
        "ended": fills.ended[first : stop + 1],
    }


def account(parts: Parts, prepared: Prepared) -> dict[str, Any]:
    """What trading costs and, where the recipe says so, what the account's size limits, as the simulator takes it."""
    config = parts.config
    return account_around(
        (prepared.priced, prepared.side, prepared.fills),
        prepared.rows,
        fill=config.fill,
        costs=parts.costs,
        execution=parts.execution,
        funding=config.costs.funding,
    )


def account_around(
    told: tuple[Panel, SideTable | None, Fills],
    rows: tuple[int, int],
    *,
    fill: str,
    costs: CostModel,
    execution: Execution | None,
    funding: str | None,
) -> dict[str, Any]:
    """The same for the decisions ``rows[0] <= t < rows[1]`` of a panel; without side data no funding is known."""
    if execution is None and funding is None and not costs.sized:
        return {"costs": costs}
    (panel, side, fills), (first, stop) = told, rows
    volumes = costs.impact > 0 or (execution is not None and execution.participation is not None)
    known = execution_arrays(in_account_currency(panel), fills, fill, volumes=volumes)
    if funding is not None and side is not None:
        known["funding"] = funding_paid(side, funding, panel.symbols, fills.times)
    conditions = Conditions(**{name: values[first:stop] for name, values in known.items()})
    return {"costs": costs, "execution": execution, "conditions": conditions}


def guarded(parts: Parts, prepared: Prepared, forecast: Forecast) -> dict[str, Any]:
    """The guardrails and, where they look beyond the book, what the market and the forecast have told them."""
    chain, around = parts.chain, None
    if chain.path_dependent:
        around = surroundings(prepared.priced, prepared.rows, lookback=chain.lookback, forecast=forecast)
    return {"chain": chain, "around": around}


def as_quoted(fills: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """The fills at the prices on the screen: over the splits up to the fill, and in the currency of the symbol."""
    if fills.empty:
        return fills
    bar = panel.times.searchsorted(fills["time"])  # a fill at an open belongs to the bar that closes after it
    column = pd.Index(panel.symbols).get_indexer(fills["symbol"])
    at_close = np.asarray(panel.times[bar] == pd.DatetimeIndex(fills["time"]))
    prices = fills["price"].to_numpy()
    # a split on a Wednesday is in the close of its week, and not in its open
    for close, opened in (("split_factor", "open_factor"), (RATE, OPEN_RATE)):
        if close in panel.fields:
            of_open = panel.fields.get(opened, panel[close])[bar, column]
            prices = prices / np.where(at_close, panel[close][bar, column], of_open)
    return fills.assign(price=prices)


def account_notes(parts: Parts, panel: Panel) -> tuple[str, ...]:
    """What a reader must know of the account: how it is filled, what its lots count, which currencies it holds."""
    config, lines = parts.config, []
    adjusted = sorted({info.name for info in panel.datasets if info.adjustment != "none"})
    if config.execution is not None and config.execution.lot is not None and adjusted:
        lines.append(
            f"Lots count shares as {', '.join(adjusted)} adjusted them for later splits, not those of the day."
        )
    quoted = sorted({info.currency or "several currencies" for info in panel.datasets})
    if RATE in panel.fields:
        lines.append(f"The account is in {config.currency}; prices in {', '.join(quoted)} are converted at each fill.")
    elif config.currency is None and quoted != sorted({info.currency for info in panel.datasets[:1]}):
        lines.append(
            f"Prices are in {', '.join(quoted)}, and each return counts as it is quoted, as if rates never moved:"
            " set currency to convert them."
        )
    return (*fill_notes(panel, config.fill), *lines)
