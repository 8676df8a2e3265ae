"""Laws of instruments: a fit is the same with one and without it, and what it says can be kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from mnpu import training
from mnpu.testing import LawOutcome
from mnpu.testing.fits import small_fit
from mnpu.testing.general import asked
from mnpu.training.fitted import Fitted

__all__ = ["laws"]

Factory = Callable[..., Any]


def laws(factory: Factory) -> list[LawOutcome]:
    """The laws of one instrument.

    Parameters
    ----------
    factory : callable
        Builds it from its defaults, anew each time.
    """
    return [asked(law, partial(check, factory)) for law, check in _LAWS.items()]


def _changes_no_bit(factory: Factory) -> str:
    alone, (watched, _) = small_fit([]), _watched(factory)
    if alone.history != watched.history:
        return "the losses of a fit differ with it and without it"
    mine, other = alone.network.state_dict(), watched.network.state_dict()
    changed = [name for name in mine if not torch.equal(mine[name], other[name])]
    return f"it changed the weights {', '.join(changed)}" if changed else ""


def _readings_are_named_numbers(factory: Factory) -> str:
    rows = _watched(factory)[1].record().measurements
    own = rows[~rows["name"].isin(("loss_train", "loss_validation", "lr"))]
    wrong = own[own["name"].astype(str).str.strip() == ""]
    if len(wrong):
        return "a reading has no name"
    twice = own[own.duplicated(["epoch", "name", "layer"])]
    if len(twice):
        return f"it says {twice.iloc[0]['name']} of {twice.iloc[0]['layer'] or 'the whole'} twice in an epoch"
    return ""


def _each_fit_has_its_own(factory: Factory) -> str:
    """One instrument that watches a second fit says what a new one says; the clock's readings may differ."""
    first = _watched(factory)[1].record().measurements
    used = factory()
    _watched(lambda: used)
    second = _watched(lambda: used)[1].record().measurements
    if list(first["name"]) != list(second["name"]):
        return "after one fit it says other things of the next"
    return ""


_LAWS = {
    "changes no bit of a training": _changes_no_bit,
    "its readings have names, each once an epoch": _readings_are_named_numbers,
    "it forgets one fit when the next begins": _each_fit_has_its_own,
}


def _watched(factory: Factory) -> tuple[Fitted, training.Recorder]:
    recorder = training.Recorder({"asked": factory()}, strategy="asked", fold=0, seed=1)
    return small_fit([recorder]), recorder
