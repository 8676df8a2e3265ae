"""Series that depend on their past: closed forms of autoregressions, brute-force sums, and the spread over samples."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.metrics import dependence as metrics
from mnpu.metrics import returns as of_returns


def autoregression(rng, rho: float, shape: tuple[int, int]) -> np.ndarray:
    noise = rng.standard_normal(shape)
    x = noise.copy()
    for t in range(1, shape[1]):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    return x


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.2, 0.6])
@pytest.mark.parametrize("q", [4.0, 12.0, 252.0])
def test_eta_of_an_autoregression_is_its_closed_form(rho, q):
    # Lo (2002), equation 19: sqrt(q) over the root of 1 + 2 rho / (1 - rho) (1 - (1 - rho^q) / (q (1 - rho)))
    closed = np.sqrt(q) / np.sqrt(1 + 2 * rho / (1 - rho) * (1 - (1 - rho**q) / (q * (1 - rho))))
    assert metrics.eta(rho ** np.arange(1, int(q)), q) == pytest.approx(closed)


def test_eta_is_the_root_of_q_over_the_variance_ratio():
    rho = np.array([0.3, -0.1, 0.05])
    covariance = np.array(
        [[1.0 if i == j else (rho[abs(i - j) - 1] if abs(i - j) < 4 else 0.0) for j in range(6)] for i in range(6)]
    )
    assert metrics.eta(rho, 6) == pytest.approx(6 / np.sqrt(covariance.sum()))
    assert metrics.eta(rho, 1) == 1.0
    assert np.isnan(metrics.eta(np.array([-0.9]), 12))


def test_autocorrelations_are_those_of_the_definition(rng):
    x = rng.standard_normal(30).cumsum()
    d = x - x.mean()
    by_hand = [sum(d[t] * d[t - k] for t in range(k, 30)) / sum(d * d) for k in range(1, 5)]
    np.testing.assert_allclose(metrics.autocorrelations(x, lags=4), by_hand)
    assert np.isnan(metrics.autocorrelations(np.ones(10), lags=2)).all()


def test_the_sharpe_ratio_is_that_of_lo_with_the_given_lags(rng):
    r = 0.01 + 0.05 * autoregression(rng, 0.3, (1, 240))[0]
    found = metrics.sharpe_lo(r, 12.0, lags=11)
    d = r - r.mean()
    rho = [float(d[k:] @ d[:-k] / (d @ d)) for k in range(1, 12)]
    factor = 12 / np.sqrt(12 + 2 * sum((12 - k) * rho[k - 1] for k in range(1, 12)))
    assert found.value == pytest.approx(factor * r.mean() / r.std(ddof=1))
    assert found.name == "sharpe_lo"


def test_without_dependence_it_is_the_plain_ratio_and_its_error(rng):
    r = 0.001 + 0.01 * rng.standard_normal(5000)
    plain, found = of_returns.sharpe(r, 252.0), metrics.sharpe_lo(r, 252.0, lags=0)
    assert found.value == pytest.approx(plain.value)
    assert found.se == pytest.approx(plain.se, rel=1e-3)


def test_the_error_is_the_spread_over_many_samples(rng):
    samples = 0.1 + autoregression(rng, 0.3, (1500, 750))
    found = [metrics.sharpe_lo(sample, 252.0, lags=10) for sample in samples]
    factor = np.median([f.value / of_returns.sharpe_bar(s).value for f, s in zip(found, samples, strict=True)])
    spread = np.std([of_returns.sharpe_bar(sample).value for sample in samples], ddof=1) * factor
    naive = np.mean([of_returns.sharpe_bar(sample).se for sample in samples]) * factor
    assert np.mean([f.se for f in found]) == pytest.approx(spread, rel=0.1)
    assert naive < 0.8 * spread


def test_an_impossible_variance_and_a_constant_say_why():
    swinging = np.tile([0.02, -0.01], 60)
    assert metrics.sharpe_lo(swinging, 252.0, lags=1).reason == "the autocorrelations leave no variance over a year"
    assert metrics.sharpe_lo(np.full(50, 0.01), 252.0).reason == "the returns do not vary"
    assert metrics.sharpe_lo(np.array([0.1, 0.2]), 252.0).reason == "fewer than three returns"


def test_the_t_statistic_is_the_mean_over_the_error(rng):
    x = 0.1 + autoregression(rng, 0.5, (1, 400))[0]
    assert metrics.newey_west_t(x, lags=6) == pytest.approx(x.mean() / metrics.newey_west_se(x, lags=6))
    assert np.isnan(metrics.newey_west_t(np.ones(10), lags=2))


def test_the_t_statistic_of_overlapping_outcomes_is_two_in_one_case_of_twenty(rng):
    noise = rng.standard_normal((1000, 620))
    overlapping = np.stack([np.convolve(row, np.ones(20), "valid") for row in noise])
    beyond = lambda lags: np.mean([abs(metrics.newey_west_t(row, lags=lags)) > 1.96 for row in overlapping])
    assert beyond(40) < 0.15
    assert beyond(0) > 0.5
