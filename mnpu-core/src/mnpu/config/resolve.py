"""Check a configuration against the installed components, and fill in every default.

The resolved configuration is for saving and hashing; build from ``LoadedConfig.pipeline``. Text that came from the
environment stands in it as it was written (``${env:NAME}``), so that no secret is ever saved; numbers, true, false
and null from the environment stand in it as they were used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mnpu.config.explain import first_of, show
from mnpu.config.interpolate import Reference
from mnpu.config.load import LoadedConfig
from mnpu.config.models import FeatureUse, Use
from mnpu.config.rules import unfed
from mnpu.config.tree import Path, dotted
from mnpu.errors import ConfigError, MnpuError
from mnpu.plugins.kinds import KINDS
from mnpu.plugins.registry import Registry
from mnpu.plugins.schema import Problem, find_problems

if TYPE_CHECKING:
    from mnpu.features.plan import PlannedFeature

__all__ = ["components", "resolve"]


def resolve(loaded: LoadedConfig, registry: Registry) -> dict[str, Any]:
    """Import and check every component that the configuration names.

    Parameters
    ----------
    loaded : LoadedConfig
    registry : Registry

    Returns
    -------
    resolved : dict
        Plain data with every default of the file and of its components.

    Raises
    ------
    ConfigError
        An unknown component or a bad parameter, with file, line and column; further faults are listed.
    PluginError
        A component is missing, broken or cannot be imported.
    """
    errors: list[MnpuError] = []
    resolved = loaded.pipeline.model_dump(mode="python")
    features: list[list[dict[str, Any]]] = []
    for kind, path, use in components(loaded):
        try:
            if isinstance(use, FeatureUse):
                features.append(_features(loaded, registry, path, use))
            else:
                _block(resolved, path).update(_check(loaded, registry, kind, path, use))
        except MnpuError as error:
            errors.append(error)
    for i, name in enumerate(loaded.pipeline.report.formats):
        try:
            registry.find("renderer", name)
        except MnpuError as error:
            errors.append(_placed(error, loaded, ("report", "formats", i)))
    if errors:
        raise first_of(errors)
    _refuse_repeated_columns(loaded, registry)
    _refuse_no_classes(loaded, registry)
    _refuse_deaf_collapse(loaded, registry)
    for block, use, found in zip(resolved["features"], loaded.pipeline.features, features, strict=True):
        if not _chooses_several(use):
            block.update(found[0])
    saved: dict[str, Any] = _plain(resolved)
    _hide(saved, loaded)
    saved["features"] = _plain(_spelt_out(saved["features"], features, loaded.pipeline.features))
    return saved


def components(loaded: LoadedConfig) -> Iterator[tuple[str, Path, Use]]:
    """Kind, path and block of every component in the file; ``feature`` stands for a function of a source."""
    config = loaded.pipeline
    yield from (("feature", ("features", i), use) for i, use in enumerate(config.features))
    for i, use in enumerate(config.validators):
        yield "validator", ("validators", i), use
    yield "target", ("target",), config.target
    for kind, judged in (("backbone", config.model.backbone), ("forecaster", config.model.forecaster)):
        if judged is not None:
            yield kind, ("model", kind), judged
    yield "head", ("model", "head"), config.model.head
    for i, use in enumerate(config.train.instruments):
        yield "instrument", ("train", "instruments", i), use
    for i, use in enumerate(config.train.loggers):
        yield "logger", ("train", "loggers", i), use
    yield "policy", ("policy",), config.policy
    for i, use in enumerate(config.guardrails):
        yield "guardrail", ("guardrails", i), use
    yield "engine", ("runtime", "engine"), config.runtime.engine
    for i, compare in enumerate(config.compare):
        beside = (("policy", compare.policy), ("backbone", compare.backbone), ("forecaster", compare.forecaster))
        for kind, other in beside:
            if other is not None:
                yield kind, ("compare", i, kind), other


def _check(loaded: LoadedConfig, registry: Registry, kind: str, path: Path, use: Use) -> dict[str, Any]:
    """The component's parameters with defaults, after it was built once, as a trial of its own checks."""
    try:
        target = registry.load(kind, use.use)
        values, problems = find_problems(target, use.params, skip=KINDS[kind].supplied)
    except MnpuError as error:
        raise _placed(error, loaded, (*path, "use")) from error
    if problems:
        raise first_of([_fault(problem, loaded, path) for problem in problems])
    try:
        registry.build(kind, use.use, use.params, **_supplied(loaded, kind))
    except MnpuError as error:
        raise _placed(error, loaded, path) from error
    return values


def _supplied(loaded: LoadedConfig, kind: str) -> dict[str, Any]:
    """Plausible values of what the framework gives: the sizes of the data are not known yet."""
    config = loaded.pipeline
    horizons = config.target.params.get("horizons")
    sizes = {
        "n_features": len(config.features),
        "lookback": config.model.lookback,
        "d_in": 8,
        "n_horizons": len(horizons) if isinstance(horizons, Sequence) and horizons else 1,
        "workers": config.runtime.workers,
    }
    return {name: sizes[name] for name in KINDS[kind].supplied}


def _features(loaded: LoadedConfig, registry: Registry, path: Path, use: FeatureUse) -> list[dict[str, Any]]:
    """The features that an entry chooses, by name with all parameters; lists that make several columns stay lists."""
    from mnpu.features.plan import plan

    try:
        columns = plan([use], registry)
    except MnpuError as error:
        raise _placed(error, loaded, _feature_path(error, path, use)) from error
    if _chooses_several(use):
        return [{"use": f"{column.spec.source}.{column.spec.function}", **column.spec.params} for column in columns]
    return [{"use": use.use, **{name: _values(name, use, columns) for name in columns[0].spec.params}}]


