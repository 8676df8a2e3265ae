"""How TA-Lib is asked, and the types of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mnpu.features.libraries.columns import Column, Library, Params

__all__ = ["talib"]

CLOSE, VOLUME = ("close",), ("volume",)
CV, HL, OC = ("close", "volume"), ("high", "low"), ("open", "close")
HLC, HLV = ("high", "low", "close"), ("high", "low", "volume")
HLCV, OHLC = ("high", "low", "close", "volume"), ("open", "high", "low", "close")

#: A longer window would carry more bars than is reasonable.
Bars = Annotated[int, Field(ge=1, le=2_000)]
SeveralBars = Annotated[int, Field(ge=2, le=2_000)]
#: 0 is a plain mean, 1 exponential, 2 of linear weights, 5 of triangular ones, 13 Wilder's. TA-Lib's others begin at
#: bars of their own.
MaType = Literal[0, 1, 2, 5, 13]
Multiple = Annotated[float, Field(gt=0.0, le=100.0)]
Percent = Annotated[float, Field(ge=0.0, le=100.0)]
Portion = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=1.0)]
UpToOne = Annotated[float, Field(ge=0.0, le=1.0)]
Limit = Annotated[float, Field(ge=0.02, le=0.99)]


def _compute(column: Column, params: Params) -> Callable[..., np.ndarray]:
    import talib as library

    function = getattr(library, column.of)

    def compute(*bars: np.ndarray) -> np.ndarray:
        found = function(*bars, **params)
        return np.asarray(found[column.part] if isinstance(found, tuple | list) else found, dtype=float)

    return compute


talib = Library("talib", "TA-Lib", "talib", _compute)
