"""From forecasts to books: expected weights are written out by hand or counted in loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mnpu.errors import ConfigError, DataError
from mnpu.policies._ranks import average_ranks
from mnpu.policies.buy_and_hold import BuyAndHold
from mnpu.policies.equal_weight import EqualWeight
from mnpu.policies.momentum import Momentum
from mnpu.policies.rank_long_short import RankLongShort
from mnpu.policies.signed_quantile import SignedQuantile
from mnpu.testing.policies import laws, mirrored
from mnpu.types import Forecast, PolicyContext, Positions

SPREAD = np.array([-0.1, -0.04, 0.0, 0.04, 0.1])
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

POLICIES = {
    "rank": RankLongShort,
    "rank held": lambda: RankLongShort(hold=5),
    "rank long-only": lambda: RankLongShort(long_only=True, gross=0.8),
    "rank long-only held": lambda: RankLongShort(long_only=True, hold=3),
    "signed quantile": SignedQuantile,
    "signed quantile held": lambda: SignedQuantile(hold=4),
    "equal weight": EqualWeight,
    "buy and hold": BuyAndHold,
    "momentum": Momentum,
    "momentum long-only held": lambda: Momentum(window=30, skip=2, hold=3, long_only=True),
}


def decisions(medians, tradable=None, returns=None) -> tuple[Forecast, PolicyContext]:
    """Forecasts with these medians (T, A) and an interval of width 0.2."""
    medians = np.asarray(medians, dtype=float)
    times = pd.date_range("2020-01-01 21:00", periods=len(medians), freq="D", tz="UTC").as_unit("ns")
    symbols = tuple("ABCDEFGH"[: medians.shape[1]])
    quantiles = medians[:, :, None, None] + SPREAD
    tradable = np.ones(medians.shape, bool) if tradable is None else np.asarray(tradable, bool)
    returns = np.zeros(medians.shape) if returns is None else np.asarray(returns, float)
    return Forecast(times, symbols, (1,), LEVELS, quantiles), PolicyContext(times, symbols, returns, tradable, 252.0)


@pytest.mark.parametrize("name", POLICIES)
def test_our_own_policies_keep_every_law(name):
    assert [outcome for outcome in laws(POLICIES[name]) if not outcome.passed] == []


@given(arrays(float, (3, 7), elements=st.integers(-3, 3)), arrays(bool, (3, 7)))
def test_ranks_count_who_is_below_and_half_of_who_ties(scores, usable):
    ranks = average_ranks(scores, usable)
    for t in range(3):
        rivals = scores[t, usable[t]]
        for i in range(7):
            if usable[t, i]:
                below, ties = (rivals < scores[t, i]).sum(), (rivals == scores[t, i]).sum()
                assert ranks[t, i] == below + (ties + 1) / 2
            else:
                assert np.isnan(ranks[t, i])


def test_long_short_weights_are_linear_in_the_rank():
    book = RankLongShort()(*decisions([[0.4, 0.1, 0.3, 0.2]])).weights
    assert book[0] == pytest.approx([0.375, -0.375, 0.125, -0.125], abs=1e-15)


def test_long_only_weights_are_proportional_to_the_rank():
    book = RankLongShort(long_only=True)(*decisions([[0.4, 0.1, 0.3, 0.2]])).weights
    assert book[0] == pytest.approx([0.4, 0.1, 0.3, 0.2], abs=1e-15)


def test_equal_forecasts_are_flat_or_for_long_only_the_benchmark():
    forecast, context = decisions(np.full((1, 5), 0.01) + 1e-9 * np.arange(5))
    assert (RankLongShort()(forecast, context).weights == 0).all()
    assert RankLongShort(long_only=True)(forecast, context).weights[0] == pytest.approx([0.2] * 5)


@given(arrays(float, (2, 6), elements=st.floats(-0.1, 0.1)))
def test_mirrored_forecasts_give_the_mirrored_book_to_the_last_bit(medians):
    forecast, context = decisions(medians)
    for policy in (RankLongShort(), SignedQuantile()):
        opposite = policy(mirrored(forecast), context).weights
        assert np.array_equal(policy(forecast, context).weights, -opposite)


def test_fewer_than_four_symbols_are_refused():
    with pytest.raises(ConfigError, match=r"3 symbol.*at least 4"):
        RankLongShort().check(["A", "B", "C"])
    with pytest.raises(ConfigError):
        RankLongShort()(*decisions([[0.1, 0.2, 0.3]]))


def test_a_row_with_three_tradable_symbols_is_flat():
    tradable = [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]
    book = RankLongShort()(*decisions([[0.1, 0.2, 0.3, 0.4, 0.5]] * 2, tradable)).weights
    assert np.abs(book).sum(axis=1) == pytest.approx([1.0, 0.0])


def test_a_missing_forecast_gets_no_weight_and_leaves_the_others_ranked():
    forecast, context = decisions([[0.5, 0.4, 0.1, 0.3, 0.2]])
    forecast.quantiles[0, 0] = np.nan
    assert RankLongShort()(forecast, context).weights[0] == pytest.approx([0.0, 0.375, -0.375, 0.125, -0.125])


def test_a_held_book_is_the_mean_of_the_last_target_books():
    medians = [[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]]
    each = RankLongShort()(*decisions(medians)).weights
    held = RankLongShort(hold=2)(*decisions(medians)).weights
    assert held[0] == pytest.approx(each[0])
    assert held[2] == pytest.approx((each[1] + each[2]) / 2)


def test_signed_quantile_works_for_one_symbol_with_sign_and_size():
    # width 0.2: 0.005 / 0.2 / 0.05 is half size, 0.02 would be twice the full size
    book = SignedQuantile(gross=0.8)(*decisions([[0.005], [-0.02], [0.0]])).weights
    assert book[:, 0] == pytest.approx([0.4, -0.8, 0.0])


def test_an_interval_without_width_is_full_conviction():
    forecast, context = decisions([[0.001], [-0.001], [0.0]])
    sharp = replace(forecast, quantiles=np.repeat(forecast.quantiles[..., 2:3], 5, axis=3))
    assert SignedQuantile()(sharp, context).weights[:, 0] == pytest.approx([1.0, -1.0, 0.0])


def test_buy_and_hold_trades_first_and_when_the_tradable_set_changes():
    tradable = [[1, 1, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]
    positions = BuyAndHold()(*decisions(np.zeros((4, 3)), tradable))
    assert positions.rebalance.tolist() == [True, False, True, False]
    assert positions.weights[2] == pytest.approx([1 / 3] * 3)


def test_momentum_ranks_the_return_from_window_bars_ago_to_skip_bars_ago(rng):
    returns = 0.02 * rng.standard_normal((40, 5))
    price = np.vstack([np.ones(5), np.cumprod(1 + returns, axis=0)])  # price[t + 1] is the close of bar t
    positions = Momentum(window=20, skip=3)(*decisions(np.zeros((40, 5)), returns=returns))
    assert (positions.weights[:19] == 0).all()
    for t in range(19, 40):
        past = price[t + 1 - 3] / price[t + 1 - 20] - 1
        centred = np.argsort(np.argsort(past)) - 2.0
        assert positions.weights[t] == pytest.approx(centred / 6)


def test_momentum_refuses_to_skip_its_whole_window():
    with pytest.raises(ConfigError, match="window longer than the bars it skips"):
        Momentum(window=20, skip=20)


def test_a_symbol_with_too_few_returns_has_no_momentum():
    returns = np.full((30, 5), 0.01)
    returns[3:10, 0] = np.nan
    weights = Momentum(window=20, skip=0, long_only=True)(*decisions(np.zeros((30, 5)), returns=returns)).weights
    assert weights[22, 0] == 0  # 7 of its 20 returns are missing
    assert weights[29, 0] > 0  # one of 20 still is


def test_a_forecast_about_other_decisions_is_refused():
    forecast, context = decisions(np.zeros((3, 4)))
    with pytest.raises(DataError, match="same times and symbols"):
        RankLongShort()(forecast.rows(0, 2), context)


class Peeks(EqualWeight):
    """Weights by tomorrow's tradability."""

    def __call__(self, forecast, context):
        weights = np.roll(super().__call__(forecast, context).weights, -1, axis=0)
        weights = np.where(context.tradable, weights, 0.0)
        return Positions(context.times, context.symbols, weights, np.ones(len(weights), bool))


