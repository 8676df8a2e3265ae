"""Statistics of many strategies at once: those of each alone, by hand and by other libraries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mnpu.metrics import many, returns
from mnpu.types import Metric

Q, YEARS = 252.0, 10.0


@pytest.fixture
def strategies(rng) -> np.ndarray:
    return 3e-4 + 0.01 * rng.standard_t(5, (30, 2520))


def alone(r: np.ndarray) -> dict[str, Metric]:
    equity = many.equity(r)
    growth, deepest = returns.cagr(r, YEARS), returns.max_drawdown(equity)
    found = [
        returns.total_return(r),
        growth,
        returns.ann_vol(r, Q),
        returns.sharpe(r, Q),
        returns.sortino(r, Q),
        returns.calmar(growth, deepest),
        deepest,
        returns.omega(r),
        returns.stability(equity),
        returns.tail_ratio(r),
        returns.value_at_risk(r),
        returns.expected_shortfall(r),
        returns.skew(r),
        returns.kurtosis(r),
    ]
    return {metric.name: metric for metric in found}


def test_each_strategy_has_the_numbers_that_it_has_alone(strategies, monkeypatch):
    monkeypatch.setattr(many, "CELLS", 7 * 2520)  # five chunks, the last one smaller
    found = many.simple_statistics(strategies, periods_per_year=Q, years=YEARS)
    assert len(found) == 14
    for i in (0, 6, 7, 29):
        metrics = alone(strategies[i])
        assert set(metrics) == set(found)
        for name, metric in metrics.items():
            assert found[name][i] == pytest.approx(metric.value, rel=1e-13), name


def test_numbers_equal_the_textbook_formulas(strategies):
    scipy = pytest.importorskip("scipy.stats")
    found = many.simple_statistics(strategies, periods_per_year=Q, years=YEARS)
    r = strategies[11]
    log = np.cumsum(np.log1p(r))
    by_hand = {
        "omega": sum(x for x in r if x > 0) / -sum(x for x in r if x < 0),
        "stability": scipy.linregress(np.arange(len(r)), log).rvalue ** 2,
        "tail_ratio": abs(np.quantile(r, 0.95)) / abs(np.quantile(r, 0.05)),
        "var_0.05": -np.quantile(r, 0.05),
        "skew": scipy.skew(r),
        "kurtosis": scipy.kurtosis(r, fisher=False),
    }
    for name, value in by_hand.items():
        assert found[name][11] == pytest.approx(value, rel=1e-9), name


def test_what_is_undefined_is_nan_and_has_a_reason_alone():
    r = np.zeros((4, 600))
    r[1] = 0.001  # never a loss, never a change
    r[2] = np.where(np.arange(600) % 2, 0.01, -0.01)
    r[2, 300] = -1.0  # all is lost
    r[3, 5] = np.nan
    found = many.simple_statistics(r, periods_per_year=Q, years=2.0)
    assert np.isnan([found[name][0] for name in ("sharpe", "sortino", "calmar", "omega", "stability", "skew")]).all()
    assert (found["total_return_net"][0], found["max_drawdown"][0], found["cvar_0.05"][0]) == (0.0, 0.0, 0.0)
    assert np.isnan([found[name][1] for name in ("sharpe", "sortino", "calmar", "omega")]).all()
    assert found["stability"][1] == pytest.approx(1.0)
    assert (found["cagr"][2], found["max_drawdown"][2]) == (-1.0, -1.0)
    assert np.isnan(found["stability"][2])
    assert all(np.isnan(numbers[3]) for numbers in found.values())
    assert alone(r[0])["omega"].reason == "no return is negative"
    assert alone(r[2])["stability"].reason.startswith("the net asset value does not vary")
    assert alone(r[0])["skew"].reason == "the returns do not vary"


def test_less_than_a_year_is_not_annualised_for_many_either(strategies):
    found = many.simple_statistics(strategies[:, :100], periods_per_year=Q, years=0.4)
    assert np.isnan(found["cagr"]).all()
    assert np.isnan(found["calmar"]).all()
    assert np.isfinite(found["sharpe"]).all()


def test_no_strategies_have_no_numbers_and_a_wrong_shape_is_refused():
    found = many.simple_statistics(np.empty((0, 50)), periods_per_year=Q, years=1.0)
    assert all(len(numbers) == 0 for numbers in found.values())
    with pytest.raises(ValueError, match=r"shape \(50,\)"):
        many.simple_statistics(np.zeros(50), periods_per_year=Q, years=1.0)


def test_numbers_equal_those_of_empyrical(strategies):
    stats = pytest.importorskip("empyrical.stats")
    found = many.simple_statistics(strategies, periods_per_year=Q, years=2520 / 252)
    days = pd.bdate_range("2010-01-04", periods=2520)
    ours = {
        "cum_returns_final": found["total_return_net"],
        "annual_return": found["cagr"],
        "cagr": found["cagr"],
        "annual_volatility": found["ann_vol"],
        "sharpe_ratio": found["sharpe"],
        "calmar_ratio": found["calmar"],
        "stability_of_timeseries": found["stability"],
        "max_drawdown": found["max_drawdown"],
        "omega_ratio": found["omega"],
        "sortino_ratio": found["sortino"],
        "skew": found["skew"],
        "kurtosis": found["kurtosis"] - 3.0,
        "tail_ratio": found["tail_ratio"],
        "value_at_risk": -found["var_0.05"],
        "conditional_value_at_risk": -found["cvar_0.05"],  # 5 % of 2,520 bars are whole bars: there both agree
    }
    assert {function.__name__ for function in stats.SIMPLE_STAT_FUNCS} <= set(ours)
    for function in stats.SIMPLE_STAT_FUNCS:
        for i in (0, 13, 29):
            theirs = function(pd.Series(strategies[i], index=days))
            assert ours[function.__name__][i] == pytest.approx(theirs, rel=1e-9), function.__name__


def test_numbers_equal_those_of_quantstats_where_it_is_right(strategies):
    # Not compared: its value at risk and shortfall are parametric in part, its moments have another denominator.
    stats = pytest.importorskip("quantstats.stats")
    found = many.simple_statistics(strategies[:3], periods_per_year=Q, years=2520 / 252)
    names = (
        "total_return_net",
        "cagr",
        "ann_vol",
        "sharpe",
        "sortino",
        "calmar",
        "max_drawdown",
        "omega",
        "tail_ratio",
    )
    theirs = ("comp", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown", "omega", "tail_ratio")
    series = pd.Series(strategies[2], index=pd.bdate_range("2010-01-04", periods=2520))
    for ours, other in zip(names, theirs, strict=True):
        assert found[ours][2] == pytest.approx(getattr(stats, other)(series), rel=1e-9), ours


@pytest.mark.parametrize("series", ["pyfolio_test_returns", "SPY_adjusted", "MSFT_adjusted", "AGG_adjusted"])
def test_numbers_equal_the_kept_ones(series, shared_data):
    expected = pd.read_parquet(shared_data / "oracles" / "performance_metrics_expected.parquet")
    figures = expected[expected["input"] == series].set_index("metric_name")["value"]
    if series == "pyfolio_test_returns":
        r = pd.read_parquet(shared_data / "oracles" / "backtest-pyfolio" / "test_returns.parquet")["value"].to_numpy()
    else:
        prices = pd.read_parquet(shared_data / "prices-daily" / "us_adjusted_2003_2017.parquet")
        r = prices.loc[prices["symbol"] == series.partition("_")[0], "close"].pct_change().dropna().to_numpy()
    found = many.simple_statistics(r[None], periods_per_year=Q, years=len(r) / 252)
    ours = {
        "cum_returns_final": "total_return_net",
        "annual_return": "cagr",
        "annual_volatility": "ann_vol",
        "sharpe_ratio_rf0": "sharpe",
        "sortino_ratio_req0": "sortino",
        "calmar_ratio": "calmar",
        "max_drawdown": "max_drawdown",
        "omega_ratio": "omega",
        "stability_of_timeseries": "stability",
        "tail_ratio": "tail_ratio",
        "cagr": "cagr",
    }
    for theirs, name in ours.items():
        assert found[name][0] == pytest.approx(figures[theirs], rel=1e-8), theirs
    assert found["var_0.05"][0] == pytest.approx(-figures["value_at_risk_5pct"], rel=1e-8)
    # It averages whole bars, up to and including the one that the tail ends in.
    assert found["cvar_0.05"][0] == pytest.approx(-figures["conditional_value_at_risk_5pct"], rel=0.01)
