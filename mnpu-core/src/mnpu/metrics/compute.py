"""Every metric of a result, by name."""

from __future__ import annotations

from mnpu.metrics import dependence, significance
from mnpu.metrics import distribution as of_distribution
from mnpu.metrics import forecast as of_forecast
from mnpu.metrics import returns as of_returns
from mnpu.metrics import trading as of_trading
from mnpu.metrics.classes import CLASS_NAMES, class_metrics
from mnpu.types import Metric, Result

__all__ = ["compute"]

#: Names for a strategy that makes no forecast, so that every row of a comparison has the same columns.
FORECAST_NAMES = {
    "hit_rate": "fraction",
    "hit_rate_base": "fraction",
    "ic": "correlation",
    "rank_ic": "correlation",
    "ic_t": "t-statistic",
    "rank_ic_t": "t-statistic",
    "pinball": "return",
    "crps": "return",
    "coverage_0.90": "fraction",
    "interval_score_0.90": "return",
    "pit_ks": "fraction",
    **CLASS_NAMES,
}


def compute(result: Result) -> dict[str, Metric]:
    """All metrics of one strategy; an undefined one has no value but a reason.

    Parameters
    ----------
    result : Result
        Only its arrays are read.

    Returns
    -------
    metrics : dict of str to Metric
        In reading order: growth, risk, ratios, trading, forecasts.
    """
    found = [*_of_returns(result), *_of_trading(result), *_of_forecast(result)]
    return {metric.name: metric for metric in found}


def _of_returns(result: Result) -> list[Metric]:
    q = result.periods_per_year
    years = of_returns.elapsed_years(result.fill_times) or len(result.net) / q
    growth = of_returns.cagr(result.net, years)
    deepest = of_returns.max_drawdown(result.equity)
    return [
        of_returns.total_return(result.net),
        of_returns.total_return(result.gross, name="total_return_gross"),
        growth,
        of_returns.ann_vol(result.net, q),
        of_returns.sharpe(result.net, q),
        of_returns.sharpe_bar(result.net),
        dependence.sharpe_lo(result.net, q),
        significance.psr(result.net),
        significance.min_trl(result.net),
        of_returns.skew(result.net),
        of_returns.kurtosis(result.net),
        of_returns.sortino(result.net, q),
        deepest,
        of_returns.calmar(growth, deepest),
        of_returns.expected_shortfall(result.net),
        Metric("n", float(len(result.net)), "bars"),
        Metric("years", years, "years"),
        Metric("periods_per_year", q, "bars per year"),
    ]


def _of_trading(result: Result) -> list[Metric]:
    return [
        of_trading.turnover(result.turnover_oneway),
        of_trading.turnover_ann(result.turnover_oneway, result.periods_per_year),
        of_trading.cost_total(result.costs),
        of_trading.cost_bps(result.costs, result.turnover_oneway),
        of_trading.breakeven_bps(result.gross, result.turnover_oneway),
        of_trading.gross_exposure(result.positions.weights),
        of_trading.net_exposure(result.positions.weights),
    ]


def _of_forecast(result: Result) -> list[Metric]:
    if result.forecast is None or result.labels is None:
        reason = "a rule that makes no forecast" if result.forecast is None else "the outcomes are not known"
        return [Metric(name, None, unit, reason=reason) for name, unit in FORECAST_NAMES.items()]
    forecast, labels = result.forecast, result.labels
    linear = of_forecast.information_coefficient(forecast, labels)
    ranked = of_forecast.rank_information_coefficient(forecast, labels)
    return [
        *of_forecast.hit_rate(forecast, labels),
        linear,
        ranked,
        of_forecast.t_of(linear),
        of_forecast.t_of(ranked),
        of_forecast.pinball(forecast, labels),
        of_distribution.crps(forecast, labels),
        *of_forecast.coverage(forecast, labels).values(),
        *of_distribution.interval_score(forecast, labels).values(),
        of_distribution.pit_ks(forecast, labels),
        *class_metrics(forecast, labels),
    ]
