"""The stationary bootstrap: lengths of stretches, the block length of other code, and how often intervals are right."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.errors import MnpuError
from mnpu.metrics import bootstrap as metrics
from mnpu.metrics.dependence import newey_west_se


def autoregression(rng, rho: float, n: int) -> np.ndarray:
    noise = rng.standard_normal(n + 100)
    x = noise.copy()
    for t in range(1, n + 100):
        x[t] = rho * x[t - 1] + np.sqrt(1 - rho**2) * noise[t]
    return x[100:]


def test_stretches_are_geometric_and_go_round_the_end():
    rows = np.concatenate(list(metrics.resampled(200, block=8.0, resamples=500, seed=1)))
    assert rows.shape == (500, 200)
    assert (rows.min(), rows.max()) == (0, 199)
    joined = (np.diff(rows, axis=1) % 200) == 1
    assert joined.mean() == pytest.approx(1 - 1 / 8 + 1 / 8 / 200, abs=0.005)
    assert np.bincount(rows.ravel(), minlength=200).std() / 500 < 0.2  # every bar is as likely


def test_resamples_are_the_same_for_a_seed_and_in_whatever_parts(monkeypatch):
    once = np.concatenate(list(metrics.resampled(50, block=3.0, resamples=20, seed=7)))
    again = np.concatenate(list(metrics.resampled(50, block=3.0, resamples=20, seed=7)))
    np.testing.assert_array_equal(once, again)
    monkeypatch.setattr(metrics, "CELLS", 150)
    parts = list(metrics.resampled(50, block=3.0, resamples=20, seed=7))
    assert [len(part) for part in parts] == [3] * 6 + [2]
    assert not np.array_equal(once, np.concatenate(list(metrics.resampled(50, block=3.0, resamples=20, seed=8))))


@pytest.mark.parametrize("rho", [-0.3, 0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("n", [60, 500, 2500])
def test_block_length_is_that_of_arch(rho, n, rng):
    arch = pytest.importorskip("arch.bootstrap")
    x = autoregression(rng, rho, n)
    assert metrics.block_length(x) == pytest.approx(max(arch.optimal_block_length(x)["stationary"].iloc[0], 1.0))


def test_block_length_grows_with_memory_and_is_one_for_what_does_not_vary(rng):
    lengths = [
        np.median([metrics.block_length(autoregression(rng, rho, 1500)) for _ in range(15)]) for rho in (0, 0.4, 0.8)
    ]
    assert lengths == sorted(lengths)
    assert lengths[0] < 4 < lengths[2]
    assert metrics.block_length(np.ones(100)) == 1.0


def test_the_mean_of_independent_returns_has_the_classical_interval(rng):
    r = 0.001 + 0.01 * rng.standard_normal(2000)
    found = metrics.stationary_bootstrap_interval(r, of="mean", block=1.0, resamples=4000)
    half = 1.96 * r.std() / np.sqrt(2000)
    assert found.value == pytest.approx(r.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.05)
    assert (found.high + found.low) / 2 == pytest.approx(r.mean(), abs=0.1 * half)
    assert (found.level, found.block, found.resamples) == (0.95, 1.0, 4000)


def test_the_interval_of_the_mean_widens_with_memory_as_newey_west_does(rng):
    r = autoregression(rng, 0.5, 3000)
    found = metrics.stationary_bootstrap_interval(r, of="mean")
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * newey_west_se(r, lags=25), rel=0.15)


@pytest.mark.parametrize(("of", "truth"), [("mean", 0.05), ("sharpe_bar", 0.05)])
def test_the_interval_holds_the_truth_in_about_nineteen_of_twenty_samples(of, truth, rng):
    def held(block):
        found = [
            metrics.stationary_bootstrap_interval(truth + x, of=of, resamples=300, block=block, seed=seed)
            for seed, x in enumerate(samples)
        ]
        return np.mean([f.low <= truth <= f.high for f in found])

    samples = [autoregression(rng, 0.4, 600) for _ in range(200)]
    assert 0.87 <= held(None) <= 0.99
    assert held(1.0) < 0.87  # bars taken for independent


def test_the_error_of_a_ratio_of_skewed_returns_is_that_of_mertens(rng):
    from mnpu.metrics.returns import sharpe_bar

    r = 0.4 + 1.0 - rng.exponential(1.0, 3000)
    found = metrics.stationary_bootstrap_interval(r, block=1.0)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * sharpe_bar(r).se, rel=0.1)


def test_what_cannot_be_resampled_is_refused(rng):
    for r in (np.ones(10), np.append(rng.standard_normal(50), np.nan), rng.standard_normal((3, 50))):
        with pytest.raises(MnpuError, match="cannot be resampled"):
            metrics.stationary_bootstrap_interval(r)
    with pytest.raises(MnpuError, match="do not vary"):
        metrics.stationary_bootstrap_interval(np.zeros(100))
