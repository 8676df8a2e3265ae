"""How orders are executed: how large the account is, what a bar's volume allows, and when a broker steps in."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from mnpu.config.models import ExecutionConfig
from mnpu.errors import ConfigError, DataError

__all__ = ["KINDS", "SETTINGS", "Conditions", "Execution"]

#: Kinds of cost, and all settings of an account, in the order in which `mnpu.simulation.order_loops` reads them.
KINDS = ("commission", "half_spread", "impact", "borrow", "funding", "liquidation")
SETTINGS = (*KINDS, "participation", "lot", "minimum", "carry", "maintenance")
#: Every default stands in the configuration, and nowhere else.
DEFAULTS = ExecutionConfig()


@dataclass(frozen=True)
class Execution:
    """Limits of execution that depend on the size of the account.

    Parameters
    ----------
    capital : float
        What the account starts with, in its own currency.
    participation : float or None
        Largest share of the value traded in the bar of the fill; None for no limit.
    carry : bool
        What the bar's volume did not allow is tried again in the next bars, until another order replaces it.
    lot : float or None
        Shares of the day are traded in whole multiples of it, but for what closes a position; None for fractions of a
        share.
    min_notional : float
        An order of a smaller value is not sent, but for what closes a position.
    maintenance : float or None
        Smallest equity over the size of all positions; below it all of them are closed. None: no one is liquidated
        before the account is lost.
    """

    capital: float = DEFAULTS.capital
    participation: float | None = DEFAULTS.participation
    carry: bool = DEFAULTS.carry
    lot: float | None = DEFAULTS.lot
    min_notional: float = DEFAULTS.min_notional
    maintenance: float | None = DEFAULTS.maintenance

    def __post_init__(self) -> None:
        limits = {"capital": self.capital, "participation": self.participation, "lot": self.lot}
        for name, value in {**limits, "maintenance": self.maintenance}.items():
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name} is {value}", where="execution", expected="a positive number")
        if not 0 <= self.min_notional < float("inf"):
            raise ConfigError(f"min_notional is {self.min_notional}", where="execution", expected="at least 0")


@dataclass(frozen=True)
class Conditions:
    """What execution depends on beside prices, for T decisions over A symbols; None where it is not known.

    Attributes
    ----------
    volume : float64 (T, A) or None
        Value traded in the bar of the fill, in the currency of the capital. Nothing is filled where it is NaN and
        participation is limited.
    usual, volatility : float64 (T, A) or None
        Value traded in a usual bar and volatility a bar, as known at the decision: what impact is measured by.
    funding : float64 (T, A) or None
        What a long position pays from fill t to fill t + 1, fraction of its value; negative where it receives.
    years : float64 (T,) or None
        Between the two fills: what is borrowed costs by the year.
    low, high : float64 (T, A) or None
        Return from fill t to the lowest and to the highest price up to fill t + 1.
    factor : float64 (T, A) or None
        Product of all splits up to fill t: ``prices / factor`` are the prices of the day, and orders count its shares.
        None: there are no splits.
    """

    volume: np.ndarray | None = None
    usual: np.ndarray | None = None
    volatility: np.ndarray | None = None
    funding: np.ndarray | None = None
    years: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    factor: np.ndarray | None = None

    def check(self, shape: tuple[int, int]) -> None:
        """Refuse what is not about (T, A) decisions, and numbers that cannot be (DataError)."""
        for field in fields(self):
            values = getattr(self, field.name)
            expected = shape[:1] if field.name == "years" else shape
            if values is not None and np.shape(values) != expected:
                raise DataError(
                    f"{field.name} has the shape {np.shape(values)}", where="simulation", expected=f"{expected}"
                )
        if self.funding is not None and not np.isfinite(self.funding).all():
            raise DataError("funding that is not finite", where="simulation", expected="0 where none is paid")
        for name, least in (("usual", 0.0), ("volatility", 0.0), ("low", -1.0), ("high", -1.0)):
            values = getattr(self, name)
            if values is not None and ((values < least) | (values == np.inf)).any():
                raise DataError(
                    f"{name} with a value below {least:g} or without end",
                    where="simulation",
                    expected=f"numbers of at least {least:g}, or NaN where unknown",
                )
        if self.years is not None and not ((self.years >= 0) & np.isfinite(self.years)).all():
            raise DataError("years with a value that is no time", where="simulation", expected="0 or more")
        if self.factor is not None and not ((self.factor > 0) & np.isfinite(self.factor)).all():
            raise DataError(
                "a split factor that is no positive number", where="simulation", expected="1 without a split"
            )

    def extremes(self, returns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return from fill t to the lowest and to the highest price up to fill t + 1, (T, A), where ``returns`` leads.

        The price at the next fill is one of those in between; where an extreme is not known, it is the one that is. A
        share that ended is worth what it became.
        """
        found = []
        for values, extreme in ((self.low, np.fmin), (self.high, np.fmax)):
            reached = returns if values is None else np.where(returns == -1.0, -1.0, extreme(values, returns))
            found.append(reached)
        return found[0], found[1]
