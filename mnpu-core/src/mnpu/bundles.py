"""What lies beside a network in its bundle, and how a bundle is found, shown and verified; torch is not needed.

::

    resolved.yaml     the pipeline with every default
    features.json     what each input column is: formula, unit, warm-up, parameters, series
    metrics.json      of the run that the network was part of, as in the run's folder
    origin.json       run, recipe, hashes, versions, what is forecast (the target block and the fill that it begins
                      with), and the model block that the network is built from
    MODEL_CARD.md     the same for people
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnpu.errors import ConfigError, DataError
from mnpu.manifest import MANIFEST, as_json, parsed, read_sealed, well_formed
from mnpu.model_card import model_card
from mnpu.rundir import open_run, run_record

if TYPE_CHECKING:
    from mnpu.training import Fitted
    from mnpu.types import Result

__all__ = ["Bundle", "documents", "find"]

ORIGIN, FEATURES, METRICS, STATE, WEIGHTS = (
    "origin.json",
    "features.json",
    "metrics.json",
    "fitted.json",
    "weights.safetensors",
)


def documents(fitted: Fitted, result: Result, run_dir: Path) -> dict[str, str]:
    """The files of a bundle that are not the network's own, by name, of a run whose folder holds its result."""
    specs = {spec.name: spec for spec in result.features}
    features = [{**asdict(specs[n]), "params": dict(specs[n].params)} for n in fitted.names if n in specs]
    origin = {} if result.run is None else run_record(result.run)
    config = origin.pop("config", {})
    return {
        "resolved.yaml": (run_dir / "resolved.yaml").read_text(encoding="utf-8"),
        METRICS: (run_dir / METRICS).read_text(encoding="utf-8"),
        FEATURES: as_json(features).decode(),
        ORIGIN: as_json({**origin, **_what_is_forecast(config), "model": config.get("model", {})}).decode(),
        "MODEL_CARD.md": model_card(fitted, result),
    }


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every byte was checked."""

    folder: Path
    files: Mapping[str, bytes]

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """Read and check the bundle in ``folder``; DataError if anything differs from what was written."""
        return cls(Path(folder), read_sealed(folder))

    def document(self, name: str) -> dict[str, Any]:
        """A JSON file of the bundle, empty where an older bundle has none."""
        return parsed(self.files[name], self.folder / name) if name in self.files else {}

    @property
    def origin(self) -> Mapping[str, Any]:
        """What `ORIGIN` says, empty where an older bundle has none; DataError where a block of it is none."""
        origin = self.document(ORIGIN)
        with well_formed(self.folder / ORIGIN):
            for name in ("model", "versions", "target"):
                if not isinstance(origin.get(name, {}), dict):
                    raise TypeError(f"{name} is no map")
            for kind in ("backbone", "head", "forecaster"):
                block = origin.get("model", {}).get(kind, None)
                if block is not None and not isinstance(block, dict):
                    raise TypeError(f"model.{kind} is no map")
                if block is not None and not isinstance(block.get("use"), str):
                    raise TypeError(f"model.{kind} names no component")
            if origin.get("model", {}).get("backbone") and not origin["model"].get("head"):
                raise KeyError("model.head")
        return origin

    @property
    def model(self) -> Mapping[str, Any]:
        """The ``model`` block of the recipe."""
        model = self.origin.get("model") or {}
        if not model:
            raise DataError(
                "it does not say which components its network is made of",
                where=str(self.folder),
                expected=f"a bundle with {ORIGIN}",
                next_step="Write it again with this version of mnpu-core: mnpu run RUN/resolved.yaml",
            )
        return model

    def facts(self) -> dict[str, Any]:
        """What there is to say about it, as plain data."""
        state, origin = self.document(STATE), self.origin
        with well_formed(self.folder):
            return self._facts(state, origin)

    def _facts(self, state: Mapping[str, Any], origin: Mapping[str, Any]) -> dict[str, Any]:
        if WEIGHTS in self.files:
            _check_weights(self.files[WEIGHTS], self.folder)
        history = state.get("history", [])
        fold = state.get("fold", {})
        best = min(history, key=lambda epoch: epoch["validation"]) if history else {}
        return {
            "path": str(self.folder),
            "fold": fold.get("number"),
            "run_id": origin.get("run_id"),
            "name": origin.get("name"),
            "recipe_id": origin.get("recipe_id"),
            "target": origin.get("target", {}),
            "fill": origin.get("fill"),
            "labels_learnt": [[float(n) for n in row] for row in state.get("labels_learnt") or ()],
            "model": origin.get("model", {}),
            "parameters": index(state["n_parameters"]) if WEIGHTS in self.files and "n_parameters" in state else None,
            "members": len(state.get("members", ())),
            "lookback": state.get("lookback"),
            "columns": state.get("names", []),
            "horizons": state.get("horizons", []),
            "levels": state.get("levels", []),
            "trained_from": state.get("scaler", {}).get("fit_start"),
            "trained_until": state.get("scaler", {}).get("fit_end"),
            "seen_until": (state.get("seen") or {}).get("until"),
            "calibrated_since": (state.get("calibration") or {}).get("since"),
            "follows_from": state.get("follows_from"),
            "epochs": len(history),
            "kept_epoch": history.index(best) + 1 if history else None,
            "validation_loss": best.get("validation"),
            "versions": origin.get("versions", {}),
            "files": {name: len(content) for name, content in sorted(self.files.items())},
        }


def find(runs: Path, name: str, *, fold: int | None = None) -> list[Path]:
    """Folders of the bundles that ``name`` means: one bundle's folder, or a run with all of its folds.

    Parameters
    ----------
    runs : Path
        Folder of run directories.
    name : str
        Path of a bundle, or a run as `mnpu.rundir.open_run` takes it.
    fold : int, optional
        Of a run, only the bundle of this number, as in ``fold-02``.

    Raises
    ------
    ConfigError
        There is no such run, or it has no such bundle; or it is a file.
    DataError
        It may not be read.
    """
    folder = Path(name)
    try:
        if (folder / MANIFEST).is_file() or _looks_like_one(folder):
            return [folder.resolve()]
        if folder.is_file():
            raise ConfigError("it is a file", where=name, expected="the folder of a bundle, or a run", next_step=_FIND)
        if folder.is_dir() and not (folder / "run.json").exists():
            raise ConfigError(f"holds no {MANIFEST}", where=name, expected="a bundle, or a run", next_step=_FIND)
        run = open_run(runs, name)
    except PermissionError as error:
        raise DataError(
            f"it cannot be read ({error.strerror})",
            where=name,
            expected="a folder that you may read",
            next_step=f"Run: chmod -R u+rX {name}",
        ) from error
    except OSError as error:  # a name that no file can have
        raise ConfigError(
            f"no bundle has such a name ({error.strerror})", where=f"{name[:80]}...", next_step=_FIND
        ) from error
    found = sorted(path for path in (run.path / "bundle").glob("fold-*") if path.is_dir())
    if fold is not None:
        found = [path for path in found if path.name == f"fold-{fold:02d}"]
    if not found:
        what = "no network was kept" if fold is None else f"there is no bundle/fold-{fold:02d}"
        raise ConfigError(what, where=str(run.path), expected="a finished run", next_step=_FIND)
    return found


def _what_is_forecast(config: Mapping[str, Any]) -> dict[str, Any]:
    """Forecasts are in units of the target, wherever the bundle or a file made of it goes."""
    return {name: config[name] for name in ("target", "fill") if name in config}


_WRITE = "Do not use it; write the bundle again."
_FIND = "Runs are listed by: mnpu runs list"


def _looks_like_one(folder: Path) -> bool:
    """An unfinished bundle is one all the same: what is missing is then named."""
    return (folder / WEIGHTS).is_file() or (folder / STATE).is_file()


def _check_weights(weights: bytes, folder: Path) -> None:
    """Refuse what is no safetensors file by its header: eight bytes of length, then JSON with each tensor's place."""
    try:
        (length,) = struct.unpack("<Q", weights[:8])
        header = json.loads(weights[8 : 8 + length])
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        if 8 + length + max(ends, default=0) != len(weights):
            raise ValueError(f"{len(weights):,} bytes")
    except (struct.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{WEIGHTS} is not a safetensors file ({error})", where=str(folder), expected="tensors", next_step=_WRITE
        ) from error
