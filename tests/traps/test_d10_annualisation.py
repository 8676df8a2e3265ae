"""D10: a ratio is annualised by the bars per year of its own calendar, and a number never loses its unit.

That hours, days and months of the same returns tell one ratio, with the faults of other libraries, and Lo's correction,
are in ``tests/core/test_traps_statistics.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mnpu.data.calendars import get_calendar
from mnpu.data.resample import resample
from mnpu.metrics.bootstrap import stationary_bootstrap_interval
from mnpu.metrics.compute import compute
from mnpu.metrics.returns import Metric, sharpe, sharpe_bar
from mnpu.report.format import metric_cell
from mnpu.results_io import read_metrics, read_result, write_result
from mnpu.types import Panel, Result
from tests.core.analysis_world import a_result
from tests.core.test_resample import bars_of, between
from tests.traps.planting import fails

#: Bars in a year by custom: 252 sessions of six and a half hours, 52 weeks, 365 days of 24 hours, 260 of the FX week.
CUSTOM = {
    ("XNYS", "1d"): 252,
    ("XNYS", "15m"): 252 * 26,
    ("XNYS", "5m"): 252 * 78,
    ("XNYS", "1w"): 52,
    ("24/7", "1d"): 365,
    ("24/7", "1h"): 365 * 24,
    ("FX", "1d"): 260,
    ("FX", "1h"): 260 * 24,
}


def bars_per_year_follow_the_calendar(q: Callable[[str, str], float]) -> None:
    assert {key: q(*key) for key in CUSTOM} == CUSTOM


def test_bars_per_year_follow_the_calendar() -> None:
    bars_per_year_follow_the_calendar(lambda name, frequency: get_calendar(name).periods_per_year(frequency))
    fails(bars_per_year_follow_the_calendar, lambda name, frequency: 252.0)
    fails(bars_per_year_follow_the_calendar, lambda name, frequency: get_calendar("XNYS").periods_per_year(frequency))


def held(panel: Panel) -> Result:
    """Always invested in the first symbol."""
    weights = np.zeros((len(panel.times) - 2, len(panel.symbols)))
    weights[:, 0] = 1.0
    return replace(a_result(panel, weights), periods_per_year=panel.periods_per_year)


def a_market_that_never_closes() -> Panel:
    """Two years of independent hours."""
    rng = np.random.default_rng(3)
    panel = bars_of(between("24/7", "2019-01-01", "2020-12-31", "1h"), "24/7", "1h", rng, symbols=1)
    close = 100 * np.exp(np.cumsum(rng.normal(3e-5, 0.004, (len(panel.times), 1)), axis=0))
    bars = {"open": close, "high": close, "low": close, "close": close}
    return replace(panel, fields={**panel.fields, **bars})


def a_ratio_survives_longer_bars(longer: Callable[[Panel, str], Panel]) -> None:
    """Hours put together into days, by the product's own clock: the same book has the same annual ratio."""
    hours = a_market_that_never_closes()
    one, other = (compute(held(panel))["sharpe"] for panel in (hours, longer(hours, "1d")))
    assert other.value == pytest.approx(one.value, abs=0.35 * one.se)  # of the same two years
    assert one.se == pytest.approx(1 / np.sqrt(2), rel=0.1)
    assert other.se == pytest.approx(1 / np.sqrt(2), rel=0.1)


def test_a_ratio_survives_longer_bars() -> None:
    a_ratio_survives_longer_bars(resample)
    fails(a_ratio_survives_longer_bars, lambda panel, to: replace(resample(panel, to), periods_per_year=252.0))
    fails(a_ratio_survives_longer_bars, lambda panel, to: replace(resample(panel, to), periods_per_year=365.0 * 24))


# The unit: beside the number, on disk, and the same for the point and for its error or interval.

Kept = Callable[[dict[str, Metric]], dict[str, Metric]]


@pytest.fixture
def result(make_panel, rng) -> Result:
    panel = make_panel(50 * np.exp(np.cumsum(rng.normal(0, 0.01, (302, 3)), axis=0)))
    found = a_result(panel, rng.normal(0, 0.3, (300, 3)))
    return replace(found, metrics=compute(found))


def units_travel(kept: Kept, result: Result) -> None:
    found = kept(dict(result.metrics))
    assert {name: metric.unit for name, metric in found.items()} == {n: m.unit for n, m in result.metrics.items()}
    assert all(metric.unit for metric in found.values())
    year, bar, root = found["sharpe"], found["sharpe_bar"], np.sqrt(result.periods_per_year)
    assert (year.unit, bar.unit) == ("ratio, annualised", "ratio per bar")
    assert (year.value, year.se) == pytest.approx((bar.value * root, bar.se * root))


def test_a_unit_travels_with_its_number(result: Result, tmp_path) -> None:
    units_travel(lambda metrics: metrics, result)

    def through_a_file(metrics: dict[str, Metric]) -> dict[str, Metric]:
        write_result(tmp_path, replace(result, metrics=metrics))
        assert {**read_result(tmp_path).metrics} == metrics
        return read_result(tmp_path).metrics

    units_travel(through_a_file, result)
    values_alone = lambda metrics: {n: Metric(n, m.value, "", se=m.se) for n, m in metrics.items()}
    of_a_bar = lambda metrics: {**metrics, "sharpe": replace(metrics["sharpe"], se=metrics["sharpe_bar"].se)}
    no_root = lambda metrics: {**metrics, "sharpe": replace(metrics["sharpe_bar"], unit="ratio, annualised")}
    for fault in (values_alone, of_a_bar, no_root):
        fails(units_travel, fault, result)


def test_the_file_of_metrics_names_every_unit(result: Result, tmp_path) -> None:
    write_result(tmp_path, result)
    assert {name: kept["unit"] for name, kept in read_metrics(tmp_path)["metrics"].items()} == {
        name: metric.unit for name, metric in result.metrics.items()
    }


def an_interval_is_about_its_point(interval: Callable, result: Result) -> None:
    """The bootstrap's interval holds its point, has its unit, and is as wide as the error of the point says."""
    point, found = sharpe_bar(result.net), interval(result.net)
    assert found.unit == point.unit
    assert found.value == pytest.approx(point.value)
    assert found.low < point.value < found.high
    assert (found.high - found.low) / (2 * 1.96 * point.se) == pytest.approx(1.0, abs=0.3)


def test_point_and_interval_share_their_unit(result: Result) -> None:
    ours = lambda net: stationary_bootstrap_interval(net, of="sharpe_bar", block=1.0, level=0.95)
    an_interval_is_about_its_point(ours, result)
    root = np.sqrt(252)

    def of_a_year(net: np.ndarray):
        """The fault of an earlier project: the interval is annualised and the point is not."""
        found = ours(net)
        return replace(found, low=found.low * root, high=found.high * root)

    fails(an_interval_is_about_its_point, of_a_year, result)
    fails(an_interval_is_about_its_point, lambda net: replace(ours(net), unit="ratio, annualised"), result)


def test_the_report_writes_a_number_and_its_error_alike() -> None:
    year = sharpe(np.random.default_rng(1).normal(0.001, 0.01, 500), 252.0)
    value, error = (float(part.replace("\N{MINUS SIGN}", "-")) for part in metric_cell(year).split(" ± "))
    assert (value, error) == (pytest.approx(year.value, abs=0.005), pytest.approx(year.se, abs=0.005))
