"""What may happen to a network's weights before its first step: they may come from a bundle.

The weights of another fit carry what that fit has seen. They are taken only where none of it is later than this one may
know: `mnpu.training.seen` says exactly which rows these are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from mnpu.data.scaling import Scaler
from mnpu.errors import DataError
from mnpu.manifest import MANIFEST, well_formed
from mnpu.nn.network import Network
from mnpu.training.batches import Windows
from mnpu.training.bundle import STATE, state_and_tensors
from mnpu.training.callbacks import Callback
from mnpu.training.seen import Limits, Seen
from mnpu.types import Fold

__all__ = ["FromBundle", "Inherited", "WarmUp", "bundles_under", "fingerprint"]

_SAY_IT = (
    " Bundles of this version say what they have seen; to write an older one again, run: mnpu run RUN/resolved.yaml"
)


@dataclass(frozen=True)
class WarmUp:
    """A network that is about to be trained, and what may be known before.

    Attributes
    ----------
    network : Network
        On its device, as it was initialised; its weights may be changed in place.
    windows : Windows
        Of the fold's training range, with labels; nothing later.
    scaler : Scaler
        Fitted on the training range.
    names : tuple of str (F,)
        Feature columns, in order.
    fold : Fold
    limits : Limits
        What weights from elsewhere may have seen.
    where : str
        Which fit this is, for errors.
    """

    network: Network
    windows: Windows
    scaler: Scaler
    names: tuple[str, ...]
    fold: Fold
    limits: Limits
    where: str


class Inherited(Callback):
    """Keeps with a fit's checkpoints what the weights that it began with had seen: one that goes on does not ask again.

    Parameters
    ----------
    most : Seen, optional
        What is said of a fit that goes on from a checkpoint that does not say it.
    """

    name = "warm_start"

    def __init__(self, most: Seen | None = None) -> None:
        self.seen = most

    def state(self) -> Mapping[str, Any]:
        """What had been seen."""
        return {"seen": None if self.seen is None else self.seen.to_dict()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """What had been seen, back."""
        self.seen = None if state["seen"] is None else Seen.from_dict(state["seen"])


@dataclass(frozen=True)
class FromBundle:
    """Begin with the weights of a bundle.

    Attributes
    ----------
    path : Path
        A bundle; or a folder of them, such as a run's or its ``bundle``, of which the newest is taken that has seen
        nothing later than the fold may (`mnpu.training.seen`).
    parts : {"network", "backbone"}
        All weights, or the backbone's alone.
    member : int
        Which member's, where the bundle holds an ensemble; counted around.
    """

    path: Path
    parts: Literal["network", "backbone"] = "network"
    member: int = 0

    def of_member(self, member: int) -> FromBundle:
        """The same for one member of an ensemble, so that members stay different."""
        return replace(self, member=member)

    def __call__(self, given: WarmUp) -> Seen:
        """Put the weights into the network, and say what they have seen.

        Raises
        ------
        DataError
            There is no bundle, it has seen too much, its columns are others, or a tensor is missing or of another
            shape.
        """
        folder, state, tensors, seen = self._chosen(given)
        with well_formed(folder / STATE):
            _refuse_other_columns(given, state, folder)
            mine = _of_member(tensors, state, self.member)
        wanted = {
            name: tensor
            for name, tensor in given.network.state_dict().items()
            if self.parts == "network" or name.startswith("backbone.")
        }
        found = _of_part(mine, self.parts)
        _refuse_other_shapes(wanted, found, folder)
        with torch.no_grad():
            for name, tensor in wanted.items():
                tensor.copy_(found[name])
        return seen

    def _chosen(self, given: WarmUp) -> tuple[Path, dict[str, Any], dict[str, Tensor], Seen]:
        """The newest bundle that may be used."""
        late: list[str] = []
        unsaid = False
        for folder in reversed(bundles_under(self.path)):
            state, tensors = state_and_tensors(folder)
            with well_formed(folder / STATE):
                seen = _seen_by(state)
                reason = "does not say what it has seen" if seen is None else given.limits.exceeded_by(seen)
            if seen is not None and not reason:
                return folder, state, tensors, seen
            unsaid = unsaid or not state.get("seen")
            guessed = seen is not None and not state.get("seen")
            late.append(f"{folder.name} {reason}" + (" for all that it says" if guessed else ""))
        limits = given.limits
        raise DataError(
            f"no bundle under model.warm_start may be used: {'; '.join(late)}",
            where=given.where,
            expected=f"one that was trained on what was known by {limits.validated_from:%Y-%m-%d}, where validation "
            f"begins, and has seen nothing that was not known by {limits.judged_from:%Y-%m-%d}, the first decision "
            "that calibrates or tests",
            next_step="Take the bundle of an earlier fold, or of a run with the same split and model.calibration: "
            "later weights know the answers." + (_SAY_IT if unsaid else ""),
        )


def bundles_under(path: Path) -> list[Path]:
    """The bundle at ``path``, or those of a run in the order of their folds.

    Raises
    ------
    DataError
        There is none.
    """
    for folder in (path, path / "bundle"):
        if (folder / MANIFEST).is_file():
            return [folder]
        inner = sorted(each.parent for each in folder.glob(f"*/{MANIFEST}"))
        if inner:
            return inner
    raise DataError(
        f"model.warm_start is {path}, and no bundle lies there",
        expected="a bundle with its manifest.json, or the folder of a finished run",
        next_step="Look for it in RUN/bundle/fold-00.",
    )


def fingerprint(path: Path) -> list[str]:
    """What identifies every byte of the bundles at ``path``: they are a part of what a run is made of."""
    return [hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest() for folder in bundles_under(path)]


def _seen_by(state: dict[str, Any]) -> Seen | None:
    """What a bundle's weights have seen, None where it does not say it.

    Of an older bundle only its training range and its test range are known: its weights may have seen all before the
    latter, and that is what is said of them.
    """
    trained_to = pd.Timestamp(state["scaler"]["fit_end"])
    if state.get("seen"):
        seen = Seen.from_dict(state["seen"])
        if seen.trained_until < trained_to:
            raise ValueError(f"trained until {seen.trained_until}, and scaled until {trained_to}")
        return seen
    if not state.get("tested_from"):
        return None
    return Seen(trained_to, pd.Timestamp(state["tested_from"]))


def _refuse_other_columns(given: WarmUp, state: dict[str, Any], folder: Path) -> None:
    if tuple(state["names"]) != given.names:
        raise DataError(
            f"the bundle's features are {', '.join(state['names'])}",
            where=str(folder),
            expected=f"those of the recipe, in their order: {', '.join(given.names)}",
            next_step="Train a bundle on these features, or take the features that it was trained on.",
        )
    gaps = [name for name, gap in zip(given.names, state["scaler"]["has_gaps"], strict=True) if gap]
    own = [name for name, gap in zip(given.names, given.scaler.has_gaps, strict=True) if gap]
    if gaps != own:
        raise DataError(
            f"the bundle was trained with gaps in {', '.join(gaps) or 'no feature'}",
            where=str(folder),
            expected=f"gaps in the same features as here: {', '.join(own) or 'none'}; each brings an input",
            next_step="Make both training ranges begin where every feature is known.",
        )


def _of_member(tensors: dict[str, Tensor], state: dict[str, Any], member: int) -> dict[str, Tensor]:
    members = state.get("members") or []
    if not members:
        return tensors
    prefix = f"members.{member % len(members)}."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _of_part(tensors: dict[str, Tensor], parts: str) -> dict[str, Tensor]:
    return {name: t for name, t in tensors.items() if parts == "network" or name.startswith("backbone.")}


def _refuse_other_shapes(wanted: dict[str, Tensor], found: dict[str, Tensor], folder: Path) -> None:
    for name in sorted({*wanted, *found}):
        here, there = (list(each[name].shape) if name in each else None for each in (wanted, found))
        if here != there:
            raise DataError(
                f"the bundle has {f'a tensor {name} of shape {there}' if there is not None else f'no tensor {name}'}",
                where=str(folder),
                expected=f"the shape of the recipe's network, {here}" if here is not None else "no tensor of that name",
                next_step="Use the backbone, head and sizes that the bundle was trained with, or warm_start: {path: "
                "..., parts: backbone} where the heads differ.",
            )
