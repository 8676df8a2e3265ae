"""What a forecaster keeps, as files that execute nothing when they are read: safetensors and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mnpu.errors import DataError

__all__ = ["read", "written"]


def written(name: str, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """Arrays and plain values as two files, safetensors and JSON."""
    from safetensors.numpy import save

    files = {f"{name}.safetensors": save({key: np.ascontiguousarray(array) for key, array in arrays.items()})}
    if facts is not None:
        files[f"{name}.json"] = (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()
    return files


def read(name: str, files: Mapping[str, bytes]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `written` wrote under ``name``.

    Raises
    ------
    DataError
        A file is missing, or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        facts = files.get(f"{name}.json")
        return load(files[f"{name}.safetensors"]), {} if facts is None else json.loads(facts)
    except (KeyError, ValueError, SafetensorError) as error:
        raise DataError(
            f"{name}.safetensors is not there, or not readable",
            where="forecaster",
            expected="the files that were saved with the model",
            next_step="Write the bundle again.",
        ) from error
