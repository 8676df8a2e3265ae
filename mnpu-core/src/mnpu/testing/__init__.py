"""The conformance kit: what a component must hold to, whoever wrote it.

``mnpu plugins check NAME`` runs it, and so can a plugin's own test::

    from mnpu import Registry
    from mnpu.testing import check_component

    def test_it_keeps_the_laws_of_a_backbone():
        outcomes = check_component(Registry.discover(), "backbone", "mine")
        assert [o for o in outcomes if not o.passed] == []
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mnpu.plugins.registry import Component, Registry

__all__ = ["LawOutcome", "check_component", "check_plugin"]


@dataclass(frozen=True)
class LawOutcome:
    """Whether one law holds; ``detail`` says what was seen where it does not, or a remark where it does."""

    law: str
    passed: bool
    detail: str = ""


def check_component(registry: Registry, kind: str, name: str) -> list[LawOutcome]:
    """Hold one component, built from its defaults, to the laws of its kind.

    Parameters
    ----------
    registry : Registry
    kind, name : str
        As in ``registry.find``.

    Returns
    -------
    outcomes : list of LawOutcome
        The laws of every component first, then those of its kind; where it cannot be built, the latter are left out.

    Raises
    ------
    PluginError
        It cannot be imported, or needs what is not installed, so that nothing can be said about it.
    """
    from mnpu.features.select import require
    from mnpu.testing import general

    component = registry.find(kind, name)
    target = registry.load(kind, component.canonical)
    require(getattr(target, "REQUIRES", {}), component.name)
    outcomes = general.laws(component, target)
    if kind == "feature_source":
        from mnpu.testing import features

        return [*outcomes, *features.laws(target)]

    def factory(**supplied: Any) -> Any:
        if kind == "command":
            return target  # a click command declares its options itself
        return registry.build(kind, component.canonical, {}, **supplied)

    defaults = general.built_from_defaults(component, factory)
    outcomes.append(defaults)
    return [*outcomes, *_laws_of_kind(component, factory, target)] if defaults.passed else outcomes


def check_plugin(registry: Registry, dist: str) -> list[LawOutcome]:
    """Hold the plugin modules of a distribution to the laws of a plugin: cheap to load, and it says its API."""
    from mnpu.testing import general

    modules = [plugin.module for plugin in registry.plugins.loaded if plugin.dist == dist]
    return [outcome for module in modules for outcome in general.plugin_laws(module)]


def _laws_of_kind(component: Component, factory: Callable[..., Any], target: Any) -> list[LawOutcome]:
    """The laws of one kind; a kind without a caller yet has none beyond the general ones."""
    kind = component.kind
    if kind == "backbone":
        from mnpu.testing import models

        return models.backbone_laws(factory)
    if kind == "head":
        from mnpu.testing import heads

        return heads.head_laws(factory)
    if kind == "instrument":
        from mnpu.testing import instruments

        return instruments.laws(factory)
    if kind == "logger":
        from mnpu.testing import loggers

        return loggers.laws(factory, target)
    if kind == "forecaster":
        from mnpu.testing import forecasters

        return forecasters.laws(factory)
    if kind == "policy":
        from mnpu.testing import policies

        return policies.laws(factory)
    if kind == "guardrail":
        from mnpu.testing import guardrails

        return guardrails.laws(factory)
    if kind == "engine":
        from mnpu.testing import engines

        return engines.laws(factory)
    from mnpu.testing import others

    return others.laws(kind, factory)
