"""What a policy is, and the refusal that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mnpu.errors import ConfigError, DataError
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["Policy", "require_symbols", "rows_agree", "within_limits"]


class Policy(Protocol):
    """A rule that turns row t of the forecast, and what was known at t, into the book wanted after t.

    Attributes
    ----------
    gross : float
        Promise: the absolute weights of a row never sum to more.
    lookback : int
        Rows, the present one included, that the last row of the answer depends on. A caller that passes only
        that many rows gets the same last row.
    long_only : bool
        No weight is negative.
    min_symbols : int
        Fewest symbols that it can work with.
    uses_forecast : bool
        False for rules (equal weight, momentum) that never look at the forecast.

    A policy that needs forecasts in units of returns, and not of something else about the future, has
    ``reads_returns = True``; other targets are then refused when the recipe is checked.
    """

    gross: float
    lookback: int
    long_only: bool
    min_symbols: int
    uses_forecast: bool

    def check(self, symbols: Sequence[str]) -> None:
        """Refuse a universe that the policy cannot work with (ConfigError)."""

    def __call__(self, forecast: Forecast, context: PolicyContext) -> Positions:
        """The wanted book of every row, (T, A); zero where a symbol is not tradable."""


def require_symbols(policy: str, symbols: Sequence[str], minimum: int) -> None:
    """Refuse fewer than ``minimum`` symbols.

    Raises
    ------
    ConfigError
        With the number of symbols, and what would be enough.
    """
    if len(symbols) < minimum:
        raise ConfigError(
            f"{policy} was given {len(symbols)} symbol(s) ({', '.join(symbols)})",
            where="policy",
            expected=f"at least {minimum}, because it ranks symbols against each other",
            next_step="Add symbols, or use a policy that works on one: signed_quantile.",
        )


def rows_agree(forecast: Forecast, context: PolicyContext) -> None:
    """Refuse a forecast and a context that are not about the same decisions (DataError)."""
    if forecast.symbols != context.symbols or not np.array_equal(forecast.times, context.times):
        raise DataError(
            f"the forecast has {len(forecast.times)} times and {len(forecast.symbols)} symbols, the context "
            f"{len(context.times)} and {len(context.symbols)}",
            where="policy",
            expected="the same times and symbols in both",
        )


def within_limits(books: np.ndarray, *, per_symbol: float, gross: float) -> np.ndarray:
    """Every weight cut at ``per_symbol``, then every row scaled down to ``gross`` where it sums to more, (T, A)."""
    cut = np.clip(books, -per_symbol, per_symbol)
    size = np.abs(cut).sum(axis=1, keepdims=True)
    return cut * np.divide(gross, size, out=np.ones_like(size), where=size > gross)
