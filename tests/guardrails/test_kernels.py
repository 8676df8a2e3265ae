"""Compiled guardrails equal their rules, and so does what they remember."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnpu.guard_kernels import numbers_of, series_of
from mnpu.testing.guardrails import random_books
from mnpu_guardrails.brakes import DailyLoss, Drawdown
from mnpu_guardrails.leverage import Leverage
from mnpu_guardrails.liquidity import Liquidity
from mnpu_guardrails.stale_data import StaleData
from mnpu_guardrails.turnover import Turnover

RULES = {
    "leverage": (Leverage(0.8, 0.3, {"S0": 0.9}, 0.3), 0),
    "stale_data": (StaleData(1), 0),
    "liquidity": (Liquidity(3.0, 2.0, 0.1), 0),
    "turnover": (Turnover(0.3, 0.5), 2),
    "drawdown": (Drawdown(0.1, 0.3, 0.05, 0.7), 3),
    "drawdown with a floor": (Drawdown(0.1, 0.3, 0.05, 0.7, 0.1), 3),
    "daily_loss": (DailyLoss(0.02, 0.2), 1),
}


@pytest.mark.parametrize("name", RULES)
def test_a_kernel_equals_its_rule(name, rng):
    rule, size = RULES[name]
    proposed, book = random_books(2000, 5, seed=11)
    proposed[::50, 2] = np.nan
    kept = np.zeros((2000, size))
    if rule.name == "turnover":
        kept = np.stack([rng.choice([book.day, book.day + 1], 2000), rng.uniform(0, 0.6, 2000)], axis=1).astype(float)
    elif rule.name == "drawdown":
        peak = rng.choice([0.0, 0.8, 1.5], 2000)
        kept = np.stack([rng.choice([0.0, 0.4], 2000), rng.choice([0.0, 0.0, 1.0], 2000), peak], axis=1)
    elif rule.name == "daily_loss":
        kept = rng.choice([book.day, book.day + 1], (2000, 1)).astype(float)
    if size:
        book = replace(book, memory={rule.name: kept})
    expected = rule.limit(proposed, book)
    params = np.array(rule.kernel_params(book.symbols))
    for i in range(2000):
        one, weights, state = book.row(i), proposed[i].copy(), kept[i].copy()
        given = numbers_of(one), series_of(one), one.past, params
        rule.kernel(weights, one.weights.copy(), one.tradable, *given, state)
        assert weights == pytest.approx(expected[i], abs=1e-12)
        if size:
            assert state == pytest.approx(rule.remember(proposed[i], expected[i], one), abs=1e-12)


def test_only_scaling_has_a_kernel():
    assert Leverage(action="warn").kernel is None
