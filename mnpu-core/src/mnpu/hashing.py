"""The four hashes of a run, and the recipe they make: pure functions of their arguments and of what is installed.

``config_hash`` covers what a pipeline is, ``data_hash`` what it read, ``code_hash`` every line of every package
that contributes, ``env_hash`` Python, libraries, device kind and threads. Each is a sha256 in hex.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnpu.config.interpolate import Reference
from mnpu.errors import MnpuError, PluginError

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "canonical_json",
    "environment",
    "hash_arrays",
    "hash_code",
    "hash_config",
    "hash_environment",
    "packages",
    "recipe_id",
    "versions",
]

#: Sections that say how a run runs, is shown or is called, not what it computes.
_NOT_SCIENCE = ("name", "runtime", "report")
#: Settings of ``train`` that no number depends on.
_WRITTEN_DOWN = ("checkpoint_every", "loggers")
#: Of the train block: what watches, as long as no alert acts.
_WATCHING = ("instruments", "alerts")
_LIBRARIES = (
    "numpy",
    "pandas",
    "pyarrow",
    "exchange-calendars",
    "array-api-compat",
    "torch",
    "lightning",
    "safetensors",
)
#: What lies beside the packages of a project without a ``src`` folder, and is in no wheel.
_NOT_SHIPPED = ("tests", "test", "docs", "setup.py", "noxfile.py", "conftest.py")


def canonical_json(value: Any) -> str:
    """One text for one value: keys sorted, no spaces, floats by `repr`, -0.0 as 0.0; NaN and infinities refused."""
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def hash_config(resolved: Mapping[str, Any]) -> str:
    """Hash of a resolved configuration without what cannot change a number.

    Left out: ``name``, ``runtime``, ``report``, where the store and the weights to begin with lie (their content is in
    ``data_hash``), and what only watches a training or writes it down.
    """
    science = {key: value for key, value in resolved.items() if key not in _NOT_SCIENCE}
    if "train" in science:
        train = science["train"]
        idle = _WRITTEN_DOWN if _acts(train.get("alerts") or {}) else (*_WRITTEN_DOWN, *_WATCHING)
        science["train"] = {key: value for key, value in train.items() if key not in idle}
    source = science.get("model", {}).get("warm_start")
    if source is not None:
        parts = source.get("parts", "network") if isinstance(source, Mapping) else "network"
        science["model"] = {**science["model"], "warm_start": {"parts": parts}}
    if "data" in science:
        science["data"] = {key: value for key, value in science["data"].items() if key != "store"}
    return _sha256(canonical_json(science).encode())


def _acts(alerts: Mapping[str, Any]) -> bool:
    """Whether an alert may change a training: what only watches cannot change a number."""
    return any(isinstance(rule, Mapping) and rule.get("action", "log") != "log" for rule in alerts.values())


def hash_arrays(arrays: Mapping[str, Any]) -> str:
    """Hash of named arrays: name, type, shape and every element.

    Independent of byte order, memory layout and the order of names. All NaN are one, and so are 0.0 and -0.0.
    Instants are hashed as UTC nanoseconds; text by its characters.
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        kind, shape, data = _array_bytes(name, arrays[name])
        digest.update(canonical_json([name, kind, list(shape), len(data)]).encode())
        digest.update(data)
    return digest.hexdigest()


def hash_code(contributors: Iterable[Any]) -> str:
    """Hash of the Python source of distributions, modules, classes or functions.

    The same source gives the same hash, whether it is installed from a wheel or editable, on any system.

    Parameters
    ----------
    contributors : iterable
        Names of distributions (``mnpu-guardrails``) or importable modules, or objects, whose own source counts.

    Raises
    ------
    PluginError
        Nothing with this name is installed.
    """
    digest = hashlib.sha256()
    for key, source in sorted(_sources(contributors).items()):
        digest.update(canonical_json([key, len(source)]).encode())
        digest.update(source)
    return digest.hexdigest()


def hash_environment(device: str, threads: int, *, libraries: Iterable[str] = ()) -> str:
    """Hash of `environment`."""
    return _sha256(canonical_json(environment(device, threads, libraries=libraries)).encode())


def environment(device: str, threads: int, *, libraries: Iterable[str] = ()) -> dict[str, str | int]:
    """What numbers depend on beside code and data: Python, machine, libraries, device kind, threads.

    Nothing is imported; a library that is not installed is left out. Give the resolved kind (``cpu``), not ``auto``.
    ``libraries`` are further ones, which a component of the pipeline computes with.
    """
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": sys.platform,
        "machine": platform.machine(),
        "device": device,
        "threads": threads,
        **{name: version for name in (*_LIBRARIES, *sorted(libraries)) if (version := version_of(name))},
    }