class UnderstatesItsLookback(Momentum):
    """Says it needs one row less than it does."""

    def __init__(self) -> None:
        super().__init__(window=30, skip=2)
        self.lookback = 20


class IgnoresTheSign(SignedQuantile):
    """Bets on the size of the forecast only."""

    def __call__(self, forecast, context):
        positions = super().__call__(forecast, context)
        return replace(positions, weights=np.abs(positions.weights))


class OverspendsItsGross(RankLongShort):
    """Uses twice what it promised."""

    def __call__(self, forecast, context):
        positions = super().__call__(forecast, context)
        return replace(positions, weights=2 * positions.weights)


class IgnoresTheForecast(EqualWeight):
    """A rule that claims to use the forecast."""

    uses_forecast = True


class Crashes(EqualWeight):
    """Raises."""

    def __call__(self, forecast, context):
        raise ValueError("not today")


@pytest.mark.parametrize(
    ("faulty", "law"),
    [
        (Peeks, "Does not change when the future does"),
        (UnderstatesItsLookback, "Gives the same last row from the last ``lookback`` rows alone"),
        (IgnoresTheSign, "Mirrors its bet when the forecast is mirrored"),
        (OverspendsItsGross, "Holds only what is tradable, within its gross, and nothing short if long-only"),
        (IgnoresTheForecast, "Changes when the forecasts are shuffled in time"),
        (Crashes, "Gives one finite weight for each cell and one rebalance flag for each row"),
    ],
)
def test_a_policy_with_a_planted_fault_breaks_its_law(faulty, law):
    broken = {outcome.law: outcome.detail for outcome in laws(faulty) if not outcome.passed}
    assert law in broken
    assert broken[law]


