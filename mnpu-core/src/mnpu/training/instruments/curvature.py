"""The largest and smallest eigenvalues of the loss's Hessian, by Lanczos on Hessian-vector products.

Glossary
--------
P parameters, H the Hessian (P, P) of the mean loss, v a unit vector (P,), k products, T the tridiagonal matrix (k, k).

``Hv`` is the gradient of ``g'v`` (Pearlmutter 1994). Not every layer can be differentiated twice (a fused attention),
some only seem to (a compiled scan), and the pinball loss has its curvature in kinks that a derivative does not see.
The first product is therefore compared with ``(g(theta + eps v) - g(theta - eps v)) / (2 eps)``; where they differ, or
there is none, all products are such differences of a longer eps, which see the loss as it is that far away.
`Products.exact` says which.

Lanczos with full reorthogonalisation: after k products the extreme eigenvalues of T are those of H within
``beta_k |s_k|``, the residual, which is reported as the error. Differences over kinks are symmetric only on average
over windows, so there it says how far Lanczos has come and no more. A large top eigenvalue is a sharp valley; training
at a learning rate lr is unstable in plain gradient descent where it exceeds ``2 / lr``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mnpu.training.instruments.api import Instrument, Moment, Reading, Surface, own_loss, trainable, undisturbed
from mnpu.training.instruments.probe import evenly

__all__ = ["Curvature", "Products", "Spectrum", "extremes"]

_PURPOSE = 3
_AGREE = 0.1  #: Largest relative difference of an exact product and a difference of gradients.
_STEP = 3e-3  #: Step of a difference, as a share of the weights' length: smaller ones drown in float32's rounding.
_STRIDE = 3e-2  #: The same where kinks are to be seen: a shorter one meets too few of a few hundred windows' kinks.


@dataclass(frozen=True)
class Spectrum:
    """Extreme eigenvalues, with the residual that bounds the distance to one of H's."""

    top: float
    top_error: float
    bottom: float
    bottom_error: float
    products: int


