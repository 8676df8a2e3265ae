"""Our own components pass the kit that a stranger's are held to."""

from __future__ import annotations

import os

import pytest

from mnpu.plugins.loader import load_plugins
from mnpu.plugins.registry import Component, Registry
from mnpu.testing import check_component, check_plugin

NEEDS_TORCH = ("backbone", "forecaster", "head", "instrument", "logger")


def first_party() -> Registry:
    """Core and every first-party plugin that is installed."""
    plugins = load_plugins(env={})
    return Registry(plugins)


#: One distribution alone, where a session of nox asks for it: core passed the kit in a session of its own.
ASKED = os.environ.get("MNPU_CONFORMANCE", "mnpu-")


def ours(component: Component) -> bool:
    return component.dist.startswith(ASKED) and not component.dist.startswith("mnpu-faulty-")


COMPONENTS = [component for component in first_party().components() if ours(component)]


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::FutureWarning")  # of the libraries that some ask
@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: f"{component.kind}:{component.canonical}")
def test_it_keeps_the_laws_of_its_kind(component):
    if component.kind in NEEDS_TORCH:
        pytest.importorskip("torch", reason="a network needs the train extra")
    for needed in getattr(first_party().load(component.kind, component.canonical), "REQUIRES", {}):
        pytest.importorskip(needed, reason=f"{component.name} needs an extra")
    outcomes = check_component(first_party(), component.kind, component.canonical)
    assert len(outcomes) > 1
    # A detail beside a law that holds is a remark, and our own components earn not even that.
    assert [outcome for outcome in outcomes if not outcome.passed or outcome.detail] == []


@pytest.mark.parametrize("dist", sorted({component.dist for component in COMPONENTS}))
def test_its_plugin_module_is_cheap_and_states_its_api(dist):
    outcomes = check_plugin(first_party(), dist)
    assert outcomes
    assert [outcome for outcome in outcomes if not outcome.passed] == []
