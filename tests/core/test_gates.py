"""The honesty gates on made-up decisions: who passes, and who cannot talk himself through."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mnpu import gates
from mnpu.commands._scaffold import write_plugin
from mnpu.policies.rank_long_short import RankLongShort
from mnpu.policies.signed_quantile import SignedQuantile
from mnpu.testing.policies import synthetic_decisions
from mnpu.types import Forecast, PolicyContext, Positions

ROWS, SYMBOLS = 160, 6


class _Policy:
    lookback, long_only, min_symbols, uses_forecast, gross = 1, False, 1, True, 1.0

    def __call__(self, forecast: Forecast, context: PolicyContext) -> Positions:
        usable = context.tradable & forecast.available
        weights = np.where(usable, np.nan_to_num(self.wanted(forecast, context)), 0.0) / len(context.symbols)
        return Positions(context.times, context.symbols, weights, np.ones(len(weights), dtype=bool))


class OneBarAhead(_Policy):
    """Bets on the forecast, and only where the next bar will rise: a mirrored forecast loses what it won."""

    def wanted(self, forecast, context):
        rises = np.roll(np.nan_to_num(context.returns), -1, axis=0) > 0
        return np.sign(forecast.median()) * rises


class TomorrowsForecast(_Policy):
    """On Fridays, the forecast of the next bar."""

    def wanted(self, forecast, context):
        friday = np.asarray(context.times.day_of_week)[:, None] == 4
        return np.where(friday, np.roll(forecast.median(), -1, axis=0), forecast.median())


class ScaledByRecentMoves(_Policy):
    """The forecast over the size of the last moves, the present bar's included: all of it is known."""

    lookback = 3

    def wanted(self, forecast, context):
        moves = np.abs(np.nan_to_num(context.returns))
        moves[1:] += moves[:-1]
        return np.clip(forecast.median() / (moves + 0.01), -1, 1)


class SignWithTies(_Policy):
    """The sign of a median that is not a tie with zero, and nothing of its size."""

    def wanted(self, forecast, context):
        return np.sign(np.round(forecast.median(), 6))


class Timing(_Policy):
    """In the market where the forecast is good, in cash where it is not; never short."""

    long_only = True

    def wanted(self, forecast, context):
        return np.clip(forecast.median() / forecast.width() * 5, 0, 1)


class SizeAlone(_Policy):
    """Invested by the size of the forecast, whichever its sign; never short."""

    long_only = True

    def wanted(self, forecast, context):
        return np.clip(np.abs(forecast.median()) / forecast.width() * 5, 0, 1)


def trial(policy: Callable[..., Positions], *, symbols: int = SYMBOLS) -> tuple[gates.Trial, Forecast]:
    """A policy on forecasts that are right more often than not."""
    forecast, context = synthetic_decisions(ROWS, max(symbols, 2), seed=4)
    keep = slice(max(symbols, 2) - symbols, None)
    tradable = np.ones((ROWS, symbols), dtype=bool)
    names = context.symbols[keep]
    forecast = replace(forecast, symbols=names, quantiles=forecast.quantiles[:, keep])
    noise = np.random.default_rng(5).standard_normal((ROWS, symbols))
    outcome = np.nan_to_num(forecast.median()) + 0.005 * noise + 0.002  # what is earned after the decision
    context = replace(context, symbols=names, returns=np.roll(outcome, 1, axis=0), tradable=tradable)
    return gates.Trial(policy, context, lambda book: (book.weights * outcome).sum(axis=1)), forecast


@pytest.mark.parametrize("policy", [OneBarAhead(), TomorrowsForecast()], ids=lambda p: type(p).__name__)
def test_a_policy_that_looks_ahead_is_seen_though_it_passes_the_gates_on_forecasts(policy, rng) -> None:
    case, forecast = trial(policy)
    assert gates.permuted(case, forecast, rng).passed
    assert gates.negated(case, forecast, long_only=False).passed
    assert "after it are replaced" in gates.foresight(case, forecast, cuts=range(20, ROWS - 1), rng=rng)


@pytest.mark.parametrize(
    "policy",
    [RankLongShort(hold=3), RankLongShort(hold=3, long_only=True), SignedQuantile(hold=2), ScaledByRecentMoves()],
    ids=lambda p: type(p).__name__,
)
def test_a_policy_that_uses_what_is_known_passes(policy, rng) -> None:
    case, forecast = trial(policy)
    assert gates.foresight(case, forecast, cuts=range(ROWS - 1), rng=rng) == ""
    assert gates.permuted(case, forecast, rng).passed
    assert gates.constant(case, forecast).passed
    assert gates.negated(case, forecast, long_only=policy.long_only).passed


@pytest.mark.parametrize("symbols", [1, SYMBOLS])
def test_the_policy_that_a_new_plugin_begins_with_passes(symbols, tmp_path, rng) -> None:
    written = write_plugin("gate-idea", "policy", tmp_path)
    module = runpy.run_path(str(written.root / "src" / "gate_idea" / "policy.py"))
    case, forecast = trial(module["GateIdea"](), symbols=symbols)
    assert gates.foresight(case, forecast, cuts=range(ROWS - 1), rng=rng) == ""
    assert gates.permuted(case, forecast, rng).passed
    assert gates.constant(case, forecast).passed
    assert gates.negated(case, forecast, long_only=False).passed


def test_a_sign_without_a_size_fails_though_some_medians_tie_with_zero() -> None:
    case, forecast = trial(SignWithTies())
    quantiles = forecast.quantiles.copy()
    quantiles[::9] -= quantiles[::9, :, :, [2]]  # a median of zero
    quantiles[::9] += 3e-7
    assert not gates.constant(case, replace(forecast, quantiles=quantiles)).passed


@pytest.mark.parametrize("symbols", [1, SYMBOLS])
def test_a_long_only_bet_on_when_to_be_invested_passes_and_one_without_a_sign_fails(symbols: int) -> None:
    assert gates.negated(*trial(Timing(), symbols=symbols), long_only=True).passed
    assert not gates.negated(*trial(SizeAlone(), symbols=symbols), long_only=True).passed


@pytest.mark.parametrize("policy", [RankLongShort(), SignedQuantile()], ids=lambda p: type(p).__name__)
def test_without_any_forecast_the_gates_fail(policy, rng) -> None:
    case, forecast = trial(policy)
    nothing = replace(forecast, quantiles=np.full_like(forecast.quantiles, np.nan))
    assert not gates.permuted(case, nothing, rng).passed
    assert not gates.constant(case, nothing).passed
    assert not gates.negated(case, nothing, long_only=False).passed
