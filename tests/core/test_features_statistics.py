"""What a column is like: against pandas, loops over cells and closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from mnpu.features.clusters import cluster, rank_correlations
from mnpu.features.statistics import autocorrelation, coverage, distribution, staleness

ALL = np.ones((6, 2), dtype=bool)


def with_holes(rng, shape=(60, 5), share=0.2):
    values = rng.standard_normal(shape).astype(np.float32)
    values[rng.random(shape) < share] = np.nan
    return values, rng.random(shape) > 0.1


def test_coverage_counts_only_cells_in_which_a_decision_could_be_made():
    values = np.array([[np.nan, np.nan], [1, np.nan], [2, 3], [np.nan, 4], [5, np.nan], [6, 7]], dtype=np.float32)
    cells = ALL.copy()
    cells[0, 1] = cells[5, 0] = False  # a value that nobody could use does not count either
    found = coverage(values, cells, np.array([2001, 2001, 2001, 2002, 2002, 2003]))
    assert found.share == pytest.approx(6 / 10)
    assert found.by_year == {2001: pytest.approx(3 / 5), 2002: pytest.approx(2 / 4), 2003: 1.0}
    assert (found.first, found.last) == (1, 5)


def test_a_year_without_a_cell_has_no_share():
    cells = ALL.copy()
    cells[3:] = False
    years = np.array([2001] * 3 + [2002] * 3)
    assert coverage(np.ones((6, 2), np.float32), cells, years).by_year == {2001: 1.0, 2002: None}


def test_staleness_counts_bars_since_the_value_changed_across_a_hole():
    values = np.array([[1, 5], [1, 6], [np.nan, 6], [1, 6], [2, 6], [2, 7]], dtype=np.float32)
    found = staleness(values, ALL)
    ages = [0, 1, 3, 0, 1, *[0, 0, 1, 2, 3, 0]]  # by symbol
    assert found.mean == pytest.approx(np.mean(ages))
    assert found.median == np.median(ages)
    assert found.most == 3
    assert found.unchanged == pytest.approx(np.mean(np.array(ages) > 0))


def test_distribution_agrees_with_pandas(rng):
    values, cells = with_holes(rng, (400, 7))
    known = pd.Series(values[cells].astype(float)).dropna()
    found = distribution(values, cells)
    assert found.n == len(known)
    assert (found.mean, found.sd) == (pytest.approx(known.mean()), pytest.approx(known.std()))
    for level, value in found.quantiles.items():
        assert value == pytest.approx(known.quantile(level))
    n = len(known)  # pandas corrects its skew for the size of the sample
    assert found.skew == pytest.approx(known.skew() * (n - 2) / np.sqrt(n * (n - 1)))
    spread = 1.4826 * (known - known.median()).abs().median()
    assert found.extremes == pytest.approx(((known - known.median()).abs() > 5 * spread).mean())


def test_shares_of_zeros_and_of_the_commonest_value():
    values = np.array([[0, 0], [0, 2], [2, 2], [2, 3], [np.nan, 0], [2, np.nan]], dtype=np.float32)
    found = distribution(values, ALL)
    assert found.zeros == pytest.approx(4 / 10)
    assert found.commonest == pytest.approx(5 / 10)


def test_a_constant_has_no_shape():
    found = distribution(np.full((6, 2), 3.1, np.float32), ALL)
    assert not found.varies
    assert (found.skew, found.kurtosis, found.extremes) == (None, None, None)


def test_nothing_has_no_distribution_and_no_age():
    nothing = np.full((6, 2), np.nan, np.float32)
    assert distribution(nothing, ALL) is None
    assert staleness(nothing, ALL) is None
    assert autocorrelation(nothing, ALL, (1,)) == [None]


def test_an_autoregression_has_powers_of_its_coefficient(rng):
    shocks = rng.standard_normal((20_000, 4))
    values = np.empty_like(shocks)
    values[0] = shocks[0]
    for t in range(1, len(values)):
        values[t] = 0.9 * values[t - 1] + shocks[t]
    cells = np.ones(values.shape, dtype=bool)
    values += [0, 10, -5, 100]  # each symbol has a level of its own
    found = autocorrelation(values.astype(np.float32), cells, (1, 5, 20))
    assert found == [pytest.approx(0.9**lag, abs=0.03) for lag in (1, 5, 20)]


def test_autocorrelation_with_holes_agrees_with_a_loop_over_pairs(rng):
    values, cells = with_holes(rng, (200, 3))
    expected = []
    for lag in (1, 5):
        by_symbol = []
        for a in range(3):
            x = np.where(cells[:, a], values[:, a], np.nan).astype(float)
            x = x - np.nanmean(x)
            pairs = [x[t] * x[t - lag] for t in range(lag, len(x)) if np.isfinite(x[t] * x[t - lag])]
            by_symbol.append(np.mean(pairs) / np.nanmean(x**2))
        expected.append(np.mean(by_symbol))
    assert autocorrelation(values, cells, (1, 5)) == [pytest.approx(r, abs=1e-7) for r in expected]


def test_too_few_pairs_have_no_autocorrelation(rng):
    assert autocorrelation(rng.standard_normal((21, 2)).astype(np.float32), np.ones((21, 2), bool), (1, 5)) == [
        pytest.approx(0.0, abs=1.0),
        None,
    ]


def test_rank_correlations_agree_with_pandas_where_nothing_is_missing(rng):
    values = rng.standard_normal((80, 6, 5)).round(1)
    values[..., 1] = np.exp(values[..., 0])  # the same order
    values[..., 2] = -values[..., 0]
    values[..., 4] = 7.0
    cells = rng.random((80, 6)) > 0.2
    expected = pd.DataFrame(values[cells]).corr(method="spearman").to_numpy()
    found = rank_correlations(values.astype(np.float32), cells)
    np.testing.assert_allclose(found[:4, :4], expected[:4, :4], atol=1e-9)
    assert np.isnan(found[4]).all()


def test_rank_correlations_with_holes_are_those_of_the_ranks_that_both_have(rng):
    values, cells = rng.standard_normal((90, 4, 3)), np.ones((90, 4), dtype=bool)
    values[..., 1] += values[..., 0]
    values[rng.random(values.shape) < 0.15] = np.nan
    frame = pd.DataFrame(values.reshape(-1, 3)).rank()  # among all values of the column
    np.testing.assert_allclose(rank_correlations(values, cells), frame.corr().to_numpy(), atol=1e-9)


def grouped(distance, threshold):
    """Average linkage by brute force: join the two groups that are nearest on average, while they are near enough."""
    groups = [[f] for f in range(len(distance))]
    while len(groups) > 1:
        apart = {
            (i, j): np.mean([distance[a, b] for a in groups[i] for b in groups[j]])
            for i, j in itertools.combinations(range(len(groups)), 2)
        }
        (i, j), height = min(apart.items(), key=lambda item: item[1])
        if height > 1 - threshold:
            break
        groups[i] += groups.pop(j)
    return {frozenset(group) for group in groups}


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_clusters_are_those_of_average_linkage(rng, threshold):
    shared = rng.standard_normal((300, 4))
    mixed = shared[:, rng.integers(0, 4, 14)] * rng.choice([-1, 1], 14) + rng.uniform(
        0.1, 1.5, 14
    ) * rng.standard_normal((300, 14))
    correlations = np.corrcoef(mixed.T)
    found = cluster(correlations, threshold=threshold)
    assert {frozenset(group) for group in found.groups} == grouped(1 - np.abs(correlations), threshold)
    assert sorted(found.order.tolist()) == list(range(14))
    places = found.number[found.order]  # each cluster is one stretch of the order
    assert (np.diff(places) >= 0).all()


def test_a_column_without_a_correlation_is_a_cluster_of_its_own():
    correlations = np.array([[1, 0.9, np.nan], [0.9, 1, np.nan], [np.nan, np.nan, np.nan]])
    assert cluster(correlations).groups == [[0, 1], [2]]
    assert cluster(np.ones((1, 1))).groups == [[0]]
