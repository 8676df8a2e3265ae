"""Conformal calibration and temperature scaling: coverage on known laws, before and after, and under a shift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from mnpu.errors import ConfigError, DataError
from mnpu.nn.conformal import Adaptive, outcomes_needed, shifted, split_shifts
from mnpu.nn.temperature import fit_temperature, tempered

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
WRONG = stats.norm.ppf(LEVELS, 0.5, 0.4)  # too narrow, and off the centre, for outcomes that are standard normal


def said(quantiles: np.ndarray, n: int) -> np.ndarray:
    """The same forecast for each of ``n`` outcomes of one horizon, (N, 1, Q)."""
    return np.tile(quantiles, (n, 1, 1))


def test_split_calibration_gives_every_level_its_share(rng: np.random.Generator) -> None:
    n, fresh = 4000, rng.standard_normal((4000, 1))
    shifts = split_shifts(said(WRONG, n), rng.standard_normal((n, 1)), LEVELS)
    for quantiles, holds in ((WRONG, False), (shifted(said(WRONG, 1), shifts)[0, 0], True)):
        below = (fresh <= quantiles).mean(axis=0)
        band = 4 * np.sqrt(np.array(LEVELS) * (1 - np.array(LEVELS)) * 2 / n)  # calibration and test both vary
        assert (np.abs(below - LEVELS) <= band).all() == holds


def test_calibrated_intervals_cover_at_least_what_they_say_on_average(rng: np.random.Generator) -> None:
    """The guarantee of split conformal prediction: exact in small samples, over draws of the calibration range."""
    inside = []
    for _ in range(4000):
        shifts = split_shifts(said(WRONG, 25), rng.standard_normal((25, 1)), LEVELS)
        quantiles = shifted(said(WRONG, 1), shifts)[0, 0]
        inside.append(quantiles[0] <= rng.standard_normal() <= quantiles[-1])
    low = stats.binom.ppf(1e-4, 4000, 0.9)
    assert low <= sum(inside) <= 4000 * (0.9 + 4 / 26)


def test_the_shift_is_the_order_statistic_of_the_paper() -> None:
    outcomes = np.random.default_rng(0).permutation(np.arange(1.0, 20.0))[:, None]  # 1 to 19: (N + 1) tau is whole
    shifts = split_shifts(np.zeros((19, 1, 5)), outcomes, LEVELS)
    assert shifts.tolist() == [[1.0, 5.0, 10.0, 15.0, 19.0]]


def test_a_point_forecast_gets_the_intervals_of_its_residuals(rng: np.random.Generator) -> None:
    point = rng.standard_normal((5000, 1))
    outcomes = point + 0.3 * rng.standard_normal((5000, 1))
    shifts = split_shifts(np.repeat(point[..., None], 5, axis=-1), outcomes, LEVELS)
    np.testing.assert_allclose(shifts[0], stats.norm.ppf(LEVELS, 0, 0.3), atol=0.03)


def test_pit_values_are_uniform_after_calibration(rng: np.random.Generator) -> None:
    levels = tuple(np.round(np.arange(0.01, 1.0, 0.01), 2))
    wrong = said(stats.norm.ppf(levels, 0.5, 0.4), 1)
    shifts = split_shifts(np.repeat(wrong, 20_000, axis=0), rng.standard_normal((20_000, 1)), levels)
    pit = np.searchsorted(shifted(wrong, shifts)[0, 0], rng.standard_normal(1000)) / 100 + rng.uniform(0, 0.01, 1000)
    assert stats.kstest(pit, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("n", [9, 19, 99, 999, 9_999, 99_999])
def test_so_many_outcomes_are_needed_that_the_outermost_level_is_the_last_of_them(n: int) -> None:
    level = 1 / (n + 1)  # of n + 1 equally likely places below, between and above n outcomes, one
    assert outcomes_needed((level, 0.5, 1 - level)) == n


def test_too_few_outcomes_are_refused_and_unknown_ones_do_not_count() -> None:
    assert outcomes_needed(LEVELS) == 19
    outcomes = np.arange(20.0)[:, None]
    outcomes[:2] = np.nan
    with pytest.raises(DataError, match=r"18 forecasts of horizon number 1.*at least 19"):
        split_shifts(np.zeros((20, 1, 5)), outcomes, LEVELS)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), size=st.floats(0, 1e6))
def test_shifted_quantiles_never_cross_and_no_interval_is_narrower_than_its_shifts_make_it(
    seed: int, size: float
) -> None:
    rng = np.random.default_rng(seed)
    quantiles, shifts = np.sort(rng.standard_normal((7, 2, 5))), size * rng.standard_normal((2, 5))
    moved = shifted(quantiles, shifts)
    assert (np.diff(moved) >= 0).all()
    assert (moved[..., 3:] >= (quantiles + shifts)[..., 3:]).all()
    assert (moved[..., :2] <= (quantiles + shifts)[..., :2]).all()


def run(outcomes: np.ndarray, forecast: np.ndarray, *, delay: int = 1, **settings: float) -> np.ndarray:
    """Calibrated quantiles (T, A, Q) of ``outcomes`` (T, A), each known ``delay`` decisions later."""
    follower, calibrated = Adaptive(LEVELS, 1, **settings), []
    raw = np.tile(forecast, (outcomes.shape[1], 1))  # (A, Q)
    for t in range(len(outcomes)):
        if t >= delay:
            follower.observe(0, raw, calibrated[t - delay], outcomes[t - delay])
        calibrated.append(follower.calibrate(raw[:, None])[:, 0])
    return np.array(calibrated)


def test_the_adaptive_one_recovers_coverage_after_a_shift_and_the_split_one_does_not(
    rng: np.random.Generator,
) -> None:
    outcomes = rng.standard_normal((1500, 4))
    outcomes[500:] = 3 * outcomes[500:] + 1
    shifts = split_shifts(said(WRONG, 2000), outcomes[:500].reshape(-1, 1), LEVELS)
    fixed = shifted(said(WRONG, 1), shifts)[0, 0]
    late = outcomes[900:]
    assert ((late >= fixed[0]) & (late <= fixed[-1])).mean() < 0.6
    moving = run(outcomes, WRONG)[900:]
    below = (late[..., None] <= moving).mean(axis=(0, 1))
    np.testing.assert_allclose(below, LEVELS, atol=0.025)


def test_an_outcome_changes_nothing_before_it_is_known(rng: np.random.Generator) -> None:
    outcomes = rng.standard_normal((120, 3))
    other = outcomes.copy()
    other[60:] = 9.0
    first, second = (run(values, WRONG, delay=5) for values in (outcomes, other))
    assert np.array_equal(first[:65], second[:65])
    assert not np.array_equal(first[65], second[65])


def test_one_step_of_the_adaptation_is_the_equation() -> None:
    follower = Adaptive((0.1, 0.5, 0.9), 1, rate=0.1)
    quantiles = np.array([[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]])
    follower.observe(0, quantiles, quantiles, np.array([-0.5, 2.0]))  # below each level: none, one, one of two
    np.testing.assert_allclose(follower.working, [[0.1 + 0.1 * 0.1, 0.5, 0.9 + 0.1 * (0.9 - 0.5)]])


def test_misses_that_are_known_late_do_not_leave_intervals_too_wide(rng: np.random.Generator) -> None:
    outcomes = rng.standard_normal((1300, 5))
    outcomes[500:] *= 5
    moving = run(outcomes, stats.norm.ppf(LEVELS), delay=60)[750:1050]
    covered = ((outcomes[750:1050] >= moving[..., 0]) & (outcomes[750:1050] <= moving[..., -1])).mean()
    assert abs(covered - 0.9) < 0.04


def test_before_any_outcome_a_forecast_stays_as_it_is() -> None:
    quantiles = np.tile(WRONG, (3, 2, 1))
    assert np.array_equal(Adaptive(LEVELS, 2).calibrate(quantiles), quantiles)


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": 1e308}, {"rate": np.nan}, {"memory": 0}])
def test_an_impossible_setting_is_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"calibration\.{next(iter(wrong))}"):
        Adaptive(LEVELS, 1, **wrong)


@pytest.mark.parametrize("truth", [0.4, 1.0, 2.5])
def test_the_temperature_that_made_probabilities_too_sure_is_found(truth: float, rng: np.random.Generator) -> None:
    honest = rng.dirichlet([2.0, 2.0, 2.0], 40_000)
    classes = (rng.uniform(size=(40_000, 1)) > honest.cumsum(axis=1)).sum(axis=1)
    claimed = tempered(honest, 1 / truth)  # sharper by the factor that the fit has to find
    found = fit_temperature(claimed, classes)
    assert found == pytest.approx(truth, rel=0.03)
    np.testing.assert_allclose(tempered(claimed, truth), honest, rtol=1e-9)
    assert (tempered(claimed, found).argmax(axis=1) == claimed.argmax(axis=1)).all()


def test_the_temperature_minimises_the_likelihood(rng: np.random.Generator) -> None:
    probabilities, classes = rng.dirichlet([1.0, 1.0, 1.0], 500), rng.integers(0, 3, 500)

    def nll(log_temperature: float) -> float:
        p = tempered(probabilities, float(np.exp(log_temperature)))
        return float(-np.log(p[np.arange(500), classes]).mean())

    best = optimize.minimize_scalar(nll, bounds=(-4.6, 4.6), method="bounded", options={"xatol": 1e-8})
    assert nll(np.log(fit_temperature(probabilities, classes))) <= best.fun + 1e-9


def test_nothing_to_fit_a_temperature_on_is_refused() -> None:
    with pytest.raises(DataError, match="no forecast of classes"):
        fit_temperature(np.empty((0, 3)), np.empty(0, dtype=np.int64))
