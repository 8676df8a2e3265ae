"""A fitted network on disk: safetensors, JSON and a manifest of hashes that is written last. No pickle.

::

    weights.safetensors   the network's tensors; a whole model has its own files, forecaster-*
    fitted.json           scaler, target scale, columns, horizons, levels, fold, history, what was seen
    ...                   whatever the caller adds: the resolved recipe, features, metrics, versions, a card
    manifest.json         sha256 of every file above; without it the bundle is unfinished (`mnpu.manifest`)

Nothing in it is code: a reader builds the network from installed components, and puts the weights in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from mnpu.data.scaling import Scaler
from mnpu.errors import DataError
from mnpu.forecasters import Forecaster
from mnpu.manifest import as_json, parsed, read_sealed, seal, well_formed
from mnpu.nn.ensemble import Ensemble
from mnpu.nn.network import Network
from mnpu.nn.whole import Whole
from mnpu.training.calibrating import Calibration
from mnpu.training.fitted import Epoch, Fitted
from mnpu.training.seen import Seen
from mnpu.training.soundness import check_levels, check_size, check_state
from mnpu.types import Fold

__all__ = ["load", "save", "state_and_tensors"]

STATE, WEIGHTS = "fitted.json", "weights.safetensors"
WHOLE = "forecaster-"  #: Begins the name of every file of a whole model.


def save(fitted: Fitted, folder: Path, *, extra: Mapping[str, str] | None = None) -> Path:
    """Write ``fitted`` into the new or empty ``folder``.

    Parameters
    ----------
    fitted : Fitted
    folder : Path
    extra : mapping of str to str, optional
        Further text files by name; the manifest vouches for them too.

    Raises
    ------
    MnpuError
        If the folder holds something, or cannot be written.
    """
    files = {name: text.encode() for name, text in (extra or {}).items()}
    return seal(folder, {**files, **_learnt(fitted.network), STATE: as_json(_state(fitted))})


def load(
    folder: Path,
    backbone: Callable[..., Any],
    head: Callable[..., Any],
    forecaster: Callable[[], Forecaster] | None = None,
) -> Fitted:
    """Read a bundle back, after checking every byte against the manifest.

    Parameters
    ----------
    folder : Path
    backbone, head : callable
        As given to ``fit``: they build the network that the weights are put into.
    forecaster : callable, optional
        As given to ``fit_whole``, in place of both.

    Raises
    ------
    DataError
        If the bundle is unfinished, a file is missing or changed, the weights are those of another network, or what it
        says of the fit contradicts itself or the network.
    """
    folder = Path(folder)
    contents = read_sealed(folder)
    state = _state_in(contents, folder)
    with well_formed(folder / STATE):
        fitted = Fitted(network=Network(nn.Identity(), nn.Identity()), **_known(state))  # whose own may be too large
        check_state(fitted, where=str(folder / STATE))
    network: Network | Ensemble | Whole
    if forecaster is not None:
        network = _whole(forecaster(), contents, state, folder)
    else:
        network = _network(backbone, head, contents, state, folder)
    check_levels(fitted.levels, network, where=str(folder / STATE))
    fitted = replace(fitted, network=network.eval())
    check_size(fitted, state.get("n_parameters", fitted.n_parameters), where=str(folder / STATE))
    return fitted


def _known(state: Mapping[str, Any]) -> dict[str, Any]:
    """What is written of a fit, but for its network; and all that the network is built from is there."""
    scaler = Scaler.from_dict(state["scaler"])
    if not isinstance(state["n_columns"], int) or state["n_columns"] != scaler.n_columns:
        raise ValueError(f"n_columns {state['n_columns']} of {scaler.n_columns} scaled columns")
    if not isinstance(state["lookback"], int) or state["lookback"] < 1:
        raise ValueError(f"lookback {state['lookback']}")
    return {
        "scaler": scaler,
        "target_scale": np.array(state["target_scale"], dtype=np.float64),
        "names": tuple(state["names"]),
        "horizons": tuple(state["horizons"]),
        "levels": tuple(state["levels"]),
        "lookback": state["lookback"],
        "min_present": state["min_present"],
        "fold": Fold.of(state["fold"]),
        "history": tuple(Epoch(**epoch) for epoch in state["history"]),
        "members": tuple(tuple(Epoch(**epoch) for epoch in history) for history in state.get("members", ())),
        "pretraining": tuple(state.get("pretraining", ())),
        "seen": Seen.from_dict(state["seen"]) if state.get("seen") else None,
        "follows_from": pd.Timestamp(state["follows_from"]) if state.get("follows_from") else None,
        "labels_learnt": np.array(state["labels_learnt"], dtype=np.float64) if state.get("labels_learnt") else None,
        "calibration": Calibration.from_dict(state["calibration"]) if state.get("calibration") else None,
    }


def state_and_tensors(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What a network's bundle says of its fit, and its weights by name, for whoever builds the network himself."""
    contents = read_sealed(folder)
    state = _state_in(contents, folder)
    try:
        return state, load_tensors(contents[WEIGHTS])
    except (KeyError, SafetensorError) as error:
        raise DataError("the bundle holds no network's weights", where=str(folder), expected=WEIGHTS) from error


