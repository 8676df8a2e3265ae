"""D11: simple returns are summed over symbols and compounded over time; a drawdown begins with the capital put in.

The drawdown of +50, +50, -50, -50 % and ways to get it wrong are in ``tests/core/test_traps_statistics.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.data.targets import ForwardReturn
from mnpu.metrics.compute import compute
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import simulate
from mnpu.types import Positions, Result
from tests.core.analysis_world import a_result
from tests.traps.planting import fails

Simulator = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def ours(weights: np.ndarray, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    times = pd.date_range("2020-01-01", periods=len(prices), freq="D", tz="UTC").as_unit("ns")
    symbols = tuple(f"S{a}" for a in range(weights.shape[1]))
    book = Positions(times[:-1], symbols, weights, np.ones(len(weights), dtype=bool))
    out = simulate(book, prices, times[1:], costs=CostModel(0.0, 0.0))
    return out.gross, out.equity


def of_logs(weights: np.ndarray, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fault: logs are summed over symbols."""
    gross = (weights * np.diff(np.log(prices), axis=0)).sum(axis=1)
    return gross, np.exp(np.append(0.0, np.cumsum(gross)))


def summed(weights: np.ndarray, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fault: simple returns are summed over time."""
    gross, _ = ours(weights, prices)
    return gross, 1 + np.append(0.0, np.cumsum(gross))


def logs_taken_for_simple(weights: np.ndarray, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fault: logs of the portfolio are compounded as if they were simple."""
    gross, _ = ours(weights, prices)
    return gross, np.append(1.0, np.cumprod(1 + np.log1p(gross)))


def money_is_counted(simulated: Simulator) -> None:
    """Half and half in one that doubles and one that halves: 100 become 50 * 2 + 50 / 2 = 125, and 125 again 156.25."""
    prices = np.array([[10.0, 10.0], [20.0, 5.0], [40.0, 2.5], [20.0, 5.0]])
    gross, equity = simulated(np.full((3, 2), 0.5), prices)
    assert gross == pytest.approx([0.25, 0.25, 0.5 * -0.5 + 0.5 * 1.0])
    assert 100 * equity == pytest.approx([100, 125, 156.25, 195.3125])


@pytest.mark.parametrize("fault", [of_logs, summed, logs_taken_for_simple])
def test_a_portfolio_is_a_sum_of_simple_returns_that_compounds(fault: Simulator) -> None:
    money_is_counted(ours)
    fails(money_is_counted, fault)


def the_loss_of_the_first_bar_counts(equity: Callable[[Result], np.ndarray], made: Result) -> None:
    found = compute(replace(made, equity=equity(made)))
    assert found["max_drawdown"].value == pytest.approx(-0.2)
    assert found["total_return_net"].value == pytest.approx(0.8 * 1.1 * 1.05 - 1)


def test_a_drawdown_begins_with_the_capital_put_in(make_panel) -> None:
    """Down 20 % in the first bar, and up from there on: the deepest drawdown is those 20 %."""
    close = np.array([100.0, 100.0, 80.0, 88.0, 92.4])[:, None]
    made = a_result(make_panel(close), np.ones((3, 1)), rates=CostModel(0.0, 0.0))
    the_loss_of_the_first_bar_counts(lambda result: result.equity, made)
    fails(the_loss_of_the_first_bar_counts, lambda result: result.equity[1:], made)


def labels_compound(labels: Callable, panel) -> None:
    """The label of two bars is the product of those of one, not their sum."""
    one, two = labels((1,))(panel).values[:, :, 0], labels((2,))(panel).values[:, :, 0]
    known = np.isfinite(two[:-1])
    assert two[:-1][known] == pytest.approx(((1 + one[:-1]) * (1 + one[1:]) - 1)[known])


def test_labels_compound(make_panel, rng) -> None:
    panel = make_panel(50 * np.exp(np.cumsum(rng.normal(0, 0.2, (60, 2)), axis=0)))

    def of_sums(horizons: tuple[int, ...]):
        """The fault: the label of h bars is the sum of h labels."""

        def labels(p):
            found, one = ForwardReturn(horizons)(p), ForwardReturn((1,))(p).values
            later = sum(np.pad(one[k:], ((0, k), (0, 0), (0, 0)), constant_values=np.nan) for k in range(horizons[0]))
            return replace(found, values=later)

        return labels

    labels_compound(ForwardReturn, panel)
    fails(labels_compound, of_sums, panel)
