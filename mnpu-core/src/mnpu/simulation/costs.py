"""What trading costs, by kind, as a fraction of equity."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from array_api_compat import array_namespace

from mnpu.config.models import CostsConfig
from mnpu.errors import ConfigError

__all__ = ["CostModel"]

#: Every default stands in the configuration, and nowhere else.
DEFAULTS = CostsConfig()


@dataclass(frozen=True)
class CostModel:
    """Charge trades on traded notional and loans on what is borrowed, never a trade's cost on what is held.

    Parameters
    ----------
    commission_bps, half_spread_bps : float
        Basis points of the traded notional, at least 0.
    impact : float
        Coefficient of the square-root law: a trade as large as a usual bar's value moves the price by ``impact``
        times the volatility of a bar. 0 for none.
    borrow_bps : float
        Basis points a year of the value of short positions.
    liquidation_bps : float
        Basis points of what is closed when a broker steps in, beside commission and spread.
    """

    commission_bps: float = DEFAULTS.commission_bps
    half_spread_bps: float = DEFAULTS.half_spread_bps
    impact: float = DEFAULTS.impact
    borrow_bps: float = DEFAULTS.borrow_bps
    liquidation_bps: float = DEFAULTS.liquidation_bps

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < float("inf"):
                unit = "a number" if field.name == "impact" else "a number of basis points"
                raise ConfigError(f"{field.name} is {value}", where="costs", expected=f"{unit}, at least 0")

    @property
    def bps(self) -> float:
        """Cost of one unit of traded notional, basis points."""
        return self.commission_bps + self.half_spread_bps

    @property
    def sized(self) -> bool:
        """Whether costs depend on more than what is traded, fraction of equity: on its size, or on what is held."""
        return self.impact > 0 or self.borrow_bps > 0

    def by_kind(self, traded: Any) -> dict[str, Any]:
        """Cost of each kind, fraction of equity before the trade.

        Parameters
        ----------
        traded : array (..., A)
            Change of each weight, fraction of equity before the trade.

        Returns
        -------
        costs : dict of str to array (...,)
            ``commission`` and ``half_spread``.
        """
        xp = array_namespace(traded)
        notional = xp.sum(xp.abs(traded), axis=-1)
        return {
            "commission": notional * (self.commission_bps / 1e4),
            "half_spread": notional * (self.half_spread_bps / 1e4),
        }
