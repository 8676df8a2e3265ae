"""Scaling knows the training range, and nothing else."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mnpu.data.scaling import Scaler
from mnpu.errors import DataError

TIMES = pd.date_range("2020-01-01", periods=40, freq="D", tz="UTC").as_unit("ns")


@pytest.fixture
def values(rng):
    x = rng.normal(3.0, 2.0, (40, 5, 3))
    x[4, 2, 1] = np.nan
    return x


def test_the_training_range_gets_mean_nought_and_deviation_one(values):
    scaled = Scaler.fit(values, times=TIMES, rows=(5, 25)).scale(values)[5:25]
    np.testing.assert_allclose(scaled.mean(axis=(0, 1)), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=(0, 1)), 1, atol=1e-6)


def test_multiplying_everything_else_by_ten_changes_neither_the_fit_nor_the_training_rows(values):
    other = values.copy()
    other[:5] *= 10
    other[25:] *= 10
    one, two = (Scaler.fit(x, times=TIMES, rows=(5, 25)) for x in (values, other))
    assert one.to_dict() == two.to_dict()
    np.testing.assert_array_equal(one.scale(values)[5:25], two.scale(other)[5:25])


def test_a_feature_with_gaps_in_the_training_range_brings_a_mask(values):
    scaler = Scaler.fit(values, times=TIMES, rows=(0, 25))
    scaled = scaler.scale(values)
    assert scaler.has_gaps.tolist() == [False, True, False]
    assert scaled.shape == (40, 5, 4)
    assert scaler.n_columns == 4
    assert scaled[4, 2, 1] == 0
    assert scaled[4, 2, 3] == 0
    assert scaled[..., 3].sum() == 40 * 5 - 1
    assert scaled.dtype == np.float32


def test_no_gap_in_the_training_range_means_no_mask_whatever_comes_later(values):
    scaler = Scaler.fit(values, times=TIMES, rows=(5, 25))
    values[30] = np.nan
    assert scaler.scale(values).shape == (40, 5, 3)
    assert (scaler.scale(values)[30] == 0).all()


def test_a_symbol_that_is_not_listed_yet_is_no_gap(values):
    values[:10, 3] = np.nan
    tradable = np.isfinite(values[..., 0])
    scaler = Scaler.fit(values, times=TIMES, rows=(5, 25), where=tradable)
    assert not scaler.has_gaps.any()
    cells = np.concatenate([values[5:25, a] for a in (0, 1, 2, 4)] + [values[10:25, 3]])
    np.testing.assert_allclose(scaler.mean, cells.mean(axis=0))
    np.testing.assert_allclose(scaler.std, cells.std(axis=0))


def test_a_constant_feature_becomes_nought():
    scaler = Scaler.fit(np.full((40, 2, 1), 0.1), times=TIMES, rows=(0, 40))
    np.testing.assert_allclose(scaler.scale(np.full((40, 2, 1), 0.1)), 0, atol=1e-6)
    assert scaler.std.tolist() == [1.0]


def test_scoring_inside_or_before_the_training_range_is_refused(values):
    scaler = Scaler.fit(values, times=TIMES, rows=(5, 25))
    assert (scaler.fit_start, scaler.fit_end) == (TIMES[5], TIMES[24])
    for rows in (slice(0, 5), slice(24, 30)):
        with pytest.raises(DataError, match="decisions after the training range"):
            scaler.transform(values[rows], TIMES[rows])
    np.testing.assert_array_equal(scaler.transform(values[25:], TIMES[25:]), scaler.scale(values[25:]))
    scaler.transform(values[5:25], TIMES[5:25], training=True)


def test_a_feature_without_any_value_is_refused(values):
    values[5:25, :, 2] = np.nan
    with pytest.raises(DataError, match="feature column 2 has no value in the training range"):
        Scaler.fit(values, times=TIMES, rows=(5, 25))


def test_the_state_survives_a_file_exactly(values):
    scaler = Scaler.fit(values, times=TIMES, rows=(0, 25))
    again = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    np.testing.assert_array_equal(again.scale(values), scaler.scale(values))
    assert again.fit_end == scaler.fit_end


@pytest.mark.parametrize("n_features", [1, 2, 4, 5, 6, 9])
def test_a_feature_is_fitted_and_scaled_the_same_in_any_layout_and_beside_any_number_of_others(rng, n_features):
    columns = rng.normal(1e3, 1.0, (n_features, 40, 7)).astype(np.float32)  # (F, T, A), as features are computed
    columns[rng.random(columns.shape) < 0.1] = np.nan
    listed = rng.random((40, 7)) < 0.8
    laid = [np.moveaxis(columns, 0, -1), np.ascontiguousarray(np.moveaxis(columns, 0, -1))]
    cells = laid[1][:30][listed[:30]].astype(float)  # (N, F), all features at once
    finite = np.isfinite(cells)
    mean = np.where(finite, cells, 0.0).sum(axis=0) / finite.sum(axis=0)
    std = np.sqrt((np.where(finite, cells - mean, 0.0) ** 2).sum(axis=0) / finite.sum(axis=0))
    for values in laid:
        scaler = Scaler.fit(values, times=TIMES, rows=(0, 30), where=listed)
        np.testing.assert_array_equal(scaler.mean, mean)
        np.testing.assert_array_equal(scaler.std, std)
        scaled = np.where(np.isfinite(values), (values - mean) / std, 0.0)
        masks = np.isfinite(values)[..., ~finite.all(axis=0)]
        np.testing.assert_array_equal(scaler.scale(values), np.concatenate([scaled, masks], -1).astype(np.float32))
