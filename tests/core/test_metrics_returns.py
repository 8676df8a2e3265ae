"""Growth, risk and their ratio, against closed forms, hand loops and another library's published figures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mnpu.metrics import returns as metrics

RETURNS = arrays(float, st.integers(20, 60), elements=st.floats(-0.2, 0.2, allow_subnormal=False))


def equity_of(returns) -> np.ndarray:
    return np.concatenate([[1.0], np.cumprod(1 + np.asarray(returns))])


def test_up_fifty_twice_and_down_fifty_twice_is_a_drawdown_of_three_quarters():
    returns = np.array([0.5, 0.5, -0.5, -0.5])
    assert metrics.max_drawdown(equity_of(returns)).value == pytest.approx(-0.75)
    assert metrics.total_return(returns).value == pytest.approx(1.5 * 1.5 * 0.5 * 0.5 - 1)


def test_a_loss_in_the_first_bar_is_a_drawdown_from_the_capital_put_in():
    assert metrics.max_drawdown(equity_of([-0.1, 0.05])).value == pytest.approx(-0.1)


@given(RETURNS)
def test_drawdown_is_the_worst_of_all_pairs_of_an_earlier_and_a_later_value(returns):
    equity = equity_of(returns)
    worst = min(later / earlier - 1 for i, earlier in enumerate(equity) for later in equity[i:])
    assert metrics.max_drawdown(equity).value == pytest.approx(worst, abs=1e-12)


def test_growth_is_per_calendar_year_whatever_the_number_of_bars():
    times = pd.date_range("2010-01-01", "2019-12-31", freq="W", tz="UTC")
    years = metrics.elapsed_years(times)
    assert years == pytest.approx(len(times) * 7 / 365.25)
    doubled = np.full(len(times), 2 ** (1 / len(times)) - 1)
    assert metrics.cagr(doubled, years).value == pytest.approx(2 ** (1 / years) - 1)


def test_less_than_a_year_is_not_annualised():
    growth = metrics.cagr(np.array([0.01, 0.02]), 0.4)
    assert growth.value is None
    assert "0.40 years" in growth.reason
    assert metrics.calmar(growth, metrics.max_drawdown(equity_of([0.1, -0.1]))).value is None


@pytest.mark.parametrize("q", [252.0, 365.0, 252.0 * 26, 12.0])
def test_sharpe_scales_with_the_root_of_bars_per_year_and_so_does_its_error(q, rng):
    returns = 0.001 + 0.01 * rng.standard_normal(500)
    bar, year = metrics.sharpe_bar(returns), metrics.sharpe(returns, q)
    assert bar.value == pytest.approx(returns.mean() / np.sqrt(((returns - returns.mean()) ** 2).sum() / 499))
    assert year.value == pytest.approx(bar.value * np.sqrt(q))
    assert year.se == pytest.approx(bar.se * np.sqrt(q))


def test_monthly_sums_of_independent_days_have_the_same_annual_sharpe_within_its_error(rng):
    daily = 0.001 + 0.01 * rng.standard_normal(21 * 2000)
    monthly = daily.reshape(-1, 21).sum(axis=1)
    one, other = metrics.sharpe(daily, 252.0), metrics.sharpe(monthly, 12.0)
    assert abs(one.value - other.value) < 3 * np.hypot(one.se, other.se)


@pytest.mark.parametrize("law", ["normal", "skewed"])
def test_the_standard_error_is_the_spread_of_sharpe_ratios_over_many_samples(law, rng):
    # exponential losses: skew -2, kurtosis 9; at a high ratio both terms count
    shape = (4000, 400)
    draws = rng.standard_normal(shape) if law == "normal" else 1.0 - rng.exponential(1.0, shape)
    samples = 0.4 + draws
    estimates = [metrics.sharpe_bar(sample) for sample in samples]
    spread = np.std([estimate.value for estimate in estimates], ddof=1)
    assert np.mean([estimate.se for estimate in estimates]) == pytest.approx(spread, rel=0.05)


def test_constant_returns_have_no_sharpe_and_say_why():
    for returns in (np.full(100, 0.01), np.zeros(50)):
        ratio = metrics.sharpe(returns, 252.0)
        assert (ratio.value, ratio.se) == (None, None)
        assert ratio.reason == "the returns do not vary"


def test_sortino_counts_all_bars_in_its_denominator():
    value = metrics.sortino(np.array([0.02, 0.02, 0.02, -0.02]), 252.0).value
    assert value == pytest.approx(0.01 * 252 / (np.sqrt(0.02**2 / 4) * np.sqrt(252)))
    assert metrics.sortino(np.array([0.01, 0.0]), 252.0).reason == "no return is negative"


def test_expected_shortfall_takes_the_fraction_of_the_last_bar_that_fits():
    # n = 10, tail 25 %: two whole bars and half of the third
    returns = np.array([0.05, -0.04, 0.03, -0.02, 0.01, 0.02, -0.01, -0.06, 0.0, 0.04])
    found = metrics.expected_shortfall(returns, tail=0.25)
    assert found.value == pytest.approx((0.06 + 0.04 + 0.5 * 0.02) / 2.5)
    assert found.name == "cvar_0.25"
    assert found.reason == "only 2.5 bars in the tail"


@given(RETURNS, st.sampled_from([0.05, 0.1, 0.33, 0.5]))
def test_expected_shortfall_is_the_minimum_of_rockafellar_and_uryasev(returns, tail):
    # min over c of c + mean(max(loss - c, 0)) / tail, attained at one of the losses
    losses = -returns
    least = min(c + np.maximum(losses - c, 0).mean() / tail for c in losses)
    assert metrics.expected_shortfall(returns, tail=tail).value == pytest.approx(least, abs=1e-12)


@given(RETURNS, st.integers(0, 1000))
def test_expected_shortfall_is_subadditive_and_no_less_than_the_quantile(returns, seed):
    other = np.random.default_rng(seed).permutation(returns)
    shortfall = lambda r: metrics.expected_shortfall(r).value
    assert shortfall(returns + other) <= shortfall(returns) + shortfall(other) + 1e-12
    assert shortfall(returns) >= -np.quantile(returns, 0.05, method="inverted_cdf") - 1e-12


def test_expected_shortfall_of_many_normal_returns_is_the_closed_form(rng):
    # sigma * phi(z) / alpha at alpha = 5 %: 2.0627 sigma
    found = metrics.expected_shortfall(0.01 * rng.standard_normal(400_000))
    assert found.value == pytest.approx(0.020627, rel=0.01)
    assert found.reason == ""


def shared_data() -> Path:
    root = Path(os.environ.get("MNPU_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (root / "oracles" / "performance_metrics_expected.parquet").exists():
        pytest.skip("the extra reference data is not here; set MNPU_SHARED_DATA to its folder")
    return root


@pytest.mark.parametrize("series", ["pyfolio_test_returns", "SPY", "MSFT", "AGG"])
def test_figures_equal_those_of_empyrical(series):
    root = shared_data()
    expected = pd.read_parquet(root / "oracles" / "performance_metrics_expected.parquet")
    if series == "pyfolio_test_returns":
        returns = pd.read_parquet(root / "oracles" / "backtest-pyfolio" / "test_returns.parquet")["value"].to_numpy()
        figures = expected[expected["input"] == series]
    else:
        prices = pd.read_parquet(root / "prices-daily" / "us_adjusted_2003_2017.parquet")
        returns = prices.loc[prices["symbol"] == series, "close"].pct_change().dropna().to_numpy()
        figures = expected[expected["input"] == f"{series}_adjusted"]
    figures = figures.set_index("metric_name")["value"]
    growth = metrics.cagr(returns, len(returns) / 252)  # it counts bars as years, we count days
    deepest = metrics.max_drawdown(equity_of(returns))
    found = {
        "cum_returns_final": metrics.total_return(returns),
        "annual_return": growth,
        "annual_volatility": metrics.ann_vol(returns, 252.0),
        "sharpe_ratio_rf0": metrics.sharpe(returns, 252.0),
        "sortino_ratio_req0": metrics.sortino(returns, 252.0),
        "max_drawdown": deepest,
        "calmar_ratio": metrics.calmar(growth, deepest),
    }
    for name, metric in found.items():
        assert metric.value == pytest.approx(figures[name], rel=1e-8), name
    # It averages whole bars, up to and including the one that the tail ends in.
    whole = np.sort(returns)[: int((len(returns) - 1) * 0.05) + 1]
    assert -whole.mean() == pytest.approx(-figures["conditional_value_at_risk_5pct"], rel=1e-8)
    assert metrics.expected_shortfall(returns).value == pytest.approx(-whole.mean(), rel=0.01)


def test_without_a_loss_the_expected_shortfall_is_zero_and_not_minus_zero():
    assert str(metrics.expected_shortfall(np.zeros(400)).value) == "0.0"
