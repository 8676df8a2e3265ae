"""The planted correlation is the one that was asked for, the null has none, and the leak is worth nothing in time."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from mnpu.data.fixture.market import generate
from mnpu.data.fixture.plan import Plan
from mnpu.data.fixture.plant import (
    DELAY,
    FILLED_AFTER,
    LEAK_IC,
    foretold,
    leave,
    plant_signal,
    strength,
    volume_score,
)
from mnpu.errors import ConfigError


def continuous(market):
    """Volumes without splits."""
    ratio = np.ones(market.listed.shape)
    ratio[market.splits.session, market.splits.symbol] = market.splits.ratio
    return market.columns["volume"] / np.cumprod(ratio, axis=0)


def coefficients(predictor, market):
    """Correlation across symbols at each bar with the return from the next close to the one after."""
    after = np.full(market.returns.shape, np.nan)
    after[:-FILLED_AFTER] = market.returns[FILLED_AFTER:]
    found = []
    for x, y in zip(predictor, after, strict=True):
        both = np.isfinite(x) & np.isfinite(y)
        if both.sum() >= 3:
            found.append(np.corrcoef(x[both], y[both])[0, 1])
    return np.array(found)


def memory(score, late):
    for x, y in zip(score, late, strict=True):
        both = np.isfinite(x) & np.isfinite(y)
        if both.sum() > 9:
            yield np.corrcoef(x[both], y[both])[0, 1]


def z(values, truth):
    return (values.mean() - truth) / (values.std() / np.sqrt(len(values)))


@pytest.mark.parametrize(("ic", "symbols"), [(0.05, 12), (0.3, 5)])
def test_over_many_seeds_the_coefficient_is_the_planted_one(ic, symbols):
    scores = []
    for seed in range(16):
        plan = Plan(symbols=symbols, sessions=300, seed=seed, ic=ic)
        market = generate(plan, partial(plant_signal, ic=ic))
        scores.append(z(coefficients(volume_score(continuous(market), 20), market), ic))
    # each is one draw from about N(0, 1): the mean has error 1 / sqrt(16), the deviation about 1 / sqrt(32)
    assert abs(np.mean(scores)) < 3 / np.sqrt(16)
    assert 1 - 3 / np.sqrt(32) < np.std(scores) < 1 + 3 / np.sqrt(32)


def test_a_score_forecasts_the_return_after_the_fill_and_none_before():
    market = generate(Plan(symbols=30, sessions=800, seed=5), partial(plant_signal, ic=0.3))
    score = volume_score(continuous(market), 20)
    assert abs(z(coefficients(score, market), 0.3)) < 3
    for bars in (0, 1):  # the bar of the decision and the bar up to the fill: all that is left is the score's memory
        shift = FILLED_AFTER - bars
        early, late = np.full(score.shape, np.nan), np.full(score.shape, np.nan)
        early[:-shift], late[shift:] = score[shift:], score[:-shift]
        found = coefficients(early, market)
        expected = 0.3 * np.mean(list(memory(score, late)))
        assert found.mean() == pytest.approx(expected, abs=4 * found.std() / np.sqrt(len(found)))


def test_planting_keeps_the_mean_and_the_dispersion_of_every_bar():
    plan = Plan(symbols=20, sessions=300, seed=3)
    plain, planted = generate(plan, leave), generate(plan, partial(plant_signal, ic=0.2))
    full_bars = plain.listed.all(axis=1)
    full_bars[:60] = False
    before, after = plain.returns[full_bars], planted.returns[full_bars]
    np.testing.assert_allclose(before.mean(axis=1), after.mean(axis=1), atol=1e-12)
    ratio = after.std(axis=1) / before.std(axis=1)
    assert ratio.mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("n_symbols", [4, 8])
def test_the_strength_makes_good_the_bias_of_few_symbols(n_symbols, rng):
    rho = strength(0.3, n_symbols)
    score, noise = rng.normal(size=(2, 100_000, n_symbols))
    score, noise = ((x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True) for x in (score, noise))
    mixed = np.sqrt(1 - rho**2) * noise + rho * score
    found = (mixed * score).mean(axis=1) / mixed.std(axis=1)
    assert rho > 0.3
    assert found.mean() == pytest.approx(0.3, abs=4 * found.std() / np.sqrt(len(found)))
    assert strength(0.3, 5_000) == pytest.approx(0.3, abs=1e-3)


def test_before_the_first_score_nothing_is_planted():
    plan = Plan(symbols=8, sessions=250, seed=3)
    plain, planted = generate(plan, leave), generate(plan, partial(plant_signal, ic=0.2))
    np.testing.assert_array_equal(plain.returns[: 19 + FILLED_AFTER], planted.returns[: 19 + FILLED_AFTER])
    assert not np.array_equal(plain.returns[19 + FILLED_AFTER], planted.returns[19 + FILLED_AFTER])


def test_the_leak_correlates_by_its_period_and_not_when_it_is_known():
    plan = Plan(symbols=20, sessions=600, seed=9, plant="leak")
    market = generate(plan, leave)
    told = foretold(plan, market)
    by_event = coefficients(told, market)
    assert by_event.mean() == pytest.approx(LEAK_IC, abs=0.02)
    known = np.full(told.shape, np.nan)
    known[DELAY:] = told[:-DELAY]
    assert abs(z(coefficients(known, market), 0.0)) < 3
    assert DELAY > FILLED_AFTER  # published after the return that it foretells


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"symbols": 3}, "--symbols"),
        ({"sessions": 100}, "--sessions"),
        ({"seed": -1}, "--seed"),
        ({"ic": 0.0}, "--ic"),
        ({"ic": 0.9}, "--ic"),
        ({"plant": "signl"}, "--plant"),
        ({"defects": ("frosen",)}, "--defect"),
        ({"defects": ("frozen", "frozen")}, "--defect"),
        ({"symbols": 4, "defects": ("frozen", "spike", "zero_price")}, "--defect"),
    ],
)
def test_a_wrong_plan_is_refused_by_its_option(wrong, where):
    with pytest.raises(ConfigError) as refused:
        Plan(**wrong)
    assert refused.value.where == where
    assert refused.value.expected


def test_a_misspelt_plant_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"Did you mean signal\?"):
        Plan(plant="signl")
