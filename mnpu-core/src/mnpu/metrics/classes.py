"""Metrics of class probabilities (down, flat, up) against the class that came: how likely it was, how sure, how right.

All are of the first horizon. Cells without probabilities or without a known outcome are left out. Sources: Brier (1950)
and Gneiting and Raftery (2007) for the scores, Guo et al. (2017) for the calibration error, Broecker and Smith (2007)
for the band that a calibrated forecast would keep to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnpu.types import Forecast, Metric

__all__ = [
    "CLASS_NAMES",
    "Reliability",
    "brier",
    "calibration_error",
    "class_metrics",
    "ece",
    "nll",
    "outcome_classes",
    "reliability",
]

CLASS_NAMES = {"brier": "score", "nll_dirichlet": "nats", "ece": "fraction"}
BINS = 10
RESAMPLES = 200
SMALLEST = 1e-30  #: A probability that underflowed still has a logarithm.
NO_CLASSES = "the forecast names no classes"
NO_OUTCOMES = "no forecast of classes has a known outcome"


def outcome_classes(labels: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Which class each outcome was: 0 below the first threshold, k above the k-th of the others, -1 where unknown.

    Parameters
    ----------
    labels : float64 ndarray (T, A, H)
    thresholds : float64 ndarray (T, H, C - 1)
        In units of the label, increasing; a label on a threshold is in the middle, as in training.

    Returns
    -------
    classes : int64 ndarray (T, A, H)
    """
    edges = thresholds[:, None]  # (T, 1, H, C - 1)
    above = (labels >= edges[..., 0]).astype(np.int64) + (labels[..., None] > edges[..., 1:]).sum(axis=-1)
    known = np.isfinite(labels) & np.isfinite(edges).all(axis=-1)
    return np.where(known, above, -1)


def class_metrics(forecast: Forecast, labels: np.ndarray) -> list[Metric]:
    """Brier score, negative log likelihood and calibration error; with a reason where there are no classes.

    Parameters
    ----------
    forecast : Forecast
    labels : float64 ndarray (T, A, H)
    """
    cells = _cells(forecast, labels)
    if isinstance(cells, str):
        return [Metric(name, None, unit, reason=cells) for name, unit in CLASS_NAMES.items()]
    said, classes, time = cells
    return [
        Metric("brier", brier(said, classes), CLASS_NAMES["brier"]),
        Metric("nll_dirichlet", nll(said, classes), CLASS_NAMES["nll_dirichlet"]),
        ece(said, classes, time, block=forecast.horizons[0]),
    ]


