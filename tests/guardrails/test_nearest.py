"""How near a projection is to what was proposed, by an optimiser that knows nothing of the rule (decision note 23)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnpu.testing.guardrails import random_books
from mnpu.types import Book
from mnpu_guardrails.brakes import DailyLoss, Drawdown
from mnpu_guardrails.concentration import Concentration
from mnpu_guardrails.exposure import Exposure
from mnpu_guardrails.leverage import Leverage
from mnpu_guardrails.liquidity import Liquidity
from mnpu_guardrails.risk import TailRisk, VolatilityTarget
from mnpu_guardrails.stale_data import StaleData
from mnpu_guardrails.turnover import Turnover
from tests.guardrails.test_exposure import NAMES, program

optimize = pytest.importorskip("scipy.optimize", reason="scipy gives the exact minimum")


def reach(proposed, book):
    """Rows (longs, shorts, added, most) of all books that can be reached without adding risk."""
    n, eye, zero = len(proposed), np.eye(len(proposed)), np.zeros(len(proposed))
    held, open_ = book.weights, book.tradable
    low = np.where(open_, np.minimum(np.minimum(proposed, held), 0), held)
    high = np.where(open_, np.maximum(np.maximum(proposed, held), 0), held)
    rows = [(np.ones(n), np.ones(n), zero, max(np.abs(proposed).sum(), np.abs(held).sum()))]
    for i in range(n):
        e = eye[i]
        rows += [(e, -e, zero, high[i]), (-e, e, zero, -low[i])]
        rows += [(e, -e, -e, max(held[i], 0.0)), (-e, e, -e, -min(held[i], 0.0))]
    return rows


def least_move(proposed, book, rows):
    """Smallest sum of |w - proposed| over reachable books, ``rows`` of (longs, shorts, added, most) being limits."""
    n, eye, zero = len(proposed), np.eye(len(proposed)), np.zeros(len(proposed))
    table = [(p, q, a, zero, most) for p, q, a, most in [*reach(proposed, book), *rows]]
    for i in range(n):
        e = eye[i]
        table += [(e, -e, zero, -e, proposed[i]), (-e, e, zero, -e, -proposed[i])]
    found = optimize.linprog(
        np.r_[np.zeros(3 * n), np.ones(n)],
        A_ub=[np.concatenate(row[:4]) for row in table],
        b_ub=[row[4] + 1e-11 for row in table],
    )
    return found.fun if found.status == 0 else None


@pytest.mark.parametrize("grouped", [False, True])
def test_exposure_moves_as_little_as_any_book_that_meets_its_limits(rng, grouped):
    met = 0
    for _ in range(300):
        n = int(rng.integers(1, 6))
        proposed, held = rng.choice([0.05, 0.3, 1.0], size=(2, 1)) * rng.standard_normal((2, n))
        open_ = rng.random(n) < rng.choice([0.7, 1.0])
        gross, net, symbol = rng.choice([0.3, 0.6, 1.0]), rng.choice([0.0, 0.1, 0.3]), rng.choice([0.05, 0.2, 0.5])
        of, cap = rng.integers(0, 3, n), float(rng.choice([0.1, 0.3, 0.6])) if grouped else None
        groups = {name: f"G{g}" for name, g in zip(NAMES, of.tolist(), strict=False)} if grouped else None
        book = Book(held, open_, 1.0, 1.0, None, NAMES[:n])
        allowed = Exposure(float(gross), float(net), float(symbol), cap, groups).limit(proposed, book)
        one, zero = np.ones(n), np.zeros(n)
        rows = [(one, one, zero, gross), (one, -one, zero, net), (-one, one, zero, net)]
        rows += [(e, e, zero, symbol) for e in np.eye(n)]
        rows += [(1.0 * (of == g), 1.0 * (of == g), zero, cap) for g in range(3) if grouped]
        least = least_move(proposed, book, rows)
        if least is None:  # no reachable book meets them: the total excess counts, see test_exposure
            assert optimize.linprog(**program(proposed, held, open_, gross, net, symbol, of, cap)).fun > 1e-12
            continue
        assert np.abs(allowed - proposed).sum() == pytest.approx(least, abs=1e-6)
        met += 1
    assert met > 150


def gross_rule(name, book):
    one, zero = np.ones(5), np.zeros(5)
    down, lost = 1 - book.equity / book.peak, book.equity / book.day_equity <= 0.98
    cap = {
        "leverage": 0.5,
        "drawdown": float(np.interp(down, [0.1, 0.3], [0.7, 0.1])) if down > 0.1 else 1e9,
        "daily_loss": 0.2 if lost else 1e9,
    }[name]
    return [(one, one, zero, cap)]


RULES = {
    "leverage": (Leverage(0.5, None), lambda book: gross_rule("leverage", book)),
    "drawdown": (Drawdown(0.1, 0.3, 0.05, 0.7, 0.1), lambda book: gross_rule("drawdown", book)),
    "daily_loss": (DailyLoss(0.02, 0.2), lambda book: gross_rule("daily_loss", book)),
    "turnover": (Turnover(0.3), lambda book: [(np.zeros(5), np.zeros(5), np.ones(5), 0.3)]),
    "stale_data": (
        StaleData(1),
        lambda book: [(0 * e, 0 * e, e, 0.0) for e, age in zip(np.eye(5), book.age, strict=True) if not age <= 1],
    ),
    "liquidity": (
        Liquidity(3.0, 2.0, 0.1),
        lambda book: [
            (0 * e, 0 * e, e, 0.0) if np.isnan(v) else (e, e, 0 * e, 0.2 * v / (3.0 * book.equity))
            for e, v in zip(np.eye(5), book.volume, strict=True)
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_a_rule_on_sums_moves_as_little_as_any_book_that_meets_its_limits(name):
    rule, rows = RULES[name]
    proposed, book = random_books(250, 5, seed=9)
    allowed, changed = rule.limit(proposed, book), 0
    reach = np.where(book.tradable, proposed, book.weights)
    larger = np.maximum(np.abs(proposed).sum(-1), np.abs(book.weights).sum(-1))
    # Where a sale that cannot be made leaves no room for the purchases, these are scaled down before a rule looks.
    for i in np.flatnonzero(np.abs(reach).sum(-1) <= larger):
        least = least_move(proposed[i], book.row(i), rows(book.row(i)))
        if least is not None:
            assert np.abs(allowed[i] - proposed[i]).sum() == pytest.approx(least, abs=1e-7)
            changed += least > 1e-6
    assert changed > 20


@pytest.mark.parametrize("name", ["margin", "volatility", "tail"])
def test_a_book_is_scaled_by_the_largest_factor_that_meets_the_limit(name):
    rule = {
        "margin": Leverage(None, 0.2, {"S0": 0.9}, 0.3),
        "volatility": VolatilityTarget(0.1, 60, 0.1),
        "tail": TailRisk(0.01, 0.23, window=60, min_history=0.1),
    }[name]
    proposed, book = random_books(300, 5, seed=5)
    book = replace(book, tradable=np.ones_like(book.tradable))
    allowed = rule.limit(proposed, book)
    size = np.where(np.abs(proposed) > 1e-12, proposed, 1.0)
    factor = np.where(np.abs(proposed) > 1e-12, allowed / size, np.nan)
    cut = np.nanmax(np.nan_to_num(np.abs(allowed - proposed)), axis=-1) > 1e-9
    assert cut.sum() > 50
    assert np.nanmax(factor[cut], -1) == pytest.approx(np.nanmin(factor[cut], -1), rel=1e-9)  # one factor for all
    assert (rule.excess(allowed, book)[..., 0] <= 1e-9).all()
    assert (rule.excess(allowed * 1.0001, book)[cut, ..., :2].max(-1) > 0).all()


def test_concentration_moves_as_little_as_any_book_that_only_cuts(rng):
    changed = 0
    for _ in range(40):
        proposed = rng.standard_normal(5) * rng.choice([1.0, 1.0, 4.0], 5)
        positions = float(rng.choice([2.0, 3.0, 4.0]))
        book = Book(np.zeros(5), np.ones(5, dtype=bool), 1.0, 1.0, None, tuple(f"S{i}" for i in range(5)))
        allowed = Concentration(positions).limit(proposed, book)
        if np.array_equal(allowed, proposed):
            continue
        # sum of squares <= (sum)^2 / positions is a cone, so what is left within it and the box is a convex problem
        cone = lambda x, positions=positions: x.sum() / np.sqrt(positions) - np.sqrt(x @ x + 1e-18)
        found = optimize.minimize(
            lambda x: -x.sum(),
            np.full(5, np.abs(proposed).min()),
            bounds=[(0.0, size) for size in np.abs(proposed)],
            constraints={"type": "ineq", "fun": cone},
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 500},
        )
        assert found.status in (0, 8)  # 8: no step from here is better within rounding
        assert cone(found.x) >= -1e-7
        assert np.abs(allowed).sum() == pytest.approx(-found.fun, abs=1e-5)
        assert (np.abs(allowed) <= np.abs(proposed) + 1e-12).all()
        changed += 1
    assert changed > 10
