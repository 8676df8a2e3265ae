"""The laws of heads: what a distribution must hold to before a number made of it means anything."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from mnpu.nn.protocols import output_of
from mnpu.testing import LawOutcome
from mnpu.testing.modules import (
    BATCH,
    CLOSE,
    WIDTH,
    Law,
    Trial,
    changed_by_disk,
    differs,
    fill,
    outcomes_of,
    without_gradient,
)

__all__ = ["HEAD_LAWS", "head_laws"]

HORIZONS = 2
STARTS = 3  #: a unit that is shut at all of them is not there by chance
SAMPLES, STEPS = 2000, 200  #: of the distribution a head has to learn
CALIBRATED = 0.04  #: almost four standard errors of a frequency in 2,000 draws


def head_laws(factory: Callable[..., nn.Module], *, seed: int = 0) -> list[LawOutcome]:
    """Check every law of a head.

    Parameters
    ----------
    factory : callable
        ``factory(d_in=..., n_horizons=...)`` builds it.
    seed : int, default=0
        Of weights, summaries and targets.

    Returns
    -------
    outcomes : list of LawOutcome
    """
    return outcomes_of(HEAD_LAWS, Trial(lambda: factory(d_in=WIDTH, n_horizons=HORIZONS), seed))


def _levels_make_sense(trial: Trial) -> str:
    levels = tuple(trial.module().levels)
    mirrored = all(abs(a + b - 1) < 1e-9 for a, b in zip(levels, reversed(levels), strict=True))
    increasing = all(a < b for a, b in pairwise(levels))
    sound = increasing and mirrored and 0.5 in levels and levels[0] > 0
    return "" if sound else f"levels are {levels}, expected increasing ones, symmetric around 0.5, which is one of them"


def _forecast_has_the_shape(trial: Trial) -> str:
    module = trial.module()
    for batch in (BATCH, 0):
        shape = tuple(_quantiles(module, trial.summaries()[:batch]).shape)
        if shape != (expected := (batch, HORIZONS, len(module.levels))):
            return f"the forecast is {shape}, expected {expected}"
    loss = module.loss(trial.summaries(), trial.draw(BATCH, HORIZONS, seed=2))
    return "" if loss.shape == () else f"the loss is {tuple(loss.shape)}, expected a scalar"


def _head_learns(trial: Trial) -> str:
    module = trial.module().train()
    module.loss(trial.summaries(), 3 * trial.draw(BATCH, HORIZONS, seed=2)).backward()
    return without_gradient(module) or _dead_rows(trial)


def _dead_rows(trial: Trial) -> str:
    """Rows of a parameter that no gradient reaches from any of a few starts.

    Where one matrix makes mean and width, a loss that sees the mean alone leaves half of it untrained.
    """
    reached: dict[str, Tensor] = {}
    for seed in range(STARTS):
        module = trial.module(trial.seed + seed).train()
        module.loss(trial.summaries(seed), 3 * trial.draw(BATCH, HORIZONS, seed=10 + seed)).backward()
        for name, parameter in module.named_parameters():
            if parameter.grad is not None and parameter.grad.ndim:
                rows = parameter.grad.flatten(1).any(dim=1) if parameter.grad.ndim > 1 else parameter.grad != 0
                reached[name] = rows | reached.get(name, torch.zeros_like(rows))
    dead = {name: (~rows).nonzero()[:, 0].tolist() for name, rows in reached.items() if not rows.all()}
    told = [f"rows {', '.join(map(str, rows[:8]))} of {name}" for name, rows in dead.items()]
    return f"no gradient reaches {'; '.join(told)}" if told else ""


def _listens(trial: Trial) -> str:
    module = trial.module()
    spread = float(_quantiles(module, trial.summaries()).std(dim=0).max().detach())
    return "" if spread > CLOSE else "at the start the forecast is the same for every summary"


def _never_crosses(trial: Trial) -> str:
    module = trial.module()
    for scale in (0.0, 1.0, 100.0, 10_000.0):
        for seed in range(5):
            fill(module, trial, scale, seed)
            gaps = _quantiles(module, trial.summaries(seed)).detach().diff(dim=-1)
            if not (gaps >= 0).all():
                return f"with weights of size {scale:g} the smallest gap between two levels is {float(gaps.min()):.3g}"
    return ""


def _stays_finite_at_extremes(trial: Trial) -> str:
    for h_size, y_size in ((1.0, 1e6), (1e4, 1.0), (0.0, 0.0)):
        module = trial.module()
        loss = module.loss(h_size * trial.summaries(), y_size * trial.draw(BATCH, HORIZONS, seed=2))
        loss.backward()
        finite = all(torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None)
        if not (torch.isfinite(loss) and finite):
            return f"the loss or a gradient is not finite for summaries of size {h_size:g} and targets of {y_size:g}"
    return ""


def _learns_a_distribution(trial: Trial) -> str:
    module, h, y = _taught(trial)
    quantiles = _quantiles(module, h[:1])[0]  # (H, Q): the same for every sample, as the summary is
    below = (y.unsqueeze(-1) <= quantiles).float().mean(dim=0)  # (H, Q)
    missed = (below - torch.tensor(module.levels)).abs()
    if getattr(module, "is_point", False):  # of a number, only the middle can be held to its level
        if quantiles.diff(dim=-1).any():
            return "it says is_point = True, and its quantiles differ"
        missed = missed[:, module.levels.index(0.5)]
    worst = float(missed.max())
    if worst <= CALIBRATED:
        return ""
    return f"shown {SAMPLES} draws, its quantiles miss their levels by {worst:.3f}, expected {CALIBRATED} at the most"


def _names_sound_classes(trial: Trial) -> str:
    for scale in (0.0, 1.0, 100.0, 10_000.0):
        module = trial.module()
        fill(module, trial, scale, 0)
        said = output_of(module, trial.summaries())
        if (said.probabilities is None) != (said.evidence is None):
            return "it gives probabilities or evidence, expected both or neither"
        if said.probabilities is None or said.evidence is None:
            return ""  # it names no classes
        shape, evidence = tuple(said.probabilities.shape), tuple(said.evidence.shape)
        if shape[:-1] != (BATCH, HORIZONS) or evidence != (BATCH, HORIZONS):
            return f"probabilities are {shape} and evidence {evidence}, expected (B, H, C) and (B, H)"
        if not ((said.probabilities >= 0).all() and (said.probabilities.sum(-1) - 1).abs().max() < CLOSE):
            return f"with weights of size {scale:g} its probabilities are negative or do not sum to one"
        if not (torch.isfinite(said.evidence) & (said.evidence > 0)).all():
            return f"with weights of size {scale:g} its evidence is not a positive number"
    return ""


def _is_proper(trial: Trial) -> str:
    module, h, y = _taught(trial)
    best = float(module.loss(h, y).detach())
    for seed in range(10):
        moved = copy.deepcopy(module)
        with torch.no_grad():
            for i, parameter in enumerate(moved.parameters()):
                parameter += 0.3 * trial.draw(*parameter.shape, seed=100 * seed + i)
            loss = float(moved.loss(h, y))
        if loss < best - 1e-4:
            return f"after it has learnt the truth, weights that forecast something else lose less: {loss} < {best}"
    return ""


def _taught(trial: Trial) -> tuple[nn.Module, Tensor, Tensor]:
    """A head shown draws of two normal distributions, one a horizon, under one constant summary."""
    module = trial.module().train()
    h = trial.draw(1, WIDTH).expand(SAMPLES, WIDTH)
    y = torch.tensor([0.7, -1.5]) + torch.tensor([1.7, 0.4]) * trial.draw(SAMPLES, HORIZONS, seed=2)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        optimiser.zero_grad()
        module.loss(h, y).backward()
        optimiser.step()
        schedule.step()
    return module.eval(), h, y


def _head_repeats_itself(trial: Trial) -> str:
    h = trial.summaries()
    return differs(trial, lambda module: _said(module, h))


def _head_survives_the_disk(trial: Trial) -> str:
    h = trial.summaries()
    return changed_by_disk(trial, lambda module: _said(module, h))


def _quantiles(module: nn.Module, h: Tensor) -> Tensor:
    return output_of(module, h).quantiles


def _said(module: nn.Module, h: Tensor) -> Tensor:
    """All that a head says, in one tensor."""
    said = output_of(module, h)
    parts = (said.quantiles, said.probabilities, said.evidence)
    return torch.cat([part.flatten() for part in parts if part is not None])


HEAD_LAWS: dict[str, Law] = {
    "has increasing, symmetric levels": _levels_make_sense,
    "forecasts (B, H, Q)": _forecast_has_the_shape,
    "gives every parameter a finite gradient": _head_learns,
    "listens to the summary": _listens,
    "never crosses, at any weights": _never_crosses,
    "stays finite at extremes": _stays_finite_at_extremes,
    "learns the distribution that it is shown": _learns_a_distribution,
    "has a proper loss": _is_proper,
    "names classes with probabilities that sum to one, and evidence": _names_sound_classes,
    "gives the same output again": _head_repeats_itself,
    "survives safetensors": _head_survives_the_disk,
}
