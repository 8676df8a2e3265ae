"""The laws of backbones and heads: what a network must hold to before a forecast of it means anything.

Each law is a function that returns what it saw amiss, or nothing. A component that raises breaks the law that it
raised in; the laws after it are still tried.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from mnpu.nn.protocols import output_of, summary_and_loss_of, summary_of, telemetry_of
from mnpu.testing import LawOutcome
from mnpu.testing.numerics import holds_in_bfloat16, recomputes_the_same

__all__ = ["BACKBONE_LAWS", "HEAD_LAWS", "backbone_laws", "head_laws"]

BATCH, LOOKBACK, FEATURES = 6, 24, 5
WIDTH, HORIZONS = 8, 2
CLOSE = 1e-5  #: what rounding may change; a real dependence is thousands of times larger
LAGS = 3  #: how many bars of the past a summary must depend on at the least
SAMPLES, STEPS = 2000, 200  #: of the distribution a head has to learn
CALIBRATED = 0.04  #: almost four standard errors of a frequency in 2,000 draws


@dataclass(frozen=True)
class Trial:
    """What a law may use: a way to build the component anew, and the seed."""

    build: Callable[[], nn.Module]
    seed: int

    def module(self, seed: int | None = None) -> nn.Module:
        """A new instance in evaluation mode, its weights drawn from ``seed``."""
        torch.manual_seed(self.seed if seed is None else seed)
        return self.build().eval()

    def draw(self, *shape: int, seed: int = 1) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(*shape, generator=torch.Generator().manual_seed(self.seed + seed))

    def windows(self, seed: int = 1) -> Tensor:
        """Model input (B, L, F)."""
        return self.draw(BATCH, LOOKBACK, FEATURES, seed=seed)

    def summaries(self, seed: int = 1) -> Tensor:
        """Head input (B, D)."""
        return self.draw(BATCH, WIDTH, seed=seed)


Law = Callable[[Trial], str]


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
    return _outcomes(BACKBONE_LAWS, Trial(lambda: factory(n_features=FEATURES, lookback=LOOKBACK), seed))


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
    return _outcomes(HEAD_LAWS, Trial(lambda: factory(d_in=WIDTH, n_horizons=HORIZONS), seed))


def _outcomes(laws: dict[str, Law], trial: Trial) -> list[LawOutcome]:
    outcomes = []
    for name, law in laws.items():
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            try:
                seen = law(trial)
            except Exception as error:  # a stranger's code: whatever it raises is what there is to report
                seen = f"it raised {type(error).__name__}: {error}"
        outcomes.append(LawOutcome(name, not seen, seen))
    return outcomes


# --- backbones ---


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
        moved = _distance(module(changed)[:, : t + 1], before[:, : t + 1])
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
    return _distance(summary_of(module, changed), summary_of(module, x)) > CLOSE


def _backbone_learns(trial: Trial) -> str:
    module = trial.module().train()
    summary = summary_of(module, trial.windows())
    (summary * trial.draw(*summary.shape, seed=3)).sum().backward()
    return _without_gradient(module)


def _ignores_neighbours(trial: Trial) -> str:
    module, x = trial.module(), trial.windows()
    alone, together = module(x[:1]), module(x)[:1]
    moved = _distance(alone, together)
    return f"a window's output moves by {moved:.2g} with the other windows of its batch" if moved > CLOSE else ""


def _backbone_repeats_itself(trial: Trial) -> str:
    x = trial.windows()
    return _differs(trial, lambda module: module(x))


def _backbone_survives_the_disk(trial: Trial) -> str:
    x = trial.windows()
    return _changed_by_disk(trial, lambda module: module(x))


def _summary_is_the_last_step(trial: Trial) -> str:
    module, x = trial.module(), trial.windows()
    last, others = module(x)[:, -1], (summary_of(module, x), summary_and_loss_of(module, x)[0])
    moved = max(_distance(other, last) for other in others)
    return f"summary differs from the last step of forward by {moved:.2g}" if moved > CLOSE else ""


def _steps_equal_the_whole(trial: Trial) -> str:
    module, x = trial.module(), trial.windows()
    if not module.streams:
        return ""  # it does not claim to
    whole, state, sizes = module(x), module.initial_state(BATCH), []
    for t in range(LOOKBACK):
        h, state = module.step(x[:, t], state)
        sizes.append(sum(tensor.numel() for tensor in _tensors(state)))
        moved = _distance(h, whole[:, t])
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


# --- heads ---


def _levels_make_sense(trial: Trial) -> str:
    levels = tuple(trial.module().levels)
    mirrored = all(abs(a + b - 1) < 1e-9 for a, b in zip(levels, reversed(levels), strict=True))
    increasing = all(a < b for a, b in pairwise(levels))
    sound = increasing and mirrored and 0.5 in levels and levels[0] > 0
    return "" if sound else f"levels are {levels}, expected increasing ones, symmetric around 0.5, which is one of them"


def _forecast_has_the_shape(trial: Trial) -> str:
    module = trial.module()
    shape, expected = tuple(_quantiles(module, trial.summaries()).shape), (BATCH, HORIZONS, len(module.levels))
    if shape != expected:
        return f"the forecast is {shape}, expected {expected}"
    loss = module.loss(trial.summaries(), trial.draw(BATCH, HORIZONS, seed=2))
    return "" if loss.shape == () else f"the loss is {tuple(loss.shape)}, expected a scalar"


def _head_learns(trial: Trial) -> str:
    module = trial.module().train()
    module.loss(trial.summaries(), 3 * trial.draw(BATCH, HORIZONS, seed=2)).backward()
    return _without_gradient(module)


def _listens(trial: Trial) -> str:
    module = trial.module()
    spread = float(_quantiles(module, trial.summaries()).std(dim=0).max().detach())
    return "" if spread > CLOSE else "at the start the forecast is the same for every summary"


def _never_crosses(trial: Trial) -> str:
    module = trial.module()
    for scale in (0.0, 1.0, 100.0, 10_000.0):
        for seed in range(5):
            _fill(module, trial, scale, seed)
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
        _fill(module, trial, scale, 0)
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
    return _differs(trial, lambda module: _said(module, h))


def _head_survives_the_disk(trial: Trial) -> str:
    h = trial.summaries()
    return _changed_by_disk(trial, lambda module: _said(module, h))


def _quantiles(module: nn.Module, h: Tensor) -> Tensor:
    return output_of(module, h).quantiles


def _said(module: nn.Module, h: Tensor) -> Tensor:
    """All that a head says, in one tensor."""
    said = output_of(module, h)
    parts = (said.quantiles, said.probabilities, said.evidence)
    return torch.cat([part.flatten() for part in parts if part is not None])


# --- shared ---


def _distance(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to numbers above 1; infinite where one is not a number."""
    gap = float(((a - b).abs() / b.abs().clamp(min=1)).max().detach())
    return gap if gap == gap else float("inf")


