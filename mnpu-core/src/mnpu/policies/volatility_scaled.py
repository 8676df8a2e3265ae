"""Positions of equal risk: a bet's size is its conviction over its volatility.

Source: Moskowitz, Ooi and Pedersen (2012), equation 5, with a forecast's score in place of the sign of a past return.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from mnpu.policies._moments import mean_and_variance
from mnpu.policies._ranks import mean_of_last
from mnpu.policies.base import require_symbols, rows_agree, within_limits
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["VolatilityScaled", "past_volatility"]

MIN_PRESENT = 0.8  #: A window with fewer of its returns has no volatility.


class VolatilityScaled:
    """Size each bet by its score over its volatility, so that a calm symbol and a wild one risk the same.

    ``w = score * target_volatility / (n * volatility)`` with n the symbols that can be held, and
    ``score = clip(mean / (full_size_at * sd), -1, 1)`` from the first horizon's mean and standard deviation. A symbol
    alone at full score has an annual volatility of ``target_volatility``. Then every weight is cut at
    ``per_symbol``, and a row whose absolute weights sum to more than ``gross`` is scaled down to it.

    Parameters
    ----------
    gross : float, default=1.0
        Most that absolute weights sum to.
    target_volatility : float, default=0.2
        Fraction of equity per year, of one symbol that is alone.
    volatility : {"forecast", "past"}, default="forecast"
        What divides: the standard deviation that the forecast says, or that of the last ``window`` returns.
    window : int, default=60
        Bars of the past volatility.
    full_size_at : float, default=0.15
        Forecast mean over forecast standard deviation at which a score is 1.
    per_symbol : float, default=0.25
        Largest absolute weight.
    hold : int, default=1
        Bars that each bet is held for: the book is the mean of the last ``hold`` target books.

    Notes
    -----
    With ``volatility: forecast`` the forecast must be of returns. NaN: a symbol without a forecast or volatility, or
    not tradable, has weight zero. A forecast without spread is full conviction. A volatility of zero gives the weight
    ``per_symbol``.
    """

    uses_forecast: ClassVar[bool] = True
    long_only: ClassVar[bool] = False
    min_symbols: ClassVar[int] = 1

    def __init__(
        self,
        gross: Annotated[float, Field(gt=0)] = 1.0,
        target_volatility: Annotated[float, Field(gt=0)] = 0.2,
        volatility: Literal["forecast", "past"] = "forecast",
        window: Annotated[int, Field(ge=2)] = 60,
        full_size_at: Annotated[float, Field(gt=0)] = 0.15,
        per_symbol: Annotated[float, Field(gt=0)] = 0.25,
        hold: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        self.gross, self.target_volatility, self.volatility = gross, target_volatility, volatility
        self.window, self.full_size_at, self.per_symbol, self.hold = window, full_size_at, per_symbol, hold
        self.lookback = hold + (window - 1 if volatility == "past" else 0)
        self.reads_returns = volatility == "forecast"  # a score alone has no unit

    def check(self, symbols: Sequence[str]) -> None:
        """Refuse an empty universe."""
        require_symbols("volatility_scaled", symbols, self.min_symbols)

    def __call__(self, forecast: Forecast, context: PolicyContext) -> Positions:
        """The wanted book of every row, (T, A)."""
        rows_agree(forecast, context)
        mean, variance = mean_and_variance(forecast)
        deviation = np.sqrt(variance)  # of the first horizon
        if self.volatility == "forecast":
            yearly = deviation * np.sqrt(context.periods_per_year / forecast.horizons[0])
        else:
            yearly = past_volatility(context.returns, window=self.window) * np.sqrt(context.periods_per_year)
        usable = forecast.available & context.tradable & np.isfinite(yearly)
        mean, unit = np.where(usable, mean, 0.0), deviation * self.full_size_at
        score = np.clip(np.divide(mean, unit, out=np.sign(mean), where=usable & (unit > 0)), -1.0, 1.0)
        count = np.maximum(usable.sum(axis=1, keepdims=True), 1)
        wanted = score * self.target_volatility / count
        still = np.sign(score) * self.per_symbol
        books = np.divide(wanted, yearly, out=still, where=usable & (yearly > 0))
        books = within_limits(np.where(usable, books, 0.0), per_symbol=self.per_symbol, gross=self.gross)
        weights = mean_of_last(books, usable.any(axis=1), usable, hold=self.hold)
        return Positions(context.times, context.symbols, weights, np.ones(len(weights), dtype=bool))


def past_volatility(returns: np.ndarray, *, window: int) -> np.ndarray:
    """Standard deviation per bar (ddof=1) of the last ``window`` returns, (T, A).

    NaN in the first ``window - 1`` rows, and where fewer than four fifths of the returns are known.
    """
    n_out = len(returns) - window + 1
    volatility = np.full(returns.shape, np.nan)
    if n_out < 1:
        return volatility
    known = np.isfinite(returns)
    filled = np.where(known, returns, 0.0)
    total, count, squares = (np.zeros((n_out, returns.shape[1])) for _ in range(3))
    for lag in range(window):  # bar by bar, so that a row comes from its window alone, to the last bit
        total += filled[lag : lag + n_out]
        count += known[lag : lag + n_out]
    mean = total / np.maximum(count, 1)
    for lag in range(window):
        squares += np.where(known[lag : lag + n_out], np.square(filled[lag : lag + n_out] - mean), 0.0)
    enough = count >= max(2.0, MIN_PRESENT * window)
    volatility[window - 1 :] = np.sqrt(np.where(enough, squares, np.nan) / np.maximum(count - 1, 1))
    return volatility
