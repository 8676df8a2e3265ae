"""Probabilistic and deflated Sharpe ratios: the numbers that the papers print, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from mnpu.errors import MnpuError
from mnpu.metrics import significance as metrics

#: "The deflated Sharpe ratio" (2014), the numerical example: five years of days, 250 a year, an annual ratio of 2.5,
#: and 1/2 for the variance of the trials' annual ratios.
EXAMPLE = {"sharpe_bar": 2.5 / np.sqrt(250), "n": 1250}
VARIANCE = 0.5 / 250


@pytest.mark.parametrize(
    ("n_trials", "skew", "kurtosis", "printed"), [(100, -3, 10, 0.9004), (46, -3, 10, 0.9505), (88, 0, 3, 0.9505)]
)
def test_deflated_sharpe_of_the_published_example(n_trials, skew, kurtosis, printed):
    found = metrics.deflated_sharpe(
        **EXAMPLE, skew=skew, kurtosis=kurtosis, trials_sharpe_variance=VARIANCE, n_trials=n_trials
    )
    assert found == pytest.approx(printed, abs=5e-5)


def test_the_benchmark_of_the_published_example():
    assert np.sqrt(VARIANCE) * metrics.expected_best(100) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize("n_trials", [2, 10, 100, 1000])
def test_the_expected_best_is_the_mean_of_the_largest_normal_number(n_trials):
    density = lambda x: x * n_trials * stats.norm.cdf(x) ** (n_trials - 1) * stats.norm.pdf(x)
    assert metrics.expected_best(n_trials) == pytest.approx(integrate.quad(density, -8, 10)[0], abs=0.05)


def test_one_trial_has_nothing_to_choose_from():
    assert metrics.expected_best(1) == 0.0
    assert metrics.expected_best(1.2) == 0.0
    known = {"skew": -1.0, "kurtosis": 6.0}
    one = metrics.deflated_sharpe(0.1, 500, **known, trials_sharpe_variance=1.0, n_trials=1)
    assert one == metrics.probabilistic_sharpe(0.1, 500, **known)
    with pytest.raises(MnpuError, match="number of trials is 0"):
        metrics.expected_best(0)
    with pytest.raises(MnpuError, match="variance of the trials is -1"):
        metrics.deflated_sharpe(0.1, 500, **known, trials_sharpe_variance=-1.0, n_trials=5)


def test_more_trials_and_more_variance_deflate_more():
    known = {"skew": 0.0, "kurtosis": 3.0}
    by_trials = [
        metrics.deflated_sharpe(**EXAMPLE, **known, trials_sharpe_variance=VARIANCE, n_trials=n) for n in (1, 10, 500)
    ]
    by_variance = [
        metrics.deflated_sharpe(**EXAMPLE, **known, trials_sharpe_variance=v, n_trials=50) for v in (0, 1e-3, 1e-2)
    ]
    assert by_trials == sorted(by_trials, reverse=True)
    assert by_variance == sorted(by_variance, reverse=True)


def test_the_probability_is_uniform_over_samples_of_no_skill(rng):
    # skewed and fat-tailed, with a ratio of 0.3 a bar, judged against it: the probability integral transform
    samples = 0.3 + 1.0 - rng.exponential(1.0, (3000, 250))
    found = []
    for r in samples:
        z = (r - r.mean()) / r.std()
        moments = (z**3).mean(), (z**4).mean()
        found.append(metrics.probabilistic_sharpe(r.mean() / r.std(ddof=1), 250, *moments, benchmark=0.3))
    assert stats.kstest(found, "uniform").statistic < 0.05


@pytest.mark.parametrize(
    ("bars", "skew", "kurtosis", "years"),
    [(252, 0, 3, 2.73), (52, 0, 3, 2.83), (12, 0, 3, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_minimum_track_record_of_the_published_examples(bars, skew, kurtosis, years):
    # "The Sharpe ratio efficient frontier" (2012): an annual ratio of 2 to be told from 1 at 95 %
    root = np.sqrt(bars)
    found = metrics.min_track_record(2 / root, skew, kurtosis, benchmark=1 / root)
    assert found / bars == pytest.approx(years, abs=5e-3)


def test_at_the_minimum_track_record_the_probability_is_the_confidence():
    n = metrics.min_track_record(0.07, -0.5, 7.0, benchmark=0.02, confidence=0.9)
    assert metrics.probabilistic_sharpe(0.07, n, -0.5, 7.0, benchmark=0.02) == pytest.approx(0.9)


def test_no_length_shows_a_ratio_that_is_not_above_the_benchmark():
    assert metrics.min_track_record(0.05, 0.0, 3.0, benchmark=0.05) == np.inf
    assert np.isnan(metrics.min_track_record(float("nan"), 0.0, 3.0))


def test_minimum_backtest_length_of_the_published_example():
    # "Pseudo-mathematics" (2014): five years of data allow no more than 45 trials at an annual ratio of 1
    assert metrics.min_backtest_length(45) == pytest.approx(5.0, abs=0.01)
    assert metrics.min_backtest_length(45, sharpe=2.0) == pytest.approx(metrics.min_backtest_length(45) / 4)
    assert metrics.min_backtest_length(200) <= 2 * np.log(200)  # their bound
    with pytest.raises(MnpuError, match="ratio is 0"):
        metrics.min_backtest_length(10, sharpe=0)


def test_the_deflated_ratio_of_returns_is_that_of_their_moments(rng):
    r = 0.001 + 0.01 * rng.standard_t(5, 800)
    counted = {"trials_sharpe_variance": 1e-3, "n_trials": 12}
    found = metrics.dsr(r, **counted)
    shape = stats.skew(r), stats.kurtosis(r, fisher=False)
    assert found.value == pytest.approx(metrics.deflated_sharpe(r.mean() / r.std(ddof=1), 800, *shape, **counted))
    assert (found.name, found.unit) == ("dsr", "probability")
    assert metrics.dsr(r, trials_sharpe_variance=0.0, n_trials=1).value == metrics.psr(r).value
    assert metrics.dsr(np.zeros(50), **counted).reason == "the returns do not vary"


def test_of_returns_with_units_and_reasons(rng):
    r = 0.001 + 0.01 * rng.standard_normal(1000)
    found, length = metrics.psr(r), metrics.min_trl(r)
    ratio = r.mean() / r.std(ddof=1)
    assert found.value == pytest.approx(stats.norm.cdf(ratio * np.sqrt(999) / np.sqrt(1 + ratio**2 / 2)), abs=5e-3)
    assert (found.unit, length.unit) == ("probability", "bars")
    assert length.value == pytest.approx(
        metrics.min_track_record(ratio, stats.skew(r), stats.kurtosis(r, fisher=False))
    )
    assert metrics.min_trl(-r).reason == "the Sharpe ratio is not above zero: no length would do"
    assert metrics.psr(np.zeros(100)).reason == "the returns do not vary"
    assert metrics.min_trl(np.array([0.1])).reason == "fewer than three returns"
