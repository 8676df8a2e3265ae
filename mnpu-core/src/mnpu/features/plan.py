"""From the features of a recipe to the columns that will be computed: one function, one set of parameters each.

A list for a parameter that takes a single value means one column for each of its entries: ``window: [1, 5, 21]``
makes three columns, and two such lists make every combination. A column is named after everything that decides its
values, ``price.momentum[window=252,skip=21]``, in the order of the function's signature, defaults included. An entry
may also choose several features at once, see `mnpu.features.select`; each of those is one column with its defaults.
"""

from __future__ import annotations

import collections.abc
import inspect
import itertools
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from pydantic import BaseModel

from mnpu.errors import ConfigError, PluginError
from mnpu.features.api import FeatureMeta, meta_of
from mnpu.features.prose import reference_of
from mnpu.features.select import Sources, Use, chosen, features_of
from mnpu.plugins.schema import model_from_signature, validate_params
from mnpu.types import FeatureSpec

__all__ = ["PlannedFeature", "features_of", "model_of", "plan", "plan_function", "series_needed", "specs"]


@dataclass(frozen=True)
class PlannedFeature:
    """One column: ``function(view, **spec.params)``. ``dist`` is the distribution that brings the function."""

    function: Callable[..., np.ndarray]
    spec: FeatureSpec
    dist: str

    @property
    def name(self) -> str:
        """Name of the column."""
        return self.spec.name

    @property
    def meta(self) -> FeatureMeta:
        """What was noted about its function."""
        meta = meta_of(self.function)
        assert meta is not None  # nothing else is planned
        return meta


def plan(uses: Sequence[Use], registry: Sources) -> list[PlannedFeature]:
    """Find each feature, check its parameters and spread its lists; refuse a column that appears twice.

    Parameters
    ----------
    uses : sequence of Use
        The ``features`` of a recipe.
    registry : Registry

    Returns
    -------
    planned : list of PlannedFeature
        In the order of the recipe.
    """
    planned: list[PlannedFeature] = []
    came_from: dict[str, int] = {}
    for number, use in enumerate(uses):
        for column in _columns(use, registry, where=f"features.{number}"):
            if column.name in came_from:
                raise ConfigError(
                    f"column {column.name} is already made by features.{came_from[column.name]}",
                    where=f"features.{number}",
                    expected="each column once",
                    next_step="Remove one of the two.",
                )
            came_from[column.name] = number
            planned.append(column)
    return planned


def specs(planned: Sequence[PlannedFeature]) -> tuple[FeatureSpec, ...]:
    """What each column is and needs."""
    return tuple(column.spec for column in planned)


def series_needed(planned: Sequence[PlannedFeature]) -> tuple[str, ...]:
    """The side series that the columns read together, each once, in the order of first use."""
    return tuple(dict.fromkeys(series for column in planned for series in column.spec.series))


def model_of(function: Callable[..., Any]) -> type[BaseModel]:
    """The model of a feature's parameters: everything but its view."""
    return model_from_signature(function, skip=(_view_argument(function),))


def plan_function(
    function: Callable[..., np.ndarray], params: Mapping[str, Any], *, source: str, dist: str = "local", where: str = ""
) -> list[PlannedFeature]:
    """The columns that one function makes with these parameters, lists spread.

    Parameters
    ----------
    function : callable
        Marked with :func:`mnpu.feature`.
    params : mapping
        As in a recipe.
    source : str
        Name that its source is registered under, the first part of the column name.
    dist : str
        Distribution that brings it.
    where : str
        Place in the recipe, for messages.
    """
    meta = meta_of(function)
    if meta is None:
        raise ConfigError(
            f"{source}.{function.__name__} is a plain function",
            where=where,
            expected="one that is marked with @feature",
        )
    columns: dict[str, PlannedFeature] = {}
    for single in _spread(function, params, where):
        spec = _spec(function, meta, _checked(function, single, where), source, where)
        if spec.name in columns:
            raise ConfigError(f"column {spec.name} is made twice", where=where, expected="each value of a list once")
        columns[spec.name] = PlannedFeature(function, spec, dist)
    return list(columns.values())