class Products:
    """``H v`` of a loss, exact where the network can be differentiated twice, else by differences of gradients.

    Parameters
    ----------
    loss : callable
        The scalar loss at the current weights.
    parameters : sequence of Parameter
    generator : torch.Generator
        Of the vector by which the two ways are compared.
    """

    def __init__(
        self, loss: Callable[[], Tensor], parameters: Sequence[nn.Parameter], generator: torch.Generator
    ) -> None:
        self._loss, self._parameters = loss, list(parameters)
        self.size = sum(p.numel() for p in parameters)
        length = float(torch.sqrt(sum((p.detach().double() ** 2).sum() for p in parameters)))
        self._length = max(length, 1e-3)
        self._slopes: tuple[Tensor, ...] = ()
        self.exact = self._agrees(self.unit(generator))

    def unit(self, generator: torch.Generator) -> Tensor:
        """A random direction (P,) of length 1."""
        v = torch.randn(self.size, generator=generator).to(self._parameters[0])
        return v / v.norm()

    def __call__(self, v: Tensor) -> Tensor:
        """``H v`` (P,) for ``v`` (P,)."""
        return self._twice(v) if self.exact else self._difference(v, _STRIDE * self._length)

    def _agrees(self, v: Tensor) -> bool:
        try:
            with sdpa_kernel([SDPBackend.MATH]):  # fused attention has no second derivative
                self._slopes = torch.autograd.grad(
                    self._loss(), self._parameters, create_graph=True, allow_unused=True, materialize_grads=True
                )
            exact = self._twice(v)
        except RuntimeError:  # torch's only word for: this operation has no second derivative
            self._slopes = ()
            return False
        other = self._difference(v, _STEP * self._length)
        return bool((exact - other).norm() <= _AGREE * torch.maximum(exact.norm(), other.norm()))

    def _twice(self, v: Tensor) -> Tensor:
        parts = [part.view_as(p) for part, p in zip(v.split(self._sizes()), self._parameters, strict=True)]
        linked = [(s, part) for s, part in zip(self._slopes, parts, strict=True) if s.requires_grad]
        if not linked:
            return torch.zeros_like(v)
        found = torch.autograd.grad(
            [s for s, _ in linked],
            self._parameters,
            grad_outputs=[part for _, part in linked],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return torch.cat([f.flatten() for f in found])

    def _difference(self, v: Tensor, step: float) -> Tensor:
        kept = [p.data for p in self._parameters]
        parts = [part.view_as(p) for part, p in zip(v.split(self._sizes()), self._parameters, strict=True)]
        try:
            sides = []
            for sign in (1.0, -1.0):
                with torch.no_grad():
                    for p, start, part in zip(self._parameters, kept, parts, strict=True):
                        p.data = start + sign * step * part  # not in place: an exact product's graph stays valid
                slopes = torch.autograd.grad(self._loss(), self._parameters, allow_unused=True, materialize_grads=True)
                sides.append(torch.cat([s.flatten() for s in slopes]))
            return (sides[0] - sides[1]) / (2 * step)
        finally:
            for p, start in zip(self._parameters, kept, strict=True):
                p.data = start

    def _sizes(self) -> list[int]:
        return [p.numel() for p in self._parameters]


def extremes(
    product: Callable[[Tensor], Tensor], start: Tensor, *, iterations: int, tolerance: float = 1e-3
) -> Spectrum:
    """Largest and smallest eigenvalue of a symmetric matrix that is only known by its products.

    Parameters
    ----------
    product : callable
        ``(P,) -> (P,)``.
    start : Tensor (P,)
        Not orthogonal to what is looked for; a random vector is not.
    iterations : int
        Most products.
    tolerance : float, default=1e-3
        Residual of the top one, relative to the largest eigenvalue, at which it stops.
    """
    basis = [start / start.norm()]
    alphas: list[float] = []
    betas: list[float] = []
    while True:
        w = product(basis[-1])
        alphas.append(float(w.double() @ basis[-1].double()))
        for _ in range(2):  # once is not enough for float32
            for q in basis:
                w = w - (w @ q) * q
        betas.append(float(w.norm()))
        values, vectors = np.linalg.eigh(np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1))
        errors = betas[-1] * np.abs(vectors[-1])
        scale = max(float(np.abs(values).max()), 1e-30)
        done = errors[-1] <= tolerance * scale and errors[0] <= tolerance * scale
        if done or betas[-1] <= 1e-7 * scale or len(alphas) == min(iterations, start.numel()):
            return Spectrum(
                float(values[-1]), float(errors[-1]), float(values[0]), float(errors[0]), products=len(alphas)
            )
        basis.append(w / betas[-1])


class Curvature(Instrument):
    """Top and bottom eigenvalue of the Hessian at the best weights, by Lanczos.

    Parameters
    ----------
    iterations : int, default=20
        Most Hessian-vector products; each costs about two gradients, and keeps a copy of the weights' size.
    windows : int, default=256
        Training windows that the loss is taken over, spread evenly.
    every : int, default=0
        Epochs between two estimates while training runs; 0 for the best weights alone.
    """

    def __init__(
        self,
        *,
        iterations: Annotated[int, Field(ge=1)] = 20,
        windows: Annotated[int, Field(ge=1)] = 256,
        every: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        self.iterations, self.windows, self.every = iterations, windows, every

    def epoch(self, moment: Moment) -> Sequence[Reading]:
        """Estimates on the way, if they are wanted."""
        return self._measure(moment) if self.every and moment.epoch % self.every == 0 else ()

    def end(self, moment: Moment) -> Sequence[Reading | Surface]:
        """Estimates at the best weights."""
        return self._measure(moment)

    def _measure(self, moment: Moment) -> list[Reading]:
        parameters = list(trainable(moment.network).values())
        index, loss = evenly(moment.training, self.windows), own_loss(moment.network, moment.training)
        generator = moment.generator(_PURPOSE, moment.epoch)
        with undisturbed(moment.network):
            products = Products(lambda: loss(index), parameters, generator)
            found = extremes(products, products.unit(generator), iterations=self.iterations)
        return [
            Reading("hessian_top", found.top),
            Reading("hessian_top_error", found.top_error),
            Reading("hessian_bottom", found.bottom),
            Reading("hessian_exact", float(products.exact)),
        ]
