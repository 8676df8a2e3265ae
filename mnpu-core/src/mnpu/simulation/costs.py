"""What trading costs, by kind, as a fraction of equity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace

from mnpu.errors import ConfigError

__all__ = ["CostModel"]


@dataclass(frozen=True)
class CostModel:
    """Charge commission and half the spread on traded notional, never on what is held.

    Parameters
    ----------
    commission_bps, half_spread_bps : float
        Basis points of the traded notional, at least 0.
    """

    commission_bps: float = 1.0
    half_spread_bps: float = 2.0

    def __post_init__(self) -> None:
        for name, value in (("commission_bps", self.commission_bps), ("half_spread_bps", self.half_spread_bps)):
            if not 0 <= value < float("inf"):
                raise ConfigError(f"{name} is {value}", where="costs", expected="a number of basis points, at least 0")

    @property
    def bps(self) -> float:
        """Cost of one unit of traded notional, basis points."""
        return self.commission_bps + self.half_spread_bps

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
