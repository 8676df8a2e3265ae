"""Columns computed from prices and side data, and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mnpu.types.side import table_of

__all__ = ["FeatureFrame", "FeatureSpec"]


@dataclass(frozen=True)
class FeatureSpec:
    """What one feature column is and what it needs.

    ``warmup`` is the number of bars, the present one included, that the value at t looks back over. ``series``
    names the side series it reads, ``fields`` the panel fields. ``scale_free`` features do not change when all
    prices of a symbol are multiplied by a constant, so they may be computed on vendor-adjusted prices. ``kind`` is
    that of its series, see ``SeriesInfo``.

    ``short_start`` features have values from short windows before their warm-up is over, and ``state`` counts the
    numbers that are carried from bar to bar for each symbol, see ``mnpu.feature``.

    ``reference`` says where the formula comes from. ``release_lags`` and ``bases`` hold one entry for each of
    ``series``, as it declares them (see ``SeriesInfo``); they are empty until the column is computed on a store.
    """

    name: str
    source: str
    function: str
    params: Mapping[str, Any]
    description: str
    fields: tuple[str, ...]
    series: tuple[str, ...]
    scale_free: bool
    warmup: int
    unit: str
    scope: Literal["symbol", "market"]
    tags: tuple[str, ...] = ()
    kind: str = "macro"
    reference: str = ""
    release_lags: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    short_start: bool = False
    state: int = 0

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables of a store that it reads, prices first."""
        prices = ["prices"] if set(self.fields) - {"split_factor"} else []
        splits = ["corporate_actions"] if "split_factor" in self.fields else []
        return (*prices, *splits, *([table_of(self.kind)] if self.series else []))


@dataclass(frozen=True)
class FeatureFrame:
    """Features as known at each decision: ``values`` float32 (T, A, F), NaN where missing."""

    times: pd.DatetimeIndex
    symbols: tuple[str, ...]
    values: np.ndarray
    names: tuple[str, ...]
    tradable: np.ndarray
    specs: tuple[FeatureSpec, ...]

    def only(self, names: Sequence[str]) -> FeatureFrame:
        """The same decisions with these columns alone, in this order; the frame itself where they are all of it."""
        if tuple(names) == self.names:
            return self
        columns, specs = [self.names.index(name) for name in names], {spec.name: spec for spec in self.specs}
        return FeatureFrame(
            self.times,
            self.symbols,
            np.moveaxis(np.moveaxis(self.values, -1, 0)[columns], 0, -1),  # each column stays in one piece
            tuple(names),
            self.tradable,
            tuple(specs[name] for name in names if name in specs),
        )
