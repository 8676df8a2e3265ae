"""Several networks that forecast as one: the same recipe from different seeds, averaged.

Glossary
--------
K members, Q quantile levels, C classes; q_k quantiles, p_k class probabilities and s_k evidence of member k.

Equations
---------
``q = mean_k q_k``, level by level: Vincentization (Vincent 1912; Ratcliff 1979). Averages of increasing quantiles
increase, and a shape that all members share is kept; a mixture of distributions would be wider wherever members
disagree (Lichtendahl, Grushka-Cockayne and Winkler 2013 compare the two).
``p = mean_k p_k``: the linear pool, as in deep ensembles (Lakshminarayanan, Pritzel and Blundell 2017, section 2.4).
``s = sum_c p_c (1 - p_c) / v - 1`` with ``v = sum_c [mean_k p_kc (1 - p_kc) / (s_k + 1) + var_k p_kc]``: the evidence
of the Dirichlet distribution around p that has the total variance v of the members' mixture. Disagreement costs
evidence; equal members leave their own.

Does not include: weights of members, a choice among them, members of different architectures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mnpu.nn.network import Network
from mnpu.nn.protocols import HeadOutput

__all__ = ["Ensemble", "averaged"]


class Ensemble(nn.Module):
    """Networks of one architecture whose forecasts are averaged; it stands wherever one `Network` does.

    Parameters
    ----------
    members : sequence of Network
        At least two, with the same backbone, head, horizons and levels.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def backbone(self) -> nn.Module:
        """The first member's: all have its sizes."""
        return self._first.backbone

    @property
    def head(self) -> nn.Module:
        """The first member's: all have its levels."""
        return self._first.head

    @property
    def _first(self) -> Any:
        return self.members[0]

    def forward(self, x: Tensor) -> Tensor:
        """Quantiles (B, H, Q) of the scaled target for windows ``x`` (B, L, F)."""
        return self.forecast(x).quantiles

    def forecast(self, x: Tensor) -> HeadOutput:
        """All that the members say of windows ``x`` (B, L, F), averaged."""
        return averaged([member.forecast(x) for member in self.members])  # type: ignore[operator]

    def nothing(self) -> HeadOutput:
        """What they say of no window."""
        return averaged([member.nothing() for member in self.members])  # type: ignore[operator]


def averaged(said: Sequence[HeadOutput]) -> HeadOutput:
    """One forecast out of those of K members, by the equations above."""
    quantiles = torch.stack([one.quantiles for one in said]).mean(0)  # (B, H, Q)
    if said[0].probabilities is None:
        return HeadOutput(quantiles)
    each = torch.stack([one.probabilities for one in said if one.probabilities is not None])  # (K, B, H, C)
    if said[0].evidence is None:
        return HeadOutput(quantiles, each.mean(0))
    evidence = torch.stack([one.evidence for one in said if one.evidence is not None])  # (K, B, H)
    return HeadOutput(quantiles, each.mean(0), _pooled_evidence(each, evidence))


def _pooled_evidence(probabilities: Tensor, evidence: Tensor) -> Tensor:
    """``(K, B, H, C), (K, B, H) -> (B, H)``; of members that are all certain of one class, their mean."""
    p, s = probabilities.double(), evidence.double()  # variances of nearly equal numbers
    mean = p.mean(0)
    within = ((p * (1 - p)).sum(-1) / (s + 1)).mean(0)
    between = (p - mean).square().mean(0).sum(-1)  # ddof=0: the mixture has these members and no others
    spread, variance = (mean * (1 - mean)).sum(-1), within + between
    certain = variance <= 0
    pooled = spread / torch.where(certain, 1.0, variance) - 1
    return torch.where(certain, s.mean(0), pooled).to(evidence.dtype)
