"""Write a new plugin: a package that installs, is discovered, and passes the checks of its kind."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import NamedTuple

from mnpu.config.yaml import parse_scalar
from mnpu.errors import ConfigError, MnpuError
from mnpu.plugins.catalog import KNOWN
from mnpu.plugins.hookspecs import API
from mnpu.plugins.kinds import KINDS
from mnpu.plugins.loader import normalise
from mnpu.plugins.registry import suggest

__all__ = ["TEMPLATES", "Written", "write_plugin"]

TEMPLATES = Path(__file__).with_name("templates")

_NUMPY, _TORCH, _PYDANTIC = '"numpy>=1.26,<3"', '"torch>=2.6"', '"pydantic>=2.7,<3"'
#: What each kind's template imports beside core.
_REQUIREMENTS = {
    "feature_source": (_NUMPY, _PYDANTIC),
    "validator": (_NUMPY, _PYDANTIC),
    "backbone": (_PYDANTIC, _TORCH),
    "head": (_TORCH,),
    "forecaster": (_NUMPY, _PYDANTIC),
    "instrument": (_PYDANTIC,),
    "logger": (_PYDANTIC,),
    "target": (_NUMPY,),
    "policy": (_NUMPY, _PYDANTIC),
    "guardrail": ('"array-api-compat>=1.9,<2"', _NUMPY, _PYDANTIC),
    "metric": (_NUMPY,),
    "report_section": (_NUMPY,),
    "renderer": (),
    "engine": (_PYDANTIC,),
    "command": ('"click>=8.1,<9"',),
}
#: How a pipeline names the component; kinds that are used by being installed have no line.
_EXAMPLES = {
    "feature_source": "features:\n  - {use: $component.efficiency, window: 20}",
    "validator": "validators:\n  - {use: $component, bars: 5}",
    "backbone": "model:\n  backbone: {use: $component, d_model: 16}",
    "head": "model:\n  head: {use: $component}",
    "forecaster": "model:\n  forecaster: {use: $component, neighbours: 100}",
    "instrument": "train:\n  instruments:\n    - {use: $component, every: 1}",
    "logger": "train:\n  loggers:\n    - {use: $component, every_steps: 20}",
    "target": "target: {use: $component, horizons: [5]}",
    "policy": "policy: {use: $component, gross: 1.0}",
    "guardrail": "guardrails:\n  - {use: $component, cap: 0.25}",
    "renderer": "report: {formats: [$component]}",
    "engine": "runtime: {engine: $component, workers: 2}",
}


class Written(NamedTuple):
    """What was written: the package's folder, its names, and its files."""

    root: Path
    dist: str
    package: str
    kind: str
    component: str
    files: list[Path]


def write_plugin(name: str, kind: str, folder: Path) -> Written:
    """Write the package ``name`` with one component of ``kind`` below ``folder``.

    Raises
    ------
    ConfigError
        The name or the kind cannot be used, or the folder exists.
    MnpuError
        The folder cannot be written; nothing is left of it.
    """
    kind = _ALSO.get(kind, kind)
    _check_kind(kind)
    dist = normalise(name)
    package = dist.replace("-", "_")
    _check_name(name, dist, package)
    root = folder / dist
    if root.exists():
        raise ConfigError(f"{root} exists already", next_step="Choose another name or --dir; nothing was overwritten.")
    component = package.removeprefix("mnpu_")
    words = _words(dist, package, kind, component)
    try:
        files = [_write(root / path, template, words) for path, template in _files(package, kind).items()]
    except OSError as error:
        shutil.rmtree(root, ignore_errors=True)
        raise MnpuError(f"it cannot be written: {error}", where=str(root), next_step="Choose another --dir.") from error
    return Written(root, dist, package, kind, component, files)


def _files(package: str, kind: str) -> dict[str, str]:
    """Path in the package to template."""
    return {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"src/{package}/__init__.py": "init.py",
        f"src/{package}/py.typed": "",
        f"src/{package}/plugin.py": "plugin.py",
        f"src/{package}/{kind}.py": f"{kind}.py",
        f"tests/test_{package}.py": "test.py",
    }


def _write(path: Path, template: str, words: dict[str, str]) -> Path:
    text = (TEMPLATES / f"{template}.template").read_text("utf-8") if template else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(Template(text).substitute(words), encoding="utf-8")
    return path


def _words(dist: str, package: str, kind: str, component: str) -> dict[str, str]:
    """What the templates' placeholders stand for."""
    class_name = "".join(part.title() for part in component.split("_"))
    attribute = component if kind in ("metric", "report_section", "renderer", "command") else class_name
    target = f"{package}.{kind}" if kind == "feature_source" else f"{package}.{kind}:{attribute}"
    core = "mnpu-core[train]" if kind in ("backbone", "forecaster", "head", "instrument", "logger") else "mnpu-core"
    required = (f'"{core}>={_floor()},<1"', *_REQUIREMENTS[kind])
    requirements = "".join(f"    {requirement},\n" for requirement in required)
    yaml = f"In a pipeline file:\n\n```yaml\n{_EXAMPLES.get(kind)}\n```"
    use = Template(yaml if kind in _EXAMPLES else _OTHER_USES[kind]).substitute(component=component)
    return {
        "dist": dist,
        "package": package,
        "kind": kind,
        "kind_words": kind.replace("_", " "),
        "component": component,
        "class_name": class_name,
        "title": component.replace("_", " ").capitalize(),
        "hook": KINDS[kind].hook,
        "target": target,
        "requirements": requirements,
        "api": str(API),
        "use": use,
    }


#: Other words for a kind.
_ALSO = {"feature": "feature_source"}

#: How the other kinds are used.
_OTHER_USES = {
    "metric": 'From Python: `Registry.discover().build("metric", "$component", {})(result)`.',
    "report_section": "It appears in every report as soon as it is installed.",
    "command": "It appears in `mnpu --help` as soon as it is installed.",
}


def _floor() -> str:
    """The running version of core, as the lower bound of the new package's requirement."""
    try:
        return ".".join(version("mnpu-core").split(".")[:2])
    except PackageNotFoundError:
        return "0.1"


def _check_kind(kind: str) -> None:
    if kind in _REQUIREMENTS:
        return
    if kind in KINDS:
        what = f"nothing in this mnpu-core calls components of kind {kind.replace('_', ' ')} yet"
    else:
        what = f"No kind of component is named {kind!r}"
    guess = suggest(kind, _REQUIREMENTS)
    hint = f"Did you mean {guess!r}? " if guess and kind not in KINDS else ""
    raise ConfigError(what, where="--kind", next_step=f"{hint}Kinds: {', '.join(_REQUIREMENTS)}.")


def _check_name(name: str, dist: str, package: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", package) or keyword.iskeyword(package):
        raise ConfigError(f"{name!r} cannot name a package", expected="letters, digits and '-', as in my-alpha")
    if not isinstance(parse_scalar(package), str):
        raise ConfigError(f"{name!r} is no text in a pipeline file", expected="a name that `use:` can hold unquoted")
    if dist == "mnpu" or dist.startswith("mnpu-core") or dist in KNOWN:
        raise ConfigError(f"{dist!r} is one of MNPU's own packages", next_step="Choose another name.")
    if package in sys.stdlib_module_names or find_spec(package) is not None:
        raise ConfigError(f"a module named {package!r} is installed already", next_step="Choose another name.")
