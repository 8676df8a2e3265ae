"""D19: excess is told beside the universe by equal weight and by size, and beside as much market as the book held.

Suspended and delisted names in the equal-weighted benchmark are in ``tests/core/test_traps_analysis.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mnpu.analysis import benchmarks
from mnpu.analysis.replay import Replay
from mnpu.analysis.summary import Assumptions, analyse
from mnpu.commands._runs_analyse import _payload
from mnpu.commands._runs_analysis import print_analysis
from mnpu.simulation.costs import CostModel
from tests.core.analysis_world import a_replay, from_returns
from tests.traps.planting import fails

FREE = CostModel(0.0, 0.0)
Benchmark = Callable[[Replay, np.ndarray], np.ndarray]


def weighted_by_size(measure: Benchmark, make_panel) -> None:
    """Two names of 30 and 10, the larger suspended for a bar, after which it has halved; the smaller grows tenfold."""
    close = np.array([[3.0, 1.0]] * 3 + [[np.nan, 1.0], [1.5, 2.0], [1.5, 10.0], [1.5, 10.0]])
    found = a_replay(make_panel(close), np.zeros((5, 2)))
    caps = found.at_decisions(np.array([[30.0, 10.0]] * 4 + [[15.0, 20.0], [15.0, 100.0], [15.0, 100.0]]))
    # fills at the next close: decisions of bars 0 to 4 earn from bar 1 to 2, ..., from 5 to 6
    expected = [0.0, 0.0, (30 * -0.5 + 10 * 1.0) / 40, 4.0 * 10 / (30 + 10) + 0.0, 0.0]
    assert measure(found, caps)[[0, 1, 2, 4]] == pytest.approx(np.array(expected)[[0, 1, 2, 4]])
    assert measure(found, caps)[3] == pytest.approx(4.0 * 10 / 40)


def suspended_at_zero(found: Replay, caps: np.ndarray) -> np.ndarray:
    """The fault: who does not trade counts as 0 %, and the gap is lost."""
    moves = found.panel["close"][2:7] / found.panel["close"][1:6] - 1
    return (np.nan_to_num(moves) * caps).sum(axis=1) / caps.sum(axis=1)


def size_at_the_end(found: Replay, caps: np.ndarray) -> np.ndarray:
    """The fault: weights that know who will be large."""
    return benchmarks.cap_weight(found, np.broadcast_to(caps[-1] * [1.0, 5.0], caps.shape))


def by_number(found: Replay, caps: np.ndarray) -> np.ndarray:
    return benchmarks.equal_weight(found)


def test_the_universe_by_size(make_panel) -> None:
    weighted_by_size(benchmarks.cap_weight, make_panel)
    for fault in (suspended_at_zero, size_at_the_end, by_number):
        fails(weighted_by_size, fault, make_panel)


# As much market as the book held: leverage and a tilt to volatile names are no skill.


def market_is_no_skill(measure: Callable[[Replay], np.ndarray], make_panel) -> None:
    """A book that is twice in the market, or in its most volatile third, has no excess over what is matched to it."""
    rng = np.random.default_rng(4)
    market = rng.normal(0.002, 0.01, 400)
    slopes = np.array([0.5, 1.0, 1.5])
    panel = from_returns(make_panel, market[:, None] * slopes)
    for weights in ([0.0, 2.0, 0.0], [0.0, 0.0, 1.0], [-0.5, 0.0, 0.0]):
        found = a_replay(panel, np.tile(weights, (200, 1)), first=150, rates=FREE)
        row = benchmarks.excess(found, "beta_matched", measure(found))
        assert abs(row.excess_total) < 1e-9
        alone = benchmarks.excess(found, "equal_weight", benchmarks.equal_weight(found))
        assert abs(alone.excess_mean_ann) > 0.1


def test_the_market_at_the_beta_of_the_book(make_panel) -> None:
    market_is_no_skill(lambda found: benchmarks.beta_matched(found, benchmarks.equal_weight(found)), make_panel)
    of_one = lambda found: benchmarks.equal_weight(found) * found.held.sum(axis=1)
    fails(market_is_no_skill, of_one, make_panel)
    fails(market_is_no_skill, benchmarks.equal_weight, make_panel)


def betas_are_of_the_past(measure: Callable[[Replay], np.ndarray], make_panel) -> None:
    rng = np.random.default_rng(5)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, (300, 4)), axis=0))
    changed = close.copy()
    changed[201:] = rng.uniform(1, 100, (99, 4))
    one, other = (measure(a_replay(make_panel(c), np.ones((250, 4)) / 4, first=20)) for c in (close, changed))
    assert np.array_equal(one[:181], other[:181])


def of_the_whole_sample(found: Replay) -> np.ndarray:
    """The fault: one beta for each symbol, from all bars."""
    moved, market = benchmarks.universe_returns(found)
    known = np.isfinite(market) & np.isfinite(moved).all(axis=1)
    slopes = [np.polyfit(market[known], moved[known, a], 1)[0] for a in range(moved.shape[1])]
    return np.tile(slopes, (len(found.times), 1))


def test_a_beta_is_known_at_its_decision(make_panel) -> None:
    betas_are_of_the_past(benchmarks.betas, make_panel)
    fails(betas_are_of_the_past, of_the_whole_sample, make_panel)


def test_a_reader_of_an_analysis_sees_every_benchmark(make_panel, rng, capsys) -> None:
    panel = make_panel(50 * np.exp(np.cumsum(rng.normal(0, 0.01, (150, 3)), axis=0)))
    found = a_replay(panel, rng.normal(0, 0.3, (100, 3)), first=40)
    told = analyse(found, Assumptions(shares={"S0": 3.0, "S1": 1.0, "S2": 1.0}))
    print_analysis({**_payload("made-up", found, told, []), "judged": ""}, told, [])
    text = capsys.readouterr().out
    assert all(name in text for name in ("equal_weight", "cap_weight", "beta_matched"))
    rows = {row.benchmark: row for row in told.tables["benchmarks"]}
    net = float(np.prod(1 + found.net) - 1)
    for name in ("equal_weight", "cap_weight", "beta_matched"):
        assert rows[name].excess_total == pytest.approx(net - rows[name].benchmark_total)
    nameless = analyse(replace(found), Assumptions())  # without shares there is a reason in place of a number
    reason = {row.benchmark: row.reason for row in nameless.tables["benchmarks"]}["cap_weight"]
    assert reason == "no capitalisations were given"
