"""Four traps of statistics: each has a law that ours keep, and that every known way to get it wrong breaks.

A law takes the thing that it judges as an argument. So the faults can be planted: a law that lets one pass is itself
at fault, and its test fails.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from mnpu.metrics import dependence, many, overfitting, returns, significance, trials

Q = 252.0


def fails(law: Callable[[Callable], None], fault: Callable) -> None:
    """The law tells the fault from what is right."""
    with pytest.raises(AssertionError):
        law(fault)


# Sharpe ratios are annualised by the root of the bars per year of the calendar, and so is their error.


def ratio_does_not_depend_on_the_bar(sharpe: Callable[[np.ndarray, float], returns.Metric]) -> None:
    """Hours, days and months of the same independent returns tell the same ratio a year, within its error."""
    hours = 0.0001 + 0.002 * np.random.default_rng(1).standard_normal(252 * 6 * 40)
    found = [
        sharpe(hours, 252.0 * 6),
        sharpe(hours.reshape(-1, 6).sum(axis=1), 252.0),
        sharpe(hours.reshape(-1, 6 * 21).sum(axis=1), 12.0),
    ]
    for one in found:
        assert one.value == pytest.approx(found[0].value, abs=3 * found[0].se)
        assert one.se == pytest.approx(1 / np.sqrt(40), rel=0.1)  # of 40 years, whatever the bar


def test_d10_sharpe_is_annualised_with_the_calendar() -> None:
    ratio_does_not_depend_on_the_bar(returns.sharpe)


def scaled(metric: returns.Metric, value: float, error: float) -> returns.Metric:
    return returns.Metric("sharpe", metric.value * value, metric.unit, se=metric.se * error)


@pytest.mark.parametrize(
    "fault",
    [
        lambda r, q: returns.sharpe(r, 252.0),  # vectorbt 294, ffn 303, quantstats 116: always days
        lambda r, q: scaled(returns.sharpe_bar(r), q, q),
        lambda r, q: returns.sharpe_bar(r),
        lambda r, q: scaled(returns.sharpe_bar(r), np.sqrt(q), 1.0),  # point and interval in different units
    ],
    ids=["always 252", "times q", "per bar", "error per bar"],
)
def test_d10_law_finds(fault) -> None:
    fails(ratio_does_not_depend_on_the_bar, fault)


def ratio_is_that_of_the_years(sharpe: Callable[[np.ndarray, float], returns.Metric]) -> None:
    """Of returns that carry on, the ratio is that of yearly sums, not of days taken for independent."""
    rho, years = 0.3, 400
    noise = np.random.default_rng(2).standard_normal(252 * years)
    days = np.empty_like(noise)
    days[0] = noise[0]
    for t in range(1, len(noise)):
        days[t] = rho * days[t - 1] + np.sqrt(1 - rho**2) * noise[t]
    days = 0.0006 + 0.01 * days
    truth = 0.06 * np.sqrt(Q) / np.sqrt((1 + rho) / (1 - rho))  # the variance of a year is that much larger
    by_year = days.reshape(years, 252).sum(axis=1)
    assert by_year.mean() / by_year.std(ddof=1) == pytest.approx(truth, rel=0.15)
    assert sharpe(days, Q).value == pytest.approx(truth, rel=0.1)


def test_d10_autocorrelation_is_allowed_for() -> None:
    ratio_is_that_of_the_years(dependence.sharpe_lo)
    fails(ratio_is_that_of_the_years, returns.sharpe)


# Returns compound, and a drawdown starts from the capital put in.


def drawdown_compounds(deepest: Callable[[np.ndarray], float]) -> None:
    assert deepest(np.array([0.5, 0.5, -0.5, -0.5])) == pytest.approx(-0.75)
    assert deepest(np.array([-0.1, 0.05])) == pytest.approx(-0.1)
    assert deepest(np.array([0.1, 0.1])) == 0.0


def ours(r: np.ndarray) -> float:
    return returns.max_drawdown(many.equity(r)).value


def from_the_peak(equity: np.ndarray) -> float:
    return float((equity / np.maximum.accumulate(equity) - 1).min())


def test_d11_drawdown_compounds_and_starts_at_the_start() -> None:
    drawdown_compounds(ours)
    drawdown_compounds(
        lambda r: float(
            many.simple_statistics(np.tile(np.append(r, 0.0), (2, 1)), periods_per_year=Q, years=1.0)["max_drawdown"][1]
        )
    )


@pytest.mark.parametrize(
    "fault",
    [
        lambda r: from_the_peak(np.append(1.0, 1 + np.cumsum(r))),
        lambda r: float((np.cumsum(r) - np.maximum.accumulate(np.cumsum(r))).min()),
        lambda r: from_the_peak(np.cumprod(1 + r)),
        lambda r: from_the_peak(np.append(1.0, np.exp(np.cumsum(r)))),
    ],
    ids=["sums", "sums without a base", "without the start", "simple taken for log"],
)
def test_d11_law_finds(fault) -> None:
    fails(drawdown_compounds, fault)


# The expected shortfall is the mean of an exact tail.


def tail_is_exact(shortfall: Callable[[np.ndarray, float], float]) -> None:
    """Rockafellar and Uryasev: min over c of c + mean(max(loss - c, 0)) / tail; and the closed form of a normal law."""
    worked = np.array([0.05, -0.04, 0.03, -0.02, 0.01, 0.02, -0.01, -0.06, 0.0, 0.04])
    assert shortfall(worked, 0.25) == pytest.approx((0.06 + 0.04 + 0.5 * 0.02) / 2.5)
    rng = np.random.default_rng(3)
    for n, tail in ((10, 0.25), (33, 0.05), (97, 0.1), (250, 0.05)):
        fat = rng.standard_t(3, n) * 0.01
        losses = -fat
        least = min(c + np.maximum(losses - c, 0).mean() / tail for c in losses)
        assert shortfall(fat, tail) == pytest.approx(least, rel=1e-9)
        # a sum of two books has no more than the sum of the two, and a tail loses no less than where it begins
        other = rng.permutation(fat)
        assert shortfall(fat + other, tail) <= shortfall(fat, tail) + shortfall(other, tail) + 1e-12
        assert shortfall(fat, tail) >= float(many.value_at_risk(np.sort(fat), tail=tail)) - 1e-12
    normal = 0.01 * rng.standard_normal(200_000)
    assert shortfall(normal, 0.05) == pytest.approx(0.01 * 2.06271, rel=0.02)  # phi(z) / 0.05


def ours_in_the_tail(r: np.ndarray, tail: float) -> float:
    return returns.expected_shortfall(r, tail=tail).value


def below_a_normal_quantile(r: np.ndarray, tail: float) -> float:  # quantstats 547
    threshold = r.mean() + r.std(ddof=1) * {0.25: -0.67449, 0.1: -1.28155, 0.05: -1.64485}[tail]
    return float(-r[r < threshold].mean())


def test_d13_the_tail_is_exact_and_a_small_one_is_flagged() -> None:
    tail_is_exact(ours_in_the_tail)
    assert "only 2.5 bars" in returns.expected_shortfall(np.linspace(-1, 1, 10), tail=0.25).reason
    assert returns.expected_shortfall(np.linspace(-1, 1, 200)).reason == ""


@pytest.mark.parametrize(
    "fault",
    [
        below_a_normal_quantile,
        lambda r, tail: float(-np.sort(r)[: int((len(r) - 1) * tail) + 1].mean()),  # whole bars
        lambda r, tail: float(-r[r <= np.quantile(r, tail)].mean()),
        lambda r, tail: float(-np.quantile(r, tail)),  # the quantile for the tail
        lambda r, tail: -ours_in_the_tail(r, tail),
    ],
    ids=["parametric threshold", "whole bars", "below the quantile", "value at risk", "sign"],
)
def test_d13_law_finds(fault) -> None:
    fails(tail_is_exact, fault)


# The best of many trials is judged as the best of many.

TRIALS, BARS, REPEATS = 1_000, 1_000, 20


@cache
def worthless(seed: int) -> np.ndarray:
    found = 0.01 * np.random.default_rng(seed).standard_normal((TRIALS, BARS))
    found.flags.writeable = False
    return found


def with_an_edge(seed: int) -> np.ndarray:
    """One of the thousand earns an annual Sharpe ratio of 4: 8 standard errors over four years."""
    found = worthless(seed).copy()
    found[7] += 0.01 * 4 / np.sqrt(Q)
    return found


def luck_does_not_pass(judge: Callable[[np.ndarray], float]) -> None:
    """The best of 1,000 worthless strategies passes in one case of twenty at most; a true edge among them passes."""
    passed = [judge(worthless(seed)) >= 0.95 for seed in range(REPEATS)]
    assert np.mean(passed) <= 0.05
    assert all(judge(with_an_edge(seed)) >= 0.95 for seed in range(3))


def best(r: np.ndarray) -> tuple[float, int, float, float, np.ndarray]:
    known = many.moments(r)
    ratios = many.sharpe_bar(known)
    i = int(np.argmax(ratios))
    return float(ratios[i]), known.n, float(known.skew[i]), float(known.kurtosis[i]), ratios


def deflated(r: np.ndarray) -> float:
    *of_the_best, ratios = best(r)
    return significance.deflated_sharpe(*of_the_best, trials_sharpe_variance=float(ratios.var(ddof=1)), n_trials=len(r))


def deflated_by_clusters(r: np.ndarray) -> float:
    *of_the_best, _ = best(r)
    found = trials.effective_trials(r)
    return significance.deflated_sharpe(
        *of_the_best, trials_sharpe_variance=found.sharpe_variance, n_trials=found.n_effective
    )


def test_d15_a_thousand_random_strategies_do_not_pass_and_a_true_edge_does() -> None:
    raw = [best(worthless(seed))[0] * np.sqrt(Q) for seed in range(5)]
    assert min(raw) > 1.0  # as a headline it would look well
    luck_does_not_pass(deflated)


def test_d15_independent_trials_are_all_counted() -> None:
    found = trials.effective_trials(worthless(0))
    assert found.n_effective == TRIALS
    assert found.sharpe_variance == pytest.approx(1 / BARS, rel=0.15)
    assert deflated_by_clusters(worthless(0)) < 0.95
    assert deflated_by_clusters(with_an_edge(0)) >= 0.95


def counted(r: np.ndarray, *, n: int | None = None, per_year: bool = False) -> float:
    *of_the_best, ratios = best(r)
    variance = float(ratios.var(ddof=1)) * (Q if per_year else 1.0)
    return significance.deflated_sharpe(*of_the_best, trials_sharpe_variance=variance, n_trials=n or len(r))


@pytest.mark.parametrize(
    "fault",
    [
        lambda r: significance.probabilistic_sharpe(*best(r)[:4]),
        lambda r: counted(r, n=10),
        lambda r: counted(r, per_year=True),
    ],
    ids=["no deflation", "trials forgotten", "variance per year"],
)
def test_d15_law_finds(fault) -> None:
    fails(luck_does_not_pass, fault)


def choosing_is_judged(overfit: Callable[[np.ndarray], float]) -> None:
    """Among worthless strategies the chosen one is below the median half the time; a true edge stays on top."""
    few = [worthless(seed)[:100] for seed in range(REPEATS)]
    found = np.array([overfit(r) for r in few])
    assert found.mean() == pytest.approx(0.5, abs=0.15)  # three standard errors of the mean of twenty
    edge = [with_an_edge(seed)[:100] for seed in range(3)]
    assert max(overfit(r) for r in edge) < 0.02


def judged_where_it_was_chosen(r: np.ndarray) -> float:
    halves = r[:, ::2], r[:, ::2]
    first, second = (many.sharpe_bar(many.moments(half)) for half in halves)
    return float(np.mean(second[np.argmax(first)] <= np.median(second)))


def test_d15_overfitting_is_one_half_among_the_worthless_and_nil_with_an_edge() -> None:
    choosing_is_judged(lambda r: overfitting.pbo(r, blocks=8).pbo)
    assert overfitting.pbo(with_an_edge(0)).pbo < 0.02


@pytest.mark.parametrize(
    "fault",
    [judged_where_it_was_chosen, lambda r: 1.0 - overfitting.pbo(r, blocks=8).pbo],
    ids=["same half", "upside down"],
)
def test_d15_law_of_choosing_finds(fault) -> None:
    fails(choosing_is_judged, fault)
