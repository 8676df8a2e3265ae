"""How the library ta is asked, and the types of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import numpy as np
from pydantic import Field

from mnpu.features.libraries.columns import Column, Library, Params

__all__ = ["ta"]

CLOSE, VOLUME, CV, HL = ("close",), ("volume",), ("close", "volume"), ("high", "low")
HLC, HLV, HLCV = ("high", "low", "close"), ("high", "low", "volume"), ("high", "low", "close", "volume")

#: A longer window would carry more bars than is reasonable.
Bars = Annotated[int, Field(ge=1, le=2_000)]
SeveralBars = Annotated[int, Field(ge=2, le=2_000)]
#: In a shorter window the first value stands on the mean of all closes.
FourBars = Annotated[int, Field(ge=4, le=2_000)]
Positive = Annotated[float, Field(gt=0.0, le=100.0)]
Portion = Annotated[float, Field(gt=0.0, le=1.0)]


def _compute(column: Column, params: Params) -> Callable[..., np.ndarray]:
    import pandas as pd

    module, indicator, method = column.of.split(".")
    made = getattr(import_module(f"ta.{module}"), indicator)

    def compute(*bars: np.ndarray) -> np.ndarray:
        series = {name: pd.Series(values) for name, values in zip(column.fields, bars, strict=True)}
        return np.asarray(getattr(made(**series, **params, fillna=False), method)(), dtype=float)

    return compute


ta = Library("ta", "ta", "ta", _compute)
