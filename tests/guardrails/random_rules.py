"""Rules with random settings and random memory, each with the excess over its limits by another route."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mnpu.types import Book
from mnpu_guardrails.brakes import DailyLoss, Drawdown, KillSwitch
from mnpu_guardrails.concentration import Concentration
from mnpu_guardrails.exposure import Exposure
from mnpu_guardrails.leverage import Leverage
from mnpu_guardrails.liquidity import Liquidity
from mnpu_guardrails.risk import TailRisk, VolatilityTarget
from mnpu_guardrails.stale_data import StaleData
from mnpu_guardrails.turnover import Turnover

N = 5
SYMBOLS = tuple(f"S{i}" for i in range(N))
LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def above(value, limit):
    return np.maximum(np.asarray(value) - limit, 0.0)


def gross(w):
    return np.abs(w).sum(-1, keepdims=True)


def added(w, book):
    """What is bought or sold short anew, (..., A): from zero where the sign changes."""
    same = np.sign(w) == np.sign(book.weights)
    return np.where(same, above(np.abs(w), np.abs(book.weights)), np.abs(w))


def pick(rng, *values):
    return values[int(rng.integers(len(values)))]


def exposure(rng, book, action):
    caps = pick(rng, None, 0.0, 0.3, 0.8, 1.5), pick(rng, None, 0.0, 0.1, 0.4), pick(rng, None, 0.05, 0.2, 0.6)
    group, of = pick(rng, None, 0.1, 0.4, "named"), rng.integers(0, 3, N)
    names = {symbol: f"G{g}" for symbol, g in zip(SYMBOLS, of, strict=True) if rng.random() < 0.8}
    per_group = {"G0": 0.2, "G2": 0.5} if group == "named" else group
    if isinstance(per_group, dict):
        per_group = {name: cap for name, cap in per_group.items() if name in names.values()} or None
    per_group = per_group if names else None
    rule = Exposure(*caps, per_group, names if per_group is not None else None, action)
    most, net, symbol = (np.inf if cap is None else cap for cap in caps)

    def excess(w, book):
        groups = []
        for name in sorted(set(names.values())) if per_group is not None else []:
            cap = per_group.get(name, np.inf) if isinstance(per_group, dict) else per_group
            groups.append(above(gross(w[..., [names.get(s) == name for s in SYMBOLS]]), cap))
        of_net = above(np.abs(w.sum(-1, keepdims=True)), net)
        return np.concatenate([above(gross(w), most), of_net, above(np.abs(w), symbol), *groups], -1)

    return rule, excess, {}


def concentration(rng, book, action):
    positions = pick(rng, 1.0, 1.7, 2.5, 4.0, 5.0)

    def excess(w, book):
        total = np.where(gross(w) > 1e-9, gross(w), np.inf)
        return above(((np.abs(w) / total) ** 2).sum(-1, keepdims=True), 1 / positions)

    return Concentration(positions, action), excess, {}


def turnover(rng, book, action):
    bar = pick(rng, None, 0.0, 0.1, 0.5)
    day = pick(rng, None, 0.5, 1.0)
    kept = np.stack(
        [rng.choice([0.0, book.day, book.day + 1], len(book.equity)), rng.uniform(0, 0.8, len(book.equity))], 1
    )

    def excess(w, book):
        most = np.full(len(w), np.inf if bar is None else bar)
        if day is not None:
            used = np.where(kept[:, 0] == book.day + 1, kept[:, 1], 0.0)
            most = np.minimum(most, np.maximum(day - used, 0.0))
        return above(added(w, book).sum(-1), most)[:, None]

    return Turnover(bar, day, action), excess, {"turnover": kept}


def leverage(rng, book, action):
    most, margin = pick(rng, None, 0.0, 0.5, 2.0), pick(rng, None, 0.1, 0.5)
    rates = rng.choice([0.0, 0.2, 0.5, 1.0], N)
    rule = Leverage(most, margin, dict(zip(SYMBOLS[:3], map(float, rates), strict=False)), float(rates[3]), action)
    rates[4] = rates[3]

    def excess(w, book):
        tied = (np.abs(w) * rates).sum(-1, keepdims=True)
        return np.concatenate(
            [above(gross(w), np.inf if most is None else most), above(tied, np.inf if margin is None else margin)], -1
        )

    return rule, excess, {}


def drawdown(rng, book, action):
    start, stop, resume = pick(rng, (0.05, 0.1, 0.0), (0.1, 0.4, 0.1), (0.2, 0.5, 0.05))
    full, floor = pick(rng, (1.0, 0.0), (0.6, 0.2), (0.3, 0.3))
    n = len(book.equity)
    was, halted, own = (
        rng.choice([0.0, 0.0, 0.5], n),
        rng.choice([0.0, 0.0, 0.0, 1.0], n),
        rng.choice([0.0, 0.9, 1.4], n),
    )

    def excess(w, book):
        most = np.full(len(w), np.inf)
        for i in range(len(w)):
            peak = max(own[i], book.equity[i]) if own[i] else book.peak[i]
            down = 1 - book.equity[i] / peak
            brake = 0.0 if down <= resume else max(was[i], min(max((down - start) / (stop - start), 0.0), 1.0))
            if halted[i] or (down >= stop and floor == 0):
                brake = 1.0
            if brake > 0:
                most[i] = full + brake * (floor - full)
        return above(gross(w), most[:, None])

    return Drawdown(start, stop, resume, full, floor, action), excess, {"drawdown": np.stack([was, halted, own], 1)}


def daily_loss(rng, book, action):
    loss, most = pick(rng, 0.01, 0.05), pick(rng, 0.0, 0.3)
    kept = rng.choice([0.0, book.day, book.day + 1], (len(book.equity), 1))

    def excess(w, book):
        tripped = (1 - book.equity / book.day_equity >= loss) | (kept[:, 0] == book.day + 1)
        return above(gross(w), np.where(tripped, most, np.inf)[:, None])

    return DailyLoss(loss, most, action), excess, {"daily_loss": kept}


def returns(w, book):
    return np.einsum("nka,na->nk", np.nan_to_num(book.past), w)


def volatility_target(rng, book, action):
    most, share = pick(rng, 0.0, 0.05, 0.15, 0.4), pick(rng, 0.5, 0.8)

    def excess(w, book):
        risk = np.sqrt((returns(w, book) ** 2).mean(-1) * 252)
        short = np.isfinite(book.past).mean(-2) < share
        return np.concatenate([above(risk, most)[:, None], np.where(short, added(w, book), 0.0)], -1)

    return VolatilityTarget(most, book.past.shape[-2], share, action), excess, {}


def cvar(x, level):
    """Rockafellar and Uryasev: the least over c of c + mean(max(-x - c, 0)) / level, reached at one of the losses."""
    c = -x
    return (c + np.maximum(-x[:, None, :] - c[:, :, None], 0).mean(-1) / level).min(-1)


def at_ranks(past, quantiles):
    """A forecast's quantiles at the ranks of past returns, (K,): in the middle where there was no return."""
    seen = np.isfinite(past)
    u = np.full(len(past), 0.5)
    u[seen] = (np.argsort(np.argsort(past[seen], kind="stable"), kind="stable") + 0.5) / seen.sum()
    low = quantiles[0] + (u - 0.05) * (quantiles[1] - quantiles[0]) / 0.2
    high = quantiles[-1] + (u - 0.95) * (quantiles[-1] - quantiles[-2]) / 0.2
    return np.where(u < 0.05, low, np.where(u > 0.95, high, np.interp(u, LEVELS, quantiles)))


