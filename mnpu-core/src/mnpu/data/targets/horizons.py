"""Horizons of a target: bars after the fill, checked once, and the intervals that they span."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from mnpu.data.clock import utc
from mnpu.data.fills import Fills
from mnpu.errors import ConfigError, DataError

__all__ = ["checked_horizons", "ends_of", "require_bars"]


def checked_horizons(horizons: Sequence[int]) -> tuple[int, ...]:
    """The horizons as a tuple; a ConfigError unless they are increasing integers from 1."""
    chosen = tuple(horizons)
    if not chosen or chosen[0] < 1 or any(b <= a for a, b in pairwise(chosen)):
        raise ConfigError(
            f"horizons are {list(chosen)}",
            where="target.horizons",
            expected="increasing integers from 1, e.g. [1, 5]",
        )
    return chosen


def require_bars(n_times: int, longest: int, *, window: int = 0) -> None:
    """Raise a DataError where not one label fits, with ``window`` bars before the first of them."""
    if n_times < longest + 2:
        raise DataError(
            f"{n_times} bars are too few for a horizon of {longest}",
            where="target.horizons",
            expected=f"at least {longest + 2} bars",
            next_step="Take a longer range or a shorter horizon.",
        )
    if n_times < window + longest + 2:
        raise DataError(
            f"{n_times} bars are too few for a window of {window} before a horizon of {longest}",
            where="target.window",
            expected=f"at least {window + longest + 2} bars",
            next_step="Take a longer range or a shorter window.",
        )


def ends_of(fills: Fills, bars: int) -> pd.DatetimeIndex:
    """The instant of the price ``bars`` after the fill of each decision, (T,); NaT in the last rows."""
    nothing = pd.DatetimeIndex([pd.NaT] * bars, tz="UTC").as_unit("ns")
    return utc(fills.times[bars:].append(nothing))
