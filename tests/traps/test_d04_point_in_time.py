"""D4: a value counts from the moment at which it could be read, and a later vintage changes nothing before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.data.asof import Releases, join_panel
from mnpu.data.clock import from_ns
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import SeriesInfo, SideTable
from mnpu.validation.findings import Context
from mnpu.validation.point_in_time import PointInTime
from tests.traps.planting import fails

HOUR = 3_600_000_000_000
NAN = np.nan

#: (period ends, known, value): January with two revisions, February whose release was due at 60 and came at 75.
ROWS = [(0, 20, 1.0), (0, 50, 2.0), (0, 90, 3.0), (40, 75, 7.0)]
#: decision -> what could be read: just before each release, at the very instant, and after it.
READ = {19: NAN, 20: 1.0, 21: 1.0, 49: 1.0, 50: 2.0, 60: 2.0, 74: 2.0, 75: 7.0, 76: 7.0, 90: 7.0, 200: 7.0}

Join = Callable[[np.ndarray, list[tuple[int, int, float]]], np.ndarray]


def ours(at: np.ndarray, rows: list[tuple[int, int, float]]) -> np.ndarray:
    event, known, value = (np.array(column) for column in zip(*rows, strict=True))
    releases = Releases.of(event_time=event * HOUR, knowledge_time=known * HOUR, value=value)
    return join_panel(at * HOUR, releases).value[:, 0]


def told(at: np.ndarray, rows, sees: Callable, newest: Callable = lambda row: row) -> np.ndarray:
    """A join by hand: of the rows that ``sees(row, t)`` lets through, the value of the largest by ``newest``."""
    found = [[row for row in rows if sees(row, t)] for t in at]
    return np.array([max(seen, key=newest)[2] if seen else NAN for seen in found])


def what_could_be_read(join: Join) -> None:
    at = np.array(list(READ))
    np.testing.assert_array_equal(join(at, ROWS), list(READ.values()))
    # vintages that become known later, rewritten or gone, change nothing before
    for cut in (20, 50, 75):
        seen = at <= cut
        later = [(event, known, value if known <= cut else -value) for event, known, value in ROWS]
        gone = [row for row in ROWS if row[1] <= cut]
        for other in (later, gone):
            np.testing.assert_array_equal(join(at[seen], other), join(at[seen], ROWS))


FAULTS = {
    "by the end of its period": lambda at, rows: told(at, rows, lambda row, t: row[0] <= t),
    "by when it was due": lambda at, rows: told(at, rows, lambda row, t: row[0] + 20 <= t),
    "strictly before": lambda at, rows: told(at, rows, lambda row, t: row[1] < t),
    "only at its own stamp": lambda at, rows: told(at, rows, lambda row, t: row[1] == t),
    "the last publication, whatever its period": lambda at, rows: told(
        at, rows, lambda row, t: row[1] <= t, lambda row: row[1]
    ),
    "the vintage that stayed": lambda at, rows: told(
        at, [max((r for r in rows if r[0] == row[0]), key=lambda r: r[1]) for row in rows], lambda row, t: row[0] <= t
    ),
    "the first print for ever": lambda at, rows: told(
        at, rows, lambda row, t: row[1] <= t, lambda row: (row[0], -row[1])
    ),
}


def test_the_join_reads_what_could_be_read() -> None:
    what_could_be_read(ours)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_join_is_found(fault: str) -> None:
    fails(what_could_be_read, FAULTS[fault])


# What is stored: an observation is known after its period, the date of an event may be known before it.


def table(rows: list[tuple[int, int]], series: str, kind: str) -> SideTable:
    rows = sorted(rows, key=lambda row: (row[1], row[0]))
    event, known = (np.array(column) * HOUR for column in zip(*rows, strict=True))
    info = SeriesInfo(series, "monthly", "u", "observed", "", pd.Timedelta(days=99), "", "", kind)
    names = np.full(len(rows), series, dtype=object)
    return SideTable(
        from_ns(event), from_ns(known), names, np.full(len(rows), "", object), np.ones(len(rows)), {series: info}
    )


def errors(of: SideTable) -> list[str]:
    return [finding.rule for finding in PointInTime().check(of, Context("made up")) if finding.severity == "error"]


def test_an_observation_known_before_its_period_ended_stops_the_run() -> None:
    assert errors(table([(0, 20), (40, 75)], "cpi", "macro")) == []
    assert errors(table([(0, 20), (40, 39)], "cpi", "macro")) != []


def test_a_schedule_may_be_known_ahead_and_an_outcome_may_not() -> None:
    assert errors(table([(100, 20), (140, 20)], "meeting/scheduled", "calendar")) == []
    assert errors(table([(100, 101), (140, 20)], "meeting/actual", "calendar")) != []


def test_only_the_date_of_an_event_is_visible_ahead_of_it() -> None:
    """What `known_by` a moment is left of a calendar: dates that were announced, and no outcome of a later event."""
    rng = np.random.default_rng(6)
    panel = synthetic_panel(rng, bars=200)
    side = synthetic_side(["meeting/scheduled", "meeting/actual"], panel, rng, history=30, kind="calendar")

    def nothing_is_known_early(seen: Callable[[pd.Timestamp], SideTable]) -> None:
        ahead = 0
        for t in panel.times[20:180:10]:
            known = seen(t)
            later = known.series[np.asarray(known.event_time > t)]
            assert set(later) <= {"meeting/scheduled"}
            ahead += len(later)
        assert ahead > 0

    nothing_is_known_early(side.known_by)
    told_at_once = replace(side, knowledge_time=side.event_time - pd.Timedelta(days=30))
    fails(nothing_is_known_early, lambda t: told_at_once.rows(np.asarray(told_at_once.knowledge_time <= t)))
