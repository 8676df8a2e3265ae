"""Calibration of the forecasts while training runs: coverage, PIT, CRPS and the classes' ECE, on validation windows.

Glossary
--------
N windows, H horizons, Q levels tau, C classes; y scaled target, q its quantiles, u = F(y) the probability integral
transform (PIT), uniform where forecasts are calibrated.

``crps = 2 mean_tau pinball_tau``, by the trapezoidal rule over the head's levels and over (0, 1): with few levels it is
an approximation that is good for comparing epochs (Gneiting and Raftery 2007). ``pit_ks`` is the largest distance of
the PIT's distribution from uniform *at the levels*, where the forecast says what it claims; no shape is assumed between
them. ``ece`` has bins of equal mass over the confidence of the likeliest class (Naeini et al. 2015, Nguyen and O'Connor
2015). All of it counts windows as if they were independent: read trends, not decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from mnpu.nn.protocols import HeadOutput
from mnpu.training.instruments.api import Instrument, Moment, Reading, undisturbed
from mnpu.training.instruments.probe import CHUNK, evenly

__all__ = ["Calibration", "class_error", "coverage_gaps", "crps", "pit_distance"]

_BINS = 10


def coverage_gaps(y: np.ndarray, q: np.ndarray, levels: Sequence[float]) -> dict[float, float]:
    """Observed minus nominal share of ``y`` (N, H) in each central interval of ``q`` (N, H, Q), by nominal share."""
    gaps = {}
    for low, level in enumerate(levels):
        if level >= 0.5:
            break
        inside = (y >= q[..., low]) & (y <= q[..., len(levels) - 1 - low])
        gaps[round(1 - 2 * level, 6)] = float(inside.mean()) - (1 - 2 * level)
    return gaps


def pit_distance(y: np.ndarray, q: np.ndarray, levels: Sequence[float]) -> float:
    """Largest ``|share of y (N, H) at or below its tau-quantile - tau|`` over the levels."""
    below = (y[..., None] <= q).mean(axis=(0, 1))  # (Q,)
    return float(np.abs(below - np.asarray(levels)).max())


def crps(y: np.ndarray, q: np.ndarray, levels: Sequence[float]) -> float:
    """Mean continuous ranked probability score of ``q`` (N, H, Q), in units of ``y`` (N, H)."""
    tau = np.asarray(levels)
    error = y[..., None] - q
    pinball = np.maximum(tau * error, (tau - 1) * error).mean(axis=(0, 1))  # (Q,)
    # A calibrated forecast's loss vanishes towards the levels 0 and 1.
    return float(2 * np.trapezoid(np.concatenate([[0.0], pinball, [0.0]]), np.concatenate([[0.0], tau, [1.0]])))


def class_error(classes: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error: ``classes`` (N,), ``probabilities`` (N, C), in ten bins of equal mass."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == classes
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    return float(sum(abs(confidence[p].mean() - right[p].mean()) * len(p) for p in parts) / len(order))


class Calibration(Instrument):
    """Coverage, PIT, CRPS and, where the head names classes, ECE on validation windows, after every epoch.

    Parameters
    ----------
    windows : int, default=2048
        Most validation windows that are looked at, spread evenly.
    every : int, default=1
        Epochs between two looks.

    Notes
    -----
    Readings: ``coverage_0.90`` and the like for each central interval, ``coverage_gap`` (the largest distance from
    nominal), ``pit_ks``, ``crps`` (in standard deviations of the target), ``forecast_spread`` (standard deviation of
    the median over windows, in the same unit; near zero the network says the same whatever it sees), ``ece``.
    """

    def __init__(self, *, windows: Annotated[int, Field(ge=1)] = 2048, every: Annotated[int, Field(ge=1)] = 1) -> None:
        self.windows, self.every = windows, every

    def epoch(self, moment: Moment) -> Sequence[Reading]:
        """Compare what the network forecasts with what happened."""
        if moment.epoch % self.every:
            return ()
        windows, network = moment.validation, moment.network
        index = evenly(windows, self.windows)
        said: list[HeadOutput] = []
        with undisturbed(network), torch.no_grad():
            for part in index.split(CHUNK):
                said.append(network.forecast(windows.batch(part).x))
        assert windows.y is not None
        target = windows.y[index]
        levels = tuple(network.head.levels)
        y, q = target.double().cpu().numpy(), torch.cat([s.quantiles for s in said]).double().cpu().numpy()
        readings = [Reading("crps", crps(y, q, levels))]
        readings.append(Reading("forecast_spread", float(q[..., len(levels) // 2].std(axis=0).max())))
        if not getattr(network.head, "is_point", False):  # a number is no interval
            gaps = coverage_gaps(y, q, levels)
            readings += [Reading(f"coverage_{share:.2f}", share + gap) for share, gap in gaps.items()]
            readings.append(Reading("coverage_gap", max(map(abs, gaps.values()), default=0.0)))
            readings.append(Reading("pit_ks", pit_distance(y, q, levels)))
        readings += _of_classes(network.head, target, said)
        return readings


def _of_classes(head: torch.nn.Module, target: torch.Tensor, said: Sequence[HeadOutput]) -> list[Reading]:
    """ECE over all horizons, where the head names classes and says which one a target is in."""
    parts = [s.probabilities for s in said if s.probabilities is not None]
    thresholds = getattr(head, "thresholds", None)
    if not parts or thresholds is None:
        return []
    from mnpu.nn.dirichlet_quantile import classes_of

    classes = classes_of(target, thresholds).cpu().numpy()  # (N, H)
    probabilities = torch.cat(parts).double().cpu().numpy()  # (N, H, C)
    return [Reading("ece", class_error(classes.ravel(), probabilities.reshape(-1, probabilities.shape[-1])))]