def _without_gradient(module: nn.Module) -> str:
    dead = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any()):
            dead.append(name)
        elif parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            return f"the gradient of {name} is not finite"
    return f"no gradient reaches {', '.join(dead)}" if dead else ""


def _differs(trial: Trial, output: Callable[[nn.Module], Tensor]) -> str:
    module = trial.module()
    if not torch.equal(output(module), output(module)):
        return "the same input gives another output the second time"
    return "" if torch.equal(output(module), output(trial.module())) else "the same seed builds other weights"


def _changed_by_disk(trial: Trial, output: Callable[[nn.Module], Tensor]) -> str:
    module, other = trial.module(), trial.module(seed=trial.seed + 1)
    other.load_state_dict(load(save({name: t.detach().contiguous() for name, t in module.state_dict().items()})))
    return "" if torch.equal(output(module), output(other)) else "saved and loaded, it gives another output"


def _fill(module: nn.Module, trial: Trial, scale: float, seed: int) -> None:
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter.copy_(scale * trial.draw(*parameter.shape, seed=10 * seed + i))


def _tensors(state: Any) -> Iterable[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        yield from (tensor for value in state.values() for tensor in _tensors(value))
    elif isinstance(state, list | tuple):
        yield from (tensor for value in state for tensor in _tensors(value))


BACKBONE_LAWS: dict[str, Law] = {
    "says its width, whether it is causal and whether it streams": _states_its_nature,
    "maps (B, L, F) to (B, L, d_out)": _keeps_the_shape,
    "is causal where it says so": _is_causal,
    "does not start dead: the summary depends on several bars and every column": _does_not_start_dead,
    "gives every parameter a finite gradient": _backbone_learns,
    "treats every window on its own": _ignores_neighbours,
    "gives the same output again": _backbone_repeats_itself,
    "survives safetensors": _backbone_survives_the_disk,
    "summary is the last step": _summary_is_the_last_step,
    "steps equal the whole window where it streams": _steps_equal_the_whole,
    "has a finite scalar as its own loss, where it has one": _own_loss_is_a_loss,
    "reports finite numbers, where it reports": _reports_numbers,
    "stays finite on extreme input": _stays_finite,
    "holds in bfloat16, with its gradients": holds_in_bfloat16,
    "gives the same where its blocks are computed again": recomputes_the_same,
}

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
