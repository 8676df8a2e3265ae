"""Exposure limits: met where they can be, missed by as little as possible where not, and never at the price of risk."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.guard import Chain
from mnpu.testing.guardrails import laws, random_books
from mnpu.types import Book
from mnpu_guardrails.exposure import Exposure

AT = pd.Timestamp("2020-01-02 21:00", tz="UTC")
NAMES = tuple("ABCDEFGH")


def book_of(held, tradable=None) -> Book:
    held = np.asarray(held, dtype=float)
    tradable = np.ones(held.shape, bool) if tradable is None else np.asarray(tradable, bool)
    return Book(held, tradable, 1.0, 1.0, AT, NAMES[: held.shape[-1]])


def excess(weights, gross, net, symbol):
    """Excess over each limit, (..., 2 + A)."""
    weights = np.asarray(weights)
    over = [
        np.abs(weights).sum(-1) - gross,
        np.abs(weights.sum(-1)) - net,
        *np.moveaxis(np.abs(weights) - symbol, -1, 0),
    ]
    return np.maximum(np.stack(over, axis=-1), 0.0)


LIMITS = {
    "defaults": {},
    "tight": {"gross": 0.5, "net": 0.1, "per_symbol": 0.2},
    "market neutral": {"gross": None, "net": 0.0, "per_symbol": None},
    "one symbol only": {"gross": None, "net": None, "per_symbol": 0.1},
    "no position at all": {"gross": 0.0, "net": 0.0, "per_symbol": 0.0},
    "no limit": {"gross": None, "net": None, "per_symbol": None},
}


@pytest.mark.parametrize("name", LIMITS)
def test_exposure_keeps_every_law(name):
    assert [outcome for outcome in laws(lambda: Exposure(**LIMITS[name])) if not outcome.passed] == []


def test_each_symbol_is_clipped_then_the_heavy_side_shrinks_then_both():
    # clipped: 0.5 0.5 -0.2; net 0.8 to 0.5 takes 0.3 from the longs; gross 0.9 to 0.6 takes as much from both sides
    allowed = Exposure(gross=0.6, net=0.5, per_symbol=0.5).limit(np.array([0.9, 0.5, -0.2]), book_of([0, 0, 0]))
    assert allowed == pytest.approx([0.35 * 2 / 3, 0.35 * 2 / 3, -0.2 * 2 / 3])


def test_a_net_limit_alone_leaves_the_lighter_side_alone():
    allowed = Exposure(gross=None, net=0.1, per_symbol=None).limit(np.array([0.6, 0.3, -0.4]), book_of([0, 0, 0]))
    assert allowed == pytest.approx([0.6 * 5 / 9, 0.3 * 5 / 9, -0.4])


def test_a_hedge_of_a_suspended_holding_is_not_closed():
    # A cannot be sold; closing its hedge B would break the net limit, which the drifted book keeps.
    book = book_of([0.6, -0.3], [False, True])
    decided = Chain([Exposure(gross=1.0, net=0.3, per_symbol=None)]).decide(np.array([0.0, 0.0]), book)
    assert decided.weights == pytest.approx([0.6, -0.3])
    assert {violation.code for violation in decided.violations} == {"SYMBOL_NOT_TRADABLE", "EXPOSURE_NET"}


def test_limits_that_cannot_all_be_met_are_named_with_what_remains():
    book = book_of([0.8, 0.0, 0.0], [False, True, True])
    decided = Chain([Exposure(gross=0.5, net=0.5, per_symbol=0.25)]).decide(np.array([0.8, 0.2, -0.1]), book)
    assert decided.weights == pytest.approx([0.8, 0.0, 0.0])
    unreachable = [violation for violation in decided.violations if violation.code == "LIMIT_UNREACHABLE"]
    assert [(violation.limit, violation.value) for violation in unreachable] == [(0.25, 0.8), (0.5, 0.8), (0.5, 0.8)]
    assert decided.state == "REDUCING"


def test_each_limit_has_its_own_code():
    book = book_of([0.0, 0.0])
    codes = lambda rule, w: [v.code for v in Chain([rule]).decide(np.array(w), book).violations]
    assert codes(Exposure(None, None, 0.2), [0.5, 0.1]) == ["EXPOSURE_SYMBOL"]
    assert codes(Exposure(None, 0.2, None), [0.5, 0.1]) == ["EXPOSURE_NET"]
    assert codes(Exposure(0.2, None, None), [0.5, 0.1]) == ["EXPOSURE_GROSS"]
    assert codes(Exposure(1.0, 1.0, 1.0), [0.5, 0.1]) == []


@pytest.mark.parametrize("action", ["warn", "scale", "de-risk"])
def test_what_was_done_stands_in_the_violation(action):
    decided = Chain([Exposure(0.5, None, None, action=action)]).decide(np.array([0.5, 0.1]), book_of([0.0, 0.0]))
    assert [(v.code, v.action) for v in decided.violations] == [("EXPOSURE_GROSS", action)]


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.6, 1.5]), st.sampled_from([0.0, 0.2, 1.0]))
@settings(max_examples=40, deadline=None)
def test_over_thousands_of_books_limits_hold_and_no_excess_grows(seed, gross, net):
    symbol = 0.25
    proposed, book = random_books(200, 5, seed=seed)
    allowed = Exposure(gross, net, symbol).limit(proposed, book)
    after, held = excess(allowed, gross, net, symbol), excess(book.weights, gross, net, symbol)
    assert (after <= held + 1e-8).all()
    reachable = book.tradable.all(axis=1) | (held.sum(axis=1) == 0)
    assert after[reachable] == pytest.approx(0.0, abs=1e-8)
    legal = (excess(proposed, gross, net, symbol).sum(axis=1) == 0) & book.tradable.all(axis=1)
    assert np.array_equal(allowed[legal], proposed[legal])


def test_with_everything_tradable_the_drifted_book_does_not_matter():
    proposed, book = random_books(400, 6, seed=3)
    open_ = np.ones_like(book.tradable)
    rule = Exposure(0.8, 0.2, 0.3)
    one = rule.limit(proposed, Book(book.weights, open_, 1.0, 1.0, None, NAMES[:6]))
    other = rule.limit(proposed, Book(np.zeros_like(proposed), open_, 1.0, 1.0, None, NAMES[:6]))
    assert one == pytest.approx(other, abs=1e-12)


def reachable_books(proposed, book, gross, net, symbol, steps):
    """All books on a grid between drifted, proposed and zero that add no risk and grow no excess."""
    axes = []
    for p, d, open_ in zip(proposed, book.weights, book.tradable, strict=True):
        ends = [min(p, d, 0.0), max(p, d, 0.0)]
        axes.append(np.unique([*np.linspace(*ends, steps), p, d, 0.0]) if open_ else [d])
    grid = np.array(list(product(*axes)))
    held = excess(book.weights, gross, net, symbol)
    larger = max(np.abs(proposed).sum(), np.abs(book.weights).sum())
    kept = (np.abs(grid).sum(axis=1) <= larger + 1e-12) & (excess(grid, gross, net, symbol) <= held + 1e-12).all(axis=1)
    return grid[kept]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_no_reachable_book_has_a_smaller_total_excess(seed):
    rng = np.random.default_rng(seed)
    # On a grid of tenths every corner of the problem is a grid point, so that the search finds the true minimum.
    proposed, held = rng.integers(-6, 7, size=(2, 3)) / 10
    gross, net, symbol = rng.integers(1, 9) / 10, rng.integers(0, 6) / 10, rng.integers(1, 7) / 10
    book = book_of(held, rng.random(3) < 0.6)
    allowed = Exposure(float(gross), float(net), float(symbol)).limit(proposed, book)
    candidates = reachable_books(proposed, book, gross, net, symbol, steps=41)
    best = excess(candidates, gross, net, symbol).sum(axis=1).min()
    assert excess(allowed, gross, net, symbol).sum() <= best + 1e-9


@pytest.mark.parametrize("grouped", [False, True])
def test_linear_programming_finds_no_smaller_total_excess(rng, grouped):
    linprog = pytest.importorskip("scipy.optimize", reason="scipy gives the exact minimum").linprog
    n_unreachable = 0
    for _ in range(300):
        n = int(rng.integers(1, 6))
        proposed, held = rng.choice([0.05, 0.3, 1.0], size=(2, 1)) * rng.standard_normal((2, n))
        tradable = rng.random(n) < 0.6
        gross, net, symbol = rng.choice([0.3, 0.6, 1.0]), rng.choice([0.0, 0.1, 0.3]), rng.choice([0.05, 0.2, 0.5])
        group = float(rng.choice([0.1, 0.3, 0.6])) if grouped else None
        of = rng.integers(0, 3, n) if grouped else np.zeros(n, dtype=int)
        groups = {name: f"G{g}" for name, g in zip(NAMES, of.tolist(), strict=False)} if grouped else None
        rule = Exposure(float(gross), float(net), float(symbol), group, groups)
        book = book_of(held, tradable)
        allowed = rule.limit(proposed, book)
        least = linprog(**program(proposed, held, tradable, gross, net, symbol, of, group))
        assert least.status == 0
        total = excess(allowed, gross, net, symbol).sum()
        if grouped:
            of_groups = [max(np.abs(allowed[of == g]).sum() - group, 0) for g in range(3)]
            before = [max(np.abs(held[of == g]).sum() - group, 0) for g in range(3)]
            assert (np.array(of_groups) <= np.array(before) + 1e-8).all()
            total += sum(of_groups)
        assert (excess(allowed, gross, net, symbol) <= excess(held, gross, net, symbol) + 1e-8).all()
        assert rule.excess(allowed, book).sum() == pytest.approx(total, abs=1e-12)
        assert total == pytest.approx(least.fun, abs=1e-7)
        n_unreachable += least.fun > 1e-9
    assert n_unreachable > 30


def program(proposed, held, tradable, gross, net, symbol, of, group):
    """Minimum total excess as a linear program in longs, shorts (A each) and one slack for each limit."""
    n, eye = len(proposed), np.eye(len(proposed))
    low = np.where(tradable, np.minimum(np.minimum(proposed, held), 0), held)
    high = np.where(tradable, np.maximum(np.maximum(proposed, held), 0), held)
    larger = max(np.abs(proposed).sum(), np.abs(held).sum())
    hard = min(larger, max(gross, np.abs(held).sum())), max(net, abs(held.sum())), np.maximum(symbol, np.abs(held))
    total, side = np.ones(2 * n), np.r_[np.ones(n), -np.ones(n)]
    slack = np.eye(2 + n + 3)
    rows = [(total, -slack[0], gross), (total, 0 * slack[0], hard[0])]
    for sign in (1, -1):
        rows += [(sign * side, -slack[1], net), (sign * side, 0 * slack[1], hard[1])]
    for i in range(n):
        size, weight = np.r_[eye[i], eye[i]], np.r_[eye[i], -eye[i]]
        rows += [(size, -slack[2 + i], symbol), (size, 0 * slack[2 + i], hard[2][i])]
        rows += [(weight, 0 * slack[0], high[i]), (-weight, 0 * slack[0], -low[i])]
    for g in range(3) if group is not None else ():
        member = np.r_[of == g, of == g].astype(float)
        most = max(group, np.abs(held[of == g]).sum())
        rows += [(member, -slack[2 + n + g], group), (member, 0 * slack[0], most)]
    matrix = np.array([np.r_[book, slacks] for book, slacks, _ in rows])
    return {"c": np.r_[0 * total, np.ones(2 + n + 3)], "A_ub": matrix, "b_ub": [bound for *_, bound in rows]}
