"""Laws of a backbone's numbers in training: in bfloat16, and with blocks that are computed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mnpu.nn.protocols import summary_and_loss_of
from mnpu.nn.recompute import offers, recompute

if TYPE_CHECKING:
    from mnpu.testing.models import Trial

__all__ = ["holds_in_bfloat16", "recomputes_the_same"]

SUMMARY = 0.05  #: root mean square error in bfloat16, of the summary's own deviation: 8 bits are 0.4 % for one product
GRADIENT = 0.9  #: least cosine between the gradients; rounding alone costs a hundredth, a wrong sign far more


def holds_in_bfloat16(trial: Trial) -> str:
    """Under autocast the summary and all gradients are finite, and close to those in float32."""
    x = trial.windows()
    full, gradient, _ = _step(trial.module().train(), trial, x)
    with torch.autocast("cpu", torch.bfloat16):
        half, rounded, missing = _step(trial.module().train(), trial, x)
    if missing:
        return f"in bfloat16 the gradient of {missing} is missing or not finite"
    if not torch.isfinite(half).all():
        return "in bfloat16 the summary is not finite"
    error = float((half - full).square().mean().sqrt() / full.std().clamp(min=1e-6))
    if error > SUMMARY:
        return f"in bfloat16 the summary is off by {error:.2g} of its deviation, expected at most {SUMMARY}"
    cosine = float(torch.nn.functional.cosine_similarity(gradient, rounded, dim=0))
    return "" if cosine >= GRADIENT else f"in bfloat16 the gradient points elsewhere: its cosine is {cosine:.2f}"


def recomputes_the_same(trial: Trial) -> str:
    """Where it offers to compute its blocks again, summary and gradients are the same to the last bit."""
    plain, again = trial.module().train(), trial.module().train()
    if not offers(plain):
        return ""  # it does not offer it
    x = trial.windows()
    before, gradient, _ = _step(plain, trial, x)
    after, repeated, _ = _step(recompute(again), trial, x)
    same = torch.equal(before, after) and torch.equal(gradient, repeated)
    return "" if same else "with its blocks computed again in the backward pass, summary or gradients are others"


def _step(module: nn.Module, trial: Trial, x: Tensor) -> tuple[Tensor, Tensor, str]:
    """Summary (B, D) and gradient of all parameters (P,), float32, and the first parameter without a finite one."""
    torch.manual_seed(trial.seed)
    h, own = summary_and_loss_of(module, x)
    h = h.float()
    loss = (h * trial.draw(*h.shape, seed=3)).sum()
    (loss if own is None else loss + own.float().sum()).backward()  # that it is a scalar is asked by a law of its own
    parameters = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    missing = [name for name, p in parameters if p.grad is None or not torch.isfinite(p.grad).all()]
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for _, p in parameters]
    return h.detach(), torch.cat([g.float().flatten() for g in grads]), missing[0] if missing else ""
