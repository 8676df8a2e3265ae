"""What the families of this source share: types of parameters, and a known value or change as a fraction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from mnpu import View

__all__ = ["FRACTION", "Months", "Observations", "Unit", "change", "last", "named", "newest", "positive"]

Months = Annotated[int, Field(ge=1, le=600)]
Observations = Annotated[int, Field(ge=1, le=5_000)]
#: How a series quotes a rate: 0.05 or 5 for five percent.
Unit = Literal["fraction", "percent"]
FRACTION: Mapping[str, float] = {"fraction": 1.0, "percent": 100.0}


def named(*parameters: str) -> Callable[[Mapping[str, Any]], Sequence[str]]:
    """The series that these parameters name, each once, for ``@feature(series=...)``."""
    return lambda params: tuple(dict.fromkeys(params[name] for name in parameters))


def last(parameter: str, more: int = 0) -> Callable[[Mapping[str, Any]], int]:
    """As many observations as a parameter says and ``more``, for ``@feature(memory=...)``."""
    return lambda params: int(params[parameter]) + more


def newest(view: View, series: str, unit: Unit = "percent") -> np.ndarray:
    """The newest known value of a rate, as a fraction, (T,)."""
    known = view.known(series, 1)
    return view.at_decision(known, known.values[:, -1]) / FRACTION[unit]


def change(view: View, series: str, n: int, unit: Unit = "percent") -> np.ndarray:
    """Change of a rate over its last ``n`` known observations, as a fraction, (T,)."""
    known = view.known(series, n + 1)
    return view.at_decision(known, known.values[:, -1] - known.values[:, 0]) / FRACTION[unit]


def positive(values: np.ndarray) -> np.ndarray:
    """The values with NaN for those that have no logarithm."""
    return np.where(values > 0, values, np.nan)
