"""What is decided and limited: target books, what a policy and a guardrail may see, and what was changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mnpu.types.forecasts import Forecast

__all__ = ["Action", "Book", "Decision", "PolicyContext", "Positions", "Violation"]

Action = Literal["warn", "scale", "de-risk"]


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
    """

    weights: Any
    tradable: Any
    equity: Any
    peak: Any
    time: pd.Timestamp | None
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """One live answer: the book decided at ``time``, before and after the guardrails."""

    time: pd.Timestamp
    symbols: tuple[str, ...]
    proposed: np.ndarray
    weights: np.ndarray
    forecast: Forecast
    violations: tuple[Violation, ...]
