"""Ranks over data sets, and how far apart they must be: Demsar's tables, scipy, and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from mnpu.errors import ConfigError
from mnpu.sweep.catalogue import Catalogue, Entry
from mnpu.sweep.differences import compared, critical_difference, critical_value, pareto, ranked
from mnpu.sweep.kept import Kept
from mnpu.sweep.pictures import critical_differences, pareto_front

#: Demsar (2006), table 5 (a).
AT_5 = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}
AT_10 = {2: 1.645, 3: 2.052, 4: 2.291, 5: 2.459, 6: 2.589, 7: 2.693, 8: 2.780, 9: 2.855, 10: 2.920}


@pytest.mark.parametrize(("alpha", "table"), [(0.05, AT_5), (0.10, AT_10)])
def test_critical_values_are_those_of_the_paper_and_of_scipy(alpha, table):
    for k, value in table.items():
        assert critical_value(k, alpha) == pytest.approx(value, abs=1e-3)
    for k in (2, 5, 20, 40):
        expected = stats.studentized_range.ppf(1 - alpha, k, np.inf) / np.sqrt(2)
        assert critical_value(k, alpha) == pytest.approx(expected, abs=1e-6)


def test_the_distance_of_the_papers_example():
    """Four classifiers on 14 data sets: 2.569 sqrt(4 * 5 / (6 * 14)) = 1.25."""
    assert critical_difference(4, 14, 0.05) == pytest.approx(1.25, abs=0.005)


def test_ranks_are_scipys(rng):
    values = rng.integers(0, 4, (30, 6)).astype(float)
    np.testing.assert_array_equal(ranked(values), stats.rankdata(values, axis=1))


def test_what_only_rounding_parts_shares_its_ranks(rng):
    """Seeds of two recipes that are one strategy, as under a cap, whose means differ in the last bit."""
    values = rng.normal(size=(20, 3))
    values[:, 2] = values[:, 1] * (1 + 4e-16)
    assert (values[:, 1] != values[:, 2]).any()
    values[0] = 0.0
    expected = stats.rankdata(np.column_stack([values[:, :2], values[:, 1]]), axis=1)
    np.testing.assert_array_equal(ranked(values), expected)


def test_two_names_of_one_treatment_are_not_told_apart_by_rounding(rng):
    scores = np.repeat(rng.normal(1.0, 0.3, (30, 1)), 2, axis=1)
    scores[:, 1] = np.nextafter(scores[:, 1], 2.0)
    found = compared(catalogue(scores), metric="sharpe", direction="maximise")
    assert found.ranks.tolist() == [1.5, 1.5]
    assert found.p == 1.0
    assert found.groups == [[0, 1]]


def catalogue(scores, *, seeds=1, failed=(), rng=None):
    """A catalogue with these mean scores (N, k); seeds lie around them without moving their mean."""
    entries = []
    for i, j in itertools.product(range(len(scores)), range(len(scores[0]))):
        off = np.zeros(seeds) if rng is None else rng.normal(0, 1e-3, seeds)
        for seed, value in enumerate(scores[i][j] + off - off.mean()):
            if (i, j) not in failed:
                axes = {"market": f"m{i}", "model": f"t{j}", "seed": str(seed)}
                entries.append(Entry(f"r{i}{j}{seed}", "k", axes, "d", {"sharpe": value, "seconds": 10.0**j}, {}))
    kept = Kept("s", ["market", "model", "seed"], "model", ["market"], "sharpe", "maximise", len(entries))
    return Catalogue(kept, entries, [])


def test_seeds_are_averaged_before_anything_is_ranked(rng):
    scores = rng.normal(size=(5, 4))
    one = compared(catalogue(scores), metric="sharpe", direction="maximise")
    many = compared(catalogue(scores, seeds=7, rng=rng), metric="sharpe", direction="maximise")
    assert one.treatments == many.treatments
    np.testing.assert_allclose(one.ranks, many.ranks)
    assert len(many.datasets) == 5, "seeds are no data sets of their own"
    assert one.distance == many.distance


def test_friedman_is_scipys_and_its_p_value_is_that_of_all_permutations(rng):
    scores = rng.normal([0.0, 0.7, 1.0], size=(4, 3))
    found = compared(catalogue(scores), metric="sharpe", direction="maximise")
    assert found.friedman == pytest.approx(stats.friedmanchisquare(*scores.T).statistic)
    every = list(itertools.permutations([1.0, 2.0, 3.0]))
    reached = [
        12 * 4 / 12 * (np.mean(rows, axis=0) @ np.mean(rows, axis=0) - 12) >= found.friedman - 1e-9
        for rows in itertools.product(every, repeat=4)
    ]
    assert found.p == pytest.approx(np.mean(reached), abs=0.012)


def test_the_direction_turns_the_ranks(rng):
    scores = rng.normal(size=(6, 3))
    up = compared(catalogue(scores), metric="sharpe", direction="maximise")
    down = compared(catalogue(scores), metric="sharpe", direction="minimise")
    assert dict(zip(up.treatments, 4 - up.ranks, strict=True)) == pytest.approx(
        dict(zip(down.treatments, down.ranks, strict=True))
    )


def test_groups_are_the_largest_that_are_within_the_distance():
    scores = np.tile([4.0, 3.0, 2.0, 1.0], (30, 1))
    found = compared(catalogue(scores), metric="sharpe", direction="maximise")
    assert (found.treatments, found.groups) == (["t0", "t1", "t2", "t3"], [])
    few = compared(catalogue(scores[:5]), metric="sharpe", direction="maximise")
    assert few.distance == pytest.approx(2.098, abs=0.001)
    assert few.groups == [[0, 1, 2], [1, 2, 3]]


def test_seeds_that_change_nothing_have_no_deviation():
    found = compared(catalogue(np.array([[0.1, 0.7]]), seeds=3), metric="sharpe", direction="maximise")
    assert np.std([0.1, 0.1, 0.1]) > 0  # what is to be hidden: 0.1 three times over three is not 0.1
    assert found.spread.tolist() == [[0.0, 0.0]]


def test_a_data_set_where_one_is_missing_is_left_out_and_named(rng):
    found = compared(catalogue(rng.normal(size=(4, 3)), failed={(2, 1)}), metric="sharpe", direction="maximise")
    assert found.left_out == ["m2"]
    assert found.datasets == ["m0", "m1", "m3"]
    with pytest.raises(ConfigError, match="1 places on 'model'"):
        compared(catalogue([[1.0]]), metric="sharpe", direction="maximise")
    with pytest.raises(ConfigError, match="no metric 'sharp'"):
        compared(catalogue([[1.0, 2.0]]), metric="sharp", direction="maximise")


def test_the_front_is_what_none_other_beats_in_both(rng):
    points = {f"p{n}": tuple(xy) for n, xy in enumerate(rng.normal(size=(60, 2)))}
    front = pareto(points, better=["minimise", "maximise"])
    brute = {
        a for a, (x, y) in points.items() if not any(u < x and v > y for b, (u, v) in points.items() if b != a)
    }  # no ties here
    assert set(front) == brute
    assert [points[name][0] for name in front] == sorted(points[name][0] for name in front)


def test_pictures_are_well_formed_and_the_same_for_the_same_numbers(rng):
    from xml.etree import ElementTree

    scores = rng.normal(size=(5, 4))
    for k in (2, 3, 4):
        found = catalogue(scores[:, :k])
        drawn = [
            (
                pareto_front(found, x="seconds", y="sharpe"),
                critical_differences(compared(found, metric="sharpe", direction="maximise")),
            )
            for _ in range(2)
        ]
        assert drawn[0] == drawn[1]
        for text in drawn[0]:
            assert ElementTree.fromstring(text).tag.endswith("svg")
            assert "nan" not in text
