"""Probability of backtest overfitting: the paper's steps taken one by one, and what the number promises."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from mnpu.errors import MnpuError
from mnpu.metrics import overfitting as metrics


def step_by_step(returns: np.ndarray, blocks: int):
    """Every split by itself, with the bars themselves: logits, in sample, out of sample, chosen."""
    parts = np.array_split(np.arange(returns.shape[1]), blocks)
    rows = []
    for picked in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[b] for b in picked])
        outside = np.concatenate([parts[b] for b in range(blocks) if b not in picked])
        ratio = lambda bars: returns[:, bars].mean(axis=1) / returns[:, bars].std(axis=1, ddof=1)
        one, other = ratio(inside), ratio(outside)
        best = int(np.argmax(one))
        relative = stats.rankdata(other)[best] / (len(returns) + 1)
        rows.append((np.log(relative / (1 - relative)), one[best], other[best], best))
    return np.array(rows).T


@pytest.mark.parametrize(("blocks", "n", "cells"), [(2, 3, 2**17), (6, 7, 2**17), (8, 20, 100)])
def test_every_split_is_judged_as_the_paper_says(blocks, n, cells, rng, monkeypatch):
    monkeypatch.setattr(metrics, "CELLS", cells)  # in one part, and in many
    returns = 0.0005 + 0.01 * rng.standard_normal((n, 48 * blocks))
    logits, inside, outside, chosen = step_by_step(returns, blocks)
    found = metrics.pbo(returns, blocks=blocks)
    np.testing.assert_allclose(found.logits, logits, atol=1e-9)
    np.testing.assert_allclose(found.in_sample, inside)
    np.testing.assert_allclose(found.out_of_sample, outside)
    np.testing.assert_array_equal(found.chosen, chosen)
    assert found.pbo == np.mean(logits <= 0)
    assert found.probability_of_loss == np.mean(outside < 0)
    if blocks > 2:
        assert found.slope == pytest.approx(np.polyfit(inside, outside, 1)[0])


def test_blocks_differ_by_one_bar_where_bars_do_not_divide(rng):
    returns = 0.01 * rng.standard_normal((5, 101))
    found = metrics.pbo(returns, blocks=4)
    assert len(found.logits) == 6
    edges = np.linspace(0, 101, 5).round().astype(int)
    assert set(np.diff(edges)) == {25, 26}
    first = np.r_[edges[0] : edges[2]]
    ratios = returns[:, first].mean(axis=1) / returns[:, first].std(axis=1, ddof=1)
    assert found.in_sample[0] == pytest.approx(ratios.max())


def test_sixteen_blocks_make_12870_splits_and_an_edge_is_never_overfit(rng):
    returns = 0.01 * rng.standard_normal((50, 1600))
    returns[17] += 0.004
    found = metrics.pbo(returns)
    assert (found.blocks, len(found.logits), found.pbo, found.probability_of_loss) == (16, 12870, 0.0, 0.0)
    assert set(found.chosen) == {17}


def test_a_rule_made_for_one_half_is_overfit(rng):
    # every strategy earns in some blocks what it loses in the others: the better in sample, the worse out of sample
    signs = np.array([rng.permutation(np.repeat([1, -1], 4)) for _ in range(60)])
    returns = 0.002 * np.repeat(signs, 50, axis=1) + 0.01 * rng.standard_normal((60, 400))
    found = metrics.pbo(returns, blocks=8)
    assert found.pbo > 0.95
    assert found.slope < -0.5
    assert found.probability_of_loss > 0.9


def test_strategies_that_never_trade_count_as_zero_and_share_their_rank(rng):
    returns = np.zeros((5, 64))
    returns[4] = -0.01 + 0.001 * rng.standard_normal(64)
    found = metrics.pbo(returns, blocks=4)
    assert set(found.chosen) == {0}
    np.testing.assert_allclose(found.out_of_sample, 0.0)
    np.testing.assert_allclose(found.logits, np.log(3.5 / 2.5))  # four share the ranks 2 to 5 of five
    assert np.isnan(found.slope)


def test_bad_input_is_refused(rng):
    returns = rng.standard_normal((4, 64))
    for blocks in (3, 0, 26):
        with pytest.raises(MnpuError, match=f"number of blocks is {blocks}"):
            metrics.pbo(returns, blocks=blocks)
    with pytest.raises(MnpuError, match=r"shape \(1, 64\)"):
        metrics.pbo(returns[:1], blocks=4)
    with pytest.raises(MnpuError, match=r"shape \(4, 31\)"):
        metrics.pbo(returns[:, :31])
    returns[3, 3] = np.inf
    with pytest.raises(MnpuError, match="strategy 3 has a return that is not finite"):
        metrics.pbo(returns, blocks=4)