def brier(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Mean over cells of ``sum_c (p_c - [c is the class])^2``: 0 is perfect, 2 the worst.

    Parameters
    ----------
    probabilities : float64 ndarray (N, C)
    classes : int64 ndarray (N,)
    """
    came = np.eye(probabilities.shape[1])[classes]
    return float(((probabilities - came) ** 2).sum(axis=1).mean())


def nll(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """Mean over cells of minus the logarithm of the probability that the class which came was given."""
    given = probabilities[np.arange(len(classes)), classes]
    return float(-np.log(np.maximum(given, SMALLEST)).mean())


def ece(probabilities: np.ndarray, classes: np.ndarray, time: np.ndarray, *, block: int = 1) -> Metric:
    """Expected calibration error of the likeliest class: mean over bins of ``|share right - mean probability|``.

    Parameters
    ----------
    probabilities : float64 ndarray (N, C)
    classes : int64 ndarray (N,)
    time : int64 ndarray (N,)
        Decision of each cell: cells of one decision, and decisions whose outcomes overlap, are drawn together.
    block : int, default=1
        Decisions in a row that are drawn together: the bars of an outcome.

    Returns
    -------
    ece : Metric
        ``se`` is the spread over 200 resamples of blocks of decisions, always the same ones.

    Notes
    -----
    Ten bins of equally many cells (equal mass), so that no bin is empty; a bin counts by its cells. Cells of one
    probability share a bin, which may leave fewer and unequal ones: the order of the cells says nothing. The error of a
    calibrated forecast is not zero in a finite sample: `reliability` says how large it would be.
    """
    bins = _binned(probabilities, classes)
    decisions, position = np.unique(time, return_inverse=True)
    n_bins = int(bins.number.max()) + 1
    gaps, counts = np.zeros((2, len(decisions), n_bins))
    np.add.at(gaps, (position, bins.number), bins.right - bins.confidence)
    np.add.at(counts, (position, bins.number), 1.0)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        starts = rng.integers(0, len(decisions), -(-len(decisions) // block))
        rows = ((starts[:, None] + np.arange(block)) % len(decisions)).ravel()[: len(decisions)]
        drawn.append(np.abs(gaps[rows].sum(axis=0)).sum() / counts[rows].sum())
    value = calibration_error(probabilities, classes)
    return Metric("ece", value, CLASS_NAMES["ece"], se=float(np.std(drawn, ddof=1)))


def calibration_error(probabilities: np.ndarray, classes: np.ndarray) -> float:
    """The value of `ece` alone, for probabilities (N, C) and classes (N,)."""
    bins = _binned(probabilities, classes)
    return float(np.abs(np.bincount(bins.number, bins.right - bins.confidence)).sum() / len(classes))


@dataclass(frozen=True)
class Reliability:
    """Bins of the likeliest class by its probability: what was said, and how often it came.

    Attributes
    ----------
    said, came : float64 ndarray (K,)
        Mean probability and share of right cells.
    low, high : float64 ndarray (K,)
        Where 95 % of the shares would lie if the probabilities were right and the cells independent.
    count : int64 ndarray (K,)
    ece_if_calibrated : float
        The expected calibration error that 95 % of such samples stay below.
    """

    said: np.ndarray
    came: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray
    ece_if_calibrated: float


def reliability(forecast: Forecast, labels: np.ndarray) -> Reliability | None:
    """The reliability of the class probabilities of the first horizon; None where there is nothing to judge."""
    cells = _cells(forecast, labels)
    if isinstance(cells, str):
        return None
    bins = _binned(cells[0], cells[1])
    count = np.bincount(bins.number)
    said = np.bincount(bins.number, bins.confidence) / count
    came = np.bincount(bins.number, bins.right) / count
    drawn = np.random.default_rng(0).binomial(count, np.clip(said, 0, 1), (2000, len(count))) / count
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    errors = (np.abs(drawn - said) * count).sum(axis=1) / count.sum()
    return Reliability(said, came, low, high, count, float(np.quantile(errors, 0.95)))


@dataclass(frozen=True)
class _Bins:
    number: np.ndarray
    confidence: np.ndarray
    right: np.ndarray


def _binned(probabilities: np.ndarray, classes: np.ndarray) -> _Bins:
    """Each cell's bin by the probability of its likeliest class, that probability, and whether it came."""
    confidence = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == classes).astype(np.float64)
    # Cells that tie take the place of the first of them: parted by their order, that is by time, a constant forecast
    # would be charged with every wave in the outcomes.
    place = np.searchsorted(np.sort(confidence), confidence, side="left")
    number = np.unique(place * min(BINS, len(confidence)) // len(confidence), return_inverse=True)[1]
    return _Bins(number, confidence, right)


def _cells(forecast: Forecast, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | str:
    """Probabilities (N, C), classes (N,) and decisions (N,) of the first horizon, or why there are none."""
    if forecast.probabilities is None or forecast.thresholds is None:
        return NO_CLASSES
    said, classes = forecast.probabilities[:, :, 0], outcome_classes(labels, forecast.thresholds)[:, :, 0]
    known = np.isfinite(said).all(axis=-1) & (classes >= 0)
    return (said[known], classes[known], np.nonzero(known)[0]) if known.any() else NO_OUTCOMES
