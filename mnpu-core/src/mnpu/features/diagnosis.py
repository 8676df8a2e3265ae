"""What kind of leak is it? The rows that change when the future does give it away.

A filled gap changes only where nothing was known; a statistic of the whole sample changes rows far from the cut; a
window that looks ahead changes the last rows before it, as many as it looks ahead; a bar of a longer period that is
shown before it closes changes the rows of the cut's own period, and none where the cut is its end.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnpu.features.compute import evaluate
from mnpu.features.leaks import identical, with_noise_after
from mnpu.features.plan import PlannedFeature
from mnpu.features.vintages import choose_eves, shifted_knowledge
from mnpu.types import Panel, SideTable

__all__ = ["diagnose"]

#: Cuts that are looked at: many enough to hold every weekday.
CUTS = 24
#: Bars that no honest mistake of a window looks ahead.
FAR = 64
#: Share of cuts after which a period changes from its first row on; gaps may hide some.
MOST = 0.6
WHOLE = "a statistic of the whole sample"
PERIODS = {"day": "datetime64[D]", "week": "datetime64[W]", "month": "datetime64[M]", "year": "datetime64[Y]"}

Change = tuple[int, np.ndarray]


def diagnose(column: PlannedFeature, panel: Panel, side: SideTable, *, rng: np.random.Generator) -> str:
    """Name the leak of a column that was caught, in words that say where to look.

    Parameters
    ----------
    column : PlannedFeature
    panel : Panel
    side : SideTable
    rng : Generator
        Of the cuts and of the noise.

    Returns
    -------
    name : str
        ``used before it was published``, ``a gap filled from later``, ``a statistic of the whole sample``, ``shows a
        week before it has ended`` or ``looks 2 bars ahead``; ``depends on what comes later`` where no cut shows more.
    """
    eves = choose_eves(panel, side, count=CUTS, rng=rng) if column.spec.series else ()
    published = _changes(column, panel, side, eves, rng, prices=False)
    if (
        published
        or _counted_on(column, panel, side, eves)
        or shifted_knowledge([column], panel, side, cuts=eves, rng=rng)
    ):
        # a text or a value of one symbol moves other rows than the cut's without being a statistic
        return WHOLE if published and _reaches_far(column, published) else "used before it was published"
    cuts = np.sort(rng.choice(np.arange(1, len(panel.times) - 1), size=min(CUTS, len(panel.times) - 2), replace=False))
    found = _changes(column, panel, side, cuts.tolist(), rng)
    if not found:
        return "depends on what comes later"
    if _only_gaps(column, panel, found):
        return "a gap filled from later"
    if _far(column, found):
        return WHOLE
    period = _period(panel, cuts.tolist(), found)
    if period:
        return f"shows a {period} before it has ended"
    longest = max(_reach(change) for change in found)
    return f"looks {longest} bar{'s' if longest > 1 else ''} ahead"


def _changes(
    column: PlannedFeature,
    panel: Panel,
    side: SideTable,
    cuts: Sequence[int],
    rng: np.random.Generator,
    *,
    prices: bool = True,
) -> list[Change]:
    """Each cut, and the cells up to it that change with noise after it; prices keep their future unless ``prices``."""
    base = evaluate([column], panel, side)[..., 0]
    found = []
    for cut in cuts:
        other, later = with_noise_after(panel, side, cut, rng)
        values = evaluate([column], other if prices else panel, later)[..., 0]
        cells = ~identical(base[: cut + 1], values[: cut + 1])
        if cells.any():
            found.append((cut, cells))
    return found


def _counted_on(column: PlannedFeature, panel: Panel, side: SideTable, cuts: Sequence[int]) -> bool:
    """Whether values change where what is published later is taken away: its date alone says something, too."""
    base = evaluate([column], panel, side)
    for cut in cuts:
        values = evaluate([column], panel, side.known_by(panel.times[cut]))
        if not identical(base[: cut + 1], values[: cut + 1]).all():
            return True
    return False


def _reach(change: Change) -> int:
    """Rows from the first that changed to the cut, both included."""
    cut, cells = change
    return cut - int(np.flatnonzero(cells.any(axis=1))[0]) + 1


def _far(column: PlannedFeature, found: Sequence[Change]) -> bool:
    """Whether rows change that no window ahead would reach, or rows before the cut but not the cut's own."""
    return _reaches_far(column, found) or not all(cells[-1].any() for _, cells in found)


def _reaches_far(column: PlannedFeature, found: Sequence[Change]) -> bool:
    return max(_reach(change) for change in found) > max(column.spec.warmup, FAR)


def _only_gaps(column: PlannedFeature, panel: Panel, found: Sequence[Change]) -> bool:
    """Whether every cell that changed had no value in any field that the column reads."""
    fields = [name for name in column.spec.fields if name in panel.fields and name != "split_factor"]
    if not fields:
        return False
    absent = np.all([np.isnan(panel[name]) for name in fields], axis=0)
    return all(absent[: cut + 1][cells].all() for cut, cells in found)


def _period(panel: Panel, cuts: Sequence[int], found: Sequence[Change]) -> str:
    """The shortest period such that a cut changes its rows, from the first on, and no row where it ends there."""
    if len({_reach(change) for change in found}) < 2:
        return ""
    for name, unit in PERIODS.items():
        # numpy's weeks begin on Thursdays: shifted so that they begin on Mondays
        days = panel.sessions.astype("datetime64[D]") + (3 if name == "week" else 0)
        place = days.astype(unit)
        inside = all((place[: cut + 1][cells.any(axis=1)] == place[cut]).all() for cut, cells in found)
        ends = {cut for cut in cuts if place[cut] != place[cut + 1]}
        # a window changes the same few rows anywhere in the period, an unfinished bar all since its start
        whole = np.mean(
            [int(np.searchsorted(place, place[cut])) == cut + 1 - _reach((cut, cells)) for cut, cells in found]
        )
        if inside and whole > MOST and not ends.intersection(cut for cut, _ in found):
            return name
    return ""
