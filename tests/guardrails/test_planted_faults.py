"""A fault in any of the eleven, or in the chain, breaks a promise on the random books."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnpu import guard, guard_rounds
from mnpu.testing.guardrails import random_books
from mnpu_guardrails import concentration, exposure, turnover
from mnpu_guardrails.brakes import Brake, DailyLoss, Drawdown, KillSwitch
from mnpu_guardrails.concentration import Concentration
from mnpu_guardrails.leverage import Leverage
from mnpu_guardrails.liquidity import Liquidity
from mnpu_guardrails.risk import BookRisk, TailRisk, VolatilityTarget
from mnpu_guardrails.rule import Rule, flat_of
from mnpu_guardrails.stale_data import StaleData
from mnpu_guardrails.turnover import Turnover
from tests.guardrails.random_rules import broken
from tests.guardrails.test_random_limits import a_chain, a_rule

UNMET = "no limit is exceeded that a reachable book satisfies"
STUCK = "what does not trade is left alone"


def forgets(field):
    """A rule that does not see one field of its memory or of the book."""
    return lambda self, xp, book, like, size: np.zeros((*like.shape[:-1], size))


def as_if_fresh(self, book):
    return ~(np.nan_to_num(book.age) <= self.bars)


def without_net(xp, book, tradable, bounds, groups):
    return book


def longs_only(self, weights, book):
    return np.where(self._on(np, weights, book) & (weights > 0) & book.tradable, 0.0, weights)


def any_volume(self, like, book):
    size = np.maximum(book.equity, 1e-12)[..., None] * self.capital
    return np.nan_to_num(book.volume * self.days * self.participation / size, nan=1e12)


def halves(self, weights, book):
    return np.where(book.tradable, weights / 2, weights)


def sells_all(self, weights, book):
    return flat_of(np, book)


def starts_late(self, weights, book):
    over = self.measure(weights, book) > 1.05 * self.limits(weights, book)
    return np.where(over, _SCALED(self, weights, book), weights)


def closes_the_suspended(self, weights, book):
    return _SCALED(self, weights, replace(book, tradable=np.ones_like(book.tradable)))


def beyond(self, weights, book):
    return weights + 0.01 * (weights > 0) * book.tradable


def whole_history(self, xp, book):
    past = np.nan_to_num(book.past)
    return past, np.ones(past.shape[:-2] + past.shape[-1:], dtype=bool)


def in_the_batch(self, weights, book):
    done = _SCALED(self, weights, book)
    return done if done.ndim == 1 else np.where(np.abs(done).sum(0) > 0.1 * len(done), done, weights)


_SCALED = Brake.project
FAULTS = {
    "exposure forgets the net": ("exposure", exposure, "_meet_net", without_net, UNMET),
    "exposure forgets the groups": ("exposure", exposure, "_meet_groups", lambda xp, book, *_: book, UNMET),
    "exposure forgets the gross": ("exposure", exposure, "_meet_gross", lambda xp, book, *_: book, UNMET),
    "exposure ignores what is stuck": ("exposure", exposure, "_bounds", None, ""),
    "concentration counts squares twice": (
        "concentration", concentration, "_herfindahl", lambda xp, sizes: (sizes**2).sum(-1, keepdims=True), "",
    ),
    "concentration halves": ("concentration", Concentration, "project_from", lambda s, p, w, b: halves(s, w, b), ""),
    "turnover counts reductions": ("turnover", turnover, "reduced", lambda xp, w, book: book.weights, ""),
    "turnover forgets the day": ("turnover", Turnover, "_memory", forgets("day"), UNMET),
    "leverage forgets the margin": (
        "leverage", Leverage, "limits", lambda self, like, book: np.array([self.leverage or 1e12, 1e12]), UNMET,
    ),
    "leverage sells all": ("leverage", Leverage, "project", sells_all, "a legal book is left alone"),
    "drawdown forgets its brake": ("drawdown", Drawdown, "_memory", forgets("brake"), UNMET),
    "drawdown sells the suspended": ("drawdown", Brake, "project", closes_the_suspended, STUCK),
    "daily loss forgets the trip": ("daily_loss", DailyLoss, "_memory", forgets("trip"), UNMET),
    "daily loss begins late": ("daily_loss", Brake, "project", starts_late, UNMET),
    "daily loss looks at the other books": ("daily_loss", Brake, "project", in_the_batch, ""),
    "volatility about the mean": (
        "volatility_target", VolatilityTarget, "risk",
        lambda self, xp, x, book: np.sqrt(x.var(-1, keepdims=True) * book.periods_per_year), UNMET,
    ),
    "volatility halved": ("volatility_target", BookRisk, "project", halves, ""),
    "volatility without a history": ("volatility_target", VolatilityTarget, "scenarios", whole_history, ""),
    "tail without its fraction": (
        "tail_risk", TailRisk, "risk",
        lambda self, xp, x, book: -np.sort(x, -1)[..., : int(self.level * x.shape[-1]) + 2].mean(-1, keepdims=True),
        UNMET,
    ),
    "tail of the forecast by the past": (
        "tail_risk of a forecast", TailRisk, "scenarios", lambda self, xp, book: BookRisk.scenarios(self, xp, book), "",
    ),
    "stale counts no price as a price": ("stale_data", StaleData, "_stale", as_if_fresh, "no excess grows"),
    "liquidity of unknown volume": ("liquidity", Liquidity, "limits", any_volume, "no excess grows"),
    "liquidity adds": ("liquidity", Liquidity, "project", beyond, "each weight lies between"),
    "kill switch closes longs alone": ("kill_switch", KillSwitch, "project", longs_only, ""),
    "kill switch forgets": ("kill_switch", KillSwitch, "_memory", forgets("on"), UNMET),
}  # fmt: skip


def found(pieces, seeds):
    promises = set()
    for seed in seeds:
        limit, excess, proposed, book, tries = pieces(seed)
        promises.update(broken(limit, excess, proposed, book, tries))
    return promises


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, monkeypatch):
    name, where, attribute, wrong, promise = FAULTS[fault]

    def pieces(seed):
        rule, *rest = a_rule(name, seed, "scale", 120)
        return rule.limit, *rest

    seeds = range(16)
    assert found(pieces, seeds) == set()
    if wrong is None:
        right = getattr(where, attribute)
        wrong = lambda xp, wanted, held, **caps: right(xp, wanted, 0.0 * held, **caps)
    monkeypatch.setattr(where, attribute, wrong)
    promises = found(pieces, seeds)
    assert promises
    assert not promise or promise in promises, promises


def last_one_wins(xp, rules, start, weights, moving, book):
    return weights


def flat(xp, rules, start, weights, moving, book):
    return 0.0 * weights


_LEFT = guard_rounds._left


def lets_excesses_grow(xp, rules, start, bound):
    return _LEFT(xp, rules, start, bound + 1.0)


def never_comes_back(xp, rules, starts, held):
    bound = guard_rounds.all_excess(xp, rules, held) + 1e-9
    found, best = _LEFT(xp, rules, starts[0], bound)
    return np.where(found, best, held)


def pieces_of_a_chain(seed):
    chain, excess, proposed, book = a_chain(seed, 60)
    return chain.limit, excess, proposed, book, []


CHAIN_SEEDS = range(14, 20)


def test_a_chain_without_a_fault_keeps_its_promises():
    assert found(pieces_of_a_chain, CHAIN_SEEDS) == set()


@pytest.mark.parametrize(
    ("where", "attribute", "wrong", "promise"),
    [
        (guard, "settled", last_one_wins, UNMET),
        (guard, "settled", flat, STUCK),
        (guard_rounds, "_left", lets_excesses_grow, "no excess grows"),
        (guard_rounds, "_least", never_comes_back, "what is allowed is allowed"),
    ],
)
def test_a_fault_in_the_chain_is_found(where, attribute, wrong, promise, monkeypatch):
    monkeypatch.setattr(where, attribute, wrong)
    assert any(promise in found(pieces_of_a_chain, [seed]) for seed in CHAIN_SEEDS)


def test_a_de_risk_that_only_scales_is_found(monkeypatch):
    proposed, book = random_books(500, 5, seed=1)
    rule = Leverage(0.5, None, action="de-risk")
    over = (np.abs(proposed).sum(-1) > 0.5) & book.tradable.all(-1)
    taken_back = lambda: (np.abs(rule.limit(proposed, book)[over]) <= np.abs(book.weights[over]) + 1e-9).all()
    assert over.any()
    assert taken_back()
    monkeypatch.setattr(Rule, "limit", lambda self, proposed, book: self.project(proposed, book))
    assert not taken_back()
