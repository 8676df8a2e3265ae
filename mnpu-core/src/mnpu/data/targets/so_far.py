"""The labels of the newest decisions, as far as they have ended: what is known of outcomes while bars still come.

Some labels end early (a barrier is reached), yet are told only where the data goes on to the last instant that they
could have ended at. So made-up bars stand after the newest one. A label depends on nothing after its end, which is a
law of targets, so one that has ended by the newest bar is the same whatever comes; the others are not known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from mnpu.data.calendars import get_calendar
from mnpu.data.clock import from_ns
from mnpu.errors import ConfigError
from mnpu.types import Labels, Panel

__all__ = ["labels_so_far", "lookback_of"]

MADE_UP = 1.0  #: Price, volume and factor of a bar that has not come.


def lookback_of(target: object, name: str) -> int:
    """Bars before a decision that its label is computed from; ConfigError where the target does not say.

    ``name`` is what the recipe calls it.
    """
    if hasattr(target, "for_fold") and not hasattr(target, "as_learnt"):
        raise ConfigError(
            f"labels of {name} depend on a whole training range",
            where="target",
            expected="a method as_learnt(labels, learnt), to compute them as bars arrive by what a bundle keeps of it",
            next_step="Add it to the target, or set model.calibration: {use: split}.",
        )
    lookback = getattr(target, "lookback", None)
    if lookback is None:
        raise ConfigError(
            f"{name} does not say how many bars before the decision its labels look back over",
            where="target",
            expected="an attribute lookback, 0 for none, to compute labels as bars arrive",
            next_step="Add it to the target, or set model.calibration: {use: split}.",
        )
    return int(lookback)


def labels_so_far(target: Callable[[Panel, str], Labels], panel: Panel, fill: str, *, ahead: int) -> Labels:
    """Labels of ``panel``'s decisions, NaN and without an end where they had not ended at its last bar.

    Parameters
    ----------
    target : callable
        ``target(panel, fill) -> Labels``.
    panel : Panel
        The first rows serve the labels' look-back: see `lookback_of`.
    fill : {"next_close", "next_open", "vwap"}
    ahead : int
        Bars from a decision to the end of its longest label, at the most.
    """
    now, rows = int(panel.instants[-1]), len(panel.instants)
    labels = target(_continued(panel, *_to_come(panel, ahead, fill)), fill)
    ends = [np.asarray(end.as_unit("ns").asi8[:rows]) for end in labels.end]
    over = np.stack([np.asarray(e.notna())[:rows] & (own <= now) for e, own in zip(labels.end, ends, strict=True)], 1)
    nat = pd.NaT.value
    return replace(
        labels,
        values=np.where(over[:, None], labels.values[:rows], np.nan),
        start=labels.start[:rows],
        end=tuple(from_ns(np.where(over[:, i], own, nat)) for i, own in enumerate(ends)),
    )


def _to_come(panel: Panel, bars: int, fill: str) -> tuple[np.ndarray, np.ndarray]:
    """When so many bars after the last one may close (ns), and their sessions."""
    last, session = int(panel.instants[-1]), panel.sessions[-1]
    if fill != "next_open":  # at no instant but a close is a fill complete
        return last + 1 + np.arange(bars), np.repeat(session, bars)
    calendar = get_calendar(panel.calendar)
    days = 14 + 2 * bars * (7 if panel.frequency == "1w" else 1)
    first, until = session + np.timedelta64(1, "D"), session + np.timedelta64(days, "D")
    closes = calendar.bar_closes(calendar.between(first, until), panel.frequency)
    closes = closes[closes.asi8 > last][:bars]
    return np.asarray(closes.asi8), calendar.sessions(closes)


def _continued(panel: Panel, instants: np.ndarray, sessions: np.ndarray) -> Panel:
    """The panel with made-up bars after its last one, in which everything trades, and nothing ends."""
    shape = (len(instants), len(panel.symbols))
    later = {name: np.nan if name == "delisting" else MADE_UP for name in panel.fields}
    member = panel.member
    return Panel(
        times=from_ns(np.concatenate([panel.instants, instants])),
        sessions=np.concatenate([panel.sessions, sessions]),
        symbols=panel.symbols,
        fields={name: np.concatenate([values, np.full(shape, later[name])]) for name, values in panel.fields.items()},
        tradable=np.concatenate([panel.tradable, np.ones(shape, dtype=bool)]),
        datasets=panel.datasets,
        frequency=panel.frequency,
        calendar=panel.calendar,
        periods_per_year=panel.periods_per_year,
        bases=panel.bases,
        member=None if member is None else np.concatenate([member, np.ones(shape, dtype=bool)]),
    )
