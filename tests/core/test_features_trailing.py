"""Windows hold their own bars and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu.features import trailing
from mnpu.features.trailing import (
    delayed,
    trailing_argmax,
    trailing_comoments,
    trailing_four_moments,
    trailing_max,
    trailing_mean,
    trailing_min,
    trailing_moments,
    trailing_std,
    trailing_sum,
    trailing_weighted,
)

#: Each function beside the same question asked of pandas.
AGAINST_PANDAS = {
    "sum": (trailing_sum, lambda rolling: rolling.sum()),
    "mean": (trailing_mean, lambda rolling: rolling.mean()),
    "max": (trailing_max, lambda rolling: rolling.max()),
    "min": (trailing_min, lambda rolling: rolling.min()),
    "std": (trailing_std, lambda rolling: rolling.std()),
}


def walks(seed: int, bars: int = 90, symbols: int = 3) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(size=(bars, symbols)), axis=0)


@pytest.mark.parametrize("name", AGAINST_PANDAS)
@pytest.mark.parametrize("window", [2, 3, 7, 8, 21, 90])
def test_a_window_gives_what_pandas_gives(name: str, window: int) -> None:
    ours, theirs = AGAINST_PANDAS[name]
    values = walks(window)
    expected = theirs(pd.DataFrame(values).rolling(window)).to_numpy()
    np.testing.assert_allclose(ours(values, window), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", AGAINST_PANDAS)
def test_a_missing_bar_makes_the_window_missing_until_it_has_left(name: str) -> None:
    values = walks(1, bars=30)
    values[10, 1] = np.nan
    result = AGAINST_PANDAS[name][0](values, 5)
    assert np.flatnonzero(np.isnan(result[4:, 1])).tolist() == [6, 7, 8, 9, 10]  # rows 10 to 14
    assert np.isfinite(result[4:, [0, 2]]).all()


@settings(max_examples=60, deadline=None)
@given(
    window=st.integers(2, 40),
    start=st.integers(0, 60),
    bars=st.integers(1, 60),
    name=st.sampled_from(sorted(AGAINST_PANDAS)),
)
def test_cutting_the_data_anywhere_changes_no_bit_of_a_full_window(
    window: int, start: int, bars: int, name: str
) -> None:
    ours, values = AGAINST_PANDAS[name][0], walks(7, bars=130)
    whole, part = ours(values, window), ours(values[start : start + bars], window)
    full = slice(window - 1, None)
    np.testing.assert_array_equal(part[full], whole[start : start + bars][full])
    assert np.isnan(part[: window - 1]).all()


def test_a_constant_window_has_no_deviation_at_all() -> None:
    mean, squares = trailing_moments(np.full((40, 1), 0.1), 13)
    assert (squares[12:] == 0).all()
    assert (mean[12:] == 0.1).all()


def test_deviations_survive_a_level_that_dwarfs_them() -> None:
    values = 1e9 + np.random.default_rng(3).normal(size=(60, 1))
    expected = [np.std(values[t - 19 : t + 1, 0], ddof=1) for t in range(19, 60)]
    np.testing.assert_allclose(trailing_std(values, 20)[19:, 0], expected, rtol=1e-6)


def test_a_window_of_one_bar_is_a_copy() -> None:
    values = walks(2)
    result = trailing_sum(values, 1)
    np.testing.assert_array_equal(result, values)
    assert not np.shares_memory(result, values)


def test_looking_ahead_is_refused() -> None:
    with pytest.raises(ValueError, match="never ahead"):
        delayed(walks(0), -1)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one bar"):
        trailing_sum(walks(0), 0)


def test_a_delay_longer_than_the_data_leaves_nothing() -> None:
    assert np.isnan(delayed(walks(0, bars=4), 9)).all()


def walks_with_holes(bars: int = 140, symbols: int = 70) -> np.ndarray:
    values = walks(9, bars, symbols)
    values[60, 3] = values[:20, 5] = np.nan
    return values


def several(values: np.ndarray, window: int) -> dict[str, tuple[np.ndarray, ...]]:
    """Everything that this module says about windows."""
    others = values[:, ::-1] ** 2
    return {
        "sum": (trailing_sum(values, window),),
        "max": (trailing_max(values, window),),
        "min": (trailing_min(values, window),),
        "moments": trailing_moments(values, window),
        "weighted": trailing_weighted(values, window),
        "argmax": trailing_argmax(values, window),
        "four_moments": trailing_four_moments(values, window),
        "comoments": trailing_comoments(values, others, window),
    }


@pytest.mark.parametrize("window", [1, 2, 3, 14, 20, 31, 32, 137])
def test_compiled_code_gives_the_bits_of_numpy(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = walks_with_holes()
    fast = several(values, window)
    monkeypatch.setattr(trailing, "_compiles", lambda: False)
    for name, parts in several(values, window).items():
        for ours, theirs in zip(fast[name], parts, strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_weights_rise_towards_the_present() -> None:
    total, weighted = trailing_weighted(np.array([[5.0], [1.0], [2.0], [4.0]]), 3)
    np.testing.assert_array_equal(total[2:, 0], [8, 7])
    np.testing.assert_array_equal(weighted[2:, 0], [1 * 5 + 2 * 1 + 3 * 2, 1 * 1 + 2 * 2 + 3 * 4])


def test_of_equal_extremes_the_latest_counts() -> None:
    largest, ago = trailing_argmax(np.array([[3.0], [1.0], [3.0], [2.0], [np.nan], [1.0]]), 4)
    assert (largest[3, 0], ago[3, 0]) == (3.0, 1.0)
    assert np.isnan(ago[4:]).all()


def test_moments_of_pairs_are_those_of_numpy() -> None:
    one, two = walks(4), walks(5)
    *means, square, square_other, product = trailing_comoments(one, two, 25)
    part = one[40:65, 1], two[40:65, 1]
    expected = np.cov(*part, ddof=0) * 25
    assert [mean[64, 1] for mean in means] == pytest.approx([part[0].mean(), part[1].mean()])
    assert [square[64, 1], product[64, 1], square_other[64, 1]] == pytest.approx(
        [expected[0, 0], expected[0, 1], expected[1, 1]]
    )
