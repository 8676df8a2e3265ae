"""Every component that is installed passes through the conformance kit, as a stranger's would."""

from __future__ import annotations

import pytest

from mnpu.plugins.registry import Registry
from mnpu.testing import check_component, check_plugin

REGISTRY = Registry.discover()
COMPONENTS = {f"{c.kind}: {c.canonical}": c for c in REGISTRY.components()}
NEEDS_TORCH = ("backbone", "head")


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_holds_the_laws_of_its_kind(name):
    component = COMPONENTS[name]
    if component.kind in NEEDS_TORCH:
        pytest.importorskip("torch")
    outcomes = check_component(REGISTRY, component.kind, component.canonical)
    assert outcomes
    assert [outcome for outcome in outcomes if not outcome.passed] == []


@pytest.mark.parametrize("dist", sorted({c.dist for c in COMPONENTS.values()}))
def test_a_plugin_is_cheap_to_load(dist):
    assert [outcome for outcome in check_plugin(REGISTRY, dist) if not outcome.passed] == []


def test_nothing_that_is_installed_is_broken():
    assert REGISTRY.plugins.broken == []