def _chooses_several(use: FeatureUse) -> bool:
    return bool(use.tag) or "*" in use.use


def _spelt_out(
    written: Sequence[dict[str, Any]], found: Sequence[list[dict[str, Any]]], uses: Sequence[FeatureUse]
) -> list[dict[str, Any]]:
    """What was chosen by pattern or tag, one by one: a saved run must not depend on what is installed later."""
    spelt: list[dict[str, Any]] = []
    for block, blocks, use in zip(written, found, uses, strict=True):
        spelt += blocks if _chooses_several(use) else [block]
    return spelt


def _values(name: str, use: Use, columns: Sequence[PlannedFeature]) -> Any:
    """The value that all columns share, or the list that was spread over them."""
    first = columns[0].spec.params[name]
    if not isinstance(use.params.get(name), list) or isinstance(first, (list, tuple)):
        return first
    return list(dict.fromkeys(column.spec.params[name] for column in columns))


def _feature_path(error: MnpuError, path: Path, use: Use) -> Path:
    """Where in the file: the planner saw this feature alone, as ``features.0``, and each entry of a list alone."""
    match = re.fullmatch(r"features\.0\.([A-Za-z_][A-Za-z0-9_]*)(\[\d+\])*", error.where)
    if match is None:
        return (*path, "use" if isinstance(use, FeatureUse) and use.use else "tag")
    value = use.params.get(match[1])
    entries = [f"it is {show(entry)}" for entry in value] if isinstance(value, list) else []
    return (*path, match[1], entries.index(error.what)) if error.what in entries else (*path, match[1])


def _refuse_repeated_columns(loaded: LoadedConfig, registry: Registry) -> None:
    from mnpu.features.plan import plan

    try:
        plan(loaded.pipeline.features, registry)
    except ConfigError as error:
        match = re.match(r"features\.(\d+)", error.where)
        raise _placed(error, loaded, ("features", int(match[1])) if match else ("features",)) from error


def _refuse_no_classes(loaded: LoadedConfig, registry: Registry) -> None:
    """``by: classes`` needs class probabilities, by convention, whichever policy takes it: here of the head."""
    config = loaded.pipeline
    if config.policy.params.get("by") != "classes" or config.model.backbone is None:
        return
    supplied = _supplied(loaded, "head")
    head = registry.build("head", config.model.head.use, config.model.head.params, **supplied)
    weight = next(head.parameters(), None)
    if weight is None:  # nothing to make a summary like
        return
    said = head.forecast(weight.new_zeros(1, supplied["d_in"]))  # asked of the head itself: torch is not of this floor
    if getattr(said, "probabilities", None) is None:
        raise loaded.error(
            ("policy", "by"),
            f"is classes, and model.head ({config.model.head.use}) gives quantiles alone",
            expected="a head that names classes, as dirichlet_quantile",
            next_step="Set model.head: {use: dirichlet_quantile}, or policy.by: median.",
        )


def _refuse_deaf_collapse(loaded: LoadedConfig, registry: Registry) -> None:
    """The alert of a collapse is fed by backbones as well: by those that report on themselves."""
    config = loaded.pipeline
    uses = [config.model.backbone, *(other.backbone for other in config.compare)]
    backbones = [registry.load("backbone", use.use) for use in uses if use is not None]
    if any(not isinstance(backbone, type) or hasattr(backbone, "telemetry") for backbone in backbones):
        return
    errors = list(unfed(loaded, "collapse"))
    if errors:
        raise first_of(errors)


def _fault(problem: Problem, loaded: LoadedConfig, path: Path) -> ConfigError:
    """A bad parameter, in a sentence: where, dotted path, what it is, what was expected."""
    here = (*path, *problem.path)
    if here in loaded.tree.references:
        return loaded.error(here, f"is {loaded.tree.references[here]}", expected=problem.expected)
    known = here in loaded.tree.origins
    where = loaded.tree.where_key(here if known and not problem.what.startswith("it is") else path)
    if problem.what.startswith("it is "):
        what = f"{dotted(here)} {problem.what.removeprefix('it ')}"
        where = loaded.tree.where(here)
    elif problem.what.endswith("is missing"):
        what = f"{dotted(here)} is missing"
    else:
        what = f"{dotted(here)}: {problem.what}"
    return ConfigError(what, where=where, expected=problem.expected, next_step=problem.next_step)


def _placed(error: MnpuError, loaded: LoadedConfig, path: Path) -> MnpuError:
    """The same error with its place in the file."""
    head, of_value = dotted(path), error.what.startswith("it is ")
    what = f"{head} {error.what.removeprefix('it ')}" if of_value else f"{head}: {error.what}"
    origin = loaded.tree.where(path) if of_value or path[-1] == "use" else loaded.tree.where_key(path)
    return type(error)(
        what, where=origin or str(loaded.path), expected=error.expected, next_step=error.next_step, others=error.others
    )


def _block(resolved: dict[str, Any], path: Path) -> Any:
    node: Any = resolved
    for part in path:
        node = node[part]
    return node


def _hide(resolved: dict[str, Any], loaded: LoadedConfig) -> None:
    """Put the written text back where a value from the environment stands."""
    for path, written in loaded.tree.references.items():
        try:
            block = _block(resolved, path[:-1])
            block[path[-1]] = Reference(written, block[path[-1]])
        except (KeyError, IndexError, TypeError):  # a reference inside a value that a component has rewritten
            raise ConfigError(
                f"{dotted(path)} takes its value from the environment and cannot be saved without it",
                where=loaded.tree.where(path),
                next_step="Write the value out.",
            ) from None


def _plain(value: Any) -> Any:
    """Lists for tuples, exact built-in scalars, so that what is saved is what is loaded."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return value
