"""The loss around the weights, along filter-normalised random directions (Li et al. 2018).

Glossary
--------
theta the weights, d and e directions of the same shape, a and b steps along them, f(a, b) = loss(theta + a d + b e).

A direction is normal noise, scaled so that each filter (the slice of a tensor at one index of its first axis) is as
long as the filter of the weights in its place: a step of 1 changes every filter by its own size, so pictures of
different networks can be compared, although the loss of many networks does not change when their filters are rescaled.
Tensors with fewer than two axes (biases, gains) do not move, as in the paper.

``quadratic`` fits ``c + g'z + z'Hz / 2`` with z = (a, b) by least squares: H is the Hessian of the loss, projected on
the two directions. On a quadratic loss it is exact.

Departs from the paper: all pictures are of the loss on windows of the training range, without the backbone's own loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from mnpu.nn.checks import refuse
from mnpu.training.instruments.api import Instrument, Moment, Reading, Surface, trainable, undisturbed
from mnpu.training.instruments.probe import probe_loss

__all__ = ["Landscape", "Quadratic", "filter_normalised", "losses_around", "quadratic"]

_PURPOSE = 2
_NEAR = 0.5  #: Steps up to here, as a share of the longest one, count for the fitted quadratic.


@dataclass(frozen=True)
class Quadratic:
    """``constant + slope'z + z' hessian z / 2``: slope (n,), hessian (n, n)."""

    constant: float
    slope: np.ndarray
    hessian: np.ndarray


def filter_normalised(weights: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """A random direction, each filter of it as long as that of ``weights`` in its place."""
    direction = {}
    for name, tensor in weights.items():
        noise = torch.randn(tensor.shape, generator=generator).to(tensor)
        if tensor.ndim < 2:
            direction[name] = torch.zeros_like(noise)
            continue
        axes = tuple(range(1, tensor.ndim))
        wanted = tensor.detach().norm(dim=axes, keepdim=True)
        direction[name] = noise * (wanted / noise.norm(dim=axes, keepdim=True).clamp_min(1e-12))
    return direction


def losses_around(
    loss: Callable[[], float],
    weights: Mapping[str, nn.Parameter],
    directions: Sequence[Mapping[str, Tensor]],
    steps: Sequence[Sequence[float] | np.ndarray],
) -> np.ndarray:
    """``loss()`` with the weights moved by every pair of ``steps`` along one or two directions.

    Returns
    -------
    losses : float64 ndarray (len(steps[0]),) or (len(steps[0]), len(steps[1]))
        The weights are bit by bit what they were.
    """
    shape = tuple(len(along) for along in steps)
    losses = np.empty(shape)
    with _kept(weights) as kept:
        for at in np.ndindex(shape):
            with torch.no_grad():
                for name, parameter in weights.items():
                    moves = (along[i] * d[name] for along, i, d in zip(steps, at, directions, strict=True))
                    parameter.copy_(kept[name] + sum(moves))
            losses[at] = loss()
    return losses


def quadratic(steps: Sequence[Sequence[float] | np.ndarray], losses: np.ndarray) -> Quadratic:
    """The quadratic that is nearest to ``losses`` on the grid of ``steps``; infinite losses are left out.

    NaN where fewer are left than the quadratic has numbers.
    """
    grid = np.stack(np.meshgrid(*(np.asarray(s, dtype=float) for s in steps), indexing="ij"), axis=-1)
    z, y = grid.reshape(-1, len(steps)), np.asarray(losses, dtype=float).ravel()
    z, y = z[np.isfinite(y)], y[np.isfinite(y)]
    n = z.shape[1]
    pairs = [(i, j) for i in range(n) for j in range(i, n)]
    columns = [np.ones(len(z)), *z.T, *(z[:, i] * z[:, j] * (0.5 if i == j else 1.0) for i, j in pairs)]
    if len(y) < 1 + n + len(pairs):
        return Quadratic(np.nan, np.full(n, np.nan), np.full((n, n), np.nan))
    found = np.linalg.lstsq(np.stack(columns, axis=1), y, rcond=None)[0]
    hessian = np.zeros((n, n))
    for (i, j), value in zip(pairs, found[1 + n :], strict=True):
        hessian[i, j] = hessian[j, i] = value
    return Quadratic(float(found[0]), found[1 : 1 + n], hessian)


@contextmanager
def _kept(weights: Mapping[str, nn.Parameter]) -> Iterator[dict[str, Tensor]]:
    """Copies of the weights, which are put back at the end whatever happens."""
    kept = {name: parameter.detach().clone() for name, parameter in weights.items()}
    try:
        yield kept
    finally:
        with torch.no_grad():
            for name, parameter in weights.items():
                parameter.copy_(kept[name])


class Landscape(Instrument):
    """The loss around the best weights along filter-normalised directions: a line, and a plane (Li et al. 2018).

    Parameters
    ----------
    points : int, default=21
        Losses along the line, odd so that the weights themselves are one of them.
    plane : int, default=0
        Losses along each side of the plane, odd; 0 for no plane.
    reach : float, default=1.0
        Longest step: 1 moves every filter by its own size.
    windows : int, default=512
        Training windows that the loss is taken over, spread evenly.
    """

    def __init__(
        self,
        *,
        points: Annotated[int, Field(ge=3)] = 21,
        plane: Annotated[int, Field(ge=0, le=101)] = 0,
        reach: Annotated[float, Field(gt=0)] = 1.0,
        windows: Annotated[int, Field(ge=1)] = 512,
    ) -> None:
        for name, size in (("points", points), ("plane", plane)):
            if size % 2 == 0 and (size or name == "points"):
                raise refuse(f"landscape.{name}", size, expected="an odd number, so that the weights are on the grid")
        self.points, self.plane, self.reach, self.windows = points, plane, reach, windows

    def end(self, moment: Moment) -> Sequence[Reading | Surface]:
        """Both pictures around the best weights, and the curvature of the line."""
        weights = trainable(moment.network)
        first, second = (filter_normalised(weights, moment.generator(_PURPOSE, i)) for i in (0, 1))
        line = np.linspace(-self.reach, self.reach, self.points)
        with undisturbed(moment.network):
            loss = probe_loss(moment.network, moment.training, self.windows)
            losses = losses_around(loss, weights, [first], [line])
            near = np.abs(line) <= max(_NEAR * self.reach, 1.5 * (line[1] - line[0]))
            curvature = float(quadratic([line[near]], losses[near]).hessian[0, 0])
            said: list[Reading | Surface] = [
                Reading("landscape_curvature", curvature),
                Surface("line", _floats(line), (0.0,), tuple((float(v),) for v in losses)),
            ]
            if self.plane:
                side = np.linspace(-self.reach, self.reach, self.plane)
                losses = losses_around(loss, weights, [first, second], [side, side])
                said.append(Surface("plane", _floats(side), _floats(side), tuple(map(_floats, losses))))
        return said


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(v) for v in values)
