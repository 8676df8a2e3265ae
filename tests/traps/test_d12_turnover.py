"""D12: turnover is half of what is traded against the drifted book, on both routes of the simulator and as a metric.

The law that judges one route, and two wrong measures, are in ``tests/core/test_traps_analysis.py``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mnpu.guard import Chain, GrossCap
from mnpu.metrics import trading
from mnpu.simulation.simulate import SimulationOutcome, simulate
from mnpu.types import Positions
from tests.core.test_traps_analysis import FREE, check_turnover, of_net, of_targets
from tests.traps.planting import fails

#: The market of the check's second half.
DRIFTING = np.array([[10.0, 10.0], [12.0, 10.0], [9.0, 10.0], [9.0, 10.0]])


class Wide(GrossCap):
    """A limit that nothing reaches, of a rule that looks at the held book: the account goes bar by bar."""

    path_dependent = True


def bar_by_bar(weights: np.ndarray, prices: np.ndarray) -> SimulationOutcome:
    times = pd.date_range("2020-01-01", periods=len(weights) + 1, freq="D", tz="UTC").as_unit("ns")
    symbols = tuple(f"S{a}" for a in range(weights.shape[1]))
    book = Positions(times[:-1], symbols, weights, np.ones(len(weights), dtype=bool))
    out = simulate(book, prices, times[1:], costs=FREE, chain=Chain([Wide(1e9)]))
    assert out.method == "stepped"
    return out


def test_bar_by_bar_it_is_the_same() -> None:
    def stepped(_: SimulationOutcome, weights: np.ndarray) -> np.ndarray:
        prices = np.full((4, 2), 10.0) if weights[0, 0] == 1 else DRIFTING
        return bar_by_bar(weights, prices).turnover_oneway

    check_turnover(stepped)


def a_flip_is_two_hundred_per_cent(metric: Callable[[np.ndarray], float]) -> None:
    """+1 and -1 become -1 and +1 every day: 4 of NAV are traded, 2 one way, 504 in a year of 252 days."""
    flips = np.where(np.arange(100)[:, None] % 2 == 0, [1.0, -1.0], [-1.0, 1.0])
    out = bar_by_bar(flips, np.full((101, 2), 10.0))
    assert metric(out.turnover_oneway[1:]) == pytest.approx(2.0 * 252)
    assert np.abs(np.diff(flips, axis=0)).sum(axis=1) == pytest.approx(2 * out.turnover_oneway[1:])


def test_the_metric_of_a_year() -> None:
    a_flip_is_two_hundred_per_cent(lambda t: trading.turnover_ann(t, 252.0).value)
    fails(a_flip_is_two_hundred_per_cent, lambda t: 2 * trading.turnover_ann(t, 252.0).value)  # of both sides
    fails(a_flip_is_two_hundred_per_cent, lambda t: trading.turnover(t).value)  # of a bar
    for fault in (of_net, of_targets):
        fails(check_turnover, fault)
