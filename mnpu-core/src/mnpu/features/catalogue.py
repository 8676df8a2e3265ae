"""Every signal of every installed source with its spec at the defaults: what listings and reference pages show."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mnpu.errors import ConfigError, MnpuError
from mnpu.features.api import FeatureMeta, meta_of
from mnpu.features.compute import as_declared
from mnpu.features.plan import plan_function
from mnpu.features.prose import formula_of, notes_of, reference_of
from mnpu.features.select import Function, features_of, legal_name, refuse
from mnpu.plugins.describe import Parameter, describe
from mnpu.plugins.registry import Component, Registry, suggest
from mnpu.types import FeatureSpec, SeriesInfo

__all__ = ["Signal", "Unread", "find", "signals", "with_tag"]


@dataclass(frozen=True)
class Signal:
    """A feature as anyone may use it.

    Attributes
    ----------
    name : str
        ``source.function``, as a recipe names it.
    spec : FeatureSpec
        At the defaults. A parameter without one leaves what depends on it empty: ``series``, and a ``warmup`` of 0.
    warmup : str
        The warm-up in terms of the parameters, ``window + 1``; empty where it does not depend on them so plainly.
    parameters : tuple of Parameter
        Type, default, limits and meaning, from source.
    formula, notes : str
        From the docstring.
    missing : tuple of str
        The series that the store at hand does not hold; empty where none was given.
    """

    name: str
    dist: str
    version: str
    spec: FeatureSpec
    warmup: str
    parameters: tuple[Parameter, ...]
    formula: str
    notes: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unread:
    """A source that could not be imported, and why."""

    source: str
    dist: str
    version: str
    cause: str


def signals(
    registry: Registry, *, source: str = "", held: Mapping[str, SeriesInfo] | None = None
) -> tuple[list[Signal], list[Unread]]:
    """The signals of one source or of all, and the sources that could not be imported.

    Parameters
    ----------
    registry : Registry
    source : str, optional
        Name of a source; one that cannot be imported is an error then.
    held : mapping of str to SeriesInfo, optional
        The series of a store: specs say when theirs are known, and signals which are missing.
    """
    everything = registry.components("feature_source")
    wanted = [registry.find("feature_source", source)] if source else everything
    found: list[Signal] = []
    failed: list[Unread] = []
    for component in wanted:
        try:
            module = registry.load("feature_source", component.canonical)
        except MnpuError as error:
            if source:
                raise
            failed.append(Unread(component.name, component.dist, component.version, error.what))
            continue
        found += _of_source(component, legal_name(component, everything), module, held)
    return found, failed


def with_tag(found: Sequence[Signal], tag: str) -> list[Signal]:
    """The signals that carry a tag; an unknown one is an error with a guess."""
    tagged = [signal for signal in found if tag in signal.spec.tags]
    if not tagged:
        known = sorted({each for signal in found for each in signal.spec.tags})
        guess = suggest(tag, known)
        raise ConfigError(
            f"no feature has the tag {tag!r}",
            expected=f"one of {', '.join(known) or 'none, as they have no tags'}",
            next_step=f"Did you mean {guess!r}?" if guess else "Run: mnpu features list.",
        )
    return tagged


def find(registry: Registry, name: str, *, held: Mapping[str, SeriesInfo] | None = None) -> Signal:
    """The signal that ``source.function`` names; the source may be written by its canonical id."""
    source, dot, function = name.rpartition(".")
    if dot:
        found, _ = signals(registry, source=source, held=held)
        refuse(registry.load("feature_source", source), source, function, "")
        if match := [signal for signal in found if signal.spec.function == function]:
            return match[0]
    else:
        found, _ = signals(registry)
    known = [signal.name for signal in found]
    guess = suggest(name, known) or next((each for each in known if each.rpartition(".")[2] == name), "")
    raise ConfigError(
        f"No feature named {name!r}",
        next_step=f"Did you mean {guess!r}?" if guess else "Run: mnpu features list.",
    )


def _of_source(component: Component, name: str, module: object, held: Mapping[str, SeriesInfo] | None) -> list[Signal]:
    written = {each.name.rpartition(".")[2]: each.parameters for each in describe(component).functions}
    found = []
    for function_name, function in features_of(module).items():
        meta = meta_of(function)
        assert meta is not None
        spec = _at_defaults(function, meta, name)
        doc = inspect.getdoc(function) or ""
        found.append(
            Signal(
                name=f"{name}.{function_name}",
                dist=component.dist,
                version=component.version,
                spec=spec if held is None else as_declared(spec, held),
                warmup=_formula(meta, spec.params),
                parameters=written.get(function_name, ()) or _from_signature(function),
                formula=formula_of(doc),
                notes=notes_of(doc),
                missing=() if held is None else tuple(each for each in spec.series if each not in held),
            )
        )
    return found


def _at_defaults(function: Function, meta: FeatureMeta, source: str) -> FeatureSpec:
    try:
        spec = plan_function(function, {}, source=source)[0].spec
    except ConfigError:  # a parameter has no default
        series = () if callable(meta.series) else meta.series
        warmup = 0 if callable(meta.warmup) else meta.warmup
        doc = inspect.getdoc(function) or ""
        spec = FeatureSpec(
            *("", source, function.__name__, {}, doc.partition("\n")[0], meta.fields, series, meta.scale_free, warmup),
            *(meta.unit, meta.scope, meta.tags, meta.kind, reference_of(doc)),
        )
    return replace(spec, name=f"{source}.{function.__name__}")


def _from_signature(function: Function) -> tuple[Parameter, ...]:
    """Parameters of a function whose source is out of reach."""
    _, *own = inspect.signature(function).parameters.values()
    empty = inspect.Parameter.empty
    return tuple(Parameter(p.name, str(p.annotation), None if p.default is empty else repr(p.default), "") for p in own)


def _formula(meta: FeatureMeta, params: Mapping[str, Any]) -> str:
    """The warm-up as a sum of whole parameters, found by asking for it at a few values; empty where it is none."""
    numbers = {name: value for name, value in params.items() if type(value) is int}
    if not callable(meta.warmup) or not numbers:
        return ""
    try:
        base = meta.warmup_for(params)
        slopes = {name: meta.warmup_for({**params, name: value + 1}) - base for name, value in numbers.items()}
        constant = base - sum(slopes[name] * value for name, value in numbers.items())
        for step in (3, 10, 200):
            for moved in ({name: value + step for name, value in numbers.items()}, *_one_by_one(numbers, step)):
                if meta.warmup_for({**params, **moved}) != constant + sum(slopes[n] * v for n, v in moved.items()):
                    return ""
    except ConfigError:  # parameters that do not go together
        return ""
    terms = [name if slope == 1 else f"{slope} {name}" for name, slope in slopes.items() if slope]
    return " + ".join([*terms, *([str(constant)] if constant > 0 else [])]) + (
        f" - {-constant}" if constant < 0 else ""
    )


def _one_by_one(numbers: Mapping[str, int], step: int) -> list[dict[str, int]]:
    return [{**numbers, name: value + step} for name, value in numbers.items()]