def _learnt(network: Network | Ensemble | Whole) -> dict[str, bytes]:
    """The files of what was learnt."""
    if isinstance(network, Whole):
        return {WHOLE + name: content for name, content in network.forecaster.save().items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return {WEIGHTS: save_tensors(tensors)}


def _network(
    backbone: Callable[..., nn.Module],
    head: Callable[..., nn.Module],
    contents: Mapping[str, bytes],
    state: Mapping[str, Any],
    folder: Path,
) -> Network | Ensemble:
    def one() -> Network:
        body = backbone(n_features=state["n_columns"], lookback=state["lookback"])
        return Network(body, head(d_in=body.d_out, n_horizons=len(state["horizons"])))

    members = state.get("members", ())
    network = Ensemble([one() for _ in members]) if members else one()
    try:
        network.load_state_dict(load_tensors(contents[WEIGHTS]))
    except (KeyError, RuntimeError, SafetensorError) as error:
        raise DataError(
            "the weights are not those of the network that the recipe describes",
            where=str(folder / WEIGHTS),
            next_step="Use the recipe that is saved with the bundle.",
        ) from error
    return network


def _whole(model: Forecaster, contents: Mapping[str, bytes], state: Mapping[str, Any], folder: Path) -> Whole:
    files = {name.removeprefix(WHOLE): content for name, content in contents.items() if name.startswith(WHOLE)}
    if not files:
        raise DataError(
            "it holds no forecaster, but a network",
            where=str(folder),
            expected=f"files that begin with {WHOLE}",
            next_step="Use the recipe that is saved with the bundle.",
        )
    model.load(files)
    return Whole(model, n_columns=state["n_columns"], lookback=state["lookback"])


def _state(fitted: Fitted) -> dict[str, Any]:
    return {
        "n_columns": fitted.scaler.n_columns,
        "n_parameters": fitted.n_parameters,
        "lookback": fitted.lookback,
        "min_present": fitted.min_present,
        "names": list(fitted.names),
        "horizons": [int(h) for h in fitted.horizons],
        "levels": list(fitted.levels),
        "target_scale": fitted.target_scale.tolist(),
        "scaler": fitted.scaler.to_dict(),
        "fold": asdict(fitted.fold),
        "history": [asdict(epoch) for epoch in fitted.history],
        "calibration": fitted.calibration.to_dict() if fitted.calibration is not None else None,
        "pretraining": list(fitted.pretraining),
        "seen": fitted.seen.to_dict() if fitted.seen is not None else None,
        "follows_from": fitted.follows_from.isoformat() if fitted.follows_from is not None else None,
        "labels_learnt": fitted.labels_learnt.tolist() if fitted.labels_learnt is not None else None,
        "members": [[asdict(epoch) for epoch in history] for history in fitted.members],
    }


def _state_in(contents: Mapping[str, bytes], folder: Path) -> dict[str, Any]:
    if STATE not in contents or not any(name == WEIGHTS or name.startswith(WHOLE) for name in contents):
        raise DataError("it holds no model", where=str(folder), expected=f"a bundle with {STATE} and what was learnt")
    return parsed(contents[STATE], folder)
