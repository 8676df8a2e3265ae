"""What the rules remember: brakes that loosen late, days, halts that only a reset ends; and each number by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.errors import ConfigError
from mnpu.guard import Chain, GrossCap
from mnpu.simulation.simulate import simulate
from mnpu.simulation.surroundings import Surroundings
from mnpu.types import Book, Positions
from mnpu_guardrails.brakes import DailyLoss, Drawdown, KillSwitch
from mnpu_guardrails.concentration import Concentration
from mnpu_guardrails.exposure import Exposure
from mnpu_guardrails.leverage import Leverage
from mnpu_guardrails.liquidity import Liquidity
from mnpu_guardrails.risk import TailRisk, VolatilityTarget
from mnpu_guardrails.stale_data import StaleData
from mnpu_guardrails.turnover import Turnover

AB = ("A", "B")


def book_of(held=(0.0, 0.0), tradable=(True, True), **more) -> Book:
    more = {"equity": 1.0, "peak": 1.0, "time": None, **more}
    return Book(np.array(held, float), np.array(tradable), symbols=AB[: len(held)], **more)


def walk(chain: Chain, wanted, books):
    """One book after another, each with the memory that the one before left."""
    memory, decided = {}, []
    for book in books:
        book = replace(book, memory=memory)
        one = chain.decide(np.array(wanted, float), book)
        memory = chain.remember(np.array(wanted, float), one.weights, book)
        decided.append((float(np.abs(one.weights).sum()), one.state))
    return decided, memory


def test_the_brake_follows_the_drawdown_down_and_loosens_only_once_it_has_recovered():
    chain = Chain([Drawdown(start=0.1, stop=0.3, resume=0.05, gross=1.0, floor=0.2)])
    decided, _ = walk(chain, [1.0, 1.0], [book_of(equity=e) for e in (1.0, 0.95, 0.8, 0.85, 0.7, 0.94, 0.96)])
    assert [gross for gross, _ in decided] == pytest.approx([2.0, 2.0, 0.6, 0.6, 0.2, 0.2, 2.0])
    assert [state for _, state in decided] == ["ACTIVE", "ACTIVE", *["REDUCING"] * 4, "ACTIVE"]


def test_a_brake_without_a_floor_halts_until_it_is_reset_and_begins_at_a_new_peak():
    chain = Chain([Drawdown(start=0.1, stop=0.2, resume=0.05)])
    decided, memory = walk(chain, [0.5, 0.5], [book_of(equity=e) for e in (1.0, 0.79, 0.99, 1.0)])
    assert decided[1:] == [(0.0, "HALTED")] * 3
    low = book_of(equity=0.79, memory=memory)
    memory = chain.reset(low)
    assert chain.decide(np.array([0.5, 0.5]), replace(low, memory=memory)).state == "ACTIVE"
    again = book_of(equity=0.63, memory=memory)  # a fifth below the equity of the reset
    assert chain.decide(np.array([0.5, 0.5]), again).state == "HALTED"


def test_a_loss_stops_the_day_and_the_next_day_begins_anew():
    chain = Chain([DailyLoss(loss=0.03, gross=0.1)])
    days = [(5, 1.0, 0.98), (5, 1.0, 0.97), (5, 1.0, 0.999), (6, 0.97, 0.96)]
    decided, _ = walk(chain, [0.5, 0.5], [book_of(equity=e, day=d, day_equity=began) for d, began, e in days])
    assert [gross for gross, _ in decided] == pytest.approx([1.0, 0.1, 0.1, 1.0])
    assert [state for _, state in decided] == ["ACTIVE", "REDUCING", "REDUCING", "ACTIVE"]


def test_turnover_counts_what_is_added_up_to_the_end_of_the_day():
    chain = Chain([Turnover(per_bar=0.4, per_day=0.6)])
    decided, memory = walk(chain, [0.5, 0.5], [book_of(day=1), book_of(day=1), book_of(day=1), book_of(day=2)])
    assert [gross for gross, _ in decided] == pytest.approx([0.4, 0.2, 0.0, 0.4])
    assert memory["turnover"] == pytest.approx([3.0, 0.4])


def test_a_position_may_always_be_reduced_and_one_through_zero_counts_from_zero():
    rule = Turnover(per_bar=0.1)
    assert rule.limit(np.array([0.1, 0.0]), book_of([0.9, -0.5])) == pytest.approx([0.1, 0.0])
    assert rule.limit(np.array([-0.4, 0.0]), book_of([0.9, 0.0])) == pytest.approx([-0.1, 0.0])


def test_the_kill_switch_closes_everything_and_stays_on_without_its_file(tmp_path):
    switch = tmp_path / "STOP"
    chain = Chain([KillSwitch(file=str(switch))])
    seen = lambda: book_of([0.3, 0.2], [True, False], memory={}, switches=chain.switches())
    assert chain.decide(np.array([0.5, 0.2]), seen()).state == "ACTIVE"
    switch.touch()
    book = seen()
    decided = chain.decide(np.array([0.5, 0.2]), book)
    assert (decided.weights.tolist(), decided.state) == ([0.0, 0.2], "HALTED")
    memory = chain.remember(np.array([0.5, 0.2]), decided.weights, book)
    switch.unlink()
    assert chain.remember(np.array([0.5, 0.2]), decided.weights, book) == memory  # what was seen counts, not what is
    book = seen()
    assert chain.decide(np.array([0.5, 0.2]), replace(book, memory=memory)).state == "HALTED"
    reset = chain.reset(replace(book, memory=memory), ["kill_switch"])
    assert chain.decide(np.array([0.5, 0.2]), replace(book, memory=reset)).state == "ACTIVE"


def test_two_of_the_same_rule_remember_apart():
    chain = Chain([Turnover(0.4, 0.4), Turnover(0.3, 0.9)])
    _, memory = walk(chain, [1.0, 0.0], [book_of(day=1)])
    assert set(memory) == {"turnover", "turnover 2"}


def test_concentration_cuts_the_largest_to_one_size():
    # sizes c, 0.2, 0.2 with an effective number of 2.5: (c + 0.4)^2 = 2.5 (c^2 + 0.08)
    book = Book(np.zeros(3), np.ones(3, bool), 1.0, 1.0, None, ("A", "B", "C"))
    allowed = Concentration(2.5).limit(np.array([0.8, -0.2, 0.2]), book)
    root = max(np.roots([1.5, -0.8, 2.5 * 0.08 - 0.16]).real)
    assert allowed == pytest.approx([root, -0.2, 0.2])
    assert Concentration(4.0).limit(np.array([0.8, -0.2, 0.2]), book) == pytest.approx([0.0, 0.0, 0.0])


def test_volatility_is_annualised_and_scales_all_weights_alike():
    past = np.array([[0.01, 0.0], [-0.01, 0.0], [0.01, 0.0], [-0.01, 0.0]])
    book = book_of(past=past, periods_per_year=252.0)
    allowed = VolatilityTarget(0.1, window=4).limit(np.array([1.0, 0.5]), book)
    assert allowed == pytest.approx(np.array([1.0, 0.5]) * 0.1 / (0.01 * 252**0.5))


def test_the_tail_counts_its_last_scenario_by_its_fraction():
    past = np.zeros((100, 2))
    past[:, 0] = np.arange(100) / 1000 - 0.05
    rule = TailRisk(1.0, level=0.125, window=100)
    found = rule.measure(np.array([1.0, 0.0]), book_of(past=past))[0]
    worst = np.sort(past[:, 0])
    assert found == pytest.approx(-(worst[:12].sum() + 0.5 * worst[12]) / 12.5)


def test_liquidity_and_leverage_by_hand():
    liquid = Liquidity(capital=1e6, days=2, participation=0.1)
    book = book_of(equity=1.2, volume=np.array([1.2e6, np.nan]))
    assert liquid.limit(np.array([-0.5, 0.5]), book) == pytest.approx([-0.2, 0.0])
    margin = Leverage(None, 0.5, {"A": 0.5}, 0.25)
    assert margin.limit(np.array([1.0, -1.0]), book_of()) == pytest.approx([2 / 3, -2 / 3])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Drawdown(start=0.3, stop=0.2), ("start 0.3", "stop 0.2")),
        (lambda: Drawdown(resume=0.15), ("resume 0.15", "start 0.1")),
        (lambda: Turnover(0.5, 0.2), ("per_bar 0.5", "per_day 0.2")),
        (lambda: TailRisk(window=50), ("window 50", "level 0.05")),
        (lambda: Exposure(per_group={"X": 0.1}, groups={"A": "Y"}), ("X", "Y")),
        (lambda: Chain([GrossCap(), Concentration(3)]).check(AB), ("positions 3", "2 symbols")),
        (lambda: Chain([Leverage(margin={"C": 0.5})]).check(AB), ("C", "A, B")),
    ],
)
def test_contradictory_limits_are_named_with_the_pair(make, words):
    with pytest.raises(ConfigError) as raised:
        make()
    assert all(word in str(raised.value) for word in words)


def stepped(chain, prices, weights, *, minutes=None, around=None):
    prices = np.asarray(prices, float)
    n = len(prices) - 1
    step = pd.Timedelta(days=1) if minutes is None else pd.Timedelta(minutes=minutes)
    times = pd.DatetimeIndex([pd.Timestamp("2024-01-01 15:00", tz="UTC") + i * step for i in range(n)]).as_unit("ns")
    positions = Positions(
        times, AB[: prices.shape[1]], np.broadcast_to(weights, (n, prices.shape[1])), np.ones(n, bool)
    )
    return simulate(positions, prices, times, chain=Chain(chain), around=around)


def test_a_backtest_stops_at_the_drawdown_and_stays_stopped():
    outcome = stepped([Drawdown(0.1, 0.2, 0.05)], [[100], [100], [75], [150], [300], [600]], [1.0])
    assert outcome.targets.weights[:, 0].tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert outcome.equity[-1] == pytest.approx(1.5)  # seen after the fill at 75, closed at the next one


def test_a_day_s_loss_is_measured_from_the_last_decision_of_the_day_before():
    # Decisions at 15, 21, 3, 9, 15, 21 and 3 o'clock: 4 % are lost by the third, 2 more by the fourth.
    outcome = stepped([DailyLoss(0.05)], [[100], [96], [94], [94], [94], [94], [94], [94]], [1.0], minutes=360)
    assert outcome.targets.weights[:, 0].tolist() == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0]


def test_no_rule_looks_at_what_comes_later(rng):
    n = 80
    prices = 100 * np.exp(np.cumsum(0.03 * rng.standard_normal((n + 1, 2)), axis=0))
    later = prices.copy()
    later[60:] *= np.exp(np.cumsum(0.1 * rng.standard_normal((n - 59, 2)), axis=0))
    seen = []
    for path in (prices, later):
        moves = np.vstack([np.full(2, np.nan), path[1:n] / path[: n - 1] - 1])
        quantiles = np.broadcast_to(0.02 * np.array([-1.6, 0.0, 1.6]), (n, 2, 3))
        around = Surroundings(moves, 40, np.full((n, 2), 1e6), np.zeros((n, 2)), 252.0, quantiles, (0.05, 0.5, 0.95))
        chain = [
            Exposure(1.5, 1.0, None),
            VolatilityTarget(0.3, 40),
            TailRisk(0.05, 0.25, window=40),
            TailRisk(0.05, 0.25, "forecast", window=40),
            Liquidity(1e5),
            StaleData(),
            Turnover(0.4, 0.5),
            Drawdown(floor=0.3),
            DailyLoss(),
            Concentration(1.1),
            Leverage(1.2, 0.5, {"A": 0.4}),
            KillSwitch("STOP"),
        ]
        seen.append(stepped(chain, path, [0.7, 0.6], around=around).targets.weights)
    # the decision of row 60 is made at the instant of fill 59, which both share
    assert np.array_equal(seen[0][:60], seen[1][:60])
    assert not np.array_equal(seen[0], seen[1])
    assert np.abs(seen[0][:32]).max() == 0  # without history nothing may grow
    assert len(np.unique(np.abs(seen[0][40:60]).sum(axis=1).round(6))) > 3
