"""D2: what is decided at t is filled after t, and an edge that lies in between is shown in red.

The lag test itself, with a clock that is a bar early, is in ``tests/core/test_traps_analysis.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mnpu.analysis.summary import Assumptions, analyse
from mnpu.commands._runs_analyse import _payload
from mnpu.commands._runs_analysis import print_analysis
from mnpu.commands._shared import plain
from mnpu.data.fills import Fills, fill_prices
from mnpu.data.targets import ForwardReturn
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import simulate
from mnpu.types import Labels, Panel, Positions
from tests.core.analysis_world import a_replay
from tests.traps.planting import fails

FREE = CostModel(0.0, 0.0)
MOVED = 5  #: the only bar that moves


def a_jump(make_panel) -> Panel:
    """Opens and closes of 100 until the open before bar 5's close, and of 110 from that close on."""
    close = np.full((10, 1), 100.0)
    close[MOVED:] = 110.0
    return make_panel(close, open=np.concatenate([close[:1], close[:-1]]))


def the_move_is_earned_by_who_was_in_before(fills: Callable[[Panel], Fills], panel: Panel, decided: int) -> None:
    """Invested for one bar each: only the decision whose fill is the last price before the move earns it."""
    found = fills(panel)
    earned = []
    for t in range(8):
        weights = np.zeros((8, 1))
        weights[t] = 1.0
        book = Positions(panel.times[:8], panel.symbols, weights, np.ones(8, dtype=bool))
        out = simulate(book, found.prices[:9], found.times[:8], costs=FREE)
        earned.append(out.gross.sum())
        assert (out.gross[:t] == 0).all()
    assert np.flatnonzero(np.abs(earned) > 1e-12).tolist() == [decided]
    assert (found.times[:8] > panel.times[:8]).all()


@pytest.mark.parametrize(("rule", "decided"), [("next_close", MOVED - 2), ("next_open", MOVED - 1)])
def test_profit_begins_a_bar_after_the_decision(make_panel, rule: str, decided: int) -> None:
    """Filled at the close of bar 4, or, as the move is within bar 5, at its open: each is decided a bar earlier."""
    panel = a_jump(make_panel)
    the_move_is_earned_by_who_was_in_before(lambda p: fill_prices(p, rule), panel, decided)
    fails(the_move_is_earned_by_who_was_in_before, at_the_decision, panel, decided)


def at_the_decision(panel: Panel) -> Fills:
    """The fault: filled at the very close that was decided on."""
    return replace(fill_prices(panel), prices=panel["close"], times=panel.times)


def a_label_begins_at_the_fill(labels: Callable[[Panel], Labels], panel: Panel) -> None:
    found = labels(panel)
    known = found.start.notna()
    assert np.asarray(found.start[known] > panel.times[known]).all()
    assert np.flatnonzero(np.nan_to_num(found.values[:, 0, 0]) > 0.05).tolist() == [MOVED - 2]


def test_a_label_is_what_can_still_be_earned(make_panel) -> None:
    panel, target = a_jump(make_panel), ForwardReturn((1,))
    a_label_begins_at_the_fill(target, panel)

    def from_the_decision(p: Panel) -> Labels:
        """The fault: the label begins with the close of the decision."""
        moves = np.append(p["close"][1:] / p["close"][:-1] - 1, np.full((1, 1), np.nan), axis=0)
        return replace(target(p), values=moves[:, :, None], start=p.times)

    fails(a_label_begins_at_the_fill, from_the_decision, panel)


def shown(panel: Panel, weights: np.ndarray, capsys) -> tuple[str, dict]:
    """What ``mnpu runs analyse`` prints of this book, and what it answers with ``--json``."""
    replayed = a_replay(panel, weights, first=1, rates=FREE)
    found = analyse(replayed, Assumptions())
    facts = {**_payload("made-up", replayed, found, []), "judged": ""}
    print_analysis(facts, found, [])
    return capsys.readouterr().out, json.loads(json.dumps(plain(facts)))


def test_the_red_flag_is_printed_where_a_run_is_analysed(make_panel, rng, capsys) -> None:
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (400, 2)), axis=0))
    moves = close[1:] / close[:-1] - 1
    panel = make_panel(close)
    text, facts = shown(panel, 0.3 * np.sign(moves[:300]), capsys)  # of the bar up to the next decision
    assert "no red flag: the Sharpe ratio falls by" in text
    assert facts["lags"]["red_flag"] is False
    text, facts = shown(panel, 0.3 * np.sign(moves[1:301]), capsys)  # the same, its stamp a bar too early
    assert "\nred flag: the Sharpe ratio falls by" in text
    assert facts["lags"]["red_flag"] is True
