"""A head that forecasts quantiles, and beside them classes (down, flat, up) with the evidence for them.

Glossary
--------
B batch, D width of the summary, H horizons, Q quantile levels, C = 3 classes; y target, k its class, p class
probabilities, s strength, alpha parameters of a Dirichlet distribution over class probabilities, alpha0 their sum,
N the number of outcomes that strength can reach (``outcomes``), psi the digamma function.

Equations
---------
``p = softmax(W_p h + b_p)``, ``s = N softplus(W_s h + b_s)``, ``alpha = 1 + s p``: the posterior after s outcomes in
the proportions p, from a uniform prior. Its mode is p, which is what is forecast; its evidence is ``alpha0 = C + s``.
``class loss = psi(alpha0) - psi(alpha_k) + KL(Dir(alpha) || Dir(1)) / N``: the expected negative log likelihood of the
class under the Dirichlet (Sensoy et al. 2018, equation 4, with log instead of squared error), with a prior of the
weight of one outcome in N. For outcomes of probabilities pi its expectation is
``KL(Dir(alpha) || Dir(1 + N pi)) / N`` and a constant, so it is strictly proper: smallest at ``p = pi`` and ``s = N``
alone. Without the second term strength would grow without end, and p at small s would be biased.
``loss = pinball + class_weight * class loss``, one trunk, two proper losses.

Single outcomes do not say how sure one can be of a probability (Bengs et al. 2022): strength tends to N where the
classes are learnt, so evidence compares windows of one network; it is no count of days.

Classes: a scaled target below the first threshold of its horizon is down, above the second one up, else flat. The
thresholds are quantiles of the training targets, found by ``fit_targets`` and kept with the weights. Targets of exactly
three values (a label that is a class itself) are their own classes.

Does not include: other numbers of classes, agreement of probabilities and quantiles by force, temperature scaling
(`mnpu.nn.temperature`).
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnpu.errors import ConfigError
from mnpu.nn.checks import at_least_one, refuse
from mnpu.nn.levels import LEVELS, normal_quantiles, softplus_inverse
from mnpu.nn.protocols import HeadOutput
from mnpu.nn.quantile import Quantile

__all__ = ["CLASSES", "DirichletQuantile", "classes_of", "dirichlet_loss"]

CLASSES = ("down", "flat", "up")
START = 0.1  #: Strength before training, as a share of N.


class DirichletQuantile(nn.Module):
    """Non-crossing quantiles, and probabilities of down, flat and up with Dirichlet evidence, by proper losses.

    Parameters
    ----------
    d_in, n_horizons : int
        Width D of the summary and number of horizons H.
    flat : float, default=1/3
        Share of the training targets, in their middle, that counts as flat.
    outcomes : float, default=100.0
        Evidence N that the class part can claim; the prior weighs as one outcome in N.
    class_weight : float, default=0.25
        Weight of the class loss beside the pinball loss; a quarter gives both gradients a like size.
    levels : tuple of float
        Quantile levels Q, strictly increasing inside (0, 1), symmetric around 0.5, which is one of them.
    """

    thresholds: Tensor

    def __init__(
        self,
        d_in: int,
        n_horizons: int,
        *,
        flat: Annotated[float, Field(gt=0, lt=1)] = 1 / 3,
        outcomes: Annotated[float, Field(ge=1)] = 100.0,
        class_weight: Annotated[float, Field(gt=0)] = 0.25,
        levels: tuple[float, ...] = LEVELS,
    ) -> None:
        super().__init__()
        at_least_one("head", d_in=d_in, n_horizons=n_horizons)
        for name, value, sound in (("flat", flat, 0 < flat < 1), ("outcomes", outcomes, outcomes >= 1)):
            if not sound:
                raise refuse(f"head.{name}", value, expected="between 0 and 1" if name == "flat" else "at least 1")
        if not class_weight > 0:
            raise refuse("head.class_weight", class_weight, expected="a positive number")
        self.quantile = Quantile(d_in, n_horizons, levels=levels)
        self.levels = self.quantile.levels
        self.n_horizons, self.outcomes, self.class_weight = n_horizons, float(outcomes), float(class_weight)
        self.cuts = ((1 - flat) / 2, (1 + flat) / 2)
        self.map = nn.Linear(d_in, n_horizons * (len(CLASSES) + 1))
        # Part of the state, so the bundle keeps them; a standard normal's until the targets are known.
        self.register_buffer("thresholds", torch.tensor(normal_quantiles(self.cuts)).repeat(n_horizons, 1))  # (H, 2)
        with torch.no_grad():
            self.map.bias.copy_(torch.tensor([0.0, 0.0, 0.0, softplus_inverse(START)]).repeat(n_horizons))

    def fit_targets(self, y: Tensor) -> None:
        """Take the thresholds of the classes from the scaled targets (N, H) of the training windows."""
        for i, column in enumerate(y.unbind(1)):
            if (n_values := len(column.unique())) < len(CLASSES):
                raise ConfigError(
                    f"the training targets of horizon number {i + 1} have {n_values} different values, and head.flat "
                    f"parts them into {len(CLASSES)} classes",
                    where="head",
                    expected="a value for each class",
                    next_step="Set target so that down, flat and up all occur (both barriers of triple_barrier, within "
                    "reach), take a longer training range, or another head.",
                )
        thresholds = torch.stack([_thresholds(column, self.cuts) for column in y.double().unbind(1)])  # (H, 2)
        counts = F.one_hot(classes_of(y, thresholds.to(y)), len(CLASSES)).sum(dim=0)  # (H, C)
        if not counts.all():
            i, c = (int(n) for n in (counts == 0).nonzero()[0])
            raise refuse(
                "head.flat",
                f"{self.cuts[1] - self.cuts[0]:.6g}, and no training target of horizon number {i + 1} is {CLASSES[c]}",
                expected="thresholds that leave a target in every class",
                next_step="Change head.flat, or take a target with more than a few values.",
            )
        self.thresholds.copy_(thresholds)

    def class_parameters(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the classes and strength: ``(B, D) -> (B, H, C), (B, H)``."""
        raw = self.map(h).unflatten(-1, (self.n_horizons, -1))  # (B, H, C + 1)
        return raw[..., :-1], self.outcomes * F.softplus(raw[..., -1])

    def forecast(self, h: Tensor) -> HeadOutput:
        """Quantiles ``(B, H, Q)``, probabilities ``(B, H, C)`` and evidence ``(B, H)`` of summaries ``(B, D)``."""
        logits, strength = self.class_parameters(h)
        return HeadOutput(self.quantile.forecast(h), logits.softmax(-1), strength + len(CLASSES))

    def loss(self, h: Tensor, y: Tensor) -> Tensor:
        """Mean pinball loss and weighted mean class loss: ``(B, D), (B, H) -> ()``."""
        logits, strength = self.class_parameters(h)
        of_classes = dirichlet_loss(logits, strength, classes_of(y, self.thresholds), outcomes=self.outcomes)
        return self.quantile.loss(h, y) + self.class_weight * of_classes.mean()


