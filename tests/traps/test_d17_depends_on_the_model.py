"""D17: the numbers of a strategy are about its forecasts: mixed, mirrored or of other weights they are other numbers.

The gates that say so in every run, and policies that ignore part of the forecast, are in ``tests/core/test_gates.py``,
``tests/core/test_same_decisions.py`` and, through a whole run, ``tests/story/test_gates.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

import torch

from mnpu import gates, training
from mnpu.metrics.compute import compute
from mnpu.nn.linear import Linear
from mnpu.nn.quantile import Quantile
from mnpu.policies.rank_long_short import RankLongShort
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import simulate
from mnpu.testing.heads import HEAD_LAWS
from mnpu.testing.models import backbone_laws
from mnpu.testing.modules import WIDTH, Trial
from mnpu.types import Forecast, PolicyContext, Result
from tests.core.training_world import FOLD, World, fit, make_world, settings
from tests.traps.planting import fails

Measured = Callable[[Forecast], dict[str, float | None]]
FIRST, STOP = FOLD.test[0], FOLD.test[1] - 1
#: What a strategy earned, and what its forecasts were worth.
OF_THE_BOOK = ("total_return_net", "sharpe", "max_drawdown", "turnover_oneway_ann", "cvar_0.05", "rank_ic", "pinball")


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(np.random.default_rng(8))


@pytest.fixture(scope="module")
def said(world: World) -> tuple[Forecast, Forecast]:
    """What two networks say that differ in the weights that they were drawn from."""
    fits = [fit(world, train=settings(epochs=1, max_steps_per_epoch=15), seed=seed) for seed in (1, 2)]
    first, second = (training.forecast(fitted, world.frame, rows=FOLD.test) for fitted in fits)
    return first, second


@pytest.fixture
def measured(world: World) -> Measured:
    """The product's own way from a forecast to every number: policy, simulation, metrics."""
    moves = world.labels.values[:, :, 0]
    prices = 100 * np.cumprod(1 + np.concatenate([np.zeros((1, moves.shape[1])), moves]), axis=0)
    context = PolicyContext(world.frame.times, world.frame.symbols, np.roll(moves, 1, 0), world.frame.tradable, 252.0)

    def numbers(forecast: Forecast) -> dict[str, float | None]:
        book = RankLongShort()(forecast, context).rows(FIRST, STOP)
        out = simulate(book, prices[FIRST : STOP + 1], world.frame.times[FIRST + 1 : STOP + 1], costs=CostModel(1, 2))
        made = Result(
            "m", book.times, world.frame.times[FIRST + 1 : STOP + 1], out.gross, out.net, out.equity,
            out.turnover_oneway, out.costs, book, out.positions, 252.0,
            forecast=forecast.rows(FIRST, STOP), labels=world.labels.values[FIRST:STOP],
        )  # fmt: skip
        found = {name: metric.value for name, metric in compute(made).items()}
        return {**found, "mean gross": float(out.gross.mean())}

    return numbers


def numbers_are_about_the_forecast(measured: Measured, said: tuple[Forecast, Forecast]) -> None:
    one, other = said
    base = measured(one)
    for changed in (other, gates.shuffled_within_symbol(one, np.random.default_rng(1)), gates.mirrored(one)):
        found = measured(changed)
        assert [name for name in OF_THE_BOOK if found[name] == base[name]] == []
    assert measured(gates.mirrored(one))["mean gross"] == pytest.approx(-base["mean gross"])
    assert measured(gates.mirrored(one))["rank_ic"] == pytest.approx(-base["rank_ic"])
    assert base["mean gross"] != 0


def test_numbers_are_about_the_forecast(measured, said) -> None:
    numbers_are_about_the_forecast(measured, said)


def test_numbers_of_the_outcomes_are_found(measured, said, world) -> None:
    """The faults of an earlier project: a return of future prices, whoever forecast what; and half of such numbers."""
    whatever = replace(said[0], quantiles=np.nan_to_num(said[0].quantiles) * 0 + np.arange(7) * 0.01)
    of_prices = lambda forecast: {**measured(whatever), "mean gross": float(world.labels.values.mean())}
    ledger_alone = lambda forecast: {**measured(forecast), "sharpe": 19.2}
    of_size_alone = lambda forecast: measured(replace(forecast, quantiles=np.abs(forecast.quantiles)))
    for fault in (of_prices, ledger_alone, of_size_alone):
        fails(numbers_are_about_the_forecast, fault, said)


# A network that begins dead says the same of everything.


class AlwaysTheSame(Quantile):
    """The fault: the map from the summary begins at zero."""

    def __init__(self, d_in: int, n_horizons: int) -> None:
        super().__init__(d_in, n_horizons)
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.ndim > 1:
                    parameter.zero_()


def head_listens(head: Callable) -> None:
    assert HEAD_LAWS["listens to the summary"](Trial(lambda: head(d_in=WIDTH, n_horizons=2), 0)) == ""


def test_a_head_that_begins_dead_is_found() -> None:
    head_listens(Quantile)
    fails(head_listens, AlwaysTheSame)


class Zeroed(Linear):
    """The fault: every weight begins at zero, so that the output does."""

    def __init__(self, n_features: int, lookback: int) -> None:
        super().__init__(n_features, lookback)
        torch.nn.init.zeros_(self.map.weight)


def backbone_is_alive(backbone: Callable) -> None:
    found = {outcome.law: outcome.passed for outcome in backbone_laws(backbone)}
    assert found["does not start dead: the summary depends on several bars and every column"]


def test_a_backbone_that_begins_dead_is_found() -> None:
    backbone_is_alive(Linear)
    fails(backbone_is_alive, Zeroed)
