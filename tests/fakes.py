"""A made-up but complete result, with every part a report can show. Its numbers mean nothing."""

from __future__ import annotations

from dataclasses import replace
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from mnpu import ledger
from mnpu.judging import judged
from mnpu.metrics.compute import compute
from mnpu.types import (
    DatasetInfo,
    FeatureSpec,
    Fold,
    Forecast,
    GateOutcome,
    Panel,
    Positions,
    Result,
    Run,
    SeriesInfo,
    Split,
    Violation,
)

__all__ = ["make_result"]

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
SYMBOLS = ("AAPL", "AMD", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO", "LLY", "MRK", "MSFT")
_Z = np.array([-1.6449, -1.2816, -0.6745, 0.0, 0.6745, 1.2816, 1.6449])


def make_result(n_days: int = 1500, *, seed: int = 3) -> Result:
    """A long-short result over ``n_days`` business days from 2010, beside three comparisons."""
    rng = np.random.default_rng(seed)
    days = pd.bdate_range("2010-01-04", periods=n_days + 400)
    times = (days + pd.Timedelta(hours=21)).tz_localize("UTC").as_unit("ns")
    tested, fills = times[399:-1], times[400:]
    market = rng.normal(0.0004, 0.010, n_days)
    main = _strategy(rng, "omni", tested, fills, rng.normal(0.00025, 0.006, n_days), forecasts=True)
    others = (
        _strategy(rng, "buy_and_hold", tested, fills, market),
        _strategy(rng, "momentum", tested, fills, rng.normal(0.0001, 0.008, n_days)),
        _strategy(rng, "linear", tested, fills, 0.6 * main.net + rng.normal(0, 0.004, n_days), forecasts=True),
    )
    info = DatasetInfo(
        "us_adjclose_daily",
        "skfolio 1.12.2",
        "1d",
        "session_date",
        "split+dividend",
        "2022-12-28",
        "XNYS",
        "USD",
        "BSD-3-Clause",
        "The 19 stocks were chosen in hindsight (large companies of 2022): any long-only result is flattered.",
    )
    panel = Panel(
        tested,
        tested.tz_localize(None).to_numpy().astype("datetime64[D]"),
        SYMBOLS,
        {"close": 100 * np.exp(rng.normal(0, 0.01, (n_days, len(SYMBOLS))).cumsum(0))},
        np.ones((n_days, len(SYMBOLS)), dtype=bool),
        (info,) * len(SYMBOLS),
        "1d",
        "XNYS",
        252.0,
    )
    half = 399 + n_days // 2
    split = Split(
        (
            Fold(0, (0, 300), (306, 393), (399, half)),
            Fold(1, (0, half - 99), (half - 93, half - 6), (half, 399 + n_days)),
        ),
        purge_bars=6,
        embargo_bars=0,
        times=times,
    )
    result = replace(
        main,
        comparisons=others,
        gates=_gates(),
        run=_run(),
        panel=panel,
        series=_series(),
        features=_features(),
        folds=split,
    )
    with TemporaryDirectory() as runs:
        for recipe in ("failed", "killed"):  # the other two of three trials
            ledger.append(runs, {"run_id": f"{recipe}-001", "recipe_id": recipe, "name": _run().name, "status": recipe})
        return judged(result, runs)


def _strategy(
    rng: np.random.Generator,
    name: str,
    times: pd.DatetimeIndex,
    fills: pd.DatetimeIndex,
    gross: np.ndarray,
    *,
    forecasts: bool = False,
) -> Result:
    shape = (len(times), len(SYMBOLS))
    traded = np.abs(rng.normal(0.10, 0.03, len(times)))
    costs = {"commission": 2 * traded * 1e-4, "half_spread": 4 * traded * 1e-4}
    net = gross - sum(costs.values())
    weights = rng.normal(0, 1 / len(SYMBOLS), shape)
    positions = Positions(times, SYMBOLS, weights, np.ones(len(times), dtype=bool))
    forecast = labels = None
    if forecasts:
        labels = rng.normal(0.001, 0.03, (*shape, 1))
        labels[-6:] = np.nan
        quantiles = np.broadcast_to(0.026 * _Z, (*shape, 1, 7)) + rng.normal(0, 0.002, (*shape, 1, 1))
        forecast = Forecast(times, SYMBOLS, (5,), LEVELS, quantiles)
    result = Result(
        name=name,
        times=times,
        fill_times=fills,
        gross=gross,
        net=net,
        equity=np.concatenate([[1.0], np.cumprod(1 + net)]),
        turnover_oneway=traded,
        costs=costs,
        proposed=positions,
        positions=replace(positions, violations=_violations(times)) if forecasts else positions,
        periods_per_year=252.0,
        forecast=forecast,
        labels=labels,
    )
    return replace(result, metrics=compute(result))


def _violations(times: pd.DatetimeIndex) -> tuple[Violation, ...]:
    symbols = [Violation("exposure", "EXPOSURE_SYMBOL", t, "AMD", 0.08, 0.0963, "scale") for t in times[::7]]
    books = [Violation("exposure", "EXPOSURE_GROSS", t, "", 1.0, 1.0421, "scale") for t in times[::50]]
    return tuple(sorted([*symbols, *books], key=lambda violation: violation.time))


def _gates() -> tuple[GateOutcome, ...]:
    return (
        GateOutcome("permuted", True, "99.8% of bars change; mean gross per bar +2.512 bps becomes -0.031 bps"),
        GateOutcome("constant", True, "100.0% of bars change with one forecast for all, 97.1% with one size for all"),
        GateOutcome("negated", True, "mean gross return per bar +2.512 bps becomes -2.512 bps"),
        GateOutcome("future", True, "12 features at 5 cuts: none changed when the future was replaced"),
    )


def _run() -> Run:
    digest = "4f1c0a9b7d3e5f60"
    return Run(
        run_id="us-equities-daily-4f1c0a9b-001",
        recipe_id="4f1c0a9b7d3e",
        name="us-equities-daily",
        seed=7,
        config_hash=digest * 4,
        data_hash=digest[::-1] * 4,
        code_hash=digest * 4,
        env_hash=digest[::-1] * 4,
        versions={"mnpu-core": "0.1.0", "mnpu-report": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0"},
        config={
            "fill": "next_close",
            "costs": {"commission_bps": 1.0, "half_spread_bps": 2.0},
            "guardrails": [{"use": "exposure"}],
        },
        started_at=pd.Timestamp("2026-01-05 09:30", tz="UTC"),
        trials=3,
    )


def _series() -> tuple[SeriesInfo, ...]:
    return (
        SeriesInfo(
            "moodys_baa",
            "monthly",
            "percent",
            "declared",
            "month end + 7 days",
            pd.Timedelta(days=75),
            "arch 8.0.0 default",
            "NCSA",
        ),
        SeriesInfo(
            "wti",
            "daily",
            "USD per barrel",
            "declared",
            "day end + 1 day",
            pd.Timedelta(days=10),
            "arch 8.0.0 wti",
            "NCSA",
        ),
    )


def _features() -> tuple[FeatureSpec, ...]:
    def spec(name: str, description: str, warmup: int, unit: str, *, series: tuple[str, ...] = ()) -> FeatureSpec:
        source, _, function = name.partition(".")
        fields = () if series else ("close",)
        scope = "market" if series else "symbol"
        return FeatureSpec(
            *(name, source, function, {}, description, fields, series, True, warmup, unit, scope),
            release_lags=("month end + 15 days",) * len(series),
            bases=("declared",) * len(series),
        )

    return (
        spec("price.log_return[window=5]", "Log return over the past bars.", 6, "fraction"),
        spec(
            "price.momentum[window=252,skip=21]", "Return over the past year, the last month left out.", 253, "fraction"
        ),
        spec("price.drawdown[window=252]", "Close over its highest value in the window, minus one.", 252, "fraction"),
        spec(
            "macro.credit_spread",
            "Yield of BAA bonds minus that of AAA bonds, as known.",
            1,
            "percent",
            series=("moodys_baa",),
        ),
    )
