"""Accounts of a size against a ledger of money and shares, kept by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.config.models import CostsConfig, ExecutionConfig
from mnpu.errors import ConfigError, DataError
from mnpu.guard import Chain, GrossCap
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Conditions, Execution
from mnpu.simulation.simulate import simulate
from mnpu.types import Positions
from tests.core.sized_ledger import Case, Ledger, cases


@given(cases())
@settings(max_examples=300, deadline=None)
def test_the_account_equals_a_ledger_of_money_and_shares(case):
    ledger = Ledger(case)
    ledger.keep()
    outcome = case.run()
    np.testing.assert_allclose(outcome.equity * case.execution.capital, ledger.equity, rtol=1e-9, atol=1e-6)
    alive = outcome.equity[:-1] > 0
    np.testing.assert_allclose(2 * outcome.turnover_oneway[alive], np.abs(ledger.filled).sum(1)[alive], atol=1e-9)


@st.composite
def coarse(draw) -> Case:
    """Markets whose prices often repeat, so that a book is at times held exactly as wanted; nothing is limited."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = n_rows, n_assets = draw(st.integers(2, 12)), draw(st.integers(1, 4))
    prices = np.array([50.0, 100.0])[np.cumsum(rng.random((n_rows + 1, n_assets)) < 0.1, axis=0) % 2]
    prices[:, rng.random(n_assets) < 0.3] = 100.0
    return Case(
        weights=rng.choice([-0.25, 0.0, 0.25, 0.5], shape),
        prices=np.where(rng.random(prices.shape) < 0.1, np.nan, prices),
        rebalance=rng.random(n_rows) < 0.8,
        tradable=rng.random(shape) < 0.9,
        cash=np.zeros(prices.shape),
        ended=np.zeros(prices.shape, bool),
        costs=CostModel(3.0, 7.0),
        execution=Execution(capital=10_000.0),
        conditions=Conditions(years=np.zeros(n_rows)),
    )


@given(coarse())
@settings(max_examples=300, deadline=None)
def test_a_size_that_limits_nothing_changes_nothing(case):
    """The ledger of money and shares, the account of a size and the one without: one book, also where prices repeat."""
    ledger = Ledger(case)
    ledger.keep()
    sized = case.run()
    case.execution, case.conditions = None, None
    free = case.run()
    np.testing.assert_allclose(free.equity * 10_000, ledger.equity, rtol=1e-12)
    np.testing.assert_allclose(sized.equity, free.equity, rtol=1e-12)
    for name in ("weights", "rebalance"):
        np.testing.assert_allclose(getattr(sized.positions, name), getattr(free.positions, name), atol=1e-14)


@pytest.mark.parametrize("guarded", [False, True])
def test_what_is_held_exactly_as_wanted_gives_up_its_part_of_what_another_costs(guarded):
    """Half of 10,000 for 50: 9,950. At the same price a quarter of them, 2,487.50, for the second costs 24.875.

    Of the 9,925.125 that are left half is 4,962.5625, so that of the first 12.4375 are sold.
    """
    case = flat(
        2,
        weights=np.array([[0.5, 0.0], [0.5, 0.25]]),
        prices=np.full((3, 2), 100.0),
        cash=np.zeros((3, 2)),
        ended=np.zeros((3, 2), bool),
        tradable=np.ones((2, 2), bool),
        costs=CostModel(0, 100),
        execution=Execution(capital=10_000),
    )
    outcome = case.run(**({"chain": Chain([GrossCap(1.0)])} if guarded else {}))
    assert outcome.method == "compiled"
    assert outcome.positions.weights[1].tolist() == pytest.approx([0.5, 0.25], abs=1e-15)
    assert 10_000 * outcome.equity[1:] == pytest.approx([9_950, 9_925.125])


class Anything:
    """Allows every book, and has to see each of them."""

    path_dependent = True

    def limit(self, proposed, book):
        return proposed

    def explain(self, proposed, allowed, book):
        return []


