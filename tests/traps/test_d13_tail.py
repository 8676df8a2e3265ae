"""D13: the tail is exact wherever an expected shortfall is computed, and a tail of few bars is said to be one.

The law that judges one series, with every known way to get it wrong, is in ``tests/core/test_traps_statistics.py``.
Here the same law judges the other places that compute one, and the flag is followed to where a reader sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mnpu import report
from mnpu.metrics import many
from mnpu.metrics.compute import compute
from mnpu.metrics.returns import expected_shortfall, value_at_risk
from mnpu.plugins.registry import Registry
from mnpu.types import Metric, Result
from tests.core.analysis_world import a_result
from tests.core.test_traps_statistics import below_a_normal_quantile, tail_is_exact
from tests.traps.planting import fails


def of_many(r: np.ndarray, tail: float) -> float:
    """As one of three strategies that are measured at once."""
    three = np.sort(np.stack([r, r * 2, -r]), axis=-1)
    return float(many.expected_shortfall(three, tail=tail)[0])


def of_the_guardrail(r: np.ndarray, tail: float) -> float:
    """What ``tail_risk`` limits, for a book that holds one symbol with these past returns."""
    risk = pytest.importorskip("mnpu_guardrails.risk")
    from mnpu.types import Book

    rule = risk.TailRisk(cvar=1.0, level=tail, window=max(len(r), int(np.ceil(10 / tail))))
    rule.lookback = len(r)  # a recipe may not ask for so short a tail; the formula is the same
    past = r[:, None]
    book = Book(np.zeros(1), np.ones(1, dtype=bool), 1.0, 1.0, None, ("A",), past=past, periods_per_year=252.0)
    return float(rule.measure(np.ones(1), book)[0])


@pytest.mark.parametrize("place", [of_many, of_the_guardrail])
def test_every_place_has_the_exact_tail(place: Callable) -> None:
    tail_is_exact(place)
    fails(tail_is_exact, lambda r, tail: below_a_normal_quantile(r, tail))
    fails(tail_is_exact, lambda r, tail: place(r, min(2 * tail, 0.99)))


def a_shortfall_is_no_smaller_than_where_its_tail_begins(shortfall: Callable, at_risk: Callable) -> None:
    """In the sign of returns, CVaR <= VaR; and both grow with the size of the bets."""
    rng = np.random.default_rng(4)
    for n in (10, 37, 250):
        r = rng.standard_t(3, n) * 0.01
        for tail in (0.01, 0.05, 0.25, 0.5):
            assert -shortfall(r, tail=tail).value <= -at_risk(r, tail=tail).value + 1e-12
            assert shortfall(3 * r, tail=tail).value == pytest.approx(3 * shortfall(r, tail=tail).value)


def test_a_shortfall_lies_beyond_the_value_at_risk() -> None:
    a_shortfall_is_no_smaller_than_where_its_tail_begins(expected_shortfall, value_at_risk)
    fails(a_shortfall_is_no_smaller_than_where_its_tail_begins, value_at_risk, expected_shortfall)
    less = lambda r, tail: replace(expected_shortfall(r, tail=tail), value=expected_shortfall(r, tail=2 * tail).value)
    fails(a_shortfall_is_no_smaller_than_where_its_tail_begins, less, value_at_risk)


Flagged = Callable[[np.ndarray, float], Metric]


def few_bars_are_flagged(shortfall: Flagged) -> None:
    """A tail of n * alpha < 10 bars has a number and a warning beside it; of ten bars there is none."""
    r = 0.01 * np.random.default_rng(5).standard_normal(400)
    for n, tail, few in ((10, 0.25, True), (199, 0.05, True), (200, 0.05, False), (39, 0.25, True), (40, 0.25, False)):
        found = shortfall(r[:n], tail)
        assert found.value is not None
        assert bool(found.reason) == few


@pytest.mark.parametrize(
    "fault",
    [
        lambda r, tail: replace(expected_shortfall(r, tail=tail), reason=""),
        lambda r, tail: replace(expected_shortfall(r, tail=tail), reason="few" if len(r) < 30 else ""),
        lambda r, tail: replace(expected_shortfall(r, tail=tail), reason="few"),
    ],
    ids=["never", "by all bars", "always"],
)
def test_few_bars_are_flagged(fault: Flagged) -> None:
    few_bars_are_flagged(lambda r, tail: expected_shortfall(r, tail=tail))
    fails(few_bars_are_flagged, fault)


def judged(make_panel, rng, n: int) -> Result:
    panel = make_panel(50 * np.exp(np.cumsum(rng.normal(0, 0.01, (n + 2, 3)), axis=0)))
    made = a_result(panel, rng.normal(0, 0.3, (n, 3)))
    return replace(made, metrics=compute(made))


def test_the_report_says_that_a_tail_has_few_bars(make_panel, rng, tmp_path) -> None:
    for n, said in ((120, True), (400, False)):
        folder = tmp_path / str(n)
        folder.mkdir()
        report.write(judged(make_panel, rng, n), folder, ["md"], Registry.discover())
        assert ("only 6 bars in the tail" in (folder / "report.md").read_text(encoding="utf-8")) == said
