"""The router: which k experts a token is sent to, how much each counts, and what keeps the choice healthy.

Glossary
--------
T tokens, D model width, E experts, k choices of a token, C capacity of an expert. r (T, E) logits, p (T, E) their
softmax, f (E,) share of the assignments that each expert receives.

Equations
---------
choice     the k largest logits of a token (token choice: Shazeer et al. 2017 [1], without their noise)
gates      softmax over the k chosen logits [1, eq. 3 and 5]; for k = 1 the probability p of the choice, since a softmax
           over one number is 1 and would give the router no gradient (Fedus et al. 2022, Switch, section 2.1 [2])
balance    ``E sum_e f_e mean_t p_{t,e}``, 1 where all experts are used evenly [2, eq. 4]; with k choices f counts all
z          ``mean_t (logsumexp_e r_{t,e})^2``: keeps logits small (Zoph et al. 2022, ST-MoE, eq. 5 [3])
capacity   ``C = ceil(factor k T / E)`` [2, eq. 3; Lepikhin et al. 2021, GShard, algorithm 1]. First choices go before
           second ones (GShard), and among equals those with the largest p (Riquelme et al. 2021, V-MoE, section 4.1),
           so that it is never the newest steps of a window that are dropped
jitter     in training the router's input is multiplied by uniform numbers in [1 - jitter, 1 + jitter] [2, section 2.4]

The router computes in float32 whatever the rest does [2, section 2.4], its weights in bfloat16 included. The losses of
no tokens are zero.

Departure: capacity holds in training only. In evaluation nothing is dropped, because a forecast must not depend on
which other windows share its batch.

Does not include: expert choice, hashing, noisy top-k, a random second expert, bias-only balancing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Router", "Routes", "within_capacity"]


@dataclass(frozen=True)
class Routes:
    """Where each token goes.

    Attributes
    ----------
    gates : float (T, k)
        Weights of the choices, zero where dropped.
    chosen : int64 (T, k)
        Numbers of the experts, E where dropped.
    wanted : int64 (E,)
        Assignments that each expert was chosen for, dropped ones included.
    balance, z : float ()
        The two losses, without their factors.
    """

    gates: Tensor
    chosen: Tensor
    wanted: Tensor
    balance: Tensor
    z: Tensor


class Router(nn.Module):
    """A linear map to one logit for each expert, of which the k largest count.

    Parameters
    ----------
    d_model, n_experts, top_k : int
        D, E and k.
    capacity_factor : float or None
        Of the capacity in training; None drops nothing.
    jitter : float
        Half the width of the noise in training.
    """

    def __init__(
        self, d_model: int, n_experts: int, top_k: int, *, capacity_factor: float | None, jitter: float
    ) -> None:
        super().__init__()
        self.top_k, self.capacity_factor, self.jitter = top_k, capacity_factor, jitter
        bound = 1 / math.sqrt(d_model)
        self.weight = nn.Parameter(torch.empty(n_experts, d_model).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Routes:
        """``(T, D)`` to routes."""
        with torch.autocast(device_type=x.device.type, enabled=False):
            exact = torch.promote_types(self.weight.dtype, torch.float32)
            x, weight = x.to(exact), self.weight.to(exact)
            if self.training and self.jitter:
                x = x * torch.empty_like(x).uniform_(1 - self.jitter, 1 + self.jitter)
            logits = F.linear(x, weight)  # (T, E)
            total = logits.logsumexp(-1, keepdim=True)  # (T, 1)
            p = torch.exp(logits - total)  # (T, E)
            largest, chosen = logits.topk(self.top_k)  # (T, k)
            gates = torch.exp(largest - total)  # their p, which for k > 1 are scaled to a sum of 1
            gates = gates / gates.sum(-1, keepdim=True) if self.top_k > 1 else gates
            wanted = (chosen.flatten().unsqueeze(-1) == torch.arange(len(self.weight), device=x.device)).sum(0)
            balance = len(weight) * torch.dot(wanted.to(p.dtype) / max(chosen.numel(), 1), _mean(p))
            if self.training and self.capacity_factor is not None:
                capacity = math.ceil(self.capacity_factor * chosen.numel() / len(self.weight))
                kept = within_capacity(chosen, p.detach().gather(1, chosen), capacity)
                gates, chosen = gates * kept, chosen.where(kept, len(self.weight))
            return Routes(gates, chosen, wanted, balance, _mean(total.flatten().square()))


def _mean(values: Tensor) -> Tensor:
    """The mean over tokens, ``(T, ...) -> (...)``; zero where there is none, with a gradient of zero."""
    return values.mean(0) if values.shape[0] else values.sum(0)  # len would fix the batch of an exported graph


def within_capacity(chosen: Tensor, score: Tensor, capacity: int) -> Tensor:
    """Which assignments an expert has room for: ``(T, k), (T, k) -> bool (T, k)``.

    An expert takes ``capacity`` of them: first choices before second ones, then those with the largest score.
    """
    n_tokens, n_choices = chosen.shape
    token = score.T.argsort(dim=-1, descending=True, stable=True)  # (k, T): each choice's tokens, best first
    queue = (token * n_choices + torch.arange(n_choices, device=chosen.device).unsqueeze(-1)).flatten()  # (A,)
    expert, by_expert = torch.sort(chosen.flatten()[queue], stable=True)
    place = torch.arange(len(expert), device=chosen.device)
    place -= torch.searchsorted(expert, expert)  # in the queue of its expert
    kept = torch.empty(n_tokens * n_choices, dtype=torch.bool, device=chosen.device)
    kept[queue[by_expert]] = place < capacity
    return kept.view_as(chosen)