def tail_risk(rng, book, action, source="history"):
    most, level, share = pick(rng, 0.0, 0.01, 0.03), pick(rng, 0.17, 0.23, 0.5), pick(rng, 0.5, 0.8)
    scenarios, known = np.nan_to_num(book.past), np.ones(book.weights.shape, dtype=bool)
    if source == "forecast":
        known = np.isfinite(book.quantiles).all(-1)
        scenarios = np.zeros(book.past.shape)
        for n, a in np.argwhere(known):
            scenarios[n, :, a] = at_ranks(book.past[n, :, a], book.quantiles[n, a])
    short = (np.isfinite(book.past).mean(-2) < share) | ~known

    def excess(w, book):
        risk = cvar(np.einsum("nka,na->nk", scenarios, w), level)
        return np.concatenate([above(risk, most)[:, None], np.where(short, added(w, book), 0.0)], -1)

    return TailRisk(most, level, source, book.past.shape[-2], share, action), excess, {}


def tail_risk_of_forecast(rng, book, action):
    return tail_risk(rng, book, action, "forecast")


def stale_data(rng, book, action):
    bars = pick(rng, 0, 1, 5)
    return StaleData(bars, action), lambda w, book: np.where(book.age <= bars, 0.0, added(w, book)), {}


def liquidity(rng, book, action):
    capital, days, part = pick(rng, 0.5, 3.0, 40.0), pick(rng, 0.5, 2.0), pick(rng, 0.1, 1.0)

    def excess(w, book):
        most = days * part * book.volume / (capital * book.equity[:, None])
        return np.where(np.isnan(book.volume), added(w, book), above(np.abs(w), most))

    return Liquidity(capital, days, part, action), excess, {}


