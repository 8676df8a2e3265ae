"""What several families compute first; ask for it with `View.once`, so that it is computed once."""

from __future__ import annotations

import difflib
from typing import Literal

import numpy as np

from mnpu.errors import DataError
from mnpu.features.api import View
from mnpu.features.trailing import delayed

__all__ = [
    "Phase",
    "column_of",
    "log_moves",
    "log_of",
    "log_returns",
    "on_circle",
    "over",
    "simple_returns",
    "squared_ranges",
]

Phase = Literal["sin", "cos"]


def log_of(view: View, field: str) -> np.ndarray:
    """Natural logarithm of a field, NaN where there is none."""
    values = view[field]
    return np.log(np.where(values > 0, values, np.nan))


def log_returns(view: View) -> np.ndarray:
    """Log return from the bar before."""
    closes = view.once(log_of, "close")
    return closes - delayed(closes, 1)


def log_moves(close: np.ndarray) -> np.ndarray:
    """The same of closes (T, A) alone, for what is computed of the newest rows."""
    closes = np.log(np.where(close > 0, close, np.nan))
    return closes - delayed(closes, 1)


def squared_ranges(view: View) -> np.ndarray:
    """Squared log of the high over the low."""
    width = view.once(log_of, "high") - view.once(log_of, "low")
    return width * width


def simple_returns(view: View) -> np.ndarray:
    """Simple return from the bar before."""
    close = view["close"]
    return over(close, delayed(close, 1)) - 1


def over(values: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    """The quotient, NaN for a division by zero or less: no return begins at a price that is negative."""
    return values / np.where(divisor > 0, divisor, np.nan)


def on_circle(fraction: np.ndarray, phase: Phase) -> np.ndarray:
    """A share of a cycle as one coordinate of its place on the unit circle."""
    angle = 2 * np.pi * fraction
    return np.sin(angle) if phase == "sin" else np.cos(angle)


def column_of(view: View, symbol: str, where: str) -> int:
    """Number of a symbol, the first one of the panel where none is named; an error where the panel lacks it."""
    if not symbol:
        return 0
    if symbol in view.symbols:
        return view.symbols.index(symbol)
    close = difflib.get_close_matches(symbol, view.symbols, n=1)
    raise DataError(
        f"symbol is {symbol!r}, which the panel lacks",
        where=f"feature {where}",
        expected=f"one of {', '.join(view.symbols[:10])}{' ...' if len(view.symbols) > 10 else ''}",
        next_step=(f"Did you mean {close[0]!r}? " if close else "") + "Add it to data.symbols.",
    )
