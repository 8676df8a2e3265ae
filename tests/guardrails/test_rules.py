"""Every rule, and chains of them, held to the laws of the kit; see test_random_limits for the ten thousand books."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnpu.guard import Chain
from mnpu.testing.guardrails import laws, random_books
from mnpu.types import Book
from mnpu_guardrails.brakes import DailyLoss, Drawdown, KillSwitch
from mnpu_guardrails.concentration import Concentration
from mnpu_guardrails.exposure import Exposure
from mnpu_guardrails.leverage import Leverage
from mnpu_guardrails.liquidity import Liquidity
from mnpu_guardrails.risk import TailRisk, VolatilityTarget
from mnpu_guardrails.stale_data import StaleData
from mnpu_guardrails.turnover import Turnover
from tests.guardrails.random_rules import above, added, gross

N = 5
GROUPS = {"S0": "X", "S1": "X", "S2": "Y", "S3": "Y", "S4": "Z"}
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def of_exposure(w, book):
    groups = [above(gross(w[..., list(which)]), 0.4) for which in ((0, 1), (2, 3), (4,))]
    return np.concatenate([above(gross(w), 0.8), above(np.abs(w.sum(-1, keepdims=True)), 0.2), *groups], -1)


def of_concentration(w, book):
    total = np.where(gross(w) > 1e-9, gross(w), np.inf)
    return above(((np.abs(w) / total) ** 2).sum(-1, keepdims=True), 1 / 2.5)


def of_leverage(w, book):
    margin = np.abs(w) @ np.array([0.9, 0.3, 0.3, 0.3, 0.3])
    return np.concatenate([above(gross(w), 0.8), above(margin[..., None], 0.3)], -1)


def of_drawdown(w, book):
    down = 1 - book.equity / book.peak
    most = np.interp(down, [0.1, 0.3], [0.7, 0.1])
    return above(gross(w), np.where(down > 0.1, most, np.inf)[..., None])


def of_daily_loss(w, book):
    tripped = book.equity / book.day_equity <= 0.98
    return above(gross(w), np.where(tripped, 0.2, np.inf)[..., None])


def of_liquidity(w, book):
    most = 2.0 * 0.1 * book.volume / (3.0 * book.equity[..., None])
    return np.where(np.isnan(book.volume), added(w, book), above(np.abs(w), most))


def returns(w, book):
    return np.einsum("nka,na->nk", np.nan_to_num(book.past), w)


def unmeasured(w, book, known=True):
    short = (np.isfinite(book.past).mean(-2) < 0.7) | ~np.broadcast_to(known, w.shape)
    return np.where(short, added(w, book), 0.0)


def of_volatility(w, book):
    risk = np.sqrt((returns(w, book) ** 2).mean(-1) * 252)
    return np.concatenate([above(risk, 0.15)[:, None], unmeasured(w, book)], -1)


def cvar(x, level):
    """Rockafellar and Uryasev: the least over c of c + mean(max(-x - c, 0)) / level, reached at one of the losses."""
    c = -x
    return (c + np.maximum(-x[:, None, :] - c[:, :, None], 0).mean(-1) / level).min(-1)


def of_history(w, book):
    return np.concatenate([above(cvar(returns(w, book), 0.23), 0.02)[:, None], unmeasured(w, book)], -1)


def of_forecast(w, book):
    scenarios = np.zeros(book.past.shape)
    for n, a in np.ndindex(w.shape):
        past, q = book.past[n, :, a], book.quantiles[n, a]
        if not np.isfinite(q).all():
            continue
        seen = np.isfinite(past)
        u = np.full(len(past), 0.5)
        u[seen] = (np.argsort(np.argsort(past[seen], kind="stable"), kind="stable") + 0.5) / seen.sum()
        low = q[0] + (u - 0.05) * (q[1] - q[0]) / 0.2
        high = q[-1] + (u - 0.95) * (q[-1] - q[-2]) / 0.2
        scenarios[n, :, a] = np.where(u < 0.05, low, np.where(u > 0.95, high, np.interp(u, LEVELS, q)))
    x = np.einsum("nka,na->nk", scenarios, w)
    known = np.isfinite(book.quantiles).all(-1)
    return np.concatenate([above(cvar(x, 0.23), 0.02)[:, None], unmeasured(w, book, known)], -1)


#: Rule, and the excess over its limits by another route; whether any reachable book counts, or what is left of two.
RULES = {
    "exposure": (lambda a: Exposure(0.8, 0.2, None, 0.4, GROUPS, a), of_exposure, True),
    "concentration": (lambda a: Concentration(2.5, a), of_concentration, True),
    "turnover": (lambda a: Turnover(0.3, None, a), lambda w, b: above(added(w, b).sum(-1, keepdims=True), 0.3), True),
    "leverage": (lambda a: Leverage(0.8, 0.3, {"S0": 0.9}, 0.3, a), of_leverage, True),
    "drawdown": (lambda a: Drawdown(0.1, 0.3, 0.05, 0.7, 0.1, a), of_drawdown, True),
    "daily_loss": (lambda a: DailyLoss(0.02, 0.2, a), of_daily_loss, True),
    "stale_data": (lambda a: StaleData(1, a), lambda w, b: np.where(b.age <= 1, 0.0, added(w, b)), True),
    "liquidity": (lambda a: Liquidity(3.0, 2.0, 0.1, a), of_liquidity, True),
    "volatility_target": (lambda a: VolatilityTarget(0.15, 60, 0.7, a), of_volatility, False),
    "tail_risk": (lambda a: TailRisk(0.02, 0.23, "history", 60, 0.7, a), of_history, False),
    "tail_risk forecast": (lambda a: TailRisk(0.02, 0.23, "forecast", 60, 0.7, a), of_forecast, False),
    "kill_switch": (lambda a: KillSwitch(engaged=True), lambda w, b: gross(w), True),
}


CHAINS = {
    "weights": (["exposure", "concentration", "turnover", "leverage"]),
    "account": (["leverage", "drawdown", "daily_loss", "stale_data", "liquidity", "turnover"]),
    "risk": (["exposure", "volatility_target", "tail_risk", "turnover"]),
}


@pytest.mark.parametrize(
    ("name", "action"),
    [(name, "scale") for name in RULES]
    + [(name, action) for name in RULES for action in ("de-risk", "warn") if not name.startswith(("tail", "kill"))],
)
def test_every_law_is_kept(name, action):
    assert [outcome for outcome in laws(lambda: RULES[name][0](action)) if not outcome.passed] == []


class AsOne(Chain):
    """A chain as a single guardrail."""

    def explain(self, proposed, allowed, book):
        return list(self.decide(proposed, book).violations)


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_keeps_every_law(name):
    chain = AsOne([RULES[rule][0]("scale") for rule in CHAINS[name]])
    assert [outcome for outcome in laws(lambda: chain) if not outcome.passed] == []


@pytest.mark.parametrize("name", ["liquidity", "stale_data", "volatility_target", "tail_risk", "daily_loss"])
def test_what_is_unknown_lets_nothing_grow_and_says_so(name):
    proposed, book = random_books(200, N, seed=1)
    rule = RULES[name][0]("scale")
    bare = Book(book.weights, book.tradable, book.equity, book.peak, book.time, book.symbols)
    allowed = rule.limit(proposed, bare)
    assert (np.abs(allowed) <= np.abs(book.weights) + 1e-12).all()
    i = int(np.argmax(np.where(book.tradable, added(proposed, book), 0).sum(-1)))
    codes = {v.code for v in rule.explain(proposed[i], allowed[i], bare.row(i))}
    assert any(code.startswith("BOOK_UNKNOWN") for code in codes)


def test_a_warning_changes_nothing_and_is_written_down():
    book = Book(np.zeros(2), np.ones(2, bool), 1.0, 1.0, None, ("S0", "S1"))
    decided = Chain([Leverage(1.0, action="warn")]).decide(np.array([0.9, -0.9]), book)
    assert decided.weights.tolist() == [0.9, -0.9]
    assert [(v.code, v.action) for v in decided.violations] == [("LEVERAGE_ABOVE_LIMIT", "warn")]
    assert decided.state == "ACTIVE"


@pytest.mark.parametrize("name", RULES)
def test_the_future_of_a_book_is_not_looked_for(name):
    # Rows of other books are other times here: whatever they hold, a book's answer is its own.
    proposed, book = random_books(60, N, seed=5)
    other_proposed, other = random_books(60, N, seed=6)
    rule = RULES[name][0]("scale")
    fields = ("weights", "tradable", "equity", "peak", "day_equity", "past", "volume", "age", "quantiles")
    mixed = {f: np.concatenate([getattr(book, f)[:30], getattr(other, f)[30:]]) for f in fields}
    allowed = rule.limit(np.concatenate([proposed[:30], other_proposed[30:]]), replace(book, **mixed))
    assert allowed[:30] == pytest.approx(rule.limit(proposed, book)[:30], abs=1e-12)
