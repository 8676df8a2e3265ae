"""What the simulator is given of a run: the market around its decisions, how its account trades, what guards it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mnpu.data.conditions import execution_arrays, funding_paid
from mnpu.data.fills import marks
from mnpu.simulation.execution import Conditions
from mnpu.simulation.surroundings import surroundings
from mnpu.types import Forecast

if TYPE_CHECKING:
    from mnpu.assembly import Parts
    from mnpu.pipeline import Prepared

__all__ = ["account", "guarded", "market"]


def market(prepared: Prepared) -> dict[str, Any]:
    """What the market did around each evaluated decision, as the simulator takes it."""
    first, stop = prepared.rows
    return {
        "prices": prepared.fills.prices[first : stop + 1],
        "fill_times": prepared.fills.times[first:stop],
        "tradable": prepared.panel.tradable[first:stop],
        "marks": marks(prepared.panel, prepared.fills)[first:stop],
        "cash": prepared.fills.cash[first : stop + 1],
        "ended": prepared.fills.ended[first : stop + 1],
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
