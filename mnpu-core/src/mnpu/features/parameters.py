"""Types, bounds and warm-ups that the parameters of several families share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from mnpu.errors import ConfigError

__all__ = ["Bars", "FewBars", "Multiple", "Portion", "SeveralBars", "ordered", "window_and"]

Bars = Annotated[int, Field(ge=1, le=100_000)]
SeveralBars = Annotated[int, Field(ge=2, le=100_000)]
FewBars = Annotated[int, Field(ge=1, le=1_000)]
Multiple = Annotated[float, Field(gt=0.0, le=100.0)]
Portion = Annotated[float, Field(gt=0.0, lt=1.0)]

Params = Mapping[str, Any]


def window_and(more: int, times: int = 1) -> Callable[[Params], int]:
    """The warm-up ``times * window + more``."""
    return lambda params: times * int(params["window"]) + more


def ordered(short: str, long: str, params: Params) -> int:
    """The larger of two windows, after a look that they are in order."""
    if params[short] >= params[long]:
        raise ConfigError(f"{short} is {params[short]}", expected=f"less than {long}, which is {params[long]}")
    return int(params[long])
