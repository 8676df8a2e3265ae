"""Alpha360, the field's raw set: the last 60 bars as they are, over the newest close or volume.

Each column is a feature of its own under its published name, CLOSE59 to VOLUME0, and ``{use: alpha360.*}`` makes all
360 of them. A lag counts rows; a column is missing where the bar of its lag or the newest one is. A bar without volume
makes the columns of volume huge, not missing, as the published 1e-12 in their divisor has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mnpu.features import alpha_windows as over
from mnpu.features.alpha_kernel import alpha360
from mnpu.features.api import View, feature
from mnpu.features.trailing import delayed

__all__ = ["BARS", "kernel"]

#: How many bars are in the set.
BARS = 60

_VWAP = "Stores hold no volume-weighted price (VWAP): the mean of open, high, low and close stands in for it."


def kernel(view: View, columns: Sequence[tuple[str, Any]], out: np.ndarray) -> None:
    """All asked columns in one pass of compiled loops; one by one from their definitions where there is no compiler."""
    names = [name for name, _ in columns]
    try:
        alpha360(view, names, out)
    except ImportError:
        for i, name in enumerate(names):
            out[i] = globals()[name](view)[view.first :]


def _column(field: str, lag: int) -> None:
    """Make the feature of one field and lag."""

    def price(view: View) -> np.ndarray:
        bars = over.Bars(view)
        with np.errstate(all="ignore"):
            return over.finite(delayed(getattr(bars, field), lag) / bars.close)

    def volume(view: View) -> np.ndarray:
        volumes = over.Bars(view).volume
        with np.errstate(all="ignore"):
            return over.finite(delayed(volumes, lag) / (volumes + over.TINY))

    column = volume if field == "volume" else price
    ago = f"{lag} bars ago" if lag else "of the newest bar"
    past = f"{field}[t-{lag}]" if lag else field
    notes = ""
    if field == "vwap":
        past, notes = f"vwap{past[4:]}", _VWAP
    divisor, unit = ("(volume + 1e-12)", "volumes") if field == "volume" else ("close", "closes")
    reads = {"vwap": ("open", "high", "low", "close"), "volume": ("volume",), "close": ("close",)}
    name = f"{field.upper()}{lag}"
    column.__name__ = column.__qualname__ = name
    column.__doc__ = over.docstring(f"{field.capitalize()} {ago}", f"``{past} / {divisor}``", notes, "Alpha360")
    mark = feature(
        fields=reads.get(field, (field, "close")), warmup=lag + 1, unit=unit, tags=("alpha360",), kernel=kernel
    )
    globals()[name] = mark(column)


for _field in ("close", "open", "high", "low", "vwap", "volume"):
    for _lag in range(BARS - 1, -1, -1):
        _column(_field, _lag)
