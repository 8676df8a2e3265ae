"""What the simulator is given of a run: the market around its decisions, how its account trades, what guards it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mnpu.data.conditions import execution_arrays, funding_paid
from mnpu.data.fills import Fills, marks
from mnpu.simulation.execution import Conditions
from mnpu.simulation.surroundings import surroundings
from mnpu.types import Forecast, Panel

if TYPE_CHECKING:
    from mnpu.assembly import Parts
    from mnpu.pipeline import Prepared

__all__ = ["account", "guarded", "market", "market_around"]


def market(prepared: Prepared) -> dict[str, Any]:
    """What the market did around each evaluated decision, as the simulator takes it."""
    return market_around(prepared.panel, prepared.fills, *prepared.rows)


def market_around(panel: Panel, fills: Fills, first: int, stop: int) -> dict[str, Any]:
    """The same around the decisions ``first <= t < stop`` of a panel, whose last one is held to the fill after it."""
    return {
        "prices": fills.prices[first : stop + 1],
        "fill_times": fills.times[first:stop],
        "tradable": panel.tradable[first:stop],
        "marks": marks(panel, fills)[first:stop],
        "cash": fills.cash[first : stop + 1],
        "ended": fills.ended[first : stop + 1],
    }


def account(parts: Parts, prepared: Prepared) -> dict[str, Any]:
    """What trading costs and, where the recipe says so, what the account's size limits, as the simulator takes it."""
    funding, costs = parts.config.costs.funding, parts.costs
    if parts.execution is None and funding is None and not costs.sized:
        return {"costs": costs}
    panel, fills, (first, stop) = prepared.panel, prepared.fills, prepared.rows
    volumes = costs.impact > 0 or (parts.execution is not None and parts.execution.participation is not None)
    known = execution_arrays(panel, fills, parts.config.fill, volumes=volumes)
    if funding is not None:
        known["funding"] = funding_paid(prepared.side, funding, panel.symbols, fills.times)
    conditions = Conditions(**{name: values[first:stop] for name, values in known.items()})
    return {"costs": costs, "execution": parts.execution, "conditions": conditions}


def guarded(parts: Parts, prepared: Prepared, forecast: Forecast) -> dict[str, Any]:
    """The guardrails and, where they look beyond the book, what the market and the forecast have told them."""
    chain, around = parts.chain, None
    if chain.path_dependent:
        around = surroundings(prepared.panel, prepared.rows, lookback=chain.lookback, forecast=forecast)
    return {"chain": chain, "around": around}
