"""Effective number of trials: copies count once, independent trials each, and the order does not matter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from mnpu.errors import MnpuError
from mnpu.metrics import trials as metrics


def groups(rng, sizes, *, alike=0.8, bars=800) -> np.ndarray:
    """Trials in groups of a common correlation, none between them."""
    parts = [
        np.sqrt(alike) * rng.standard_normal(bars) + np.sqrt(1 - alike) * rng.standard_normal((size, bars))
        for size in sizes
    ]
    return 0.01 * np.concatenate(parts)


def test_copies_of_one_idea_are_one_trial(rng):
    r = 0.01 * rng.standard_normal(500)
    found = metrics.effective_trials(np.stack([r, 2 * r, r + 1e-4]))
    assert (found.n, found.n_effective, found.sharpe_variance) == (3, 1, 0.0)


def test_planted_groups_are_found_whatever_their_order(rng):
    sizes = (1, 30, 5, 12)
    r, truth = groups(rng, sizes), np.repeat(np.arange(4), sizes)
    order = rng.permutation(len(r))
    found = metrics.effective_trials(r[order])
    assert found.n_effective == 4
    same = found.labels[:, None] == found.labels
    np.testing.assert_array_equal(same, truth[order][:, None] == truth[order])
    assert found.labels[0] == 0


def test_independent_trials_all_count_even_over_a_short_record(rng):
    for bars in (20, 60, 2000):
        assert metrics.effective_trials(0.01 * rng.standard_normal((150, bars))).n_effective >= 148


def test_a_trial_and_its_opposite_are_two(rng):
    r = 0.01 * rng.standard_normal(300)
    assert metrics.effective_trials(np.stack([r, -r])).n_effective == 2


def test_trials_that_never_traded_are_one_with_a_ratio_of_zero(rng):
    r = np.concatenate([np.zeros((3, 400)), 0.01 + 0.01 * rng.standard_normal((1, 400))])
    found = metrics.effective_trials(r)
    np.testing.assert_array_equal(found.labels, [0, 0, 0, 1])
    ratio = r[3].mean() / r[3].std(ddof=1)
    assert found.sharpe_variance == pytest.approx(np.var([0.0, ratio], ddof=1))


def test_copies_do_not_move_the_variance_of_the_ratios(rng):
    r = 0.01 * rng.standard_normal((40, 500))
    once = metrics.effective_trials(r)
    ratios = r.mean(axis=1) / r.std(axis=1, ddof=1)
    assert once.sharpe_variance == pytest.approx(ratios.var(ddof=1))
    again = metrics.effective_trials(np.concatenate([r, np.repeat(r[:1], 200, axis=0)]))
    assert again.n_effective == once.n_effective
    assert again.sharpe_variance == pytest.approx(once.sharpe_variance)


@pytest.mark.parametrize("level", [-0.2, 0.1, 0.3, 0.6])
def test_clusters_are_those_of_average_linkage(level, rng):
    for n in (2, 3, 17, 60):
        similarity = np.corrcoef(groups(rng, (n // 2, n - n // 2), alike=0.3, bars=30))
        distance = squareform(1 - similarity, checks=False)
        theirs = hierarchy.fcluster(hierarchy.linkage(distance, "average"), 1 - level, "distance")
        ours = metrics.clusters(similarity, level)
        np.testing.assert_array_equal(ours[:, None] == ours, theirs[:, None] == theirs)


def test_trials_known_by_their_ratios_all_count_and_those_that_failed_have_none():
    found = metrics.counted_trials(np.array([0.1, np.nan, -0.02, 0.04]))
    assert (found.n, found.n_effective) == (4, 4)
    assert found.sharpe_variance == pytest.approx(np.var([0.1, -0.02, 0.04], ddof=1))
    assert metrics.counted_trials(np.array([0.1])).sharpe_variance == 0.0


def test_bad_trials_are_named(rng):
    r = rng.standard_normal((4, 50))
    r[2, 7] = np.nan
    with pytest.raises(MnpuError, match="trial 2 has a return that is not finite"):
        metrics.effective_trials(r)
    for shape in ((0, 50), (3, 4), (50,)):
        with pytest.raises(MnpuError, match="the returns of the trials have the shape"):
            metrics.effective_trials(np.zeros(shape))