def classes_of(y: Tensor, thresholds: Tensor) -> Tensor:
    """Class index of targets ``y`` (..., H): 0 below the first of ``thresholds`` (H, 2), 2 above the second."""
    return 1 + (y > thresholds[:, 1]).long() - (y < thresholds[:, 0]).long()


def dirichlet_loss(logits: Tensor, strength: Tensor, classes: Tensor, *, outcomes: float) -> Tensor:
    """The class loss, not averaged: logits (..., C), strength (...), classes int64 (...) -> (...)."""
    # float64: the logarithms of gamma in the divergence are far larger than their difference.
    alpha = 1 + strength.double().unsqueeze(-1) * logits.double().softmax(-1)  # (..., C)
    total = alpha.sum(-1)
    expected_log = torch.digamma(alpha) - torch.digamma(total).unsqueeze(-1)  # (..., C), of the probabilities
    surprise = -expected_log.gather(-1, classes.unsqueeze(-1)).squeeze(-1)
    constant = torch.lgamma(total) - torch.lgamma(alpha).sum(-1) - torch.lgamma(total.new_tensor(alpha.shape[-1]))
    divergence = constant + ((alpha - 1) * expected_log).sum(-1)  # from the uniform prior
    return (surprise + divergence / outcomes).to(logits.dtype)


def _thresholds(y: Tensor, cuts: tuple[float, float]) -> Tensor:
    """Where the classes of one horizon part, (2,)."""
    values = y.unique()  # sorted
    if len(values) == len(CLASSES):
        return (values[1:] + values[:-1]) / 2
    ordered = y.sort().values
    places = [min(int(cut * len(ordered)), len(ordered) - 1) for cut in cuts]
    return ordered[places]
