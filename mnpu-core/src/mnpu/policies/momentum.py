"""Cross-sectional momentum: the plain rule that a forecast has to beat.

Source: Jegadeesh and Titman (1993). Ranks instead of deciles, so that it works on two dozen symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from mnpu.errors import ConfigError
from mnpu.policies._ranks import MIN_SYMBOLS, long_only_book, long_short_book, mean_of_last
from mnpu.policies.base import require_symbols
from mnpu.types import Forecast, PolicyContext, Positions

__all__ = ["Momentum", "past_return"]

MIN_PRESENT = 0.8  #: A window with fewer of its returns has no score.


def past_return(returns: np.ndarray, *, window: int, skip: int) -> np.ndarray:
    """Compound return over the past ``window`` bars without the last ``skip``.

    Parameters
    ----------
    returns : float64 ndarray (T, A)
        Simple return of the bar that ends at t.
    window, skip : int
        ``window > skip >= 0``.

    Returns
    -------
    score : float64 ndarray (T, A)
        From rows ``t - window + 1`` to ``t - skip`` alone; NaN in the first ``window - 1`` rows.

    Notes
    -----
    NaN: missing returns are left out; fewer than four fifths present give NaN.
    """
    n_rows, length = len(returns), window - skip
    score = np.full(returns.shape, np.nan)
    if n_rows < window:
        return score
    known = np.isfinite(returns)
    factors = np.where(known, 1.0 + returns, 1.0)
    n_out = n_rows - window + 1
    compound, present = np.ones((n_out, returns.shape[1])), np.zeros((n_out, returns.shape[1]))
    for lag in range(length):  # bar by bar, so that a row comes from its window alone, to the last bit
        compound *= factors[lag : lag + n_out]
        present += known[lag : lag + n_out]
    score[window - 1 :] = np.where(present >= MIN_PRESENT * length, compound - 1.0, np.nan)
    return score


class Momentum:
    """Rank symbols by their past return: long the winners, short the losers.

    Parameters
    ----------
    window : int, default=252
        Bars looked back over.
    skip : int, default=21
        Most recent bars left out, where returns tend to reverse.
    gross : float, default=1.0
        Sum of absolute weights.
    long_only : bool, default=False
        Weights proportional to the rank instead of long-short.
    hold : int, default=1
        Bars that each ranking is held for: the book is the mean of the last ``hold`` target books.

    Notes
    -----
    The forecast is ignored. NaN: a symbol with too short a past, or not tradable, has weight zero. A row with fewer
    than four others is flat.
    """

    uses_forecast: ClassVar[bool] = False
    min_symbols: ClassVar[int] = MIN_SYMBOLS

    def __init__(
        self,
        window: Annotated[int, Field(ge=2)] = 252,
        skip: Annotated[int, Field(ge=0)] = 21,
        gross: Annotated[float, Field(gt=0)] = 1.0,
        long_only: bool = False,
        hold: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        if skip >= window:
            raise ConfigError(
                f"skip is {skip} and window is {window}",
                where="momentum",
                expected="a window longer than the bars it skips",
            )
        self.window, self.skip, self.gross, self.long_only, self.hold = window, skip, gross, long_only, hold
        self.lookback = window + hold - 1

    def check(self, symbols: Sequence[str]) -> None:
        """Refuse fewer than four symbols."""
        require_symbols("momentum", symbols, self.min_symbols)

    def __call__(self, forecast: Forecast, context: PolicyContext) -> Positions:
        """The wanted book of every row, (T, A)."""
        self.check(context.symbols)
        scores = past_return(context.returns, window=self.window, skip=self.skip)
        usable = context.tradable & np.isfinite(scores)
        form = long_only_book if self.long_only else long_short_book
        books = form(scores, usable, gross=self.gross)
        formed = usable.sum(axis=1) >= MIN_SYMBOLS
        weights = mean_of_last(books, formed, usable, hold=self.hold)
        return Positions(context.times, context.symbols, weights, np.ones(len(weights), dtype=bool))
