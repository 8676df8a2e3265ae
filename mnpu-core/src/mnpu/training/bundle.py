"""A fitted network on disk: safetensors, JSON and a manifest of hashes that is written last. No pickle.

::

    weights.safetensors   the network's tensors; a whole model has its own files, forecaster-*
    fitted.json           scaler, target scale, columns, horizons, levels, fold, history
    ...                   whatever the caller adds: the resolved recipe, metrics, versions
    manifest.json         sha256 of every file above; without it the bundle is unfinished
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from mnpu.atomic import write_atomically
from mnpu.data.scaling import Scaler
from mnpu.errors import DataError, MnpuError
from mnpu.forecasters import Forecaster
from mnpu.nn.network import Network
from mnpu.nn.whole import Whole
from mnpu.training.calibrating import Calibration
from mnpu.training.fitted import Epoch, Fitted
from mnpu.types import Fold

__all__ = ["load", "save"]

FORMAT = 1
MANIFEST, STATE, WEIGHTS = "manifest.json", "fitted.json", "weights.safetensors"
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
    folder = Path(folder)
    files = {name: text.encode() for name, text in (extra or {}).items()}
    files |= _learnt(fitted.network)
    files[STATE] = _json(_state(fitted))
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise MnpuError("it is not empty", where=str(folder), expected="a new folder for the bundle")
        for name, content in files.items():
            (folder / name).write_bytes(content)
        write_atomically(folder / MANIFEST, _json({"format": FORMAT, "files": hashes}))
    except OSError as error:
        raise MnpuError(f"the bundle cannot be written ({error.strerror})", where=str(folder)) from error
    return folder


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
        If the bundle is unfinished, a file is missing or changed, or the weights are those of another network.
    """
    folder = Path(folder)
    manifest = _parsed(_read(folder, MANIFEST), folder)
    if manifest.get("format") != FORMAT:
        raise DataError(f"bundle format {manifest.get('format')!r}", where=str(folder), expected=str(FORMAT))
    contents = {name: _checked(folder, name, expected) for name, expected in manifest["files"].items()}
    state = _parsed(contents[STATE], folder)
    network: Network | Whole
    if forecaster is not None:
        network = _whole(forecaster(), contents, state, folder)
    else:
        network = _network(backbone, head, contents, state, folder)
    return Fitted(
        network=network.eval(),
        scaler=Scaler.from_dict(state["scaler"]),
        target_scale=np.array(state["target_scale"], dtype=np.float64),
        names=tuple(state["names"]),
        horizons=tuple(state["horizons"]),
        levels=tuple(state["levels"]),
        lookback=state["lookback"],
        min_present=state["min_present"],
        fold=Fold(state["fold"]["number"], *(tuple(state["fold"][k]) for k in ("train", "validation", "test"))),
        history=tuple(Epoch(**epoch) for epoch in state["history"]),
        calibration=Calibration.from_dict(state["calibration"]) if state.get("calibration") else None,
    )


def _learnt(network: Network | Whole) -> dict[str, bytes]:
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
) -> Network:
    body = backbone(n_features=state["n_columns"], lookback=state["lookback"])
    network = Network(body, head(d_in=body.d_out, n_horizons=len(state["horizons"])))
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
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False, default=int) + "\n").encode()  # default: numpy integers


def _parsed(content: bytes, folder: Path) -> dict[str, Any]:
    try:
        return json.loads(content)
    except ValueError as error:
        raise DataError("the bundle is not readable", where=str(folder), next_step="Write it again.") from error


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise DataError(
            f"{name} cannot be read ({error.strerror})",
            where=str(folder),
            expected="a finished bundle",
            next_step="Write the bundle again: one without a manifest was never finished.",
        ) from error


def _checked(folder: Path, name: str, expected: str) -> bytes:
    content = _read(folder, name)
    if hashlib.sha256(content).hexdigest() != expected:
        raise DataError(
            f"{name} has changed since the bundle was written",
            where=str(folder),
            expected=f"sha256 {expected[:12]}...",
            next_step="Do not use it; write the bundle again.",
        )
    return content
