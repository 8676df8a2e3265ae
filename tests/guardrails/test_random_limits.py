"""Ten thousand random books for each guardrail and for chains of them, under random limits, memory and order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.guard import Chain
from mnpu.testing.guardrails import random_books
from mnpu_guardrails.plugin import mnpu_guardrails
from tests.guardrails.random_rules import MAKERS, MIXTURES, N, broken, reachable, told

SEEDS = st.integers(0, 2**32 - 1)
SETTINGS, BOOKS = 40, 250  # random settings, and books for each: ten thousand


def a_rule(name, seed, action, books=BOOKS):
    """A rule with random settings: its limit, its excess, proposals, books, and reachable books to compare with."""
    rng = np.random.default_rng(seed)
    proposed, book = random_books(books, N, seed=seed)
    rule, excess, memory = MAKERS[name](rng, book, action)
    book = replace(told(book), memory=memory)
    flat = np.where(book.tradable, 0.0, book.weights)
    if action == "de-risk":
        tries = []
    elif name in MIXTURES:
        tries = [flat + part * (book.weights - flat) for part in (0.2, 0.4, 0.6, 0.8)]
    else:
        tries = [reachable(rng, proposed, book) for _ in range(8)]
    return rule, excess, proposed, book, tries


def test_every_registered_guardrail_is_tried():
    assert {name.removesuffix(" of a forecast") for name in MAKERS} == set(mnpu_guardrails())
    assert len(mnpu_guardrails()) == 11
    assert SETTINGS * BOOKS >= 10_000


@pytest.mark.parametrize("action", ["scale", "de-risk"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_guardrail_keeps_its_promises_over_ten_thousand_books(name, action):
    slow = name.startswith("tail_risk") and action == "de-risk"  # a tail is long, and taken back alike in every rule

    @given(SEEDS)
    @settings(max_examples=SETTINGS // 4 if slow else SETTINGS, deadline=None, database=None)
    def check(seed):
        rule, excess, proposed, book, tries = a_rule(name, seed, action)
        assert broken(rule.limit, excess, proposed, book, tries) == []
        if action == "de-risk" and name != "kill_switch":
            over = (excess(proposed, book) > 1e-7).any(-1) & book.tradable.all(-1)
            allowed = rule.limit(proposed, book)
            assert (np.abs(allowed[over]) <= np.abs(book.weights[over]) + 1e-9).all()
            assert (allowed[over] * book.weights[over] >= 0).all()

    check()


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"kill_switch"}))
def test_a_warning_limits_nothing(name):
    _, _, proposed, book, _ = a_rule(name, 3, "scale")
    rule, excess, _ = MAKERS[name](np.random.default_rng(3), book, "warn")
    open_ = replace(book, tradable=np.ones_like(book.tradable), memory=a_rule(name, 3, "warn")[3].memory)
    assert np.array_equal(rule.limit(proposed, open_), proposed)
    assert np.array_equal(np.asarray(rule.warned(proposed, open_)), (excess(proposed, open_) > 1e-9).any(-1))
    assert np.abs(rule.excess(proposed, open_)).max() == 0


def a_chain(seed, books=BOOKS):
    """A random choice of rules in random order, some that de-risk and some that only warn."""
    rng = np.random.default_rng(seed)
    proposed, book = random_books(books, N, seed=seed)
    names = rng.permutation(list(MAKERS))[: int(rng.integers(2, len(MAKERS) + 1))]
    rules, excesses, memory = [], [], {}
    for name in names:
        action = str(rng.choice(["scale", "scale", "scale", "de-risk", "warn"]))
        rule, excess, kept = MAKERS[name](rng, book, action)
        rules.append(rule)
        if action != "warn" or name == "kill_switch":
            excesses.append(excess)
        memory.update(kept)
    memory = {name: kept for name, kept in memory.items() if name in {rule.name for rule in rules}}
    nothing = np.zeros((books, 1))
    together = lambda w, book: np.concatenate([nothing[: len(w)], *(excess(w, book) for excess in excesses)], -1)
    return Chain(rules), together, proposed, replace(told(book), memory=memory)


@given(SEEDS)
@settings(max_examples=2 * SETTINGS, deadline=None, database=None)
def test_a_random_chain_keeps_its_promises_over_ten_thousand_books(seed):
    chain, excess, proposed, book = a_chain(seed, BOOKS // 2)
    assert broken(chain.limit, excess, proposed, book, []) == []
