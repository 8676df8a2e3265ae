"""The simulation against a ledger of cash and shares, and against what can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.errors import ConfigError, DataError, MnpuError
from mnpu.guard import Chain, GrossCap
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Execution
from mnpu.simulation.simulate import simulate
from mnpu.types import Positions

COSTS = CostModel(commission_bps=3.0, half_spread_bps=7.0)  # 10 bps in all


def positions_of(weights, rebalance=None) -> Positions:
    weights = np.asarray(weights, dtype=float)
    times = pd.date_range("2020-01-01 21:00", periods=len(weights), freq="D", tz="UTC").as_unit("ns")
    rebalance = np.ones(len(weights), bool) if rebalance is None else np.asarray(rebalance, bool)
    return Positions(times, tuple("ABCDEF"[: weights.shape[1]]), weights, rebalance)


def run(weights, prices, *, rebalance=None, **options):
    positions = positions_of(weights, rebalance)
    return simulate(positions, np.asarray(prices, float), positions.times + pd.Timedelta(days=1), **options)


def ledger(weights, prices, rebalance, tradable, bps):
    """Cash and shares, one symbol at a time. Orders aim at a fraction of the equity that is left after their cost."""
    n_rows, n_assets = weights.shape
    shares, cash, last = [0.0] * n_assets, 1.0, [0.0] * n_assets
    equity, costs = [1.0], []
    for t in range(n_rows):
        for i in range(n_assets):
            if not np.isnan(prices[t, i]):
                last[i] = prices[t, i]
        worth = cash + sum(s * p for s, p in zip(shares, last, strict=True))
        orders = [
            i for i in range(n_assets) if rebalance[t] and tradable[t, i] and not np.isnan(prices[t, i])
        ]  # fmt: skip
        cost = sum(abs(weights[t, i] * worth - shares[i] * last[i]) for i in orders) * bps / 1e4
        costs.append(cost / worth)
        cash -= cost
        left = worth - cost
        for i in orders:
            wanted = weights[t, i] * left / last[i]
            cash -= (wanted - shares[i]) * last[i]
            shares[i] = wanted
        value = [p if np.isnan(new) else new for p, new in zip(last, prices[t + 1], strict=True)]
        equity.append(cash + sum(s * p for s, p in zip(shares, value, strict=True)))
    return np.array(equity), np.array(costs)


@st.composite
def markets(draw, *, gaps: bool):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_rows, n_assets = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    prices = rng.uniform(5, 200, n_assets) * np.cumprod(rng.uniform(0.75, 1.3, (n_rows + 1, n_assets)), axis=0)
    weights = rng.uniform(-0.5, 0.5, (n_rows, n_assets)) * (rng.random((n_rows, n_assets)) < 0.8)
    rebalance, tradable = np.ones(n_rows, bool), np.ones((n_rows, n_assets), bool)
    if gaps:
        prices[rng.random(prices.shape) < 0.25] = np.nan
        rebalance, tradable = rng.random(n_rows) < 0.7, rng.random(tradable.shape) < 0.8
    return weights, prices, rebalance, tradable


@given(markets(gaps=False))
@settings(max_examples=200, deadline=None)
def test_both_routes_agree(market):
    weights, prices, *_ = market
    chain = Chain([GrossCap(0.9)])
    closed = run(weights, prices, chain=chain, costs=COSTS, method="closed")
    stepped = run(weights, prices, chain=chain, costs=COSTS, method="stepped")
    for name in ("gross", "net", "equity", "turnover_oneway"):
        assert getattr(closed, name) == pytest.approx(getattr(stepped, name), abs=1e-12), name
    assert closed.positions.weights == pytest.approx(stepped.positions.weights, abs=1e-12)
    assert len(closed.fills) == len(stepped.fills)
    assert closed.fills["cost"].to_numpy() == pytest.approx(stepped.fills["cost"].to_numpy(), abs=1e-12)
    assert {(v.time, v.code) for v in closed.positions.violations} == {
        (v.time, v.code) for v in stepped.positions.violations
    }


@given(markets(gaps=True))
@settings(max_examples=300, deadline=None)
def test_the_account_equals_a_ledger_of_cash_and_shares_with_gaps_and_suspensions(market):
    weights, prices, rebalance, tradable = market
    outcome = run(weights, prices, rebalance=rebalance, tradable=tradable, costs=COSTS)
    equity, costs = ledger(weights, prices, rebalance, tradable, bps=10.0)
    if outcome.equity.min() > 0:
        assert outcome.equity == pytest.approx(equity, rel=1e-9)
        assert sum(outcome.costs.values()) == pytest.approx(costs, abs=1e-12)


@given(markets(gaps=False))
@settings(max_examples=100, deadline=None)
def test_the_closed_route_equals_a_ledger_of_cash_and_shares(market):
    weights, prices, rebalance, tradable = market
    outcome = run(weights, prices, costs=COSTS, method="closed")
    equity, _ = ledger(weights, prices, rebalance, tradable, bps=10.0)
    if outcome.equity.min() > 0:
        assert outcome.equity == pytest.approx(equity, rel=1e-9)


@given(markets(gaps=True))
@settings(max_examples=60, deadline=None)
def test_net_is_never_above_gross(market):
    weights, prices, rebalance, tradable = market
    outcome = run(weights, prices, rebalance=rebalance, tradable=tradable, costs=COSTS)
    assert (outcome.net <= outcome.gross + 1e-15).all()


def ledger_with_payments(weights, prices, cash, ended, rebalance, tradable, bps):
    """Cash and shares again; dividends go to the cash, and a share that ended is what it became."""
    n_rows, n_assets = weights.shape
    shares, money, last, gone = [0.0] * n_assets, 1.0, [0.0] * n_assets, [False] * n_assets
    equity = [1.0]
    for t in range(n_rows):
        if t == 0:  # nothing is held yet, so nothing is paid
            gone = [bool(ended[0, i]) for i in range(n_assets)]
            last = [0.0 if gone[i] or np.isnan(prices[0, i]) else float(prices[0, i]) for i in range(n_assets)]
        worth = money + sum(s * p for s, p in zip(shares, last, strict=True))
        orders = [
            i for i in range(n_assets) if rebalance[t] and tradable[t, i] and not np.isnan(prices[t, i]) and not gone[i]
        ]
        cost = sum(abs(weights[t, i] * worth - shares[i] * last[i]) for i in orders) * bps / 1e4
        money -= cost
        for i in orders:
            wanted = weights[t, i] * (worth - cost) / last[i]
            money -= (wanted - shares[i]) * last[i]
            shares[i] = wanted
        for i in range(n_assets):
            money += shares[i] * cash[t + 1, i]
            if ended[t + 1, i]:
                shares[i], gone[i] = 0.0, True
            if not np.isnan(prices[t + 1, i]):
                last[i] = float(prices[t + 1, i])
        equity.append(money + sum(s * p for s, p in zip(shares, last, strict=True)))
    return np.array(equity)


@st.composite
def mortal_markets(draw, *, gaps: bool):
    """Some symbols pay dividends, some end: their price is missing from then on."""
    weights, prices, rebalance, tradable = draw(markets(gaps=gaps))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cash = np.where(rng.random(prices.shape) < 0.2, 0.05 * np.nan_to_num(prices), 0.0)
    ended = np.zeros(prices.shape, bool)
    for i in range(prices.shape[1]):
        if rng.random() < 0.6:
            row = int(rng.integers(0, len(prices)))
            before = prices[:row, i][np.isfinite(prices[:row, i])]
            ended[row, i] = True
            cash[row:, i] = 0.0
            cash[row, i] = before[-1] * rng.uniform(0, 1.2) if len(before) else 0.0
            prices[row:, i] = np.nan
            tradable[row + draw(st.sampled_from([0, 1])) :, i] = False  # a decision later, or halted at the last one
    return weights, prices, cash, ended, rebalance, tradable


@given(mortal_markets(gaps=True))
@settings(max_examples=300, deadline=None)
def test_dividends_and_delistings_equal_a_ledger_of_cash_and_shares(market):
    weights, prices, cash, ended, rebalance, tradable = market
    outcome = run(weights, prices, rebalance=rebalance, tradable=tradable, cash=cash, ended=ended, costs=COSTS)
    equity = ledger_with_payments(weights, prices, cash, ended, rebalance, tradable, bps=10.0)
    if outcome.equity.min() > 0:
        assert outcome.equity == pytest.approx(equity, rel=1e-9)


@given(mortal_markets(gaps=False))
@settings(max_examples=300, deadline=None)
def test_both_routes_agree_about_dividends_and_delistings(market):
    weights, prices, cash, ended, _, tradable = market
    options = {"tradable": tradable, "cash": cash, "ended": ended, "chain": Chain([GrossCap(0.9)]), "costs": COSTS}
    closed = run(weights, prices, method="auto", **options)
    stepped = run(weights, prices, method="stepped", **options)
    for name in ("gross", "net", "equity", "turnover_oneway"):
        assert getattr(closed, name) == pytest.approx(getattr(stepped, name), abs=1e-12), name
    assert closed.positions.weights == pytest.approx(stepped.positions.weights, abs=1e-12)
    assert closed.targets.weights == pytest.approx(stepped.targets.weights, abs=1e-12)
    assert len(closed.fills) == len(stepped.fills)
    assert closed.notes == stepped.notes


@pytest.mark.parametrize("method", ["closed", "stepped"])
def test_a_delisting_is_earned_once_and_then_is_cash(method):
    # Half a book at 100 falls to 90 and is delisted at -90 %: 45 % of the start becomes 4.5 %. No cost is paid for it.
    prices, gone = [[100.0], [90.0], [np.nan], [np.nan]], [[False], [False], [True], [False]]
    payments = {"cash": [[0.0], [0.0], [9.0], [0.0]], "ended": gone, "tradable": [[True]] * 3}
    outcome = run([[0.5], [0.45 / 0.95], [0.0]], prices, costs=COSTS, method=method, **payments)
    after_cost = 1 - 0.0005
    assert outcome.equity == pytest.approx([1.0, 0.95 * after_cost, 0.545 * after_cost, 0.545 * after_cost])
    assert outcome.positions.weights[2, 0] == 0
    assert len(outcome.fills) == 1
    assert outcome.notes == ("1 positions were closed by a delisting, at what it returned.",)


def test_who_is_short_gains_what_a_delisting_takes():
    outcome = run([[-0.5], [-0.5]], [[100.0], [np.nan], [np.nan]], cash=[[0.0], [10.0], [0.0]], ended=[[0], [1], [0]])
    assert outcome.equity == pytest.approx([1.0, 1.45, 1.45])


def test_a_dividend_leaves_the_position_smaller_and_the_equity_as_it_was():
    # 10 of 100 are paid out: the price opens at 90, nothing is gained or lost.
    outcome = run([[0.5], [np.nan]], [[100.0], [90.0], [90.0]], cash=[[0.0], [10.0], [0.0]], rebalance=[True, False])
    assert outcome.equity == pytest.approx([1.0, 1.0, 1.0])
    assert outcome.positions.weights[1, 0] == pytest.approx(0.45)


def test_cash_that_is_not_a_number_is_refused():
    with pytest.raises(DataError, match="cash that is not finite"):
        run([[1.0]], [[1.0], [1.0]], cash=[[0.0], [np.nan]])
    with pytest.raises(DataError, match="ended has the shape"):
        run([[1.0]], [[1.0], [1.0]], ended=[[False]])


def test_only_the_bar_after_the_fill_is_earned():
    prices = [[100.0], [100.0], [110.0], [110.0]]  # the price moves between fills 1 and 2
    early = run([[1.0], [0.0], [0.0]], prices)
    right = run([[0.0], [1.0], [0.0]], prices)
    late = run([[0.0], [0.0], [1.0]], prices)
    assert [outcome.equity[-1] for outcome in (early, right, late)] == pytest.approx([1.0, 1.1, 1.0])


def test_foresight_of_the_bar_that_has_just_ended_earns_minus_its_cost(rng):
    close = 100 * np.cumprod(1 + 0.01 * rng.standard_normal((20_002, 1)), axis=0)
    bar_that_ended = np.sign(np.diff(close, axis=0))[:-1]  # known at decision t; filled at the next close
    prices = close[2:]
    blind = run(bar_that_ended[:-1], prices, costs=COSTS)
    standard_error = blind.gross.std() / np.sqrt(len(blind.gross))
    assert abs(blind.gross.mean()) < 4 * standard_error
    paid = sum(blind.costs.values())
    assert (blind.net - blind.gross).mean() == pytest.approx(-paid.mean(), rel=0.05)
    sighted = run(np.sign(np.diff(prices, axis=0)), prices, costs=COSTS)
    assert sighted.gross.mean() > 50 * standard_error  # so the test would notice one bar too many


def test_doubling_the_rates_doubles_the_cost_of_the_same_trades(rng):
    weights, prices = rng.uniform(-0.5, 0.5, (20, 3)), rng.uniform(90, 110, (21, 3))
    once, twice = (run(weights, prices, costs=CostModel(k * 1.0, k * 2.0)) for k in (1, 2))
    assert twice.turnover_oneway == pytest.approx(once.turnover_oneway, abs=1e-15)
    for kind in ("commission", "half_spread"):
        assert twice.costs[kind] == pytest.approx(2 * once.costs[kind], rel=1e-14)


def test_no_trade_costs_nothing():
    outcome = run(np.zeros((5, 2)), np.full((6, 2), 10.0), costs=COSTS)
    assert (outcome.net == 0).all()
    assert outcome.fills.empty


def test_a_round_trip_costs_what_it_costs_by_hand():
    # Buy 50 % at 100: 0.1 % of 0.5. It rises 10 %, so 0.5 -> 0.55 of 1.05. Sell it: 0.1 % of 0.55 / 1.05.
    outcome = run([[0.5], [0.0]], [[100.0], [110.0], [110.0]], costs=COSTS)
    assert sum(outcome.costs.values()) == pytest.approx([0.0005, 0.001 * 0.55 / 1.05])
    assert outcome.equity[-1] == pytest.approx((1 - 0.0005) * 1.05 * (1 - 0.001 * 0.55 / 1.05))
    assert outcome.fills["weight_after"].tolist() == [0.5, 0.0]


def test_buy_and_hold_pays_once_and_earns_the_price(rng):
    prices = 100 * np.cumprod(1 + 0.01 * rng.standard_normal((251, 1)), axis=0)
    outcome = run(np.ones((250, 1)), prices, rebalance=[True] + [False] * 249, costs=COSTS)
    assert len(outcome.fills) == 1
    assert outcome.equity[-1] == pytest.approx((1 - 0.001) * prices[-1, 0] / prices[0, 0], rel=1e-12)
    assert outcome.method == "stepped"


def test_pure_drift_is_not_turnover_and_restoring_it_is():
    prices = [[100.0, 100.0], [120.0, 100.0], [120.0, 100.0]]
    drifting = run([[0.5, 0.5]] * 2, prices, rebalance=[True, False])
    restored = run([[0.5, 0.5]] * 2, prices)
    assert drifting.turnover_oneway[1] == 0
    assert drifting.positions.weights[1] == pytest.approx([0.6 / 1.1, 0.5 / 1.1])
    assert restored.turnover_oneway[1] == pytest.approx(0.6 / 1.1 - 0.5)


def test_flipping_two_full_positions_turns_over_twice_the_equity():
    outcome = run([[1.0, -1.0], [-1.0, 1.0]], np.full((3, 2), 50.0))
    assert outcome.turnover_oneway == pytest.approx([1.0, 2.0])


def test_a_holding_without_a_price_is_worth_its_last_one_and_earns_the_gap_when_it_returns():
    prices = [[100.0], [np.nan], [np.nan], [80.0], [80.0]]
    outcome = run([[1.0], [0.0], [0.0], [0.0]], prices)
    assert outcome.gross == pytest.approx([0.0, 0.0, -0.2, 0.0])
    assert outcome.positions.weights[:, 0] == pytest.approx([1.0, 1.0, 1.0, 0.0])
    assert "want of a price" in outcome.notes[0]


def test_an_order_without_a_fill_price_is_not_filled_later():
    outcome = run([[1.0], [0.0]], [[np.nan], [100.0], [150.0]])
    assert outcome.equity[-1] == 1.0


def test_a_lost_account_stops_in_cash():
    # Short at 100; at 230 the loss exceeds the equity. Nothing after it counts, on either route.
    for method in ("closed", "stepped"):
        outcome = run([[-1.0], [1.0], [1.0]], [[100.0], [230.0], [500.0], [900.0]], costs=COSTS, method=method)
        assert outcome.net == pytest.approx([-1.0, 0.0, 0.0])
        assert outcome.gross == pytest.approx([-1.0, 0.0, 0.0])
        assert outcome.equity == pytest.approx([1.0, 0.0, 0.0, 0.0])
        assert (outcome.positions.weights[1:] == 0).all()
        assert len(outcome.fills) == 1
        assert "lost on 2020-01-01" in outcome.notes[0]


@pytest.mark.parametrize("method", ["closed", "stepped"])
def test_costs_above_the_equity_lose_the_account_too(method):
    outcome = run([[1.0, -1.0]] * 2, np.full((3, 2), 10.0), costs=CostModel(commission_bps=6000.0), method=method)
    assert outcome.equity.tolist() == [1.0, 0.0, 0.0]
    assert (outcome.positions.weights == 0).all()


class Watching:
    """Changes nothing, remembers each book it was shown."""

    path_dependent = True

    def __init__(self) -> None:
        self.books = []

    def limit(self, proposed, book):
        if not self.books or self.books[-1].time != book.time:  # a chain may ask more than once
            self.books.append(book)
        return proposed

    def explain(self, proposed, allowed, book):
        return []


def test_guardrails_see_the_book_as_drifted_at_the_decision():
    # Filled at the open at 100, decided at the close at 110: half a book has become 0.55 of 1.05.
    watching = Watching()
    run([[0.5], [0.5]], [[100.0], [120.0], [120.0]], marks=[[0.0], [0.1]], chain=Chain([watching]))
    assert watching.books[0].weights == pytest.approx([0.0])
    assert watching.books[1].weights == pytest.approx([0.55 / 1.05])
    assert (watching.books[1].equity, watching.books[1].peak) == pytest.approx((1.05, 1.05))


def test_guardrails_see_equity_and_its_peak_of_the_last_fill_and_nothing_later():
    watching = Watching()
    run([[1.0]] * 4, [[100.0], [120.0], [90.0], [500.0], [500.0]], chain=Chain([watching]), costs=COSTS)
    after_cost = 1 - 0.001
    assert [book.equity for book in watching.books] == pytest.approx(
        [1.0, after_cost, 1.2 * after_cost, 0.9 * after_cost]
    )
    assert [book.peak for book in watching.books] == pytest.approx([1.0, 1.0, 1.2 * after_cost, 1.2 * after_cost])


@given(markets(gaps=True), st.integers(0, 10), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_prices_after_a_decision_reach_neither_the_books_it_saw_nor_its_targets(market, cut, seed):
    weights, prices, rebalance, tradable = market
    cut = min(cut, len(weights) - 1)
    other = prices.copy()
    # Decision t is at the instant of fill t - 1 here, so the fill of t is already the future.
    other[cut:] = np.random.default_rng(seed).uniform(5, 200, other[cut:].shape)
    books = []
    for future in (prices, other):
        watching = Watching()
        outcome = run(weights, future, rebalance=rebalance, tradable=tradable, chain=Chain([watching, GrossCap(0.4)]))
        seen = [np.r_[book.weights, book.equity, book.peak] for book in watching.books[: cut + 1]]
        books.append((np.stack(seen), outcome.targets.weights))
    common = min(len(seen) for seen, _ in books)  # one future may lose the account at once
    assert common >= cut
    for one, other in zip(*books, strict=True):
        assert np.array_equal(one[:common], other[:common])


def test_a_book_left_to_drift_is_still_cut_when_it_outgrows_its_limit():
    # A half-short falls to two thirds of its price against us: gross 0.75 / 0.75 = 1 of equity, above 0.8.
    prices = [[100.0], [150.0], [150.0]]
    free = run([[-0.5]] * 2, prices, rebalance=[True, False])
    guarded = run([[-0.5]] * 2, prices, rebalance=[True, False], chain=Chain([GrossCap(0.8)]))
    assert free.positions.weights[1] == pytest.approx([-1.0])
    # With a fill at the instant of the next decision the guardrail saw the book of fill 0, so it acts one fill later.
    assert guarded.positions.weights[1] == pytest.approx([-1.0])
    marked = run([[-0.5]] * 2, prices, rebalance=[True, False], marks=[[0.0], [0.5]], chain=Chain([GrossCap(0.8)]))
    assert marked.positions.weights[1] == pytest.approx([-0.8])
    assert [violation.code for violation in marked.positions.violations] == ["GROSS_ABOVE_CAP"]


@pytest.mark.parametrize("unreadable", [np.nan, np.inf, -np.inf])
def test_an_unreadable_proposal_leaves_the_book_alone(unreadable):
    outcome = run([[0.5], [unreadable], [0.5]], [[100.0], [100.0], [100.0], [100.0]])
    assert outcome.positions.weights[:, 0] == pytest.approx([0.5, 0.5, 0.5])
    assert [violation.code for violation in outcome.positions.violations] == ["PROPOSAL_NOT_FINITE"]


@pytest.mark.parametrize("method", ["auto", "stepped"])
def test_a_price_that_vanishes_for_good_keeps_the_book_finite_and_is_noted(method):
    outcome = run([[0.5, 0.5]] * 4, [[100.0, 10.0], [100.0, 10.0], *([[110.0, np.nan]] * 3)], method=method)
    # Half earns 10 % after the second fill; the other half stands at its last price and cannot be traded.
    assert outcome.equity == pytest.approx([1.0, 1.0, 1.05, 1.05, 1.05])
    assert np.isfinite(outcome.positions.weights).all()
    assert "for want of a price" in outcome.notes[0]


def test_fills_say_when_at_what_price_and_at_what_cost():
    fills = run([[0.5, 0.0]], [[100.0, 50.0], [101.0, 50.0]], costs=COSTS).fills
    assert fills.columns.tolist() == ["time", "symbol", "weight_before", "weight_after", "price", "cost"]
    row = fills.iloc[0]
    assert (row["symbol"], row["price"], row["weight_before"], row["weight_after"]) == ("A", 100.0, 0.0, 0.5)
    assert row["cost"] == pytest.approx(0.0005)
    assert row["time"] == pd.Timestamp("2020-01-02 21:00", tz="UTC")


class Explaining(GrossCap):
    """Counts how often it is asked for its reasons."""

    asked = 0

    def explain(self, proposed, allowed, book):
        self.asked += 1
        return super().explain(proposed, allowed, book)


def test_reasons_of_the_closed_form_are_made_when_they_are_asked_for_and_are_those_of_each_row():
    rule = Explaining(gross=1.0)
    weights, prices = [[1.5, 0.0], [0.5, 0.5], [1.0, -1.0]], [[10.0, 20.0]] * 4
    outcome = run(weights, prices, chain=Chain([rule]))
    assert (outcome.method, rule.asked) == ("closed", 0)
    violations = outcome.positions.violations
    assert [(v.code, v.time, v.value) for v in violations] == [
        ("GROSS_ABOVE_CAP", outcome.positions.times[0], 1.5),
        ("GROSS_ABOVE_CAP", outcome.positions.times[2], 2.0),
    ]
    assert rule.asked == 2


def test_a_lost_account_has_no_reasons_after_it_was_lost():
    outcome = run([[-2.0], [-2.0], [-2.0]], [[10.0], [10.0], [25.0], [25.0]], chain=Chain([GrossCap(gross=1.0)]))
    assert outcome.method == "closed"
    assert [v.time for v in outcome.targets.violations] == list(outcome.positions.times[:2])


def test_the_closed_route_refuses_what_depends_on_the_path():
    with pytest.raises(MnpuError, match="depend on the path"):
        run([[1.0]] * 2, [[1.0], [1.0], [1.0]], rebalance=[True, False], method="closed")
    with pytest.raises(MnpuError, match="depend on the path"):
        run([[1.0]] * 2, [[1.0], [np.nan], [1.0]], method="closed")


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        (np.ones((2, 1)), "one row per decision and one more"),
        ([[1.0], [-1.0], [1.0]], "fill price of A is -1.0 in row 1"),
        ([[1.0], [np.inf], [1.0]], "a positive price"),
    ],
)
def test_prices_that_cannot_be_are_refused(prices, message):
    with pytest.raises(DataError, match=message):
        run([[1.0]] * 2, prices)


@pytest.mark.parametrize("execution", [None, Execution(1e6)])
def test_weights_may_be_whole_numbers_and_must_be_numbers(execution):
    whole = replace(positions_of([[1.0, -1.0]] * 3), weights=np.array([[1, -1]] * 3))
    prices = np.cumprod([[1.0, 1.0], [1.1, 1.2], [0.9, 1.0], [1.2, 1.0]], axis=0)
    found = simulate(whole, prices, whole.times, execution=execution, chain=Chain([GrossCap(1.5)]))
    same = simulate(positions_of(whole.weights), prices, whole.times, execution=execution, chain=Chain([GrossCap(1.5)]))
    np.testing.assert_array_equal(found.equity, same.equity)
    assert found.equity[-1] != 1.0
    with pytest.raises(DataError, match="weights of the type <U1, expected numbers"):
        simulate(replace(whole, weights=np.full((3, 2), "x")), prices, whole.times, execution=execution)


@pytest.mark.parametrize("execution", [None, Execution(1e6)])
def test_no_symbol_is_refused_and_no_row_earns_nothing(execution):
    with pytest.raises(DataError, match="positions in no symbol"):
        simulate(
            positions_of(np.zeros((2, 0))), np.ones((3, 0)), positions_of(np.zeros((2, 0))).times, execution=execution
        )
    nothing = positions_of(np.zeros((0, 1)))
    assert simulate(nothing, np.ones((1, 1)), nothing.times, execution=execution).equity.tolist() == [1.0]


def test_a_negative_cost_is_refused():
    with pytest.raises(ConfigError, match="half_spread_bps is -1"):
        CostModel(half_spread_bps=-1.0)


def test_costs_are_the_same_for_tensors():
    torch = pytest.importorskip("torch", reason="the same code serves torch tensors")
    traded = np.array([[0.5, -0.25], [0.0, 1.0]])
    expected, found = COSTS.by_kind(traded), COSTS.by_kind(torch.as_tensor(traded))
    for kind, cost in expected.items():
        assert found[kind].numpy() == pytest.approx(cost)
