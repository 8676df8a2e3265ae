"""Compiled guardrails equal their rules, in every action, and so does what they remember."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnpu.guard import GrossCap
from mnpu.guard_kernels import EXCESS, LIMIT, REMEMBER, compiled_chain, numbers_of, past_of, series_of
from mnpu.testing.guardrails import laws, random_books
from mnpu_guardrails.brakes import DailyLoss, Drawdown, KillSwitch
from mnpu_guardrails.concentration import Concentration
from mnpu_guardrails.exposure import Exposure
from mnpu_guardrails.leverage import Leverage
from mnpu_guardrails.liquidity import Liquidity
from mnpu_guardrails.risk import TailRisk, VolatilityTarget
from mnpu_guardrails.stale_data import StaleData
from mnpu_guardrails.turnover import Turnover

BOOKS = 1500
GROUPS = {"S0": "a", "S1": "a", "S2": "b", "S3": "b"}
KNOWN = ("day", "day_equity", "past", "periods_per_year", "volume", "age")
RULES = {
    "gross_cap": lambda action: GrossCap(0.7),
    "exposure": lambda action: Exposure(0.8, 0.2, 0.3, action=action),
    "exposure by groups": lambda action: Exposure(0.9, 0.3, 0.4, {"a": 0.35, "b": 0.2}, GROUPS, action),
    "exposure by groups alone": lambda action: Exposure(None, None, None, 0.3, GROUPS, action),
    "concentration": lambda action: Concentration(3.5, action),
    "leverage": lambda action: Leverage(0.8, 0.3, {"S0": 0.9}, 0.3, action),
    "stale_data": lambda action: StaleData(1, action),
    "liquidity": lambda action: Liquidity(3.0, 2.0, 0.1, action),
    "turnover": lambda action: Turnover(0.3, 0.5, action),
    "drawdown": lambda action: Drawdown(0.1, 0.3, 0.05, 0.7, 0.0, action),
    "drawdown with a floor": lambda action: Drawdown(0.1, 0.3, 0.05, 0.7, 0.1, action),
    "daily_loss": lambda action: DailyLoss(0.02, 0.2, action),
    "kill_switch": lambda action: KillSwitch(),
    "kill_switch that reduces": lambda action: KillSwitch(engaged=True, then="reduce"),
    "volatility_target": lambda action: VolatilityTarget(0.12, 40, 0.7, action),
    "tail_risk": lambda action: TailRisk(0.01, 0.27, window=45, min_history=0.7, action=action),
}


def memory_of(rule, book, rng):
    if rule.name == "turnover":
        return np.stack([rng.choice([book.day, book.day + 1], BOOKS), rng.uniform(0, 0.6, BOOKS)], axis=1).astype(float)
    if rule.name == "drawdown":
        peak = rng.choice([0.0, 0.8, 1.5], BOOKS)
        return np.stack([rng.choice([0.0, 0.4], BOOKS), rng.choice([0.0, 0.0, 1.0], BOOKS), peak], axis=1)
    if rule.name == "daily_loss":
        return rng.choice([book.day, book.day + 1], (BOOKS, 1)).astype(float)
    return rng.choice([0.0, 0.0, 1.0], (BOOKS, 1))


@pytest.mark.parametrize("action", ["scale", "de-risk", "warn"])
@pytest.mark.parametrize("name", RULES)
def test_a_kernel_equals_its_rule(name, action, rng):
    rule = RULES[name](action)
    proposed, book = random_books(BOOKS, 5, seed=11)
    proposed[::50, 2] = np.nan
    kept = np.zeros((BOOKS, 0))
    if hasattr(rule, "remember"):
        kept = memory_of(rule, book, rng)
        book = replace(book, memory={rule.name: kept})
    expected, warned = rule.limit(proposed, book), getattr(rule, "warned", lambda *_: np.zeros(BOOKS, bool))
    due = warned(proposed, book)
    chain = compiled_chain([rule], ["rule"], book.symbols, KNOWN)
    work, over = np.zeros(chain.places[1, 2]), np.zeros(chain.places[1, 3])
    for i in range(BOOKS):
        one, weights, state = book.row(i), proposed[i].copy(), kept[i].copy()
        given = one.weights.copy(), one.tradable, numbers_of(one), series_of(one), *past_of(one.past), chain.params
        rest = state, work, over
        work[:1] = 0.0
        said = rule.kernel(LIMIT, weights, *given, *rest)
        if getattr(rule, "action", "scale") == "warn":
            assert said == due[i]
        if not said and np.array_equal(weights, proposed[i]):
            assert rule.excess(weights, one) == pytest.approx(0.0, abs=1e-9)
            assert rule.explain(proposed[i], expected[i], one) == []
        assert weights == pytest.approx(expected[i], abs=1e-12)
        for held in (np.nan_to_num(proposed[i]), expected[i], one.weights):
            rule.kernel(EXCESS, held.copy(), *given, *rest)
            assert over == pytest.approx(rule.excess(held, one), abs=1e-12)
        assert np.array_equal(state, kept[i])
        if kept.size:
            rule.kernel(REMEMBER, expected[i].copy(), *given, *rest)
            assert state == pytest.approx(rule.remember(proposed[i], expected[i], one), abs=1e-12)


def test_what_a_kernel_is_not_given_has_none():
    assert TailRisk(source="forecast").kernel is None
    assert compiled_chain([StaleData()], ["stale_data"], ("A",), ("day",)) is None


def test_a_rule_that_changes_a_shipped_one_has_no_kernel_unless_it_brings_one():
    class Halved(Leverage):
        def project(self, weights, book):
            return weights / 2

    assert Halved().kernel is None


def test_the_kit_sees_a_kernel_that_is_not_its_rule():
    class Wrong(Leverage):
        """Allows twice as much where it is compiled."""

        def kernel_params(self, symbols):
            return [0.0, 2 * self.leverage, *super().kernel_params(symbols)[2:]]

    broken = [outcome for outcome in laws(lambda: Wrong(0.5)) if not outcome.passed]
    assert ["kernel" in outcome.law for outcome in broken] == [True]
    assert [outcome for outcome in laws(lambda: Leverage(0.5)) if not outcome.passed] == []
