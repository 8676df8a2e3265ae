"""A row of the ledger says of a trial what judging it needs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mnpu.trials import facts, hash_decisions, shape
from mnpu.types import Positions, Result

TIMES = pd.date_range("2020-01-01", periods=400, tz="UTC").as_unit("ns")


def a_result(net, symbols=("A", "B")):
    zero = np.zeros(len(net))
    book = Positions(TIMES[: len(net)], symbols, np.zeros((len(net), len(symbols))), np.ones(len(net), dtype=bool))
    equity = np.r_[1.0, np.cumprod(1 + net)]
    return Result("omni", book.times, book.times, net, net, equity, zero, {}, book, book, 252.0)


def test_the_moments_are_those_of_scipy(rng):
    net = rng.standard_t(4, 400) * 0.01
    found = facts(a_result(net))
    assert found["sharpe_bar"] == pytest.approx(net.mean() / net.std(ddof=1))
    assert found["skew"] == pytest.approx(stats.skew(net))
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(net, fisher=False))
    assert (found["n"], found["periods_per_year"], found["n_decisions"]) == (400, 252.0, 800)
    assert (found["first_decision"], found["last_decision"]) == (TIMES[0], TIMES[-1])


def test_returns_that_do_not_vary_have_a_reason_instead():
    found = facts(a_result(np.zeros(10)))
    assert (found["sharpe_bar"], found["skew"], found["kurtosis"]) == (None, None, None)
    assert found["undefined"] == "the returns do not vary"
    assert shape(np.zeros(2)) == (None, None)


def test_the_hash_is_that_of_the_set(rng):
    """Nothing around it counts: empty rows and columns, the order of symbols. One cell more or less does."""
    cells = rng.random((50, 3)) < 0.5
    cells[0] = True
    times, symbols = TIMES[:50], ("A", "B", "C")
    first = hash_decisions(times, symbols, cells)
    assert hash_decisions(times, ("C", "A", "B"), cells[:, [2, 0, 1]]) == first
    assert hash_decisions(TIMES[:60], symbols, np.r_[cells, np.zeros((10, 3), dtype=bool)]) == first
    assert hash_decisions(times, (*symbols, "D"), np.c_[cells, np.zeros(50, dtype=bool)]) == first
    for t, a in ((0, 0), (20, 1), (49, 2)):
        other = cells.copy()
        other[t, a] ^= True
        assert hash_decisions(times, symbols, other) != first
    assert hash_decisions(times + pd.Timedelta("1h"), symbols, cells) != first
    assert hash_decisions(times, ("A", "B", "X"), cells) != first
