"""Laws of every component and of every plugin module, whatever it provides."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from mnpu.errors import MnpuError
from mnpu.plugins.describe import summarise
from mnpu.plugins.hookspecs import API
from mnpu.plugins.kinds import KINDS
from mnpu.plugins.loader import HEAVY
from mnpu.plugins.registry import Component
from mnpu.plugins.schema import find_problems, model_from_signature
from mnpu.testing import LawOutcome

__all__ = ["asked", "built_from_defaults", "laws", "plugin_laws"]

#: What the framework supplies when a component is only built: sizes that any of them must be able to work with.
SIZES = {"n_features": 3, "lookback": 8, "d_in": 6, "n_horizons": 2, "workers": 2}


def laws(component: Component, target: Any) -> list[LawOutcome]:
    """What holds for a component of any kind: it says what it is, and its signature is a schema."""
    summary = summarise(component) if component.dist != "local" else (inspect.getdoc(target) or "").partition("\n")[0]
    outcomes = [_outcome("says in one line what it is", bool(summary), f"{component.target} has no docstring")]
    if component.kind in ("feature_source", "command"):
        return outcomes  # a feature's own signature is checked with the feature; a command declares click options
    return [*outcomes, *_schema_laws(component, target)]


def asked(law: str, check: Callable[[], str]) -> LawOutcome:
    """The outcome of a law whose check says what is wrong, or raises it; a stranger's component may raise anything."""
    try:
        detail = check()
    except MnpuError as error:
        detail = str(error)
    except Exception as error:  # whatever it raises is what is wrong with it
        detail = f"it raised {type(error).__name__}: {error}"
    return LawOutcome(law, not detail, detail)


def built_from_defaults(component: Component, factory: Callable[..., Any]) -> LawOutcome:
    """Whether it can be built from nothing but its defaults."""
    law = "can be built from its defaults"
    if component.kind == "command":
        return LawOutcome(law, True)
    try:
        factory(**{name: SIZES[name] for name in KINDS[component.kind].supplied})
    except MnpuError as error:
        return LawOutcome(law, False, str(error))
    return LawOutcome(law, True)


def plugin_laws(module: ModuleType) -> list[LawOutcome]:
    """What holds for a plugin module: it is cheap to import, and states the API it was written for."""
    stated = hasattr(module, "MNPU_API")
    return [
        _outcome(f"{module.__name__}: states its API", stated, f"write MNPU_API = {API}"),
        _is_light(module.__name__),
    ]


def _outcome(law: str, passed: bool, complaint: str) -> LawOutcome:
    return LawOutcome(law, passed, "" if passed else complaint)


def _is_light(module: str) -> LawOutcome:
    """In an interpreter of its own, because this one has imported much already."""
    code = f"import sys, {module}; print(' '.join(m for m in {HEAVY!r} if m in sys.modules))"
    path = [entry for entry in sys.path if entry]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}; {code}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    heavy = done.stdout.split("\n")[-2] if done.stdout else ""
    detail = f"it imports {heavy}; name them as text, 'package.module:Attribute', instead" if heavy else done.stderr
    return _outcome(f"{module}: imports nothing heavy", done.returncode == 0 and not heavy, detail.strip())


def _schema_laws(component: Component, target: Any) -> list[LawOutcome]:
    kind = KINDS[component.kind]
    bare_function = kind.called and not isinstance(target, type)
    try:
        model = model_from_signature(target, skip=kind.supplied, keyword_only=bare_function)
    except MnpuError as error:
        return [LawOutcome("its signature is a schema", False, str(error))]
    untyped = [name for name, field in model.model_fields.items() if field.annotation is Any]
    absent = [name for name in kind.supplied if name not in inspect.signature(target).parameters]
    unknown = "a_parameter_that_nobody_has"
    refused = bool(find_problems(target, {unknown: 1}, skip=kind.supplied, keyword_only=bare_function)[1])
    return [
        _outcome("its signature is a schema", not untyped, f"no type for {', '.join(untyped)}"),
        _outcome("takes what the framework supplies", not absent, f"no argument named {', '.join(absent)}"),
        _outcome("refuses an unknown parameter", refused, "it accepts any key, so a misspelt one would be lost"),
    ]
