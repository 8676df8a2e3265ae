"""The laws of backbones: what a network must hold to before a forecast of it means anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mnpu.nn.protocols import summary_and_loss_of, summary_of, telemetry_of
from mnpu.testing import LawOutcome
from mnpu.testing.modules import (
    BATCH,
    CLOSE,
    FEATURES,
    LOOKBACK,
    Law,
    Trial,
    changed_by_disk,
    differs,
    distance,
    outcomes_of,
    tensors,
    without_gradient,
)
from mnpu.testing.numerics import computes_with_bfloat16_weights, holds_in_bfloat16, recomputes_the_same

__all__ = ["BACKBONE_LAWS", "backbone_laws"]

LAGS = 3  #: how many bars of the past a summary must depend on at the least


def backbone_laws(factory: Callable[..., nn.Module], *, seed: int = 0) -> list[LawOutcome]:
    """Check every law of a backbone.

    Parameters
    ----------
    factory : callable
        ``factory(n_features=..., lookback=...)`` builds it.
    seed : int, default=0
        Of weights and windows.

    Returns
    -------
    outcomes : list of LawOutcome
    """
    return outcomes_of(BACKBONE_LAWS, Trial(lambda: factory(n_features=FEATURES, lookback=LOOKBACK), seed))


def _states_its_nature(trial: Trial) -> str:
    module = trial.module()
    if not isinstance(getattr(module, "d_out", None), int) or module.d_out < 1:
        return f"d_out is {getattr(module, 'd_out', None)!r}, expected a positive integer"
    for name in ("causal", "streams"):
        if not isinstance(getattr(module, name, None), bool):
            return f"{name} is {getattr(module, name, None)!r}, expected True or False"
    unknown = set(getattr(module, "no_weight_decay", ())) - {name for name, _ in module.named_parameters()}
    return f"no_weight_decay names {sorted(unknown)}, which are no parameters" if unknown else ""


def _keeps_the_shape(trial: Trial) -> str:
    module = trial.module()
    shape, expected = tuple(module(trial.windows()).shape), (BATCH, LOOKBACK, module.d_out)
    return "" if shape == expected else f"the output is {shape}, expected {expected}"


def _is_causal(trial: Trial) -> str:
    module = trial.module()
    if not module.causal:
        return ""  # it does not claim to be
    x, other = trial.windows(), trial.windows(seed=2)
    before = module(x)
    for t in range(LOOKBACK - 1):
        changed = torch.cat([x[:, : t + 1], other[:, t + 1 :]], dim=1)
        moved = distance(module(changed)[:, : t + 1], before[:, : t + 1])
        if moved > CLOSE:
            return f"steps up to {t} move by {moved:.2g} when only later input changes, though it says causal = True"
    return ""


def _does_not_start_dead(trial: Trial) -> str:
    module, x = trial.module(), trial.windows()
    summary = summary_of(module, x)
    spread = float(summary.std(dim=0).max().detach())
    if spread <= CLOSE:
        return f"at the start the summary is the same for every window (standard deviation {spread:.2g})"
    other = trial.windows(seed=2)
    lags = sum(_moves(module, x, other, (slice(None), t)) for t in range(LOOKBACK))
    if lags < LAGS:
        return f"at the start the summary depends on {lags} of {LOOKBACK} bars, expected {LAGS} at the least"
    columns = [f for f in range(FEATURES) if not _moves(module, x, other, (slice(None), slice(None), f))]
    return f"at the start the summary ignores input columns {columns}" if columns else ""


def _moves(module: nn.Module, x: Tensor, other: Tensor, cells: Any) -> bool:
    changed = x.clone()
    changed[cells] = other[cells]
    return distance(summary_of(module, changed), summary_of(module, x)) > CLOSE


def _backbone_learns(trial: Trial) -> str:
    module = trial.module().train()
    summary = summary_of(module, trial.windows())
    (summary * trial.draw(*summary.shape, seed=3)).sum().backward()
    return without_gradient(module)


def _ignores_neighbours(trial: Trial) -> str:
    module, x = trial.module(), trial.windows()
    alone, together = module(x[:1]), module(x)[:1]
    moved = distance(alone, together)
    return f"a window's output moves by {moved:.2g} with the other windows of its batch" if moved > CLOSE else ""


def _takes_no_windows(trial: Trial) -> str:
    module, none = trial.module().train(), trial.windows()[:0]
    summary, loss = summary_and_loss_of(module, none)
    shapes = {"forward": ((0, LOOKBACK, module.d_out), module(none)), "summary": ((0, module.d_out), summary)}
    if module.streams:
        shapes["step"] = (0, module.d_out), module.step(none[:, 0], module.initial_state(0))[0]
    for name, (expected, output) in shapes.items():
        if tuple(output.shape) != expected:
            return f"for a batch of no windows {name} is {tuple(output.shape)}, expected {expected}"
    if loss is not None and not torch.isfinite(loss).all():
        return f"its own loss of no windows is {loss.tolist()}, expected a finite number"
    (summary.sum() if loss is None else summary.sum() + loss.sum()).backward()
    wrong = [n for n, p in module.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    return f"the gradient of {wrong[0]} is not finite for a batch of no windows" if wrong else ""


def _backbone_repeats_itself(trial: Trial) -> str:
    x = trial.windows()
    return differs(trial, lambda module: module(x))


def _backbone_survives_the_disk(trial: Trial) -> str:
    x = trial.windows()
    return changed_by_disk(trial, lambda module: module(x))


def _summary_is_the_last_step(trial: Trial) -> str:
    module, x = trial.module(), trial.windows()
    last, others = module(x)[:, -1], (summary_of(module, x), summary_and_loss_of(module, x)[0])
    moved = max(distance(other, last) for other in others)
    return f"summary differs from the last step of forward by {moved:.2g}" if moved > CLOSE else ""


def _steps_equal_the_whole(trial: Trial) -> str:
    module, x = trial.module(), trial.windows()
    if not module.streams:
        return ""  # it does not claim to
    whole, state, sizes = module(x), module.initial_state(BATCH), []
    for t in range(LOOKBACK):
        h, state = module.step(x[:, t], state)
        sizes.append(sum(tensor.numel() for tensor in tensors(state)))
        moved = distance(h, whole[:, t])
        if moved > CLOSE:
            return f"step {t} differs from forward by {moved:.2g}, though it says streams = True"
    return "" if len(set(sizes)) == 1 else f"the state grows from {sizes[0]} to {sizes[-1]} numbers"


def _own_loss_is_a_loss(trial: Trial) -> str:
    _, loss = summary_and_loss_of(trial.module(), trial.windows())
    if loss is None or (loss.shape == () and torch.isfinite(loss)):
        return ""
    return f"its own loss is {loss.tolist()}, expected a finite scalar"


def _reports_numbers(trial: Trial) -> str:
    module = trial.module().train()
    summary_of(module, trial.windows())
    wrong = {n: v for n, v in telemetry_of(module).items() if not isinstance(v, float) or not math.isfinite(v)}
    return f"telemetry says {wrong}, expected finite floats by name" if wrong else ""


def _stays_finite(trial: Trial) -> str:
    with torch.no_grad():
        output = trial.module()(100 * trial.windows())
    return "" if torch.isfinite(output).all() else "the output is not finite for input of 100 standard deviations"


BACKBONE_LAWS: dict[str, Law] = {
    "says its width, whether it is causal and whether it streams": _states_its_nature,
    "maps (B, L, F) to (B, L, d_out)": _keeps_the_shape,
    "is causal where it says so": _is_causal,
    "does not start dead: the summary depends on several bars and every column": _does_not_start_dead,
    "gives every parameter a finite gradient": _backbone_learns,
    "treats every window on its own": _ignores_neighbours,
    "gives nothing for no windows": _takes_no_windows,
    "gives the same output again": _backbone_repeats_itself,
    "survives safetensors": _backbone_survives_the_disk,
    "summary is the last step": _summary_is_the_last_step,
    "steps equal the whole window where it streams": _steps_equal_the_whole,
    "has a finite scalar as its own loss, where it has one": _own_loss_is_a_loss,
    "reports finite numbers, where it reports": _reports_numbers,
    "stays finite on extreme input": _stays_finite,
    "holds in bfloat16, with its gradients": holds_in_bfloat16,
    "computes with weights in bfloat16": computes_with_bfloat16_weights,
    "gives the same where its blocks are computed again": recomputes_the_same,
}
