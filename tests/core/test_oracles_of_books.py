"""A real book of six years and the published factors of Fama and French, against other libraries and plain algebra.

The factors are Kenneth French's: of the developed markets by day, of the United States by month, both in percent.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mnpu.analysis import factors
from mnpu.metrics import many
from mnpu.metrics.dependence import newey_west_lags, newey_west_se, newey_west_t
from mnpu.metrics.information import mean_of
from mnpu.metrics.trading import gross_exposure
from mnpu.simulation.costs import CostModel
from mnpu.simulation.simulate import simulate
from mnpu.types import Positions

STYLES = ("Mkt-RF", "SMB", "HML")


@pytest.fixture(scope="module")
def book(shared_data):
    """Returns of each day of a real backtest of seven US shares, 2004 to 2009."""
    frame = pd.read_parquet(shared_data / "oracles" / "backtest-pyfolio" / "test_returns.parquet")
    return frame.set_index("timestamp")["value"]


def published(shared_data, name: str) -> pd.DataFrame:
    frame = pd.read_parquet(shared_data / "oracles" / f"{name}.parquet")
    return frame.pivot(index="timestamp", columns="series", values="value") / 100.0


@pytest.fixture(scope="module", params=["days", "months"])
def explained(request, shared_data, book):
    """Returns above cash, the three factors of the same bars, and bars per year."""
    if request.param == "days":
        styles, returns, year = published(shared_data, "french_developed_factors_daily"), book, 252.0
    else:
        styles, year = published(shared_data, "french_us_factors_monthly"), 12.0
        month = book.index.tz_localize(None).to_period("M")
        returns = (1.0 + book).groupby(month).prod() - 1.0
        returns.index = returns.index.to_timestamp().tz_localize("UTC")  # a month is stamped with its first day
    both = styles.assign(book=returns).dropna()
    return (both["book"] - both["RF"]).to_numpy(), {name: both[name].to_numpy() for name in STYLES}, year


def by_algebra(y: np.ndarray, x: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Least squares by QR, and Newey-West errors by one matrix of the weights of all pairs of bars."""
    q, r = np.linalg.qr(x)
    beta = np.linalg.solve(r, q.T @ y)
    apart = np.abs(np.subtract.outer(np.arange(len(y)), np.arange(len(y))))
    weights = np.clip(1.0 - apart / (lags + 1.0), 0.0, None)
    scores = x * (y - x @ beta)[:, None]
    bread = np.linalg.inv(r.T @ r)
    return beta, np.sqrt(np.diag(bread @ scores.T @ weights @ scores @ bread))


def test_the_factors_of_fama_and_french_explain_the_book_as_plain_algebra_does(explained):
    y, styles, year = explained
    found = factors.factor_regression(y, styles, periods_per_year=year)
    x = np.column_stack([np.ones(len(y)), *styles.values()])
    beta, error = by_algebra(y, x, newey_west_lags(len(y)))
    assert found.lags == newey_west_lags(len(y))
    assert [c.beta for c in found.coefficients] == pytest.approx(beta, rel=1e-8)
    assert [c.se for c in found.coefficients] == pytest.approx(error, rel=1e-8)
    assert [c.t for c in found.coefficients] == pytest.approx(beta / error, rel=1e-8)
    assert found.r_squared == pytest.approx(np.corrcoef(x @ beta, y)[0, 1] ** 2)
    assert sum(c.mean_ann for c in found.coefficients) == pytest.approx(y.mean() * year)
    # Seven US shares, held long: the market is most of it.
    market = found.coefficients[1]
    assert market.name == "Mkt-RF"
    assert market.beta > 0.5
    assert market.t > 4


def test_the_factors_of_fama_and_french_explain_the_book_as_statsmodels_does(explained):
    api = pytest.importorskip("statsmodels.api")
    y, styles, year = explained
    found = factors.factor_regression(y, styles, periods_per_year=year, lags=6)
    x = np.column_stack([np.ones(len(y)), *styles.values()])
    theirs = api.OLS(y, x).fit(cov_type="HAC", cov_kwds={"maxlags": 6, "use_correction": False})
    assert [c.beta for c in found.coefficients] == pytest.approx(theirs.params, rel=1e-8)
    assert [c.se for c in found.coefficients] == pytest.approx(theirs.bse, rel=1e-8)
    assert [c.t for c in found.coefficients] == pytest.approx(theirs.tvalues, rel=1e-8)
    assert found.r_squared == pytest.approx(theirs.rsquared)


