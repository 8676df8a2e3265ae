"""Two readers of a fixture's planted leak: one joins by the period that a value describes, one by when it was known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mnpu import feature
from mnpu.data.history import as_of


def _series(params):
    return [f"foretold.{symbol}" for symbol in params["symbols"]]


@feature(series=_series, unit="standard deviations", scope="symbol")
def by_event_time(view, *, symbols: list[str]):
    """The wrong join: a value counts from the end of its period on, although it was published sessions later."""
    columns = []
    for name in _series({"symbols": symbols}):
        known = view.known(name)
        order = np.argsort(known.event_time)
        event = known.event_time[order]
        columns.append(as_of(view.times, event, known.values[order, -1], event, pd.Timedelta(days=30))[0])
    return np.stack(columns, axis=1)


@feature(series=_series, unit="standard deviations", scope="symbol")
def by_knowledge_time(view, *, symbols: list[str]):
    """The right join: a value counts from its publication on."""
    columns = []
    for name in _series({"symbols": symbols}):
        known = view.known(name)
        columns.append(view.at_decision(known, known.values[:, -1]))
    return np.stack(columns, axis=1)
