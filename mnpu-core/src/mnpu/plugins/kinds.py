"""The kinds of component that a plugin may provide, one row for each component hook.

A kind says which hook lists its components, which constructor arguments the framework supplies (so they never
appear in a configuration file), and whether a plain function is itself the component or a factory of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["KINDS", "KIND_OF_HOOK", "Kind"]


class Kind(NamedTuple):
    """One kind of component.

    Attributes
    ----------
    hook : str
        Hook that lists the components.
    plural : str
        Heading in listings and in the documentation.
    description : str
        What a component of this kind is.
    supplied : tuple of str
        Constructor arguments given by the framework.
    called : bool
        True if a function is the component (its keyword-only arguments are the parameters), False if the target
        is constructed with its parameters.
    """

    hook: str
    plural: str
    description: str
    supplied: tuple[str, ...] = ()
    called: bool = False


#: Singular name to kind, in the order of the pipeline.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "feature_source": Kind("mnpu_feature_sources", "feature sources", "module of @feature functions", called=True),
        "validator": Kind("mnpu_validators", "validators", "check(table, context) -> findings"),
        "backbone": Kind("mnpu_backbones", "backbones", "(B, L, F) -> (B, L, D)", ("n_features", "lookback")),
        "head": Kind("mnpu_heads", "heads", "(B, D) -> distribution, with its loss", ("d_in", "n_horizons")),
        "forecaster": Kind("mnpu_forecasters", "forecasters", "fit(training, validation), forecast(windows)"),
        "instrument": Kind("mnpu_instruments", "instruments", "watches a fit: (Moment) -> readings"),
        "logger": Kind("mnpu_loggers", "loggers", "log(values, epoch, step): where a fit is written down"),
        "target": Kind("mnpu_targets", "targets", "(Panel, fill) -> Labels"),
        "policy": Kind("mnpu_policies", "policies", "(Forecast, PolicyContext) -> Positions"),
        "guardrail": Kind("mnpu_guardrails", "guardrails", "limit(proposed, book) -> allowed"),
        "reward": Kind("mnpu_rewards", "rewards", "Step -> (N,)", called=True),
        "cost": Kind("mnpu_costs", "costs", "cost and fill models"),
        "metric": Kind("mnpu_metrics", "metrics", "Result -> Metric", called=True),
        "report_section": Kind("mnpu_report_sections", "report sections", "Result -> Section", called=True),
        "renderer": Kind("mnpu_renderers", "renderers", "(title, sections) -> text", called=True),
        "importer": Kind("mnpu_importers", "importers", "raw rows of a dataset since a cursor"),
        "engine": Kind("mnpu_engines", "engines", "map(function, tasks, shared) -> results", ("workers",)),
        "command": Kind("mnpu_commands", "commands", "a click command", called=True),
    }
)

#: Component hook to the singular name of its kind.
KIND_OF_HOOK: Mapping[str, str] = MappingProxyType({kind.hook: name for name, kind in KINDS.items()})
