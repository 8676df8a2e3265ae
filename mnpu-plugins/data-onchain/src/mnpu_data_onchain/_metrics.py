"""What the families of on-chain signals share: changes, scores and means over the last observations of a metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mnpu import View
from mnpu.errors import ConfigError

__all__ = [
    "Observations",
    "SeveralObservations",
    "deviation",
    "last",
    "log_change",
    "log_ratio_of_means",
    "named",
    "positive",
    "score",
    "shorter_first",
]

Observations = Annotated[int, Field(ge=1, le=5_000)]
SeveralObservations = Annotated[int, Field(ge=2, le=5_000)]


def named(*parameters: str) -> Callable[[Mapping[str, Any]], Sequence[str]]:
    """The series that these parameters name, each once, for ``@feature(series=...)``."""
    return lambda params: tuple(dict.fromkeys(params[name] for name in parameters))


def last(parameter: str, more: int = 0) -> Callable[[Mapping[str, Any]], int]:
    """As many observations as a parameter says and ``more``, for ``@feature(memory=...)``."""
    return lambda params: int(params[parameter]) + more


def shorter_first(params: Mapping[str, Any]) -> Sequence[str]:
    """The series of a ribbon, whose ``short`` window has to be the shorter one."""
    if params["short"] >= params["long"]:
        raise ConfigError(f"short is {params['short']}", expected=f"less than long, which is {params['long']}")
    return (params["series"],)


def positive(values: np.ndarray) -> np.ndarray:
    """The values with NaN for those that are not above 0: they have no logarithm, and nothing is divided by them."""
    return np.where(values > 0, values, np.nan)


def log_change(view: View, series: str, n: int) -> np.ndarray:
    """``ln(x[d] / x[d - n])`` of each symbol, d its newest known observation, (T, A)."""
    return view.by_symbol(series, lambda past: np.log(positive(past[:, -1]) / positive(past[:, 0])), n + 1)


def log_ratio_of_means(view: View, series: str, short: int, long: int) -> np.ndarray:
    """Logarithm of the mean of the last ``short`` observations over that of the last ``long``, (T, A)."""

    def ratio(past: np.ndarray) -> np.ndarray:
        return np.log(positive(past[:, -short:].mean(axis=1)) / positive(past.mean(axis=1)))

    return view.by_symbol(series, ratio, long)


def deviation(past: np.ndarray) -> np.ndarray:
    """Standard deviation (ddof 1) of n observations, (K, n) to (K,); NaN where one is missing or all are equal."""
    return np.where(past.min(axis=1) < past.max(axis=1), past.std(axis=1, ddof=1), np.nan)


def score(past: np.ndarray) -> np.ndarray:
    """The newest of n observations in standard deviations from their mean, (K, n) to (K,); NaN as for ``deviation``."""
    return (past[:, -1] - past.mean(axis=1)) / deviation(past)
