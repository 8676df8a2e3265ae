"""D5: who died counts, with what the delisting returned, and nobody is held outside of his listing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mnpu.data.actions import Listing
from mnpu.data.fills import fill_prices
from mnpu.errors import DataError
from mnpu.pipeline import context_of
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import simulate
from mnpu.types import Panel, Positions
from mnpu.validation.findings import Context
from mnpu.validation.ohlcv import Ohlcv
from tests.core.test_actions import bars, closes, panel_of
from tests.traps.planting import fails

FIRST, LAST = "2018-01-02", "2018-06-29"
NAMES, DYING, LOSS = 10, 3, 0.9


def universe(survivors: int, *, dated: bool = True, returned: float | None = -LOSS) -> Panel:
    """Ten names at a constant price, the first three of which end and lose 90 % then; or those that stayed alone."""
    times = closes(FIRST, LAST)
    columns, listings = [], []
    for a in range(survivors, NAMES):
        last = 20 + 30 * a if a < DYING else len(times)
        columns.append(bars(times[:last], np.full(last, 50.0 + a)))
        ended = a < DYING and dated
        listings.append(Listing(delisted=int(times[last - 1]), delisting_return=returned) if ended else Listing())
    return panel_of(columns, FIRST, LAST, listings=listings)


def hold_all(panel: Panel) -> float:
    """What an equal share of everyone becomes, bought on the first day and left alone."""
    n = len(panel.times) - 1
    weights = np.full((n, len(panel.symbols)), 1.0 / len(panel.symbols))
    book = Positions(panel.times[:n], panel.symbols, weights, np.arange(n) == 0)
    found = fill_prices(panel)
    ends = slice(0, n + 1)
    out = simulate(
        book,
        found.prices[ends],
        found.times[:n],
        tradable=panel.tradable[:n],
        cash=found.cash[ends],
        ended=found.ended[ends],
        costs=CostModel(0.0, 0.0),
    )
    return float(out.equity[-1])


def the_dead_cost_what_is_known(build: Callable[[], Panel]) -> None:
    """Three of ten lose 90 %: 27 % of the money, and nothing of it among survivors."""
    assert hold_all(universe(DYING)) - hold_all(build()) == pytest.approx(DYING / NAMES * LOSS)


def test_a_dated_universe_differs_from_the_survivors_by_the_known_amount() -> None:
    the_dead_cost_what_is_known(lambda: universe(0))


@pytest.mark.parametrize(
    "fault",
    [
        lambda: universe(DYING),
        lambda: universe(0, dated=False),
        lambda: universe(0, returned=None),
        lambda: universe(0, returned=-1.0),
    ],
    ids=["survivors alone", "the end forgotten", "without the delisting's return", "all of it lost"],
)
def test_a_universe_that_flatters_is_found(fault: Callable[[], Panel]) -> None:
    fails(the_dead_cost_what_is_known, fault)


WEEK = closes("2018-03-05", "2018-03-09")


def listed_for_three_days(listing: Listing) -> Panel:
    """A store that has bars of a name for a whole week in which it is listed from Tuesday to Thursday."""
    return panel_of([bars(WEEK, [5.0] * 5)] * 2, "2018-03-05", "2018-03-09", listings=[listing, Listing()])


def nobody_is_held_outside_of_his_listing(panel: Panel) -> None:
    """Neither a choice, nor a fill, nor a price."""
    inside = np.array([False, True, True, True, False])
    assert (context_of(panel).tradable[:, 0] == inside).all()
    assert (np.isfinite(panel["close"][:, 0]) == inside).all()
    found = fill_prices(panel)
    n = 4
    book = Positions(panel.times[:n], panel.symbols, np.tile([1.0, 0.0], (n, 1)), np.ones(n, dtype=bool))
    ends = slice(0, n + 1)
    out = simulate(
        book,
        found.prices[ends],
        found.times[:n],
        tradable=panel.tradable[:n],
        cash=found.cash[ends],
        ended=found.ended[ends],
    )
    assert out.positions.weights[0, 0] == 0.0  # decided on Monday, when it was not listed yet
    assert out.positions.weights[3, 0] == 0.0  # decided on Thursday, filled when it was gone


def test_outside_of_its_listing_a_symbol_cannot_be_used() -> None:
    dated = listed_for_three_days(Listing(listed=int(WEEK[1]), delisted=int(WEEK[3])))
    nobody_is_held_outside_of_his_listing(dated)
    fails(nobody_is_held_outside_of_his_listing, listed_for_three_days(Listing()))


def test_a_price_where_the_symbol_is_not_listed_is_an_error_finding() -> None:
    panel = listed_for_three_days(Listing(listed=int(WEEK[1]), delisted=int(WEEK[3])))
    assert [f for f in Ohlcv().check(panel, Context("prices")) if f.severity == "error"] == []
    panel["close"].flags.writeable = True
    panel["close"][4, 0] = 5.0  # a value after its end
    assert [f.severity for f in Ohlcv().check(panel, Context("prices"))] == ["error"]


def test_a_symbol_that_is_never_listed_in_the_dates_is_refused() -> None:
    with pytest.raises(DataError, match="S0 has no bar"):
        listed_for_three_days(Listing(listed=int(WEEK[4]) + 1))
