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


class ByProbability(_Policy):
    """The lean of the class probabilities, the larger the more sure."""

    def wanted(self, forecast, context):
        lean = forecast.probabilities[:, :, 0, 2] - forecast.probabilities[:, :, 0, 0]
        return lean * np.minimum(forecast.evidence[:, :, 0] / 100, 1)


class LeanWithoutSize(_Policy):
    """Up or down, whichever is likelier, by the same size."""

    def wanted(self, forecast, context):
        return np.sign(forecast.probabilities[:, :, 0, 2] - forecast.probabilities[:, :, 0, 0])


class TomorrowsProbability(_Policy):
    """On Fridays, the lean of the next bar."""

    def wanted(self, forecast, context):
        lean = forecast.probabilities[:, :, 0, 2] - forecast.probabilities[:, :, 0, 0]
        friday = np.asarray(context.times.day_of_week)[:, None] == 4
        return np.where(friday, np.roll(lean, -1, axis=0), lean)


class TomorrowsEvidence(_Policy):
    """The lean, sized on Fridays by how sure the next bar will be."""

    def wanted(self, forecast, context):
        lean = forecast.probabilities[:, :, 0, 2] - forecast.probabilities[:, :, 0, 0]
        friday, sure = np.asarray(context.times.day_of_week)[:, None] == 4, forecast.evidence[:, :, 0] / 200
        return lean * np.where(friday, np.roll(sure, -1, axis=0), sure)


def with_classes(case: tuple[gates.Trial, Forecast]) -> tuple[gates.Trial, Forecast]:
    """Probabilities of down, flat and up that lean as the median does, and evidence of their own."""
    trial, forecast = case
    rng = np.random.default_rng(6)
    lean = np.nan_to_num(forecast.median()) * 100 + 0.3 * rng.standard_normal(forecast.available.shape)
    logits = np.stack([-lean, np.zeros_like(lean), lean], axis=-1)[:, :, None]
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    there = forecast.available[..., None]
    said = np.where(there[..., None], powers / powers.sum(axis=-1, keepdims=True), np.nan)
    evidence = np.where(there, rng.uniform(3, 200, size=there.shape), np.nan)
    horizons = forecast.quantiles.shape[2]
    return trial, replace(
        forecast,
        probabilities=said.repeat(horizons, axis=2),
        evidence=evidence.repeat(horizons, axis=2),
        thresholds=np.tile([-0.01, 0.02], (len(forecast.times), horizons, 1)),
    )


def test_a_policy_on_probabilities_and_evidence_is_judged_by_them(rng) -> None:
    case, forecast = with_classes(trial(ByProbability()))
    assert gates.permuted(case, forecast, rng).passed
    assert gates.constant(case, forecast).passed
    assert gates.negated(case, forecast, long_only=False).passed
    assert gates.foresight(case, forecast, cuts=range(ROWS - 1), rng=rng) == ""


@pytest.mark.parametrize("policy", [TomorrowsProbability(), TomorrowsEvidence()], ids=lambda p: type(p).__name__)
def test_a_look_at_later_probabilities_or_evidence_is_seen(policy, rng) -> None:
    case, forecast = with_classes(trial(policy))
    assert "after it are replaced" in gates.foresight(case, forecast, cuts=range(20, ROWS - 1), rng=rng)


def test_a_lean_without_a_size_fails_the_constant_gate() -> None:
    case, forecast = with_classes(trial(LeanWithoutSize()))
    assert not gates.constant(case, forecast).passed


def test_all_that_was_said_of_a_decision_moves_together(rng) -> None:
    _, forecast = with_classes(trial(ByProbability()))
    mixed = gates.shuffled_within_symbol(forecast, rng)
    for a in range(SYMBOLS):
        where = {forecast.quantiles[t, a, 0, 3]: t for t in range(ROWS) if forecast.available[t, a]}
        for t in np.flatnonzero(mixed.available[:, a]):
            source = where[mixed.quantiles[t, a, 0, 3]]
            assert np.array_equal(mixed.probabilities[t, a], forecast.probabilities[source, a])
            assert np.array_equal(mixed.evidence[t, a], forecast.evidence[source, a])


def test_the_mirror_turns_classes_and_their_thresholds_round() -> None:
    _, forecast = with_classes(trial(ByProbability()))
    other = gates.mirrored(forecast)
    assert np.array_equal(other.probabilities[..., 0], forecast.probabilities[..., 2], equal_nan=True)
    assert other.thresholds[0, 0].tolist() == [-0.02, 0.01]
    twice = gates.mirrored(other)
    for name in ("quantiles", "probabilities", "evidence", "thresholds"):
        assert np.array_equal(getattr(twice, name), getattr(forecast, name), equal_nan=True)


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
