"""Books sized by risk: expected values from closed forms, scikit-learn, scipy's optimisers, or plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import norm

from mnpu.errors import ConfigError, DataError
from mnpu.policies._bounded import best_book, violation
from mnpu.policies._covariance import past_covariances, shrunk_covariance
from mnpu.policies._moments import mean_and_variance
from mnpu.policies.kelly_fraction import KellyFraction
from mnpu.policies.mean_variance import MeanVariance
from mnpu.policies.risk_parity import RiskParity, equal_risk_book
from mnpu.policies.volatility_scaled import VolatilityScaled, past_volatility
from mnpu.testing.policies import laws, mirrored
from mnpu.types import Forecast, PolicyContext

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
NAN = np.nan

POLICIES = {
    "volatility scaled": VolatilityScaled,
    "volatility scaled by the past": lambda: VolatilityScaled(volatility="past", window=20, hold=3),
    "kelly": KellyFraction,
    "kelly held": lambda: KellyFraction(hold=4, gross=0.5),
    "kelly long-only": lambda: KellyFraction(long_only=True),
    "mean-variance": lambda: MeanVariance(window=30),
    "mean-variance to identity": lambda: MeanVariance(window=30, shrink="identity", risk_aversion=300, hold=3),
    "mean-variance long-only": lambda: MeanVariance(window=30, long_only=True, per_symbol=1.0),
    "risk parity": lambda: RiskParity(window=30),
    "risk parity held": lambda: RiskParity(window=20, shrink="identity", hold=3),
}


def decisions(quantiles, returns=None, *, levels=LEVELS, horizon=1) -> tuple[Forecast, PolicyContext]:
    """Forecasts with these quantiles (T, A, Q)."""
    quantiles = np.asarray(quantiles, dtype=float)[:, :, None]
    times = pd.date_range("2020-01-01 21:00", periods=len(quantiles), freq="D", tz="UTC").as_unit("ns")
    symbols = tuple(f"S{i}" for i in range(quantiles.shape[1]))
    returns = np.zeros(quantiles.shape[:2]) if returns is None else returns
    forecast = Forecast(times, symbols, (horizon,), levels, quantiles)
    return forecast, PolicyContext(times, symbols, returns, np.ones(quantiles.shape[:2], bool), 252.0)


def normal(mean, deviation, levels=LEVELS) -> np.ndarray:
    """Quantiles (..., Q) of normal laws."""
    mean, deviation = np.broadcast_arrays(np.asarray(mean, float), deviation)
    return mean[..., None] + deviation[..., None] * norm.ppf(levels)


@pytest.mark.parametrize("name", POLICIES)
def test_sized_policies_keep_every_law(name):
    assert [outcome for outcome in laws(POLICIES[name]) if not outcome.passed] == []


# Moments of a forecast.


@pytest.mark.parametrize("levels", [LEVELS, (0.1, 0.5, 0.9), tuple(np.linspace(0.01, 0.99, 99).round(2))])
def test_a_normal_forecast_has_its_own_mean_and_variance(levels):
    forecast, _ = decisions(normal([[0.3, -2.0]], [[0.1, 4.0]], levels), levels=levels)
    mean, variance = mean_and_variance(forecast)
    assert mean[0] == pytest.approx([0.3, -2.0], abs=1e-12)
    assert variance[0] == pytest.approx([0.01, 16.0], rel=1e-10)


def test_moments_are_the_integrals_of_the_pieces():
    quantiles = np.array([-0.3, -0.05, 0.0, 0.02, 0.06])
    z = norm.ppf(LEVELS)

    def at(x):  # linear between the quantiles, and on beyond the outermost
        k = int(np.clip(np.searchsorted(z, x) - 1, 0, 3))
        return quantiles[k] + (quantiles[k + 1] - quantiles[k]) * (x - z[k]) / (z[k + 1] - z[k])

    first = quad(lambda x: at(x) * norm.pdf(x), -12, 12, points=z, limit=400)[0]
    second = quad(lambda x: at(x) ** 2 * norm.pdf(x), -12, 12, points=z, limit=400)[0]
    mean, variance = mean_and_variance(decisions([[quantiles]])[0])
    assert (mean[0, 0], variance[0, 0]) == pytest.approx((first, second - first**2), rel=1e-7)


def test_one_number_has_no_variance_and_a_missing_forecast_no_moments():
    forecast, _ = decisions([[[0.2] * 5, [NAN] * 5]])
    mean, variance = mean_and_variance(forecast)
    assert (mean[0, 0], variance[0, 0]) == pytest.approx((0.2, 0.0), abs=1e-15)
    assert np.isnan(mean[0, 1])
    assert np.isnan(variance[0, 1])


# Volatility scaling.


def test_a_bet_is_its_score_over_its_yearly_volatility():
    policy = VolatilityScaled(gross=10.0, target_volatility=0.2, full_size_at=0.5, per_symbol=10.0)
    forecast, context = decisions(normal([[0.01, -0.0025, 0.0]], [[0.02, 0.01, 0.05]]), horizon=5)
    yearly = np.array([0.02, 0.01, 0.05]) * np.sqrt(252 / 5)
    assert policy(forecast, context).weights[0] == pytest.approx([1.0, -0.5, 0.0] * (0.2 / 3 / yearly), abs=1e-12)


def test_past_volatility_is_pandas_rolling_deviation(rng):
    returns = 0.01 * rng.standard_normal((60, 3))
    returns[rng.random(returns.shape) < 0.1] = NAN
    expected = pd.DataFrame(returns).rolling(20, min_periods=16).std().to_numpy(copy=True)
    expected[:19] = NAN
    assert past_volatility(returns, window=20) == pytest.approx(expected, rel=1e-10, nan_ok=True)


def test_a_price_that_never_moved_and_a_sharp_forecast_are_bounded():
    sharp = VolatilityScaled(volatility="past", window=3, per_symbol=0.3)
    forecast, context = decisions(np.full((4, 1, 5), 0.01))
    assert sharp(forecast, context).weights[3, 0] == pytest.approx(0.3)


# Kelly.


@pytest.mark.parametrize(("mean", "deviation"), [(0.0005, 0.02), (-0.002, 0.05), (0.0002, 0.03)])
def test_the_full_kelly_bet_makes_wealth_grow_fastest(mean, deviation):
    policy = KellyFraction(gross=10, fraction=1, per_symbol=10)
    bet = policy(*decisions(normal([[mean]], [[deviation]]))).weights[0, 0]
    z, weight = np.polynomial.hermite_e.hermegauss(40)
    growth = lambda w: -(weight @ np.log1p(w * (mean + deviation * z))) / weight.sum()
    best = minimize_scalar(growth, bounds=(-1.5, 1.5), method="bounded", options={"xatol": 1e-9}).x
    assert bet == pytest.approx(best, rel=0.02)


def test_the_bet_of_an_even_game_is_kellys_own():
    """Win or lose the stake, with chance p to win: 2p - 1. The law has this mean and mean of squares."""
    p = 0.6
    mean, deviation = 2 * p - 1, np.sqrt(1 - (2 * p - 1) ** 2)
    policy = KellyFraction(fraction=1, per_symbol=1)
    assert policy(*decisions(normal([[mean]], [[deviation]]))).weights[0, 0] == pytest.approx(0.2)


def test_fraction_cap_and_gross_come_in_this_order():
    laws_ = normal([[0.004, -0.004, 0.0004]], [[0.02, 0.02, 0.02]])
    full = np.array([0.004, -0.004, 0.0004]) / (0.0004 + np.square([0.004, -0.004, 0.0004]))
    cut = np.clip(0.5 * full, -0.8, 0.8)
    book = KellyFraction(gross=1.2, fraction=0.5, per_symbol=0.8)(*decisions(laws_)).weights[0]
    assert book == pytest.approx(cut * 1.2 / np.abs(cut).sum())
    assert (KellyFraction(long_only=True)(*decisions(laws_)).weights[0] >= 0).all()


def test_more_than_the_full_bet_is_refused():
    from mnpu.plugins.registry import Registry

    with pytest.raises(ConfigError, match="fraction"):
        Registry.discover().build("policy", "kelly_fraction", {"fraction": 1.5})


# Covariances.


@pytest.mark.parametrize("shape", [(60, 10), (20, 40), (250, 3)])
def test_shrinkage_to_identity_is_scikit_learns(shape, rng):
    covariance = pytest.importorskip("sklearn.covariance")
    around = rng.standard_normal(shape) * np.linspace(0.5, 3.0, shape[1]) + rng.standard_normal((shape[0], 1))
    around -= around.mean(axis=0)
    theirs = covariance.LedoitWolf(assume_centered=True).fit(around)
    ours, intensity = shrunk_covariance(around.copy(), "identity")
    assert intensity == pytest.approx(theirs.shrinkage_, rel=1e-9)
    assert ours == pytest.approx(theirs.covariance_, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("shape", [(40, 5), (12, 8)])
def test_shrinkage_to_one_correlation_is_the_papers_formula_in_loops(shape, rng):
    """Ledoit and Wolf (2004b), appendix, entry by entry."""
    n, a = shape
    x = rng.standard_normal(shape) * np.linspace(0.5, 2.0, a) + rng.standard_normal((n, 1))
    x -= x.mean(axis=0)
    s = np.array([[sum(x[t, i] * x[t, j] for t in range(n)) / n for j in range(a)] for i in range(a)])
    r = np.mean([s[i, j] / np.sqrt(s[i, i] * s[j, j]) for i in range(a) for j in range(a) if i != j])
    f = np.array([[s[i, i] if i == j else r * np.sqrt(s[i, i] * s[j, j]) for j in range(a)] for i in range(a)])
    pi = rho = gamma = 0.0
    for i in range(a):
        for j in range(a):
            spread = x[:, i] * x[:, j] - s[i, j]
            pi += np.mean(spread**2)
            gamma += (f[i, j] - s[i, j]) ** 2
            if i == j:
                rho += np.mean(spread**2)
                continue
            by_i, by_j = np.mean((x[:, i] ** 2 - s[i, i]) * spread), np.mean((x[:, j] ** 2 - s[j, j]) * spread)
            rho += r / 2 * (np.sqrt(s[j, j] / s[i, i]) * by_i + np.sqrt(s[i, i] / s[j, j]) * by_j)
    intensity = max(0.0, min(1.0, (pi - rho) / gamma / n))
    ours, found = shrunk_covariance(x.copy(), "constant_correlation")
    assert found == pytest.approx(intensity, rel=1e-9)
    assert ours == pytest.approx(intensity * f + (1 - intensity) * s, rel=1e-9)


def test_a_symbol_with_few_returns_or_a_price_that_stands_still_has_no_covariance(rng):
    returns = 0.01 * rng.standard_normal((20, 4))
    returns[:5, 1] = NAN  # fewer than four fifths
    returns[:3, 3] = NAN
    returns[:, 2] = 0.0
    ((row, columns, cov),) = past_covariances(returns, np.ones((20, 4), bool), window=20, shrink="identity")
    assert (row, columns.tolist()) == (19, [0, 3])
    assert np.trace(cov) == pytest.approx(returns[:, 0].var() + returns[3:, 3].var())  # the target keeps the trace


# The best book within bounds.


def problem(seed, n):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((2 * n, n)) * rng.uniform(0.5, 2.0, n) + rng.standard_normal((2 * n, 1))
    return 0.3 * rng.standard_normal(n), x.T @ x / (2 * n)


def by_scipy(mean, cov, gross, cap, long_only):
    """The same book as long and short halves, by sequential quadratic programming."""
    n = len(mean)
    apart = lambda h: h[:n] - h[n:]
    loss = lambda h: apart(h) @ cov @ apart(h) / 2 - mean @ apart(h)
    slope = lambda h: np.concatenate([cov @ apart(h) - mean, mean - cov @ apart(h)])
    short = (0.0, 0.0) if long_only else (0.0, cap)
    room = {"type": "ineq", "fun": lambda h: gross - h.sum(), "jac": lambda h: -np.ones(2 * n)}
    options = {"ftol": 1e-14, "maxiter": 1000}
    bounds = [(0.0, cap)] * n + [short] * n
    found = minimize(
        loss, np.zeros(2 * n), jac=slope, bounds=bounds, constraints=[room], method="SLSQP", options=options
    )
    return apart(found.x)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 8),
    gross=st.sampled_from([0.05, 0.3, 1.0, 5.0]),
    cap=st.sampled_from([0.04, 0.1, 0.5, 5.0]),
    long_only=st.booleans(),
)
def test_no_optimiser_finds_a_better_book(seed, n, gross, cap, long_only):
    mean, cov = problem(seed, n)
    bounds = {"gross": gross, "cap": cap, "long_only": long_only}
    book = best_book(mean, cov, **bounds)
    assert violation(book, mean, cov, **bounds) < 1e-8
    theirs = by_scipy(mean, cov, gross, cap, long_only)
    worth = lambda w: mean @ w - w @ cov @ w / 2
    assert worth(book) >= worth(theirs) - 1e-9
    assert book == pytest.approx(theirs, abs=2e-4)


@pytest.mark.parametrize("gross", [0.2, 2.0, 20.0, 200.0])
def test_sixty_symbols_from_a_few_to_all(gross):
    mean, cov = problem(3, 60)
    bounds = {"gross": gross, "cap": 0.5 * gross, "long_only": False}
    book = best_book(mean, cov, **bounds)
    assert violation(book, mean, cov, **bounds) < 1e-8
    if gross == 200.0:
        assert book == pytest.approx(np.linalg.solve(cov, mean))


def test_symbols_that_tie_have_a_best_book_too():
    for mean in (np.full(5, 0.1), np.array([0.1, -0.1, 0.1, 0.0, 0.0])):
        bounds = {"gross": 0.02, "cap": 0.01, "long_only": False}
        book = best_book(mean, np.eye(5), **bounds)
        assert violation(book, mean, np.eye(5), **bounds) < 1e-8
        assert np.abs(book).sum() == pytest.approx(0.02)


def test_a_book_that_is_not_the_best_is_told():
    mean, cov = problem(1, 6)
    bounds = {"gross": 0.2, "cap": 0.1, "long_only": False}
    book = best_book(mean, cov, **bounds)
    assert violation(0.9 * book, mean, cov, **bounds) > 1e-3
    assert violation(1.1 * book, mean, cov, **bounds) == np.inf
    assert violation(-book, mean, cov, **bounds) > 1e-3


def test_without_bounds_it_is_the_closed_form(rng):
    returns = 0.01 * rng.standard_normal((40, 4))
    policy = MeanVariance(gross=100, per_symbol=100, window=40, risk_aversion=3)
    forecast, context = decisions(normal(0.002 * rng.standard_normal((40, 4)), 0.02), returns, horizon=5)
    cov = shrunk_covariance(returns - returns.mean(axis=0), "constant_correlation")[0]
    expected = np.linalg.solve(3 * cov, forecast.median()[-1] / 5)
    assert policy(forecast, context).weights[-1] == pytest.approx(expected, rel=1e-6)
    assert (policy(forecast, context).weights[:-1] == 0).all()


def test_the_mirrored_forecast_gives_the_mirrored_book(rng):
    forecast, context = decisions(
        normal(0.002 * rng.standard_normal((40, 9)), 0.02), 0.01 * rng.standard_normal((40, 9))
    )
    policy = MeanVariance(window=30)
    book = policy(forecast, context).weights
    assert np.abs(book[-1]).sum() == pytest.approx(1.0)
    assert policy(mirrored(forecast), context).weights == pytest.approx(-book, abs=1e-12)


# Risk parity.


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12))
def test_every_symbol_brings_the_same_risk(seed, n):
    cov = problem(seed, n)[1]
    book = equal_risk_book(cov)
    shares = book * (cov @ book)
    assert shares == pytest.approx(np.full(n, shares.mean()), rel=1e-8)
    assert (book > 0).all()
    assert book.sum() == pytest.approx(1.0)
    # Spinu's problem, by a general optimiser
    loss = lambda y: np.exp(y) @ cov @ np.exp(y) / 2 - y.sum() / n
    slope = lambda y: np.exp(y) * (cov @ np.exp(y)) - 1 / n
    theirs = np.exp(minimize(loss, np.zeros(n), jac=slope, method="BFGS", options={"gtol": 1e-10}).x)
    assert book == pytest.approx(theirs / theirs.sum(), rel=1e-4)


def test_with_one_correlation_weights_are_inverse_to_volatility():
    deviation = np.array([0.01, 0.02, 0.05, 0.1])
    cov = (0.4 + 0.6 * np.eye(4)) * np.outer(deviation, deviation)
    assert equal_risk_book(cov) == pytest.approx(1 / deviation / (1 / deviation).sum())


@pytest.mark.parametrize("shrink", ["constant_correlation", "identity"])
def test_a_pair_that_moves_exactly_against_each_other_is_held_in_equal_risk(shrink, rng):
    returns = 0.01 * rng.standard_normal((60, 1)) * [1.0, -2.0]
    forecast, context = decisions(normal(np.zeros((60, 2)), 0.01), returns)
    weights = RiskParity(window=20, shrink=shrink)(forecast, context).weights
    assert np.isfinite(weights).all()
    if shrink == "constant_correlation":  # the target of two is the sample, so nothing parts them
        assert weights[-1] == pytest.approx([2 / 3, 1 / 3], abs=1e-6)


def test_a_covariance_that_is_none_is_refused():
    with pytest.raises(DataError, match="positive definite"):
        equal_risk_book(np.array([[1.0, -2.0], [-2.0, 1.0]]))


def test_a_policy_that_reads_returns_refuses_a_target_of_something_else():
    from mnpu.assembly import _refuse_other_units
    from mnpu.data.targets import ForwardReturn
    from mnpu.data.targets.direction import Direction

    kelly, by_past = KellyFraction(), VolatilityScaled(volatility="past")
    _refuse_other_units("forward_return", ForwardReturn(), [kelly])
    _refuse_other_units("direction", Direction(), [by_past])
    with pytest.raises(ConfigError, match=r"target: direction forecasts no returns, and KellyFraction"):
        _refuse_other_units("direction", Direction(), [by_past, kelly])


# The forecast decides (trap D17).


@pytest.mark.parametrize("name", ["volatility scaled", "kelly", "mean-variance"])
def test_profit_turns_its_sign_with_the_signal(name, rng):
    outcome = 0.01 * rng.standard_normal((120, 5))
    forecast, context = decisions(normal(0.3 * outcome, 0.01), np.roll(outcome, 1, axis=0))
    policy = POLICIES[name]()
    profit = lambda f: (policy(f, context).weights * outcome).sum()
    assert profit(forecast) > 0
    assert profit(mirrored(forecast)) == pytest.approx(-profit(forecast))
    shuffled = replace(forecast, quantiles=forecast.quantiles[rng.permutation(120)])
    assert abs(profit(shuffled)) < 0.5 * profit(forecast)
