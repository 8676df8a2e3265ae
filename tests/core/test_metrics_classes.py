"""Scores of class probabilities, against loops, another library and laws that are known to be calibrated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mnpu.metrics import classes as metrics
from mnpu.types import Forecast


def drawn(rng: np.random.Generator, n: int, *, sharper: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 3), and classes drawn from them; ``sharper`` makes what is said surer than what is true."""
    truth = rng.dirichlet([1.5, 1.0, 1.5], n)
    classes = (rng.random((n, 1)) > truth.cumsum(axis=1)[:, :-1]).sum(axis=1)
    said = truth**sharper
    return said / said.sum(axis=1, keepdims=True), classes


def forecast_of(said: np.ndarray, classes: np.ndarray, symbols: int = 4) -> tuple[Forecast, np.ndarray]:
    """A forecast with these probabilities, and labels that fall into these classes under its thresholds."""
    shape = (len(classes) // symbols, symbols, 1)
    times = pd.date_range("2020-01-01", periods=shape[0], tz="UTC").as_unit("ns")
    quantiles = np.tile([-1.0, 0.0, 1.0], (*shape, 1))
    forecast = Forecast(
        *(times, tuple("ABCDEFGH"[:symbols]), (1,), (0.1, 0.5, 0.9), quantiles),
        probabilities=said.reshape(*shape, 3),
        evidence=np.full(shape, 9.0),
        thresholds=np.tile([-0.5, 0.5], (shape[0], 1, 1)),
    )
    return forecast, (classes.reshape(shape) - 1.0)


def test_an_outcome_is_the_class_that_training_would_give_it() -> None:
    torch = pytest.importorskip("torch", reason="the head needs it")
    from mnpu.nn.dirichlet_quantile import classes_of

    labels = np.array([[[-0.3, 5.0], [-0.2, -1.0]], [[0.0, 2.0], [0.4, np.nan]]])  # (T, A, H)
    thresholds = np.array([[[-0.2, 0.3], [0.0, 2.0]]] * 2)  # (T, H, 2)
    found = metrics.outcome_classes(labels, thresholds)
    torched = classes_of(torch.tensor(labels), torch.tensor(thresholds[0])).numpy()
    assert np.array_equal(found, np.where(np.isfinite(labels), torched, -1))
    assert found[..., 0].tolist() == [[0, 1], [1, 2]]
    assert found[..., 1].tolist() == [[2, 0], [1, -1]]


def test_brier_and_likelihood_are_those_of_another_library(rng) -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="the reference")
    said, classes = drawn(rng, 500)
    one_by_one = [sum((p - (k == c)) ** 2 for k, p in enumerate(row)) for row, c in zip(said, classes, strict=True)]
    assert metrics.brier(said, classes) == pytest.approx(np.mean(one_by_one))
    assert metrics.nll(said, classes) == pytest.approx(sklearn.log_loss(classes, said, labels=[0, 1, 2]))


def test_scores_are_least_at_the_truth(rng) -> None:
    said, classes = drawn(rng, 40_000)
    for sharper in (0.6, 1.5):
        other = said**sharper / (said**sharper).sum(axis=1, keepdims=True)
        assert metrics.brier(said, classes) < metrics.brier(other, classes)
        assert metrics.nll(said, classes) < metrics.nll(other, classes)


def test_ece_is_the_mean_over_bins_of_equally_many_cells(rng) -> None:
    said, classes = drawn(rng, 1000)
    order = np.argsort(said.max(axis=1), kind="stable")
    gaps = []
    for chunk in np.array_split(order, 10):
        right = (said[chunk].argmax(axis=1) == classes[chunk]).mean()
        gaps.append(len(chunk) / 1000 * abs(right - said[chunk].max(axis=1).mean()))
    found = metrics.ece(said, classes, np.arange(1000))
    assert found.value == pytest.approx(sum(gaps))