@settings(max_examples=25)
@given(st.integers(1, 6), st.integers(0, 10_000))
def test_the_last_rows_alone_decide_the_last_row(hold, seed):
    rng = np.random.default_rng(seed)
    forecast, context = decisions(0.01 * rng.standard_normal((12, 5)), rng.random((12, 5)) < 0.9)
    policy = RankLongShort(hold=hold)
    alone = policy(forecast.rows(12 - hold, 12), replace(
        context, times=context.times[-hold:], returns=context.returns[-hold:], tradable=context.tradable[-hold:]
    ))  # fmt: skip
    assert np.array_equal(alone.weights[-1], policy(forecast, context).weights[-1])


def test_classes_are_ranked_by_up_less_down():
    forecast, context = decisions([[0.4, 0.1, 0.3, 0.2]])
    shares = np.array([[0.1, 0.1, 0.8], [0.5, 0.3, 0.2], [0.2, 0.7, 0.1], [0.3, 0.1, 0.6]])  # 0.7, -0.3, -0.1, 0.3
    said = replace(forecast, probabilities=shares[None, :, None], evidence=np.ones((1, 4, 1)))
    book = RankLongShort(by="classes")(said, context).weights
    assert book[0] == pytest.approx([0.375, -0.375, -0.125, 0.125], abs=1e-15)
    assert RankLongShort()(said, context).weights[0] == pytest.approx([0.375, -0.375, 0.125, -0.125], abs=1e-15)


def test_classes_that_nobody_named_are_refused():
    with pytest.raises(ConfigError, match=r"policy.by: it is classes, and the forecast has no probabilities"):
        RankLongShort(by="classes")(*decisions([[0.4, 0.1, 0.3, 0.2]]))