def _columns(use: Use, registry: Sources, *, where: str) -> list[PlannedFeature]:
    found = chosen(use, registry, where=where)
    return [
        column
        for each in found
        for column in plan_function(each.function, use.params, source=each.source, dist=each.dist, where=where)
    ]


@lru_cache(maxsize=4096)
def _signature(function: Callable[..., Any]) -> tuple[str, dict[str, Any]]:
    """The name of the view, and the defaults of all parameters."""
    view, *others = inspect.signature(function).parameters.values()
    return view.name, {parameter.name: parameter.default for parameter in others}


@lru_cache(maxsize=4096)
def _told(function: Callable[..., Any]) -> tuple[str, str]:
    """What a function's docstring says of it in a line, and its reference."""
    doc = inspect.getdoc(function) or ""
    return doc.partition("\n")[0], reference_of(doc)


def _view_argument(function: Callable[..., Any]) -> str:
    return _signature(function)[0]


def _spread(function: Callable[..., Any], params: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """Every combination of the entries of lists given where the function takes a single value."""
    if not any(isinstance(value, list | tuple) for value in params.values()):
        return [dict(params)]
    fields = model_of(function).model_fields
    choices: list[Sequence[Any]] = []
    for name, value in params.items():
        several = isinstance(value, list | tuple) and name in fields and not _holds_several(fields[name].annotation)
        if several and not value:
            raise ConfigError("is an empty list", where=f"{where}.{name}", expected="at least one value")
        choices.append(value if several else [value])
    return [dict(zip(params, chosen, strict=True)) for chosen in itertools.product(*choices)]


def _holds_several(annotation: Any) -> bool:
    """Whether a parameter of this type takes a list as one value."""
    origin = typing.get_origin(annotation) or annotation
    if origin in (typing.Union, types.UnionType, typing.Annotated):
        return any(_holds_several(part) for part in typing.get_args(annotation))
    return isinstance(origin, type) and issubclass(origin, collections.abc.Collection) and origin not in (str, bytes)


def _checked(function: Callable[..., Any], params: Mapping[str, Any], where: str) -> dict[str, Any]:
    """All parameters in the order of the signature, checked, defaults filled in."""
    view, defaults = _signature(function)
    if not defaults and not params:  # no model of nothing: a set of features has hundreds of them
        return {}
    given = validate_params(function, dict(params), skip=(view,), where=where)
    return {name: given.get(name, default) for name, default in defaults.items()}


def _spec(
    function: Callable[..., np.ndarray], meta: FeatureMeta, params: Mapping[str, Any], source: str, where: str
) -> FeatureSpec:
    arguments = ",".join(f"{name}={value}" for name, value in params.items() if value != "")
    name = f"{source}.{function.__name__}"
    column = f"{name}[{arguments}]" if arguments else name
    try:
        warmup, series = meta.warmup_for(params), meta.series_for(params)
        state, _ = meta.state_for(params), meta.memory_for(params)
    except ConfigError as error:  # parameters that do not go together: say where they were given
        raise ConfigError(error.what, where=where or column, expected=error.expected) from error
    except PluginError as error:
        raise PluginError(error.what, where=f"feature {column}", expected=error.expected) from error
    description, reference = _told(function)
    return FeatureSpec(
        name=column,
        source=source,
        function=function.__name__,
        params=dict(params),
        description=description,
        fields=meta.fields,
        series=series,
        scale_free=meta.scale_free,
        warmup=warmup,
        unit=meta.unit,
        scope=meta.scope,
        tags=meta.tags,
        kind=meta.kind,
        reference=reference,
        short_start=meta.short_start,
        state=state,
    )
