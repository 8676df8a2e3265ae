"""What is decided and limited: target books, what a policy and a guardrail may see, and what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from mnpu.types.forecasts import Forecast

__all__ = ["Action", "Book", "Decision", "PolicyContext", "Positions", "State", "Violation"]

Action = Literal["warn", "scale", "de-risk"]
State = Literal["ACTIVE", "REDUCING", "HALTED"]


@dataclass(frozen=True)
class PolicyContext:
    """What a policy may know beside the forecast; every row t was known at ``times[t]``.

    ``returns`` (T, A) is the simple return of the bar that ends at t, ``tradable`` (T, A) where a position may
    be taken (the symbol trades and belongs to the decision set).
    """

    times: pd.DatetimeIndex
    symbols: tuple[str, ...]
    returns: np.ndarray
    tradable: np.ndarray
    periods_per_year: float


@dataclass(frozen=True)
class Violation:
    """One change that a guardrail made: ``limit`` and ``value`` in the rule's own unit."""

    rule: str
    code: str
    time: pd.Timestamp
    symbol: str
    limit: float
    value: float
    action: Action


@dataclass(frozen=True)
class Positions:
    """Target book: ``weights`` float64 (T, A), signed fraction of equity, decided at t, filled after t.

    ``rebalance`` (T,) is False where no order is sent and the book drifts with prices.
    """

    times: pd.DatetimeIndex
    symbols: tuple[str, ...]
    weights: np.ndarray
    rebalance: np.ndarray
    violations: tuple[Violation, ...] = ()

    def rows(self, start: int, stop: int) -> Positions:
        """The decisions ``start <= t < stop``, with the violations of all."""
        part = slice(start, stop)
        return replace(self, times=self.times[part], weights=self.weights[part], rebalance=self.rebalance[part])


@dataclass(frozen=True)
class Book:
    """The account as a guardrail sees it at a decision. Leading dimensions are parallel books.

    Attributes
    ----------
    weights : array (..., A)
        The drifted weights that are held now, fraction of equity.
    tradable : bool array (..., A)
    equity, peak : array (...,)
        Net asset value and its running maximum, start = 1.
    time : Timestamp or None
        Decision time; None when many times are limited at once.
    symbols : tuple of str (A,)
    day_equity : array (...,), optional
        Net asset value at the last decision of an earlier UTC day, start = 1.
    day : int, optional
        Number of the UTC day of the decision.
    past : array (..., K, A), optional
        Simple returns of the last K bars up to the decision, the newest last; NaN where there was no price.
    periods_per_year : float, optional
        Bars in a year.
    volume : array (..., A), optional
        Value traded on an average recent day, in the currency of the prices; NaN where unknown.
    age : array (..., A), optional
        Bars since the last price of each symbol, 0 where it has one now; NaN where it never had one.
    quantiles, levels : array (..., A, Q), (Q,), optional
        Forecast of the simple return of the first horizon; NaN where there is none.
    memory : mapping of str to array (..., k), optional
        What the rules of a chain remember of earlier decisions, by the rule's name. None is a new account.
    switches : frozenset of str, optional
        Which kill switches are on, by the name of their file, as whoever decides has looked once for this decision.

    Notes
    -----
    None is unknown. A rule that needs what is unknown lets nothing grow, and says ``BOOK_UNKNOWN``.
    """

    weights: Any
    tradable: Any
    equity: Any
    peak: Any
    time: pd.Timestamp | None
    symbols: tuple[str, ...]
    day_equity: Any = None
    day: int | None = None
    past: Any = None
    periods_per_year: float | None = None
    volume: Any = None
    age: Any = None
    quantiles: Any = None
    levels: tuple[float, ...] | None = None
    memory: Mapping[str, Any] | None = None
    switches: frozenset[str] | None = None

    def row(self, i: Any, time: pd.Timestamp | None = None) -> Book:
        """One of many parallel books (N, A), decided at ``time`` or at the time of all; or some, by a mask (N,)."""
        one = lambda x: x if x is None or getattr(x, "ndim", 0) == 0 else x[i]  # noqa: E731
        return replace(
            self,
            **{name: one(getattr(self, name)) for name in BATCHED},
            time=self.time if time is None else time,
            memory=None if self.memory is None else {name: one(kept) for name, kept in self.memory.items()},
        )


#: The fields of a book that have its leading dimensions, beside its memory.
BATCHED = ("weights", "tradable", "equity", "peak", "day_equity", "past", "volume", "age", "quantiles")


@dataclass(frozen=True)
class Decision:
    """One live answer: the book decided at ``time``, before and after the guardrails, and their state."""

    time: pd.Timestamp
    symbols: tuple[str, ...]
    proposed: np.ndarray
    weights: np.ndarray
    forecast: Forecast
    violations: tuple[Violation, ...]
    state: State = "ACTIVE"
