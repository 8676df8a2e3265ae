"""Calibration of the forecasts while training runs: coverage, PIT, CRPS and the classes' ECE, on validation windows.

Glossary
--------
N windows, H horizons, Q levels tau, C classes; y scaled target, q its quantiles, u = F(y) the probability integral
transform (PIT), uniform where forecasts are calibrated.

Every number is the one that `mnpu.metrics` gives of a run under the same name, over all horizons and in scaled units:
``crps`` and ``pit_ks`` read the quantile function between the levels as `mnpu.metrics.distribution` says, ``ece`` has
bins of equal mass (`mnpu.metrics.classes`). All of it counts windows as if they were independent: read trends, not
decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mnpu.metrics.classes import calibration_error
from mnpu.metrics.distribution import crps_of, distance_from_uniform, pit_of
from mnpu.nn.protocols import HeadOutput, output_of
from mnpu.training.instruments.api import Instrument, Moment, Reading, undisturbed
from mnpu.training.instruments.probe import CHUNK, evenly

__all__ = ["Calibration", "class_error", "coverage_gaps", "crps", "pit_distance"]


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
    """Largest distance of the PIT of outcomes ``y`` (N, H) in ``q`` (N, H, Q) from the uniform law."""
    return distance_from_uniform(pit_of(q.reshape(-1, q.shape[-1]), y.ravel(), tuple(levels)))


def crps(y: np.ndarray, q: np.ndarray, levels: Sequence[float]) -> float:
    """Mean continuous ranked probability score of ``q`` (N, H, Q), in units of ``y`` (N, H)."""
    return float(crps_of(q.reshape(-1, q.shape[-1]), y.ravel(), tuple(levels)).mean())


def class_error(classes: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error: ``classes`` (N,), ``probabilities`` (N, C), in ten bins of equal mass."""
    return calibration_error(probabilities, classes)


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

    The network is not asked again: the head forecasts from the summaries that the validation loss was taken of, so
    with ``train.precision`` below 32 bits these are the forecasts that were validated, not quite those of float32.
    """

    def __init__(self, *, windows: Annotated[int, Field(ge=1)] = 2048, every: Annotated[int, Field(ge=1)] = 1) -> None:
        self.windows, self.every = windows, every
        self._summaries: list[Tensor] = []

    def begin(self, moment: Moment) -> None:
        """Choose the windows."""
        self._index = evenly(moment.validation, self.windows).cpu()
        self._summaries.clear()

    def validated(self, moment: Moment, first: int, summaries: Tensor) -> None:
        """Keep what the backbone says of those windows that were chosen."""
        if moment.epoch % self.every:
            return
        begin, end = torch.searchsorted(self._index, torch.tensor([first, first + len(summaries)])).tolist()
        self._summaries.append(summaries[(self._index[begin:end] - first).to(summaries.device)])

    def epoch(self, moment: Moment) -> Sequence[Reading]:
        """Compare what the network forecasts with what happened."""
        if moment.epoch % self.every:
            return ()
        windows, network = moment.validation, moment.network
        with undisturbed(network), torch.no_grad():
            said = [output_of(network.head, part) for part in torch.cat(self._summaries).split(CHUNK)]
        self._summaries.clear()
        assert windows.y is not None
        target = windows.y[self._index.to(windows.y.device)]
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