def test_beta_and_alpha_of_one_factor_are_those_of_empyrical(explained):
    stats = pytest.importorskip("empyrical.stats")
    y, styles, year = explained
    market = styles["Mkt-RF"]
    found = factors.factor_regression(y, {"market": market}, periods_per_year=year)
    alpha, beta = found.coefficients
    assert beta.beta == pytest.approx(stats.beta(y, market), rel=1e-8)
    compounded = (1.0 + alpha.beta) ** year - 1.0  # theirs compounds the alpha of a bar, ours adds it up
    period = "daily" if year == 252.0 else "monthly"
    assert compounded == pytest.approx(stats.alpha(y, market, period=period), rel=1e-8)
    assert alpha.mean_ann == pytest.approx(alpha.beta * year)


def test_numbers_of_the_book_are_those_of_empyrical(book):
    stats = pytest.importorskip("empyrical.stats")
    found = many.simple_statistics(book.to_numpy()[None], periods_per_year=252.0, years=len(book) / 252)
    theirs = {
        "total_return_net": stats.cum_returns_final,
        "cagr": stats.annual_return,
        "ann_vol": stats.annual_volatility,
        "sharpe": stats.sharpe_ratio,
        "sortino": stats.sortino_ratio,
        "calmar": stats.calmar_ratio,
        "max_drawdown": stats.max_drawdown,
        "omega": stats.omega_ratio,
        "stability": stats.stability_of_timeseries,
        "tail_ratio": stats.tail_ratio,
    }
    for name, function in theirs.items():
        assert found[name][0] == pytest.approx(function(book), rel=1e-8), name
    assert found["var_0.05"][0] == pytest.approx(-stats.value_at_risk(book), rel=1e-8)


def test_a_mean_with_newey_and_wests_error_is_a_regression_on_a_constant(rng):
    """As of an information coefficient whose outcomes overlap."""
    api = pytest.importorskip("statsmodels.api")
    series = 0.02 + np.convolve(rng.normal(0, 0.1, 504), np.ones(5) / 5, "valid")
    found = mean_of(series, horizon=5)
    fitted = api.OLS(series, np.ones(len(series))).fit(
        cov_type="HAC", cov_kwds={"maxlags": found.lags, "use_correction": False}
    )
    assert found.lags == 10
    assert (found.value, found.se, found.t) == pytest.approx((fitted.params[0], fitted.bse[0], fitted.tvalues[0]))
    assert newey_west_t(series, lags=10) == pytest.approx(fitted.tvalues[0])
    assert newey_west_se(series, lags=0) == pytest.approx(series.std() / np.sqrt(len(series)))


def test_the_book_simulated_again_earns_and_trades_what_its_records_say(shared_data, book):
    """Shares and prices of the recorded trades, at no cost: returns, leverage and turnover were kept by its broker."""
    folder = shared_data / "oracles" / "backtest-pyfolio"
    values = pd.read_parquet(folder / "test_pos.parquet").set_index("timestamp")
    trades = pd.read_parquet(folder / "test_txn.parquet")
    leverage = pd.read_parquet(folder / "test_gross_lev.parquet").set_index("timestamp")["value"]
    names = [name for name in values if name != "cash"]
    by_day = {"index": "timestamp", "columns": "symbol"}
    shares = trades.pivot_table(**by_day, values="amount", aggfunc="sum").reindex(values.index).fillna(0.0).cumsum()
    paid = trades.pivot_table(**by_day, values="price", aggfunc="last").reindex(values.index)
    prices = (values[names] / shares[names].where(shares[names] != 0.0)).fillna(paid[names]).ffill().bfill()
    worth = values.sum(axis=1)
    weights = values[names].div(worth, axis=0).to_numpy()[:-1]
    days = pd.DatetimeIndex(values.index).as_unit("ns")
    wanted = Positions(days[:-1] - pd.Timedelta(hours=1), tuple(names), weights, np.ones(len(weights), bool))

    found = simulate(wanted, prices.to_numpy(), days[:-1], costs=CostModel(0.0, 0.0))

    assert found.net == pytest.approx(
        book[values.index[1:]].to_numpy(), abs=1e-9
    )  # prices are recorded with as many digits
    assert found.equity[-1] == pytest.approx(worth.iloc[-1] / worth.iloc[0], rel=1e-8)
    held = np.abs(found.positions.weights).sum(axis=1)
    assert held == pytest.approx(leverage[values.index[:-1]].to_numpy(), abs=1e-9)
    assert gross_exposure(found.positions.weights).value == pytest.approx(leverage[values.index[:-1]].mean())
    moved = trades["txn_dollars"].abs().groupby(trades["timestamp"]).sum().reindex(values.index).fillna(0.0) / worth
    assert found.turnover_oneway == pytest.approx(moved.to_numpy()[:-1] / 2, abs=1e-9)