def kill_switch(rng, book, action):
    then, file, engaged = pick(rng, "close", "reduce"), pick(rng, None, "STOP", "OTHER"), rng.random() < 0.3
    kept = rng.choice([0.0, 1.0], (len(book.equity), 1))

    def excess(w, book):
        on = engaged or file == "STOP" or kept > 0
        return np.where(on, gross(w) if then == "close" else added(w, book).sum(-1, keepdims=True), 0.0)

    return KillSwitch(file, bool(engaged), then), excess, {"kill_switch": kept}


#: The eleven, one of them with both of its sources.
MAKERS = {
    "exposure": exposure,
    "concentration": concentration,
    "turnover": turnover,
    "leverage": leverage,
    "drawdown": drawdown,
    "daily_loss": daily_loss,
    "volatility_target": volatility_target,
    "tail_risk": tail_risk,
    "tail_risk of a forecast": tail_risk_of_forecast,
    "stale_data": stale_data,
    "liquidity": liquidity,
    "kill_switch": kill_switch,
}
#: These search the mixtures of the flat and the drifted book alone (docs/decisions/0023).
MIXTURES = {"volatility_target", "tail_risk", "tail_risk of a forecast"}


def reachable(rng, proposed, book):
    """A random book that adds no risk: between drifted, proposed and zero, with no more gross than the larger."""
    low, high = np.minimum(np.minimum(proposed, book.weights), 0), np.maximum(np.maximum(proposed, book.weights), 0)
    u = rng.choice([0.0, 0.25, 0.5, 1.0], proposed.shape)
    which = rng.choice(4, proposed.shape, p=[0.4, 0.25, 0.15, 0.2])
    any_of = np.choose(which, [proposed, book.weights, np.zeros_like(low), low + u * (high - low)])
    fixed = np.where(book.tradable, 0, book.weights)
    larger = np.maximum(gross(proposed), gross(book.weights))
    room = np.maximum(larger - gross(fixed), 0) / np.maximum(gross(np.where(book.tradable, any_of, 0)), 1e-12)
    return np.where(book.tradable, any_of * np.minimum(room, 1.0), book.weights)


def broken(limit, excess, proposed: np.ndarray, book: Book, tries) -> list[str]:
    """Which promises of a guardrail ``limit(proposed, book)`` some of the books break."""
    allowed = limit(proposed, book)
    if not np.isfinite(allowed).all():
        return ["finite"]
    after, held, flat = excess(allowed, book), excess(book.weights, book), np.where(book.tradable, 0.0, book.weights)
    legal = np.logical_or.reduce([(excess(one, book) <= 0).all(-1) for one in [flat, book.weights, *tries]])
    mine = (excess(proposed, book) <= 0).all(-1) & ((proposed == book.weights) | book.tradable).all(-1)
    low, high = np.minimum(np.minimum(proposed, book.weights), 0), np.maximum(np.maximum(proposed, book.weights), 0)
    larger = np.maximum(gross(proposed), gross(book.weights))
    some = slice(0, len(proposed), 97)
    alone = np.stack([limit(proposed[i], book.row(i)) for i in range(len(proposed))[some]])
    kept = {
        "no excess grows": after <= held + 1e-7,
        "no limit is exceeded that a reachable book satisfies": after[legal] <= 1e-7,
        "what is allowed is allowed": np.abs(limit(allowed, book) - allowed) <= 1e-7,
        "a legal book is left alone": np.abs(allowed[mine] - proposed[mine]) <= 1e-12,
        "each weight lies between": (allowed >= low - 1e-9) & (allowed <= high + 1e-9),
        "gross never grows": gross(allowed) <= larger + 1e-8,
        "what does not trade is left alone": book.tradable | (np.abs(allowed - book.weights) <= 1e-12),
        "one book is decided as among many": np.abs(alone - allowed[some]) <= 1e-12,
    }
    return [promise for promise, holds in kept.items() if not holds.all()]


def told(book: Book) -> Book:
    """The random books of the kit, with a switch that is on."""
    return replace(book, switches=frozenset({"STOP"}))
