"""The law of whatever is fitted before a model is: its state comes from the training range alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from mnpu.testing import LawOutcome

__all__ = ["fitted_on_the_past"]

LAW = "is fitted on the training range alone"
#: Everything outside the training range is multiplied by this.
SCALE = 10.0

Fit = Callable[[np.ndarray, pd.DatetimeIndex, tuple[int, int]], Any]


def fitted_on_the_past(fit: Fit, *, seed: int = 0) -> LawOutcome:
    """Whether the state that ``fit`` returns stays the same when everything outside the training range is not.

    Parameters
    ----------
    fit : callable
        Takes features (T, A, F), their decision times (T,) and the half-open range of training rows, and returns a
        state that ``repr`` tells apart, such as ``Scaler.fit(...).to_dict()``.
    seed : int, default=0
        Of the made-up features.
    """
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(120, 3, 4))
    values[rng.random(values.shape) < 0.05] = np.nan
    times = pd.date_range("2001-01-01 21:00", periods=120, freq="B", tz="UTC").as_unit("ns")
    rows = (20, 80)
    before = repr(fit(values.copy(), times, rows))
    for part, what in ((slice(rows[1], None), "after"), (slice(None, rows[0]), "before")):
        other = values.copy()
        other[part] = np.nan_to_num(other[part] * SCALE, nan=SCALE)
        if repr(fit(other, times, rows)) != before:
            return LawOutcome(LAW, False, f"its state changes with the rows {what} the training range")
    return LawOutcome(LAW, True)