def test_cells_that_tie_share_a_bin_whatever_their_order(rng) -> None:
    said, classes = np.tile([0.5, 0.3, 0.2], (1000, 1)), np.repeat([0, 1], 500)
    assert metrics.ece(said, classes, np.arange(1000)).value == pytest.approx(0.0)  # half were right, as it says
    two = np.repeat([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], [400, 600], axis=0)
    classes = np.concatenate([np.repeat([0, 1], [100, 300]), np.repeat([2, 0], [540, 60])])
    expected = 0.4 * abs(100 / 400 - 0.5) + 0.6 * abs(540 / 600 - 0.7)
    for order in (np.arange(1000), rng.permutation(1000)):
        assert metrics.ece(two[order], classes[order], np.arange(1000)).value == pytest.approx(expected)
    sure = metrics.reliability(*forecast_of(two, classes))
    np.testing.assert_array_equal(sure.count, [400, 600])
    np.testing.assert_allclose(sure.came, [0.25, 0.9])


def test_a_calibrated_forecast_keeps_to_the_band_and_a_too_sure_one_does_not(rng) -> None:
    inside = 0
    for _ in range(40):
        sure = metrics.reliability(*forecast_of(*drawn(rng, 2000)))
        error = np.abs(sure.came - sure.said) @ sure.count / sure.count.sum()
        inside += error <= sure.ece_if_calibrated
        assert (sure.low <= sure.said).all()
        assert (sure.said <= sure.high).all()
        assert sure.count.sum() == 2000
    assert 33 <= inside <= 40  # 38 of 40 expected: 99.9 % band of the binomial
    sharp = metrics.reliability(*forecast_of(*drawn(rng, 2000, sharper=2.5)))
    assert np.abs(sharp.came - sharp.said) @ sharp.count / 2000 > 2 * sharp.ece_if_calibrated
    assert (sharp.came < sharp.low).sum() >= 8


def test_the_error_of_ece_is_its_spread_and_grows_with_dependence(rng) -> None:
    found = [metrics.ece(*drawn(rng, 2000, sharper=2.5), np.arange(2000)) for _ in range(60)]
    assert np.mean([m.se for m in found]) == pytest.approx(np.std([m.value for m in found]), rel=0.35)
    said, classes = drawn(rng, 400, sharper=2.5)
    alone = metrics.ece(said, classes, np.arange(400))
    ten_alike = metrics.ece(said.repeat(10, axis=0), classes.repeat(10), np.arange(400).repeat(10))
    assert ten_alike.se == pytest.approx(alone.se, rel=0.3)  # ten copies of a decision tell no more than one
    assert metrics.ece(said, classes, np.arange(400)) == alone  # always the same resamples


def test_overlapping_outcomes_are_drawn_in_blocks(rng) -> None:
    said, classes = drawn(rng, 300, sharper=2.5)
    runs = metrics.ece(said.repeat(5, axis=0), classes.repeat(5), np.arange(1500), block=5)
    single = metrics.ece(said.repeat(5, axis=0), classes.repeat(5), np.arange(1500), block=1)
    assert runs.se > 1.5 * single.se


def test_without_classes_or_outcomes_there_is_a_reason(rng) -> None:
    forecast, labels = forecast_of(*drawn(rng, 40))
    bare = Forecast(forecast.times, forecast.symbols, (1,), forecast.levels, forecast.quantiles)
    assert {m.reason for m in metrics.class_metrics(bare, labels)} == {"the forecast names no classes"}
    unknown = metrics.class_metrics(forecast, np.full_like(labels, np.nan))
    assert {m.reason for m in unknown} == {"no forecast of classes has a known outcome"}
    assert [m.name for m in unknown] == [m.name for m in metrics.class_metrics(forecast, labels)]
    assert metrics.reliability(bare, labels) is None


def test_fewer_cells_than_bins_are_bins_of_one(rng) -> None:
    sure = metrics.reliability(*forecast_of(*drawn(rng, 4)))
    assert sure.count.tolist() == [1, 1, 1, 1]
