"""The processes of a synthetic market have the moments that theory gives them."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.data.fixture.process import autoregressive, bridge_extremes, garch, jumps, markov_chain, student_t


def autocorrelation(values: np.ndarray, lag: int) -> float:
    """Over time (axis 0), all columns together."""
    centred = values - values.mean()
    return float((centred[lag:] * centred[:-lag]).mean() / (centred**2).mean())


def test_regimes_have_the_share_and_the_memory_of_their_chain(rng):
    n, stay = 100_000, (0.9, 0.8)
    state = markov_chain(rng, n, stay=stay)
    share, memory = 1 / 3, 0.7
    se = np.sqrt(share * (1 - share) * (1 + memory) / (1 - memory) / n)  # of the mean of a chain
    assert state.mean() == pytest.approx(share, abs=4 * se)
    assert autocorrelation(state.astype(float), 1) == pytest.approx(memory, abs=0.015)
    assert autocorrelation(state.astype(float), 3) == pytest.approx(memory**3, abs=0.02)


def test_shocks_have_variance_one_and_fat_tails_and_a_bound(rng):
    shocks = student_t(rng, (1_000_000,), dof=12)
    assert shocks.mean() == pytest.approx(0, abs=4e-3)
    assert shocks.var() == pytest.approx(1, abs=6e-3)
    assert (shocks**4).mean() == pytest.approx(3 + 6 / 8, abs=0.08)
    assert np.abs(student_t(rng, (100_000,), dof=3, bound=4.0)).max() == 4.0


def test_squared_values_of_garch_remember_as_bollerslev_says(rng):
    alpha, beta = 0.10, 0.80
    values, sigma = garch(rng.normal(size=(4_000, 300)), alpha=alpha, beta=beta)
    first = alpha * (1 - beta**2 - alpha * beta) / (1 - beta**2 - 2 * alpha * beta)
    kurtosis = 3 * (1 - (alpha + beta) ** 2) / (1 - (alpha + beta) ** 2 - 2 * alpha**2)
    assert values.var() == pytest.approx(1, abs=0.01)
    assert (values**4).mean() == pytest.approx(kurtosis, abs=0.1)
    assert autocorrelation(values, 1) == pytest.approx(0, abs=0.005)
    for lag in (1, 2, 5, 10):
        assert autocorrelation(values**2, lag) == pytest.approx(first * (alpha + beta) ** (lag - 1), abs=0.01)
    assert (sigma > 0).all()


def test_the_next_variance_of_garch_is_known_before_its_bar(rng):
    shocks = rng.normal(size=(50, 2))
    _, sigma = garch(shocks, alpha=0.1, beta=0.8)
    shocks[30:] *= 7
    _, other = garch(shocks, alpha=0.1, beta=0.8)
    np.testing.assert_array_equal(sigma[:31], other[:31])
    assert (sigma[31:] != other[31:]).all()


def test_an_autoregression_is_stationary_from_its_first_bar(rng):
    values = autoregressive(rng.normal(size=(50, 20_000)), phi=0.6)
    assert values[0].var() == pytest.approx(1, abs=0.04)
    assert values[-1].var() == pytest.approx(1, abs=0.04)
    assert autocorrelation(values, 2) == pytest.approx(0.36, abs=0.01)


def test_jumps_are_rare_and_have_their_variance(rng):
    moves = jumps(rng, (1_000_000,), rate=0.01, size=3.0)
    assert np.mean(moves != 0) == pytest.approx(0.01, abs=4e-4)
    assert moves.var() == pytest.approx(0.01 * 9, rel=0.06)


def test_the_highest_point_of_a_bar_is_that_of_a_brownian_path(rng):
    sigma = 0.02
    change = rng.normal(scale=sigma, size=200_000)
    high, low = bridge_extremes(rng, change, sigma)
    reflected = sigma * np.sqrt(2 / np.pi)  # reflection principle: max of a path without drift is |N(0, sigma)|
    assert high.mean() == pytest.approx(reflected, rel=0.01)
    assert -low.mean() == pytest.approx(reflected, rel=0.01)
    assert np.quantile(high, 0.9) == pytest.approx(1.6449 * sigma, rel=0.01)
    assert (high >= np.maximum(change, 0)).all()
    assert (low <= np.minimum(change, 0)).all()
