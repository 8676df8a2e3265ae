"""What a chain leaves above its limits, against linear programs that know all reachable books (decision note 23)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnpu.guard import Chain
from mnpu.guard_kernels import compiled_chain, numbers_of, past_of, series_of
from mnpu.guard_loops import decide_row
from mnpu.testing.guardrails import random_books
from mnpu.types import Book
from mnpu_guardrails.brakes import DailyLoss
from mnpu_guardrails.exposure import Exposure
from tests.guardrails.test_nearest import RULES, optimize, reach

CHAINS, BOOKS = 200, 60
SYMBOLS = tuple(f"S{i}" for i in range(5))


def a_chain(seed):
    """Exposure limits and some rules on sums, in random order; proposals, books, and each rule's rows of a book."""
    rng = np.random.default_rng(seed)
    gross, net, symbol = (float(rng.choice(values)) for values in ((0.3, 0.6, 1.5), (0.0, 0.1, 0.4), (0.1, 0.3, 1.0)))
    one, zero = np.ones(5), np.zeros(5)
    caps = [(one, one, zero, gross), (one, -one, zero, net), *((e, e, zero, symbol) for e in np.eye(5))]
    parts = [(Exposure(gross, net, symbol), lambda book: caps)]
    parts += [RULES[name] for name in rng.permutation(list(RULES))[: rng.integers(1, len(RULES) + 1)]]
    parts = [parts[i] for i in rng.permutation(len(parts))]
    proposed, book = random_books(BOOKS, 5, seed=seed)
    return Chain([rule for rule, _ in parts]), proposed, book, lambda one: [r for _, rows in parts for r in rows(one)]


def above(weights, book, rows):
    """How far a book is above each row of its limits, (k,); a net has two sides."""
    base = np.clip(weights, np.minimum(book.weights, 0), np.maximum(book.weights, 0))
    size, added = np.abs(weights), np.abs(weights - base)
    sums = [(p @ size if (p == q).all() else abs(p @ weights)) + a @ added for p, q, a, _ in rows]
    return np.maximum(np.array(sums) - [most for *_, most in rows], 0.0)


def least_excess(proposed, book, rows):
    """The least total excess of all reachable books in which no excess is larger than in the drifted one."""
    zero, slack = np.zeros(len(rows)), np.eye(len(rows))
    table = [(*row[:3], zero, row[3]) for row in reach(proposed, book)]
    table += [(p, q, a, -slack[k], most) for k, (p, q, a, most) in enumerate(rows)]
    table += [(-p, -q, a, -slack[k], most) for k, (p, q, a, most) in enumerate(rows) if (p != q).any()]
    most = [*[None] * 15, *(above(book.weights, book, rows) + 1e-9)]
    found = optimize.linprog(
        np.r_[np.zeros(15), np.ones(len(rows))],
        A_ub=[np.concatenate(row[:4]) for row in table],
        b_ub=[row[4] + 1e-10 for row in table],
        bounds=[(0.0, x) for x in most],
    )
    assert found.status == 0
    return found.fun


@pytest.fixture(scope="module")
def totals():
    """Of all books that keep an excess: what a chain leaves in total, and the least that it could leave."""
    left, least = [], []
    for seed in range(CHAINS):
        chain, proposed, book, rows_of = a_chain(seed)
        allowed = chain.limit(proposed, book)
        of_chain = chain.excess(allowed, book)
        for i in np.flatnonzero((of_chain > 1e-7).any(-1)):
            rows = rows_of(book.row(i))
            left.append(above(allowed[i], book.row(i), rows).sum())
            assert left[-1] == pytest.approx(of_chain[i].sum(), abs=1e-9)
            least.append(least_excess(proposed[i], book.row(i), rows))
    return np.array(left), np.array(least)


def test_hardly_a_limit_is_exceeded_that_a_reachable_book_satisfies(totals):
    left, least = totals
    assert CHAINS * BOOKS >= 10_000
    assert len(left) > 3_000
    assert (least < 1e-7).sum() <= 5  # two; thirteen where the rules are taken in their own order only


def test_what_a_chain_leaves_is_near_the_least_total_excess(totals):
    left, least = totals
    more = left - least
    assert more.min() > -1e-6  # nothing is below what a linear program finds among all reachable books
    assert (more > 1e-6).sum() < 0.02 * CHAINS * BOOKS
    assert more.max() < 1.0
    assert left.sum() == pytest.approx(least.sum(), rel=0.005)


def test_what_cannot_be_sold_does_not_keep_the_rest_from_being_sold():
    # B and C hedge the suspended A. A day's loss asks for no gross at all, the net limit for the hedge. What of the
    # drifted hedge the net does not need is sold, though the rules do not agree on the rest.
    chain = Chain([Exposure(None, 0.0, None), DailyLoss(0.02, 0.0)])
    book = Book(np.array([-0.356, 0.46, 0.204]), np.array([False, True, True]), 0.9, 1.0, None, ("A", "B", "C"))
    decided = chain.decide(np.zeros(3), replace(book, day=7, day_equity=1.0))
    assert decided.weights == pytest.approx([-0.356, 0.356 * 0.46 / 0.664, 0.356 * 0.204 / 0.664])
    assert decided.state == "REDUCING"
    assert {"LIMITS_CONFLICT", "DAILY_LOSS"} <= {violation.code for violation in decided.violations}


def test_compiled_chains_come_to_the_same_books():
    stuck = 0
    for seed in range(CHAINS // 5):
        chain, proposed, book, _ = a_chain(seed)
        allowed = chain.limit(proposed, book)
        made = compiled_chain(chain.guardrails, chain.names, SYMBOLS, ("day", "day_equity", "volume", "age"))
        rules, (state, work, over) = (made.addresses, made.places, made.params), map(np.zeros, made.places[-1, 1:])
        for i in range(BOOKS):
            one, weights = book.row(i), proposed[i].copy()
            told = one.weights.copy(), one.tradable, numbers_of(one), series_of(one), *past_of(one.past)
            decide_row(weights, told, rules, state, work, over, np.zeros((2, 5)))
            assert weights == pytest.approx(allowed[i], abs=1e-12)
            stuck += bool((chain.excess(weights, one) > 1e-7).any())
    assert stuck > 500
