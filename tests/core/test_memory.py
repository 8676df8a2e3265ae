"""Which side rows a decision can still need: newest periods, publications about older ones, and what lies ahead."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mnpu.data.asof import Releases, windows
from mnpu.features.api import Memory
from mnpu.features.memory import Need, Rows, needed

DAY = 86_400_000_000_000


def rows(*told: tuple[int, int], symbol: str = "") -> Rows:
    """Rows of (event, known), in days."""
    event, known = np.array(told, dtype=np.int64).T * DAY
    return Rows("x", event, known, np.full(len(told), symbol, object), np.arange(len(told), dtype=float), None)


def kept(held: Rows, memory: Memory, at: int) -> list[int]:
    return np.flatnonzero(needed(held, [(Need(("x",), memory, 1, False), at * DAY)])).tolist()


def test_the_newest_periods_stay_with_all_their_revisions() -> None:
    held = rows((1, 2), (2, 3), (3, 4), (2, 5), (4, 6), (3, 7))
    assert kept(held, 1, 8) == [2, 4, 5]  # period 4, and 3, which the newest publication was about
    assert kept(held, 2, 8) == [1, 2, 3, 4, 5]  # 2 was the newest but one when 3 came


def test_a_publication_about_an_old_period_stays_with_the_first_print_of_it() -> None:
    held = rows((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (1, 7))
    assert kept(held, 1, 8) == [0, 4, 5]


def test_what_became_known_after_the_oldest_decision_stays() -> None:
    held = rows((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7))
    assert kept(held, 1, 4) == [2, 3, 4, 5]


def test_events_that_lie_ahead_stay_and_do_not_count_as_the_newest() -> None:
    held = rows((1, 0), (5, 1), (9, 2), (20, 3), (30, 4))
    assert kept(held, 1, 10)[-3:] == [2, 3, 4]


def test_a_span_keeps_what_became_known_within_it_and_the_last_before() -> None:
    held = rows((1, 2), (2, 3), (3, 4), (4, 6), (5, 7))
    assert kept(held, pd.Timedelta(days=2), 8) == [3, 4]
    assert kept(held, pd.Timedelta(days=1), 8) == [4]
    assert kept(held, pd.Timedelta(days=1), 20) == [4]  # it says that the series is there


def test_symbols_are_looked_at_one_by_one() -> None:
    one, other = rows((1, 2), (2, 3), (3, 4), (4, 6), symbol="A"), rows((1, 5), symbol="B")
    both = one.joined(other)
    assert both.symbol.tolist() == ["A", "A", "A", "B", "A"]
    assert kept(both, 1, 8) == [3, 4]


def test_without_a_memory_all_stay() -> None:
    assert kept(rows((1, 2), (2, 3), (3, 4)), None, 8) == [0, 1, 2]


@pytest.mark.parametrize("vintage", ["latest", "first"])
@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("seed", range(30))
def test_the_last_n_publications_say_the_same_about_n_periods_without_the_rest(seed: int, n: int, vintage: str) -> None:
    """At random: bulk publications, revisions at any time, old periods that arrive late."""
    rng = np.random.default_rng(seed)
    event = rng.integers(0, 25, size=120)
    known = np.sort(event + rng.integers(0, 30, size=120) // rng.integers(1, 6, size=120))
    order = np.lexsort((event, known))
    held = rows(*zip(event[order].tolist(), known[order].tolist(), strict=True))
    last = int(known.max())
    part = held.rows(np.flatnonzero(needed(held, [(Need(("x",), n, 1, False), last * DAY)])))
    found = [
        windows(
            Releases.of(event_time=some.event, knowledge_time=some.known, value=some.value),
            n,
            vintage=vintage,  # type: ignore[arg-type]
        )
        for some in (held, part)
    ]
    whole, left = (each.values[-n:] for each in found)
    np.testing.assert_array_equal(left, whole)
    np.testing.assert_array_equal(found[1].knowledge_time[-n:], found[0].knowledge_time[-n:])
