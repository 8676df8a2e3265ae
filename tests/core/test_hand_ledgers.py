"""Accounts that were worked out by hand, in money and to the cent: one short story each, costs included.

All start with 10,000.00 and pay 10 basis points of an order, 0.1 % of the money that is to change hands, whichever part
of it is filled. Orders are for what is left when that is paid. A foreign share, long and short: `test_currency`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mnpu.accounts import market_around
from mnpu.data.conditions import execution_arrays
from mnpu.data.currency import in_account_currency
from mnpu.data.fills import fill_prices
from mnpu.data.store import Store
from mnpu.guard import Chain
from mnpu.simulation.costs import CostModel
from mnpu.simulation.execution import Conditions, Execution
from mnpu.simulation.simulate import SimulationOutcome, simulate
from mnpu.types import Positions

CAPITAL = 10_000.0
COSTS = {"commission_bps": 4.0, "half_spread_bps": 6.0}
NAN = np.nan


def account(
    prices: list[float],
    weights: list[float | None],
    *,
    costs: CostModel | None = None,
    execution: Execution | None = None,
    conditions: dict[str, list[float]] | None = None,
    cash: list[float] | None = None,
    ended: list[bool] | None = None,
) -> SimulationOutcome:
    """One symbol, one price a fill, one weight a decision; None lets the book drift."""
    n = len(weights)
    column = lambda values: np.array(values)[:, None]
    times = pd.date_range("2020-01-01 21:00", periods=n, freq="D", tz="UTC").as_unit("ns")
    wanted = column([0.0 if w is None else w for w in weights])
    told = {name: np.array(v) if name == "years" else column(v) for name, v in (conditions or {}).items()}
    return simulate(
        Positions(times, ("A",), wanted, np.array([w is not None for w in weights])),
        column(prices),
        times + pd.Timedelta(days=1),
        cash=None if cash is None else column(cash),
        ended=None if ended is None else column(ended),
        costs=costs or CostModel(**COSTS),
        execution=execution or Execution(capital=CAPITAL),
        conditions=Conditions(**told),
    )


def money(outcome: SimulationOutcome) -> list[float]:
    """What the account is worth at each fill, in cents."""
    return [round(float(value), 2) for value in outcome.equity * CAPITAL]


def shares(outcome: SimulationOutcome, quoted: list[float]) -> list[float]:
    """Shares after each fill, at the prices on the screen and before its cost is paid."""
    paid = sum(outcome.costs[kind] for kind in ("commission", "half_spread", "impact"))
    after = outcome.equity[:-1] * (1 - paid) * CAPITAL
    return [round(float(s), 6) for s in outcome.positions.weights[:, 0] * after / np.array(quoted)]


class Watching:
    """Allows every book, and keeps it."""

    path_dependent = True

    def __init__(self) -> None:
        self.books = []

    def limit(self, proposed, book):
        if not self.books or self.books[-1].time != book.time:
            self.books.append(book)
        return proposed

    def explain(self, proposed, allowed, book):
        return []


def test_a_round_trip():
    """Buy 5,000 worth at 100, sell at 110.

    The order is half of what is left when 0.1 % of 5,000 is paid: 9,995 / 2 = 4,997.50, which is 49.975 shares at 100.
    They are worth 5,497.25 at 110, with 4,997.50 in cash: 10,494.75. Selling them costs 5.49725.
    """
    outcome = account([100, 110, 110], [0.5, 0.0])
    assert shares(outcome, [100, 110]) == [49.975, 0.0]
    assert money(outcome) == [10_000.00, 10_494.75, 10_489.25]
    assert outcome.costs["commission"] * outcome.equity[:-1] * CAPITAL == pytest.approx([2.00, 0.4 * 5.49725], abs=1e-9)


def test_buy_and_hold_earns_the_return_of_the_price_less_one_cost():
    """9,990 buy 99.9 shares at 100; at 80, 125 and 130 they are worth what they are, and nothing more is paid."""
    outcome = account([100, 80, 125, 130], [1.0, None, None])
    assert money(outcome) == [10_000.00, 7_992.00, 12_487.50, 12_987.00]
    assert outcome.equity[-1] == pytest.approx((1 - 0.001) * 130 / 100, rel=1e-12)
    assert shares(outcome, [100, 80, 125]) == [99.9, 99.9, 99.9]


def test_a_short_sale_with_borrowed_shares():
    """Sell 5,000 worth at 100, half of it gone at 90, at 10 % a year for a tenth of a year a bar.

    Sold: 49.975 shares for 4,997.50, cost 5.00, cash 9,995 + 4,997.50. The loan costs 1 % of 4,997.50 = 49.975 by the
    next fill. There 49.975 shares cost 4,497.75 to buy back: 14,992.50 - 49.975 - 4,497.75 = 10,444.775, less 0.1 % of
    4,497.75 = 4.49775.
    """
    costs = CostModel(**COSTS, borrow_bps=1_000)
    outcome = account([100, 90, 90], [-0.5, 0.0], costs=costs, conditions={"years": [0.1, 0.1]})
    assert shares(outcome, [100, 90]) == [-49.975, 0.0]
    assert outcome.equity[1:] * CAPITAL == pytest.approx([10_444.775, 10_440.27725], abs=1e-9)
    assert outcome.costs["borrow"] * outcome.equity[:-1] * CAPITAL == pytest.approx([49.975, 0.0], abs=1e-9)


def test_a_split_in_lots_of_a_hundred_shares():
    """200 shares at 90, two for one at 45: 400 shares. Then a smaller book, in lots of the new shares.

    An order for 20,000, cost 20.00, is for 19,960 / 90 = 221.7778 shares; two lots of 100 are 90.1804 % of it: 18,000
    for 18.0361. On the next day they are 400 at 46: 18,400 - 8,018.0361 = 10,381.9639. Wanted are 1.1 of it,
    11,420.1603, so 6,979.8397 are to be sold for 6.9798: 151.9026 shares. One lot of 100 is 65.8317 % of it: 4,600 for
    4.5949. Left are 300 shares and 10,377.3690; from 46 to 50 they gain 1,200. In lots of 100 old shares nothing would
    be sold.
    """
    outcome = account(
        [90, 92, 100],  # in units of the old shares
        [2.0, 1.1],
        execution=Execution(capital=CAPITAL, lot=100),
        conditions={"factor": [1.0, 2.0]},
    )
    assert shares(outcome, [90, 46]) == [200.0, 300.0]
    assert money(outcome) == [10_000.00, 10_381.96, 11_577.37]


def test_an_order_that_waits_over_a_split_has_twice_the_shares():
    """90 shares of 100 wanted and 40 a bar there: 40 at 100, then, two for one at 50, what is left is 100 new shares.

    0.9 of 10,000 less 9.00 are 8,991.90, 89.919 shares. 40 are 44.4845 % of them, for 4.0036; 49.919 wait, as 99.838 of
    the new shares. The bar allows 4,500, 90 shares, for 4.50; 9.838 wait and cost 491.90 and 0.4919 at the third fill.
    """
    outcome = account(
        [100, 100, 100, 100],
        [0.9, None, None],
        execution=Execution(capital=CAPITAL, participation=0.1),
        conditions={"factor": [1.0, 2.0, 2.0], "volume": [40_000.0, 45_000.0, 40_000.0]},
    )
    assert shares(outcome, [100, 50, 50]) == [40.0, 170.0, 179.838]
    assert money(outcome) == [10_000.00, 9_996.00, 9_991.50, 9_991.00]


@pytest.mark.parametrize(("weight", "ends_with"), [(0.5, 9_995.00), (-0.5, 9_995.00)])
def test_a_dividend_moves_money_from_the_price_to_the_holder_and_from_who_is_short(weight, ends_with):
    """4 a share, and the price falls by as much: 49.975 shares are paid or cost 199.90, and lose or gain it."""
    outcome = account([100, 96, 96], [weight, None], cash=[0.0, 4.0, 0.0])
    assert money(outcome) == [10_000.00, ends_with, ends_with]
    assert shares(outcome, [100, 96])[1] == pytest.approx(49.975 * np.sign(weight))  # not bought back


def test_a_dividend_that_the_price_does_not_follow():
    """The price stays at 100: who is long has 199.90 more, who is short 199.90 less."""
    assert money(account([100, 100], [0.5], cash=[0.0, 4.0])) == [10_000.00, 10_194.90]
    assert money(account([100, 100], [-0.5], cash=[0.0, 4.0])) == [10_000.00, 9_795.10]


def test_funding_is_paid_by_who_is_long_and_received_by_who_is_short():
    """1.2 % of 4,997.50 at a settlement that is positive, 59.97; 2 % of it, 99.95, back at one that is negative."""
    rates = {"funding": [0.012, -0.02]}
    assert money(account([100, 100, 100], [0.5, None], conditions=rates)) == [10_000.00, 9_935.03, 10_034.98]
    assert money(account([100, 100, 100], [-0.5, None], conditions=rates)) == [10_000.00, 10_054.97, 9_955.02]


@pytest.mark.parametrize(("weight", "ends_with"), [(0.5, 5_497.25), (-0.5, 14_492.75)])
def test_a_delisting_closes_the_position_at_what_it_returned_and_for_no_cost(weight, ends_with):
    """49.975 shares at 100 become 10 each: 4,497.75 are lost or gained, and nothing is traded."""
    outcome = account([100, NAN, NAN], [weight, 0.0], cash=[0.0, 10.0, 0.0], ended=[False, True, False])
    assert money(outcome) == [10_000.00, ends_with, ends_with]
    assert len(outcome.fills) == 1


def test_a_liquidation_at_the_low_of_a_bar():
    """Long 4 times, 5 % maintenance. Whole order: 40,000 less 4 times its cost of 40: 39,840, which is 398.4 shares.

    They owe 39,840 - 9,960 = 29,880. At a low of 79 they are worth 31,473.60: equity 1,593.60, above 5 % of it,
    1,573.68. At 78.9 they are worth 31,433.76: 1,553.76, below 1,571.69. All is sold there for 1.1 % (10 basis points
    and 100 for the liquidation), 345.77: 1,207.99 are left, although the bar ends at 100.
    """
    costs = CostModel(**COSTS, liquidation_bps=100)
    execution = Execution(capital=CAPITAL, maintenance=0.05)
    kept, closed = (
        account([100, 100, 100], [4.0, None], costs=costs, execution=execution, conditions={"low": [low, 0.0]})
        for low in (-0.21, -0.211)
    )
    assert money(kept) == [10_000.00, 9_960.00, 9_960.00]
    assert money(closed) == [10_000.00, 1_207.99, 1_207.99]
    assert closed.positions.weights[1, 0] == 0.0


def test_a_short_is_not_called_for_what_a_delisting_pays_it():
    """Short 2 times at 100 what becomes 10: a gain. The high of 101 and the 10 are not owed one after the other.

    20,000 less 2 times its cost of 20: 199.6 shares. The price of 101 alone leaves 9,980 - 199.60 for 20,159.60.
    """
    outcome = account(
        [100, NAN],
        [-2.0],
        execution=Execution(capital=CAPITAL, maintenance=0.45),
        conditions={"high": [0.01]},
        cash=[0.0, 10.0],
        ended=[False, True],
    )
    assert money(outcome) == [10_000.00, 27_944.00]


def test_an_account_that_owes_more_than_it_has_ends_with_nothing():
    """Short 1 time at 100 what is 230 at the next fill: 10,000 - 13,000 are not there to be paid."""
    assert money(account([100, 230, 100], [-1.0, None])) == [10_000.00, 0.00, 0.00]


def test_an_order_that_is_filled_over_a_bar(make_panel):
    """Decided at 100, bought over a day at 98 on average that closes at 101, sold over the next at 105.

    4,997.50 buy 50.994898 shares at 98 for 5.00. At the close they are worth 5,150.48, which is what the next decision
    sees of 10,147.98; at 105 they are worth 5,354.46: 10,351.96, less 0.1 % of it for the sale, 5.35.
    """
    column = lambda *values: np.array(values)[:, None]
    panel = make_panel(column(100.0, 101.0, 103.0, 103.0), vwap=column(99.0, 98.0, 105.0, 104.0))
    fills = fill_prices(panel, "vwap")
    seen = Watching()
    outcome = simulate(
        Positions(panel.times[:2], panel.symbols, column(0.5, 0.0), np.array([True, True])),
        **market_around(panel, fills, 0, 2),
        costs=CostModel(**COSTS),
        execution=Execution(capital=CAPITAL),
        chain=Chain([seen]),
    )
    assert money(outcome) == [10_000.00, 10_351.96, 10_346.61]
    assert outcome.fills["price"].tolist() == [98.0, 105.0]
    assert [round(book.equity * CAPITAL, 2) for book in seen.books] == [10_000.00, 10_147.98]
    assert seen.books[1].weights[0] == pytest.approx(5_150.48 / 10_147.98, abs=1e-6)


def test_shares_of_two_currencies_with_lots_and_a_split(make_panel):
    """10,000 euros in a share of euros and one of dollars, of which there are 0.80, 0.80 and 0.90 euros each.

    5,000 euros of either: 9,990 / 2 = 4,995 buy 99.9 shares at 50 euros, 99 of them: 4,950. Of the other they buy
    62.4375 at 100 dollars, 62 of them: 4,960. Each costs its part of 5.00: 4.9550 and 4.9650. The dollar share is split
    two for one and closes at 55: 124 at 49.50 euros are 6,138. The other stays at 50.
    """
    rate = np.array([[1.0, 0.8], [1.0, 0.8], [1.0, 0.9], [1.0, 0.9]])
    split = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 2.0], [1.0, 2.0]])
    close = np.array([[50.0, 90.0], [50.0, 100.0], [50.0, 110.0], [50.0, 110.0]])  # in old shares
    panel = in_account_currency(make_panel(close, rate=rate, split_factor=split))
    fills = fill_prices(panel)
    arrays = execution_arrays(panel, fills, "next_close", volumes=False)
    outcome = simulate(
        Positions(panel.times[:2], panel.symbols, np.full((2, 2), 0.5), np.array([True, False])),
        **market_around(panel, fills, 0, 2),
        costs=CostModel(**COSTS),
        execution=Execution(capital=CAPITAL, lot=1),
        conditions=Conditions(**{name: values[:2] for name, values in arrays.items()}),
    )
    assert money(outcome)[1] == round(10_000 - 4_950 - 4_960 - 4.95495495 - 4.96496497 + 4_950 + 6_138, 2) == 11_168.08
    held = outcome.positions.weights[1] * outcome.equity[1] * CAPITAL
    assert held == pytest.approx([99 * 50.0, 124 * 55 * 0.9], abs=1e-6)


def test_apple_is_traded_in_round_lots_before_and_after_its_split_of_2005(demo_store):
    """Real prices: two for one on 28 February 2005, at which the shares of a holder double and their value does not."""
    panel = Store.open(demo_store).panel(["AAPL"], start="2005-02-01", end="2005-03-31", dataset="us_ohlcv_daily")
    n = len(panel.times) - 2
    arrays = execution_arrays(panel, fill_prices(panel), "next_close")
    outcome = simulate(
        Positions(panel.times[:n], panel.symbols, np.where(np.arange(n) % 3, 0.7, 0.4)[:, None], np.arange(n) % 2 == 0),
        **market_around(panel, fill_prices(panel), 0, n),
        costs=CostModel(**COSTS),
        execution=Execution(capital=1e6, lot=100),
        conditions=Conditions(**{name: values[:n] for name, values in arrays.items()}),
    )
    quoted = (panel["close"] / panel["split_factor"])[1 : n + 1, 0]  # as on the screen on that day
    paid = sum(outcome.costs.values())
    held = outcome.positions.weights[:, 0] * outcome.equity[:-1] * (1 - paid) * 1e6 / quoted
    np.testing.assert_allclose(held / 100, np.round(held / 100), atol=1e-6)
    split = int(np.flatnonzero(np.diff(panel["split_factor"][1 : n + 1, 0]))[0]) + 1
    assert f"{panel.sessions[split + 1]}" == "2005-02-28"
    assert quoted[split] / quoted[split - 1] == pytest.approx(0.5, abs=0.05)
    kept = [t for t in range(1, n) if t % 2]  # the decisions that send nothing
    assert all(held[t] == pytest.approx(held[t - 1] * (2 if t == split else 1)) for t in kept)
    assert any(round(held[t] / 100) % 2 for t in range(split, n))  # a round lot of the new shares, half of an old one
