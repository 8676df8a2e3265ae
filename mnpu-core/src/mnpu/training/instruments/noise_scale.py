"""The gradient noise scale of McCandlish et al. (2018), appendix A: how large a batch is worth its cost.

Glossary
--------
G the gradient of the mean loss, Sigma the covariance of one window's gradient, b windows in a small batch, m small
batches in a draw, g_k the gradient of small batch k, B_simple = tr(Sigma) / |G|^2.

Estimator
---------
``E|g|^2 = |G|^2 + tr(Sigma) / n`` for a batch of n independent windows. With ``small = mean_k |g_k|^2`` (n = b) and
``big = |mean_k g_k|^2`` (n = m b), both unbiased::

    |G|^2     = (m b big - b small) / (m b - b)
    tr(Sigma) = (small - big) / (1 / b - 1 / (m b))

The ratio of two unbiased numbers is biased, so both are averaged, over draws and then over epochs, before they are
divided. The standard error is that of this ratio: a jackknife that leaves out one draw of one epoch at a time, with the
weight that it has in the averages (the epochs are strata). It is of the windows that were drawn, not of how the weights
have changed since.

A batch near B_simple, the critical batch size, takes twice the least number of steps and twice the least number of
windows; far below it twice the batch halves the steps, far above it hardly any.

Departs from the paper: small batches are drawn by the instrument instead of one for each worker, and in evaluation
mode, so the noise is that of the windows, without dropout's. Windows are drawn without replacement, which leaves both
numbers unbiased for the law that the N windows come from (the covariance of two disjoint batches, -tr(Sigma) / N, is
just what the mean over N windows has too much). Windows that overlap count as independent. The optimizer's
preconditioning is not in it: B_simple is the size of the batch to think of, not a law.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from mnpu.training.instruments.api import Instrument, Moment, Reading, own_loss, trainable, undisturbed

__all__ = ["GradientNoise", "NoiseScale", "gradient_noise", "standard_error", "unbiased"]

_PURPOSE = 1
_FORGOTTEN = 1e-9  #: Weight of an epoch in the averages below which its draws no longer count for the error.


@dataclass(frozen=True)
class GradientNoise:
    """Estimates of ``|G|^2`` and ``tr(Sigma)``: means over ``each`` draw."""

    each: tuple[tuple[float, float], ...]

    @property
    def power(self) -> float:
        """``|G|^2``."""
        return math.fsum(p for p, _ in self.each) / len(self.each)

    @property
    def variance(self) -> float:
        """``tr(Sigma)``."""
        return math.fsum(v for _, v in self.each) / len(self.each)

    @property
    def scale_se(self) -> float:
        """Standard error of ``scale``, as `standard_error` says."""
        return standard_error([(1.0, self)])

    @property
    def scale(self) -> float:
        """B_simple in windows; infinite where the gradient cannot be told from noise."""
        return ratio(self.variance, self.power)


def unbiased(small: float, big: float, *, n_small: int, n_big: int) -> tuple[float, float]:
    """``|G|^2`` and ``tr(Sigma)`` from the squared norms of gradients over ``n_small`` and ``n_big`` windows."""
    power = (n_big * big - n_small * small) / (n_big - n_small)
    return power, (small - big) / (1 / n_small - 1 / n_big)


def gradient_noise(
    gradient: Callable[[Tensor], Tensor],
    n: int,
    *,
    batch: int,
    batches: int,
    draws: int,
    generator: torch.Generator,
) -> GradientNoise:
    """Estimate the noise of ``gradient(index)``, the mean gradient (P,) over the windows at ``index``.

    Parameters
    ----------
    gradient : callable
    n : int
        Windows to draw from.
    batch : int
        Windows of a small batch, b.
    batches : int
        Small batches of a draw, m, at least 2; ``batch * batches`` may not exceed ``n``.
    draws : int
        Repetitions that are averaged.
    generator : torch.Generator
    """
    each = []
    for _ in range(draws):
        index = torch.randperm(n, generator=generator)[: batch * batches]
        small, total = 0.0, None
        for part in index.split(batch):
            g = gradient(part).double()  # sums of squares of float32 would lose what is left after subtraction
            small += float(g @ g) / batches
            total = g if total is None else total + g
        assert total is not None
        big = float(total @ total) / batches**2
        each.append(unbiased(small, big, n_small=batch, n_big=batch * batches))
    return GradientNoise(tuple(each))


def ratio(variance: float, power: float) -> float:
    """``variance / power``, infinite where ``power`` is not positive."""
    return max(variance, 0.0) / power if power > 0 else math.inf


def standard_error(epochs: Sequence[tuple[float, GradientNoise]]) -> float:
    """Jackknife standard error of the ratio of weighted means, from the weight and the noise of each epoch.

    NaN where an epoch has a single draw; infinite where without one of the draws the ratio is.
    """
    power = math.fsum(weight * found.power for weight, found in epochs)
    variance = math.fsum(weight * found.variance for weight, found in epochs)
    total = 0.0
    for weight, found in epochs:
        n = len(found.each)
        if n < 2:
            return math.nan
        part = weight / (n - 1)  # of what the mean of the others has more
        left = [ratio(variance + part * (found.variance - v), power + part * (found.power - p)) for p, v in found.each]
        if not all(math.isfinite(value) for value in left):
            return math.inf
        mean = math.fsum(left) / n
        total += (n - 1) / n * math.fsum((value - mean) ** 2 for value in left)
    return math.sqrt(total)


class NoiseScale(Instrument):
    """Gradient noise scale and the critical batch size (McCandlish et al. 2018).

    Parameters
    ----------
    every : int, default=1
        Epochs between two estimates.
    batch : int, default=64
        Windows of a small batch.
    batches : int, default=8
        Small batches of a draw.
    draws : int, default=4
        Draws that are averaged; each costs a gradient over ``batch * batches`` windows.
    memory : float, default=0.5
        Weight of the past in the averages over epochs.
    """

    def __init__(
        self,
        *,
        every: Annotated[int, Field(ge=1)] = 1,
        batch: Annotated[int, Field(ge=1)] = 64,
        batches: Annotated[int, Field(ge=2)] = 8,
        draws: Annotated[int, Field(ge=1)] = 4,
        memory: Annotated[float, Field(ge=0, lt=1)] = 0.5,
    ) -> None:
        self.every, self.batch, self.batches, self.draws, self.memory = every, batch, batches, draws, memory
        self._epochs: list[GradientNoise] = []  # the newest first

    def begin(self, moment: Moment) -> None:
        """Forget another fit."""
        self._epochs = []

    def epoch(self, moment: Moment) -> Sequence[Reading]:
        """Estimates of this epoch, averaged with those before."""
        if moment.epoch % self.every:
            return ()
        self._epochs.insert(0, self._measure(moment))
        ages = range(len(self._epochs))
        weighted = [(self.memory**k, self._epochs[k]) for k in ages if self.memory**k >= _FORGOTTEN]
        self._epochs = [found for _, found in weighted]
        weight = math.fsum(w for w, _ in weighted)
        power = math.fsum(w * found.power for w, found in weighted) / weight
        variance = math.fsum(w * found.variance for w, found in weighted) / weight
        return (
            Reading("gradient_power", power),
            Reading("gradient_variance", variance),
            Reading("noise_scale", ratio(variance, power)),
            Reading("noise_scale_se", standard_error(weighted)),
            Reading("noise_scale_batches", ratio(variance, power) / moment.batch_size),
        )

    def state(self) -> dict[str, list[float]]:
        """The draws of the epochs that count."""
        return {"draws": [value for found in self._epochs for pair in found.each for value in pair]}

    def restore(self, state: dict[str, list[float]]) -> None:
        """Go on from these draws."""
        values = [float(value) for value in state["draws"]]
        pairs = list(zip(values[::2], values[1::2], strict=True))
        self._epochs = [GradientNoise(tuple(pairs[i : i + self.draws])) for i in range(0, len(pairs), self.draws)]

    def _measure(self, moment: Moment) -> GradientNoise:
        parameters = list(trainable(moment.network).values())
        loss = own_loss(moment.network, moment.training)

        def gradient(index: Tensor) -> Tensor:
            parts = torch.autograd.grad(loss(index), parameters, allow_unused=True, materialize_grads=True)
            return torch.cat([part.flatten() for part in parts])

        n = len(moment.training)
        batch = min(self.batch, max(n // self.batches, 1))
        with undisturbed(moment.network):
            return gradient_noise(
                gradient,
                n,
                batch=batch,
                batches=min(self.batches, n),
                draws=self.draws,
                generator=moment.generator(_PURPOSE, moment.epoch),
            )