def versions(distributions: Iterable[str], *, libraries: Iterable[str] = ()) -> dict[str, str]:
    """Version of each distribution, of Python, and of the libraries that numbers depend on."""
    found = {name: version_of(name) or "local" for name in distributions}
    used = {name: version for name in (*_LIBRARIES, *sorted(libraries)) if (version := version_of(name))}
    return {**dict(sorted(found.items())), "python": platform.python_version(), **used}


def recipe_id(*, config_hash: str, data_hash: str, code_hash: str, env_hash: str) -> str:
    """Twelve hex characters that stand for the four hashes."""
    return _sha256("\n".join((config_hash, data_hash, code_hash, env_hash)).encode())[:12]


def _canonical(value: Any) -> Any:
    if isinstance(value, Reference):
        return value.value
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise MnpuError(f"{value} cannot be hashed", expected="a finite number")
        return float(value) + 0.0  # -0.0 and 0.0 are one number
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_canonical(item) for item in value]
    raise MnpuError(f"a {type(value).__name__} cannot be hashed", expected="text, numbers, lists and maps")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _array_bytes(name: str, value: Any) -> tuple[str, tuple[int, ...], bytes]:
    import numpy as np

    if hasattr(value, "tz_convert") and value.tz is not None:
        value = value.tz_convert("UTC").tz_localize(None)
    array = np.asarray(value)
    if array.dtype.kind in "mM":
        array = array.astype(f"{array.dtype.kind}8[ns]").view("int64")
        return "ns", array.shape, _little(array)
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), array.dtype.type("nan"), array + array.dtype.type(0))
    if array.dtype.kind in "biuf":
        return array.dtype.newbyteorder("<").str.lstrip("<|="), array.shape, _little(array)
    if array.dtype.kind in "OUST":
        texts = array.ravel().tolist()
        if all(isinstance(text, str) for text in texts):
            return "text", array.shape, canonical_json(texts).encode()
    raise MnpuError(f"array '{name}' of type {array.dtype} cannot be hashed", expected="numbers, instants or text")


def _little(array: np.ndarray) -> bytes:
    return array.astype(array.dtype.newbyteorder("<"), order="C").tobytes()


def _sources(contributors: Iterable[Any]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for contributor in contributors:
        if not isinstance(contributor, str):
            found[f"{contributor.__module__}:{contributor.__qualname__}"] = _source_of(contributor)
            continue
        for place in packages(contributor):
            files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
            for file in files:
                if "__pycache__" not in file.parts:
                    found[file.relative_to(place.parent).as_posix()] = file.read_bytes().replace(b"\r\n", b"\n")
    return found


def _source_of(thing: Any) -> bytes:
    try:
        return inspect.getsource(thing).encode()
    except (OSError, TypeError):
        raise PluginError(
            f"the source of {thing!r} is not available, so it cannot be hashed",
            next_step="Define it in a file or a notebook cell.",
        ) from None


def packages(name: str) -> list[Path]:
    """Folders (or single files) of the top-level packages of a distribution or module."""
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return [_module_place(name)]
    files = distribution.files or []
    tops = {file.parts[0] for file in files if file.suffix == ".py" and not file.parts[0].startswith(("..", "__"))}
    found = [Path(str(distribution.locate_file(top))) for top in tops if not top.startswith("_editable")]
    for file in files:
        if file.suffix == ".pth":  # an editable install: the file names the folder of the source
            found += _packages_in(Path(str(distribution.locate_file(file))))
    if not found:
        entries = [e for e in distribution.entry_points if e.group == "mnpu.plugins"]
        found = [_module_place(entry.value.partition(":")[0].partition(".")[0]) for entry in entries]
    if not found:
        raise PluginError(f"the source of {name} was not found", next_step=f"Run: pip install --force-reinstall {name}")
    return found


def _packages_in(pth: Path) -> list[Path]:
    lines = pth.read_text(encoding="utf-8").splitlines()
    folders = [Path(line) for line in lines if line and not line.startswith("import")]
    inside = [child for folder in folders if folder.is_dir() for child in folder.iterdir()]
    packages = [child for child in inside if (child / "__init__.py").is_file() or child.suffix == ".py"]
    return [child for child in packages if child.name not in _NOT_SHIPPED]


def _module_place(name: str) -> Path:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    if spec is not None and spec.origin and spec.origin.endswith(".py"):
        return Path(spec.origin)
    raise PluginError(f"no distribution or module named '{name}' is installed", next_step=f"Run: pip install {name}")


def version_of(name: str) -> str:
    """Version of an installed distribution, empty where it is not."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
