"""D20: a guardrail meets its limits, repeats itself, leaves a legal book alone, and knows nothing that comes later.

That every shipped rule does, over ten thousand books each, is in ``tests/guardrails/test_rules.py``. Here faults are
planted in them, and the kit that judges a stranger's rule (``mnpu plugins check``) has to find each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mnpu.guard import Chain, GrossCap
from mnpu.simulation.simulate import simulate
from mnpu.testing.guardrails import laws, random_books
from mnpu.types import Book, Positions
from tests.traps.planting import fails

pytest.importorskip("mnpu_guardrails")

from mnpu_guardrails.brakes import Drawdown
from mnpu_guardrails.exposure import Exposure
from mnpu_guardrails.leverage import Leverage
from mnpu_guardrails.turnover import Turnover

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # numpy on tensors, in the faulty

RULES: dict[str, Callable[[], Any]] = {
    "gross_cap": lambda: GrossCap(0.5),
    "exposure": lambda: Exposure(gross=0.8, net=0.2, per_symbol=0.3),
    "leverage": lambda: Leverage(0.6),
    "turnover": lambda: Turnover(per_bar=0.3),
}


class Planted:
    """A rule with another ``limit``; all the rest is its own."""

    def __init__(self, rule: Any, fault: Callable) -> None:
        self.rule, self.fault = rule, fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rule, name)

    def limit(self, proposed: Any, book: Book) -> Any:
        """What the fault makes of the rule's answer."""
        return self.fault(self.rule, proposed, book)


def traded(book: Book, weights: Any) -> Any:
    return np.where(book.tradable, weights, book.weights)


def finite(proposed: Any, book: Book) -> Any:
    return np.where(np.isfinite(proposed).all(axis=-1, keepdims=True), proposed, book.weights)


FAULTS: dict[str, Callable[[Any, Any, Book], Any]] = {
    "buys a little more": lambda rule, w, book: traded(book, 1.01 * np.asarray(rule.limit(w, book))),
    "lets everything through": lambda rule, w, book: traded(book, finite(w, book)),
    "is never content": lambda rule, w, book: traded(book, np.asarray(rule.limit(w, book)) / 2),
    "closes what is legal": lambda rule, w, book: traded(book, np.zeros_like(book.weights)),
    "trades the suspended": lambda rule, w, book: rule.limit(w, replace(book, tradable=np.ones_like(book.tradable))),
    "passes what is not a number": lambda rule, w, book: traded(book, np.clip(w, -0.01, 0.01)),
    "turns a bet round": lambda rule, w, book: traded(book, -np.asarray(rule.limit(w, book))),
    "looks at other books": lambda rule, w, book: traded(
        book, np.asarray(rule.limit(w, book)) * (0.9 if np.ndim(w) > 1 else 1.0)
    ),
    "writes into its input": lambda rule, w, book: _overwritten(w, rule.limit(w, book)),
}


def _overwritten(weights: Any, allowed: Any) -> Any:
    weights[...] = allowed
    return allowed


def keeps_every_law(factory: Callable[[], Any]) -> None:
    assert [f"{outcome.law}: {outcome.detail}" for outcome in laws(factory) if not outcome.passed] == []


@pytest.mark.parametrize("name", RULES)
def test_a_planted_rule_departs_from_a_sound_one(name: str) -> None:
    keeps_every_law(RULES[name])
    keeps_every_law(lambda: Planted(RULES[name](), lambda rule, w, book: rule.limit(w, book)))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", RULES)
def test_the_kit_finds(name: str, fault: str) -> None:
    on_arrays = [outcome for outcome in laws(lambda: Planted(RULES[name](), FAULTS[fault])) if not outcome.passed]
    assert [outcome.law for outcome in on_arrays if "torch" not in outcome.law] != []


# De-risking: where a limit is broken, positions only shrink, bar after bar.


def de_risking_only_reduces(rule: Any) -> None:
    wanted, book = random_books(300, 6, seed=3)
    book = replace(book, tradable=np.ones_like(book.tradable))
    broken = (rule.excess(wanted, book) > 1e-7).any(axis=-1)
    assert 50 < broken.sum() < 300
    gross = [np.abs(book.weights).sum(axis=-1)[broken]]
    for _ in range(4):
        allowed = rule.limit(wanted, book)
        assert (np.abs(allowed) <= np.abs(book.weights) + 1e-9)[broken].all()
        book = replace(book, weights=np.where(broken[:, None], allowed, book.weights))
        gross.append(np.abs(book.weights).sum(axis=-1)[broken])
    assert (np.diff(gross, axis=0) <= 1e-9).all()


@pytest.mark.parametrize(
    "make",
    [lambda action: Exposure(gross=0.8, net=None, per_symbol=0.3, action=action), lambda a: Leverage(0.6, action=a)],
    ids=["exposure", "leverage"],
)
def test_de_risking_only_reduces(make) -> None:
    de_risking_only_reduces(make("de-risk"))
    fails(de_risking_only_reduces, make("scale"))


# Only the past: prices after a decision change nothing of what was allowed at it.


def allowed_on(prices: np.ndarray, chain: list[Any]) -> np.ndarray:
    n = len(prices) - 1
    times = pd.date_range("2024-01-01 15:00", periods=n, freq="D", tz="UTC").as_unit("ns")
    wanted = 0.9 * np.sign(np.sin(np.arange(n) / 5.0))[:, None] * np.array([[0.6, 0.4]])
    book = Positions(times, ("A", "B"), wanted, np.ones(n, dtype=bool))
    return simulate(book, prices, times, chain=Chain(chain)).targets.weights


def nothing_later_is_known(chain: Callable[[np.ndarray], list[Any]]) -> None:
    rng = np.random.default_rng(8)
    n = 80
    prices = 100 * np.exp(np.cumsum(0.03 * rng.standard_normal((n + 1, 2)), axis=0))
    one = allowed_on(prices, chain(prices))
    for _ in range(6):
        later = prices.copy()
        later[60:] *= np.exp(np.cumsum(0.1 * rng.standard_normal((n - 59, 2)), axis=0))
        other = allowed_on(later, chain(later))
        assert np.array_equal(one[:60], other[:60])  # row 60 is decided at the instant of fill 59, which both share
        assert not np.array_equal(one[61:], other[61:])


class CrystalBall(GrossCap):
    """The fault: full exposure only where prices will not be lower five bars later. Each book by itself is legal."""

    path_dependent = True

    def __init__(self, prices: np.ndarray) -> None:
        super().__init__(0.5)
        level = prices.mean(axis=1)
        self.falls = np.append(level[5:], np.full(5, np.inf)) < level

    def limit(self, proposed: Any, book: Book) -> Any:
        """Nearly closed ahead of a fall."""
        row = 0 if book.time is None else int((book.time - pd.Timestamp("2024-01-01 15:00", tz="UTC")).days)
        return GrossCap(0.05).limit(proposed, book) if self.falls[row] else super().limit(proposed, book)


def test_no_rule_of_an_account_knows_what_comes_later() -> None:
    brakes = [Drawdown(start=0.05, stop=0.3, resume=0.02, floor=0.2), Turnover(per_bar=0.4), Leverage(0.8)]
    nothing_later_is_known(lambda prices: brakes)
    fails(nothing_later_is_known, lambda prices: [CrystalBall(prices), *brakes])