@given(cases())
@settings(max_examples=100, deadline=None)
def test_bar_by_bar_under_guardrails_that_allow_everything_is_the_same(case):
    alone, guarded = case.run(), case.run(chain=Chain([Anything()]))
    np.testing.assert_allclose(guarded.equity, alone.equity, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(guarded.positions.weights, alone.positions.weights, rtol=1e-9, atol=1e-12)
    for kind, paid in alone.costs.items():
        np.testing.assert_allclose(guarded.costs[kind], paid, atol=1e-12)


@given(cases())
@settings(max_examples=100, deadline=None)
def test_the_costs_by_kind_are_what_the_equity_has_lost(case):
    """Net is gross without what was paid, kind by kind, but for an account that was closed or lost."""
    outcome = case.run()
    paid = sum(outcome.costs.values())
    trade = sum(outcome.costs[kind] for kind in ("commission", "half_spread", "impact"))
    expected = (1 - trade) * (1 + outcome.gross) - (paid - trade) - 1
    alive = outcome.equity[1:] > 0
    np.testing.assert_allclose(outcome.net[alive], expected[alive], atol=1e-9)


def flat(n_rows: int, **options) -> Case:
    ones = np.ones((n_rows, 1))
    plain = {"weights": 0 * ones, "prices": np.full((n_rows + 1, 1), 100.0), "cash": np.zeros((n_rows + 1, 1))}
    plain["ended"] = np.zeros((n_rows + 1, 1), bool)
    rest = {"rebalance": ones[:, 0] > 0, "tradable": ones > 0, "costs": CostModel(0, 0), "execution": Execution()}
    return Case(**{**plain, **rest, **options})


def test_an_order_larger_than_the_bar_is_filled_over_several():
    """100 shares of 100 wanted, 40 a bar allowed: 40, 40, 20 where it is carried, 40 where it is not."""
    for carry, held in ((True, [0.4, 0.8, 1.0, 1.0]), (False, [0.4, 0.4, 0.4, 0.4])):
        case = flat(
            4,
            weights=np.ones((4, 1)),
            rebalance=np.array([True, False, False, False]),
            execution=Execution(capital=10_000, participation=0.1, carry=carry),
            conditions=Conditions(volume=np.full((4, 1), 40_000.0)),
        )
        assert case.run().positions.weights[:, 0].tolist() == pytest.approx(held)


def test_whole_lots_and_no_small_orders():
    """9,999 buy 90 shares in lots of 10 at 100; the other 9.99 are not worth an order."""
    case = flat(2, weights=np.full((2, 1), 0.9999), execution=Execution(capital=10_000, lot=10, min_notional=1_500))
    assert case.run().positions.weights[:, 0].tolist() == pytest.approx([0.9, 0.9])


def test_what_closes_a_position_is_sent_as_it_is():
    """Three shares are no lot of ten, and worth less than the minimum."""
    prices = np.array([[100.0], [30.0], [30.0]])
    weights = np.array([[0.1], [0.0]])
    bought = flat(2, prices=prices, weights=weights, execution=Execution(capital=10_000, lot=10, min_notional=500))
    assert bought.run().positions.weights[:, 0].tolist() == pytest.approx([0.1, 0.0])


def test_impact_follows_the_square_root_of_the_size():
    """A trade as large as a usual bar at a volatility of 2 % costs 2 %, one of a quarter of it costs 1 %."""
    paid = []
    for usual in (10_000.0, 40_000.0):
        case = flat(
            1,
            weights=np.ones((1, 1)),
            costs=CostModel(0, 0, impact=1.0),
            execution=Execution(capital=10_000),
            conditions=Conditions(usual=np.full((1, 1), usual), volatility=np.full((1, 1), 0.02)),
        )
        paid.append(case.run().costs["impact"][0])
    assert paid == pytest.approx([0.02, 0.01])


def test_a_position_is_closed_where_the_margin_is_gone():
    """Long 4 x 10,000 at 100 with 5 % maintenance: the low of 80 leaves 2,000 for 32,000, above; that of 78 does not.

    10,000 - 40,000 * 0.22 = 1,200 < 5 % of 31,200 = 1,560: closed at 78 for 1 % of 31,200: 888 are left, although the
    bar ends at 100.
    """
    for low, ends_with in ((-0.20, 10_000.0), (-0.22, 888.0)):
        case = flat(
            2,
            weights=np.full((2, 1), 4.0),
            rebalance=np.array([True, False]),
            costs=CostModel(0, 0, liquidation_bps=100),
            execution=Execution(capital=10_000, maintenance=0.05),
            conditions=Conditions(low=np.array([[low], [0.0]]), high=np.zeros((2, 1))),
        )
        outcome = case.run()
        assert 10_000 * outcome.equity[1:] == pytest.approx([ends_with] * 2, abs=0.005)


@pytest.mark.parametrize("low", [float("nan"), 0.0])
def test_a_margin_that_is_gone_at_the_next_fill_is_gone_whatever_the_bar_says(low):
    """Long 4 x 10,000 at 100 that is worth 78 at the next fill: 1,200 for 31,200, and the low is unknown or above."""
    case = flat(
        1,
        weights=np.full((1, 1), 4.0),
        prices=np.array([[100.0], [78.0]]),
        costs=CostModel(0, 0, liquidation_bps=100),
        execution=Execution(capital=10_000, maintenance=0.05),
        conditions=Conditions(low=np.full((1, 1), low), high=np.full((1, 1), low)),
    )
    assert 10_000 * case.run().equity[-1] == pytest.approx(888.0, abs=0.005)


def test_an_order_for_a_share_that_ended_waits_no_longer():
    """80 of 100 a share of A are still wanted when it ends; the cap of one half is then all B's."""
    names, n = ("A", "B"), 4
    times = pd.date_range("2020-01-01 21:00", periods=n, freq="D", tz="UTC").as_unit("ns")
    prices = np.full((n + 1, 2), 100.0)
    prices[1:, 0] = np.nan
    ended = np.zeros(prices.shape, bool)
    ended[1, 0] = True
    outcome = simulate(
        Positions(times, names, np.array([[1.0, 0.5]] * n), np.array([True, False, False, False])),
        prices,
        times + pd.Timedelta(days=1),
        ended=ended,
        cash=np.where(ended, 100.0, 0.0),
        tradable=np.ones((n, 2), bool),
        chain=Chain([Anything(), GrossCap(gross=2.0)]),
        execution=Execution(capital=10_000, participation=0.1),
        conditions=Conditions(volume=np.full((n, 2), 20_000.0)),
    )
    assert outcome.positions.weights[:, 1].tolist() == pytest.approx([0.2, 0.4, 0.5, 0.5])
    assert outcome.targets.weights[2].tolist() == pytest.approx([0.0, 0.5])


def test_guardrails_limit_what_earlier_orders_still_want():
    """The cap of one half holds, whatever is carried over."""
    case = flat(
        5,
        weights=np.ones((5, 1)),
        rebalance=np.array([True, False, False, False, False]),
        execution=Execution(capital=10_000, participation=0.1),
        conditions=Conditions(volume=np.full((5, 1), 20_000.0)),
    )
    held = case.run(chain=Chain([GrossCap(gross=0.5)])).positions.weights[:, 0]
    assert held.tolist() == pytest.approx([0.2, 0.4, 0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    "wrong",
    [{"capital": 0.0}, {"participation": -0.1}, {"lot": float("nan")}, {"min_notional": -1.0}, {"maintenance": 0}],
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Execution(**wrong)


def test_conditions_of_another_shape_are_refused():
    with pytest.raises(DataError, match="volume has the shape"):
        flat(3, conditions=Conditions(volume=np.ones((2, 1)))).run()
    with pytest.raises(DataError, match="funding that is not finite"):
        flat(1, conditions=Conditions(funding=np.array([[np.nan]]))).run()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("years", np.nan), ("years", -1.0), ("volatility", np.inf), ("usual", -5.0), ("low", -2.0), ("factor", 0.0)],
)
def test_conditions_that_cannot_be_are_named(name, wrong):
    values = np.full(1, wrong) if name == "years" else np.full((1, 1), wrong)
    with pytest.raises(DataError, match="split factor" if name == "factor" else name):
        flat(1, conditions=Conditions(**{name: values})).run()


@pytest.mark.parametrize("weight", [1e200, -1e200, 1e308, -1e15])
@pytest.mark.parametrize("guarded", [False, True])
def test_an_order_beyond_all_numbers_loses_the_account_and_nothing_else(weight, guarded):
    """Its cost is more than there is: the account stops, at nothing, and every number that is told is one."""
    case = flat(3, weights=np.full((3, 1), weight), costs=CostModel(4.0, 6.0))
    outcome = case.run(chain=Chain([Anything()])) if guarded else case.run()
    assert outcome.equity.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert (outcome.positions.weights == 0).all()
    assert np.isfinite(outcome.turnover_oneway).all()
    assert "lost" in outcome.notes[0]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_leave_the_book_alone_and_are_told(wrong):
    case = flat(3, weights=np.array([[0.5], [wrong], [0.5]]))
    outcome = case.run()
    assert outcome.positions.weights[:, 0].tolist() == pytest.approx([0.5] * 3)
    assert [violation.code for violation in outcome.positions.violations] == ["PROPOSAL_NOT_FINITE"]


def test_a_market_without_any_price_trades_nothing():
    case = flat(3, weights=np.full((3, 1), 0.5), prices=np.full((4, 1), np.nan), costs=CostModel(4.0, 6.0))
    assert case.run().equity.tolist() == [1.0] * 4


def test_an_account_by_default_is_that_of_a_recipe_by_default():
    """What a recipe may say is what the simulator takes: the same names, and the same values where it says nothing."""
    assert asdict(Execution()) == ExecutionConfig().model_dump()
    assert asdict(CostModel()) == CostsConfig().model_dump(exclude={"funding"})
