"""Reality check and superior predictive ability: arch's p-values, a loop over resamples, and their size and power."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.errors import MnpuError
from mnpu.metrics import superiority as metrics
from mnpu.metrics.bootstrap import resampled


def strategies(rng, n=40, bars=800) -> np.ndarray:
    """Some poor, some noisy, one rather good."""
    r = 0.01 * rng.standard_normal((n, bars)) * np.linspace(0.3, 3.0, n)[:, None] + 0.003 * rng.standard_normal(bars)
    r[: n // 2] -= 0.002
    r[n // 2] += 0.0006
    return r


def of_arch(returns) -> dict[str, float]:
    arch = pytest.importorskip("arch.bootstrap")
    theirs = arch.SPA(np.zeros(returns.shape[1]), -returns.T, block_size=5, reps=4000, seed=3)  # losses
    theirs.compute()
    return {name: float(p) for name, p in theirs.pvalues.items()}


def test_the_reality_check_is_that_of_arch(rng):
    r = strategies(rng)
    found = metrics.superiority(r, block=5.0, resamples=4000)
    assert found.p_reality_check == pytest.approx(of_arch(r)["upper"], abs=0.03)


def test_superior_predictive_ability_is_that_of_arch_for_series_of_one_error(rng):
    # arch 8 computes the errors and then compares the plain means: where all errors are one, that is the same
    r = strategies(rng)
    r /= metrics._long_run_deviation(r - r.mean(axis=1, keepdims=True), 5.0)[:, None]
    found, theirs = metrics.superiority(r, block=5.0, resamples=4000), of_arch(r)
    assert found.p_lower == pytest.approx(theirs["lower"], abs=0.03)
    assert found.p_consistent == pytest.approx(theirs["consistent"], abs=0.03)
    assert found.p_upper == pytest.approx(theirs["upper"], abs=0.03)


def test_p_values_are_those_of_a_loop_over_the_same_resamples(rng):
    r, bars, block, n_resamples = strategies(rng, n=6, bars=150), 150, 4.0, 200
    mean = r.mean(axis=1)
    d = r - mean[:, None]
    stay, omega = 1 - 1 / block, []
    for series in d:  # Hansen (2005), page 372
        variance = (series @ series) / bars
        for i in range(1, bars):
            kappa = (bars - i) / bars * stay**i + i / bars * stay ** (bars - i)
            variance += 2 * kappa * (series[i:] @ series[:-i]) / bars
        omega.append(np.sqrt(variance))
    omega = np.array(omega)
    t = max(0.0, (np.sqrt(bars) * mean / omega).max())
    keep = mean >= -omega / np.sqrt(bars) * np.sqrt(2 * np.log(np.log(bars)))
    reached = dict.fromkeys(("lower", "consistent", "upper", "check"), 1)
    for rows in np.concatenate(list(resampled(bars, block=block, resamples=n_resamples, seed=4))):
        drawn = r[:, rows].mean(axis=1)
        for name, g in (("lower", np.maximum(mean, 0)), ("consistent", mean * keep), ("upper", mean)):
            reached[name] += max(0.0, (np.sqrt(bars) * (drawn - g) / omega).max()) >= t
        reached["check"] += (drawn - mean).max() >= mean.max()
    found = metrics.superiority(r, block=block, resamples=n_resamples, seed=4)
    p = [found.p_lower, found.p_consistent, found.p_upper, found.p_reality_check]
    np.testing.assert_allclose(p, [reached[name] / 201 for name in ("lower", "consistent", "upper", "check")])
    assert found.statistic == pytest.approx(t)
    assert found.best == int(np.argmax(mean / omega))
    assert found.p_lower <= found.p_consistent <= found.p_upper


def test_a_thousand_worthless_strategies_do_not_pass_and_an_edge_does(rng):
    worthless = 0.01 * rng.standard_normal((1000, 750))
    assert metrics.superiority(worthless, resamples=300).p_consistent > 0.05
    worthless[123] += 0.01 * 4 / np.sqrt(252)
    found = metrics.superiority(worthless, resamples=300)
    assert found.best == 123
    assert max(found.p_upper, found.p_reality_check) < 0.05


def test_the_level_is_kept_over_many_samples_with_memory(rng):
    p = []
    for seed in range(150):
        noise = rng.standard_normal((15, 400))
        r = noise + 0.5 * np.roll(noise, 1, axis=1)
        p.append(metrics.superiority(r, resamples=150, seed=seed).p_consistent)
    assert np.mean(np.array(p) <= 0.05) <= 0.11
    assert 0.3 < np.mean(p) < 0.7


def test_poor_strategies_do_not_hide_a_good_one(rng):
    # what Hansen's test adds to White's: noisy losers make the check conservative
    good = 0.003 + 0.02 * rng.standard_normal((1, 600))
    losers = -0.02 + 0.08 * rng.standard_normal((60, 600))
    found = metrics.superiority(np.concatenate([good, losers]))
    assert found.p_consistent < 0.05 < found.p_reality_check


def test_a_benchmark_is_subtracted_and_one_that_equals_is_no_edge(rng):
    r = strategies(rng, n=5, bars=300)
    assert metrics.superiority(r, r[2], block=3.0) == metrics.superiority(r - r[2], block=3.0)
    same = metrics.superiority(np.tile(r[0], (3, 1)), r[0])
    assert (same.statistic, same.p_consistent, same.p_reality_check) == (0.0, 1.0, 1.0)


def test_bad_input_is_refused(rng):
    r = rng.standard_normal((3, 50))
    r[1, 1] = np.nan
    for bad in (r, r[:1, :10], np.empty((0, 50))):
        with pytest.raises(MnpuError, match="cannot be tested"):
            metrics.superiority(bad)
