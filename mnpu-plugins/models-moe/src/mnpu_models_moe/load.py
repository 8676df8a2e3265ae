"""What the experts of one layer were asked to do in training, and whether only a few of them did it.

``f_e`` share of the assignments for which expert e was chosen, ``H = -sum_e f_e log f_e`` its entropy, so ``exp(H)`` is
the number of evenly used experts that are as many as these: E where all are used alike, k where the same k take
everything. Their use is ``(exp(H) - k) / (E - k)``, from 0 to 1; a router has collapsed where that is low.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["Load"]


class Load(nn.Module):
    """Counts of assignments by expert since they were last read; no part of the saved state.

    Parameters
    ----------
    n_experts, top_k : int
        E and k.
    collapse_below : float
        Use of the experts under which the router counts as collapsed.
    """

    def __init__(self, n_experts: int, top_k: int, *, collapse_below: float) -> None:
        super().__init__()
        self.top_k, self.collapse_below = top_k, collapse_below
        self.register_buffer("wanted", torch.zeros(n_experts, dtype=torch.int64), persistent=False)
        self.register_buffer("dropped", torch.zeros((), dtype=torch.int64), persistent=False)

    def count(self, wanted: Tensor, chosen: Tensor) -> None:
        """Add a batch: ``wanted`` (E,) assignments by expert, ``chosen`` (T, k) with E where one was dropped."""
        self.wanted += wanted
        self.dropped += (chosen == len(self.wanted)).sum()

    def read(self) -> dict[str, float]:
        """``load.0`` to ``load.E-1``, ``entropy`` (1: even), ``use``, ``dropped`` and ``collapsed``; starts anew.

        ``collapse_below`` stands beside it, for whoever says why. Empty where nothing was counted. Shares are fractions
        of all assignments.
        """
        wanted, total = self.wanted.tolist(), int(self.wanted.sum())
        dropped = int(self.dropped)
        self.wanted.zero_()
        self.dropped.zero_()
        if not total:
            return {}
        shares = [n / total for n in wanted]
        entropy = -sum(share * math.log(share) for share in shares if share)
        use = self._use(entropy)
        return {
            **{f"load.{e}": share for e, share in enumerate(shares)},
            "entropy": entropy / math.log(len(shares)) if len(shares) > 1 else 1.0,
            "use": use,
            "dropped": dropped / total,
            "collapse_below": self.collapse_below,
            "collapsed": float(use < self.collapse_below),
        }

    def _use(self, entropy: float) -> float:
        spare = len(self.wanted) - self.top_k
        return max(0.0, min(1.0, (math.exp(entropy) - self.top_k) / spare)) if spare else 1.0
