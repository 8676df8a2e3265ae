"""Benchmarks count what trades, excess is told beside each, and factor regressions have the errors of the books."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.analysis import benchmarks, factors
from mnpu.errors import DataError
from mnpu.metrics.dependence import newey_west_se
from mnpu.simulation.costs import CostModel
from tests.core.analysis_world import a_replay, from_returns

FREE = CostModel(0.0, 0.0)


def test_a_suspended_symbol_is_missing_from_the_benchmark_and_its_gap_counts_when_it_trades_again(make_panel):
    close = np.array([[10.0, 10.0]] * 2 + [[11.0, np.nan], [11.0, np.nan], [11.0, 5.0], [11.0, 5.0], [11.0, 5.0]])
    found = a_replay(make_panel(close), np.zeros((5, 2)))
    assert benchmarks.equal_weight(found) == pytest.approx([0.10, 0.0, (0.0 - 0.5) / 2, 0.0, 0.0])


def test_what_a_delisted_share_became_counts(make_panel):
    close = np.array([[10.0, 10.0]] * 3 + [[10.0, np.nan]] * 4)
    cash = np.full((7, 2), np.nan)
    cash[3, 1] = 4.0  # after its last bar
    found = a_replay(make_panel(close, delisting=cash), np.zeros((5, 2)))
    assert benchmarks.equal_weight(found) == pytest.approx([0.0, (0.0 - 0.6) / 2, 0.0, 0.0, 0.0])


def test_members_alone_make_the_benchmark(make_panel):
    from dataclasses import replace

    returns = np.array([[0.1, -0.3], [0.1, -0.3], [0.1, 0.2]])
    panel = from_returns(make_panel, returns)
    member = np.ones((5, 2), dtype=bool)
    member[:2, 1] = False
    found = a_replay(replace(panel, member=member), np.zeros((3, 2)))
    assert benchmarks.equal_weight(found) == pytest.approx([0.1, 0.1, 0.15])


def test_cap_weight_follows_the_capitalisations_at_the_decision(make_panel):
    returns = np.array([[0.1, 0.0], [0.0, 0.2], [0.1, 0.1]])
    found = a_replay(from_returns(make_panel, returns), np.zeros((3, 2)))
    caps = np.array([[3.0, 1.0], [3.0, 1.0], [np.nan, 1.0]])
    assert benchmarks.cap_weight(found, caps) == pytest.approx([0.075, 0.05, 0.1])
    from_shares = benchmarks.caps_from_shares(found, {"S0": 3.0, "S1": 1.0})
    assert benchmarks.cap_weight(found, from_shares)[0] == pytest.approx(0.075)


@pytest.mark.parametrize("caps", [np.ones((2, 2)), -np.ones((3, 2))])
def test_impossible_capitalisations_are_refused(make_panel, caps):
    found = a_replay(from_returns(make_panel, np.zeros((3, 2))), np.zeros((3, 2)))
    with pytest.raises(DataError, match="capitalisation"):
        benchmarks.cap_weight(found, caps)


def test_betas_are_those_of_the_past_and_a_matched_benchmark_leaves_what_is_not_market(make_panel, rng):
    market = rng.normal(0, 0.01, 300)
    slopes = np.array([0.5, 1.5, 1.0])
    panel = from_returns(make_panel, market[:, None] * slopes)
    found = a_replay(panel, np.tile([0.0, 1.0, 0.0], (200, 1)), first=100, rates=FREE)
    assert benchmarks.betas(found) == pytest.approx(np.tile(slopes, (200, 1)), abs=1e-9)
    index = benchmarks.equal_weight(found)
    assert benchmarks.beta_matched(found, index) == pytest.approx(found.gross, abs=1e-12)
    rows = {row.benchmark: row for row in benchmarks.excess_table(found)}
    assert rows["beta_matched"].excess_total == pytest.approx(0.0, abs=1e-9)
    assert rows["cap_weight"].reason == "no capitalisations were given"


def test_betas_do_not_know_what_comes_later(make_panel, rng):
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.02, (200, 4)), axis=0))
    changed = close.copy()
    changed[151:] = rng.uniform(1, 100, (49, 4))
    one, other = (a_replay(make_panel(c), np.zeros((150, 4)), first=20) for c in (close, changed))
    assert np.array_equal(benchmarks.betas(one)[:131], benchmarks.betas(other)[:131])
    assert not np.array_equal(benchmarks.betas(one)[132:], benchmarks.betas(other)[132:])


def test_excess_by_hand(make_panel):
    returns = np.array([[0.10], [0.00], [0.05], [-0.05]])
    found = a_replay(from_returns(make_panel, returns), np.full((4, 1), 0.5), rates=FREE)
    row = benchmarks.excess(found, "it", benchmarks.equal_weight(found))
    apart = -returns[:, 0] / 2
    assert row.excess_mean_ann == pytest.approx(apart.mean() * 252)
    assert row.information_ratio == pytest.approx(apart.mean() / apart.std(ddof=1) * 252**0.5)
    assert row.excess_total == pytest.approx(1.05 * 1.025 * 0.975 - 1.10 * 1.05 * 0.95)


# Factor regression.


def test_the_parts_of_a_regression_sum_to_the_mean(rng):
    x = rng.normal(0, 0.01, (400, 2))
    y = 0.0002 + x @ [0.7, -0.3] + rng.normal(0, 0.005, 400)
    found = factors.factor_regression(y, {"a": x[:, 0], "b": x[:, 1]}, periods_per_year=252.0)
    assert sum(c.mean_ann for c in found.coefficients) == pytest.approx(y.mean() * 252, abs=1e-12)
    expected, *_ = np.linalg.lstsq(np.column_stack([np.ones(400), x]), y, rcond=None)
    assert [c.beta for c in found.coefficients] == pytest.approx(expected)
    assert found.coefficients[1].t > 10


def test_errors_equal_the_sum_over_all_pairs_of_bars(rng):
    n, lags = 60, 4
    x = np.column_stack([np.ones(n), np.cumsum(rng.normal(size=n))])
    y = x @ [1.0, 0.5] + np.convolve(rng.normal(size=n + 3), np.ones(4), "valid")
    beta, covariance = factors.regress(y, x, lags=lags)
    rest = y - x @ beta
    middle = np.zeros((2, 2))
    for t in range(n):
        for s in range(n):
            if abs(t - s) <= lags:
                middle += (1 - abs(t - s) / (lags + 1)) * rest[t] * rest[s] * np.outer(x[t], x[s])
    bread = np.linalg.pinv(x.T @ x)
    assert covariance == pytest.approx(bread @ middle @ bread)


def test_errors_equal_those_of_statsmodels(rng):
    api = pytest.importorskip("statsmodels.api")
    x = api.add_constant(rng.normal(size=(250, 3)))
    y = x @ [0.1, 1.0, 0.0, -2.0] + np.convolve(rng.normal(size=252), np.ones(3), "valid")
    fitted = api.OLS(y, x).fit(cov_type="HAC", cov_kwds={"maxlags": 5})
    beta, covariance = factors.regress(y, x, lags=5)
    assert beta == pytest.approx(fitted.params)
    assert np.sqrt(np.diag(covariance)) == pytest.approx(fitted.bse)


def test_on_a_constant_alone_the_error_is_that_of_a_mean(rng):
    y = np.cumsum(rng.normal(size=100)) * 0.01
    _, covariance = factors.regress(y, np.ones((100, 1)), lags=6)
    assert np.sqrt(covariance[0, 0]) == pytest.approx(newey_west_se(y, lags=6))


def test_factors_that_say_the_same_are_refused(rng):
    x = rng.normal(size=50)
    with pytest.raises(DataError, match="say the same"):
        factors.factor_regression(x, {"a": x, "b": 2 * x}, periods_per_year=252.0)
    with pytest.raises(DataError, match="5 bars"):
        factors.factor_regression(x[:5], {"a": x[:5], "b": x[:5]}, periods_per_year=252.0)


def test_a_book_of_momentum_is_explained_by_momentum(make_panel, rng):
    drift = np.linspace(-0.002, 0.002, 8)
    panel = from_returns(make_panel, drift + rng.normal(0, 0.01, (500, 8)))
    book = np.linspace(-1, 1, 8) / np.abs(np.linspace(-1, 1, 8)).sum()
    found = a_replay(panel, np.tile(book, (200, 1)), first=300, rates=FREE)
    made = factors.universe_factors(found)
    assert list(made) == ["market", "momentum", "reversal", "low_volatility"]
    rows = {c.name: c for c in factors.factor_regression(found.net, made, periods_per_year=252.0).coefficients}
    assert rows["momentum"].t > 8
    assert abs(rows["market"].t) < 4
