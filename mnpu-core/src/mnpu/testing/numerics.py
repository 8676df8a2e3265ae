"""Laws of a backbone's numbers in training: in bfloat16 of either kind, and with blocks that are computed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mnpu.nn.protocols import summary_and_loss_of
from mnpu.nn.recompute import offers, recompute

if TYPE_CHECKING:
    from mnpu.testing.models import Trial

__all__ = ["computes_with_bfloat16_weights", "holds_in_bfloat16", "recomputes_the_same"]

#: Error in bfloat16, of the summary's own deviation: 8 bits are 0.4 % for one product, and what is at hand makes 1.1 %
#: of them at the most. That of a middling window, since a router close to a tie may send a step to another expert.
SUMMARY = 0.05
GRADIENT = 0.9  #: least cosine between the gradients; rounding alone costs a hundredth, a wrong sign far more


def holds_in_bfloat16(trial: Trial) -> str:
    """Under autocast the summary and all gradients are finite, and close to those in float32."""
    x = trial.windows()
    full, gradient, _ = _step(trial.module().train(), trial, x)
    with torch.autocast("cpu", torch.bfloat16):
        half, rounded, missing = _step(trial.module().train(), trial, x)
    if missing:
        return f"in bfloat16 the gradient of {missing} is missing or not finite"
    return _too_far("summary", half, full) or _turned_away(rounded, gradient)


def computes_with_bfloat16_weights(trial: Trial) -> str:
    """Converted to bfloat16 it computes: output, steps and gradients are those of float32 with the same weights."""
    x, exact = trial.windows().bfloat16(), trial.module().train()
    with torch.no_grad():  # parameters alone: what else is rounded in a conversion is no property of the weights
        for parameter in exact.parameters():
            parameter.copy_(parameter.bfloat16())
    full, gradient, _ = _step(exact, trial, x.float())
    module = trial.module().to(torch.bfloat16).train()
    half, rounded, missing = _step(module, trial, x)
    if missing:
        return f"in bfloat16 the gradient of {missing} is missing or not finite"
    amiss = _too_far("summary", half, full) or _turned_away(rounded, gradient)
    if amiss:
        return amiss
    with torch.no_grad():
        outputs = {"output": module.eval()(x)}
        if module.streams:
            state = module.initial_state(len(x))
            for t in range(x.shape[1]):
                outputs["step"], state = module.step(x[:, t], state)
            expected = exact.eval()(x.float())[:, -1]  # steps are of a network that is used: nothing is dropped
            amiss = _too_far("step", outputs["step"].float(), expected)
    kinds = {name: str(h.dtype) for name, h in outputs.items() if h.dtype != torch.bfloat16}
    return f"with weights in bfloat16 it gives {kinds}, expected bfloat16" if kinds else amiss


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


def _too_far(what: str, half: Tensor, full: Tensor) -> str:
    """Whether summaries (B, D) lie further apart than 8 bits explain."""
    if not torch.isfinite(half).all():
        return f"in bfloat16 the {what} is not finite"
    error = float((half - full).square().mean(-1).sqrt().median() / full.std().clamp(min=1e-6))
    return (
        ""
        if error <= SUMMARY
        else (f"in bfloat16 the {what} is off by {error:.2g} of its deviation, expected at most {SUMMARY}")
    )


def _turned_away(rounded: Tensor, gradient: Tensor) -> str:
    cosine = float(torch.nn.functional.cosine_similarity(gradient, rounded, dim=0))
    return "" if cosine >= GRADIENT else f"in bfloat16 the gradient points elsewhere: its cosine is {cosine:.2f}"


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
