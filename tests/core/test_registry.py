"""The registry: names lead to components, nothing is overwritten, and a miss says what to do."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from mnpu.errors import ConfigError, DataError, PluginError
from mnpu.plugins.catalog import KNOWN
from mnpu.plugins.kinds import KIND_OF_HOOK, KINDS
from mnpu.plugins.loader import CORE, load_plugins
from mnpu.plugins.registry import Registry

GUARDRAILS = """
from mnpu import hookimpl
MNPU_API = 1

@hookimpl
def mnpu_guardrails():
    return {"gross_cap": "%s:Mine", "night": "%s:Night"}
"""


class Cap:
    """A cap."""

    def __init__(self, gross: Annotated[float, Field(gt=0)] = 1.0, *, hard: bool = False) -> None:
        if gross == 13:
            raise ValueError("gross is 13, which brings bad luck")
        if gross == 14:
            raise DataError("no data for 14")
        if gross == 15:
            raise KeyError("gross")
        if gross == 16:
            raise MemoryError
        if gross == 17:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 byte"
            )
        if gross == 18:
            raise RuntimeError("broken\nframe #0: <unknown function>\nframe #1: _start")
        self.gross, self.hard = gross, hard


class Net:
    """A network."""

    def __init__(self, n_features: int, lookback: int, *, width: int = 4) -> None:
        self.shape = (n_features, lookback, width)


def shout(title: str, sections: tuple, *, mark: str = "!") -> str:
    """A renderer."""
    return title + mark


@pytest.fixture
def registry() -> Registry:
    """Core's components and nothing else."""
    return Registry(load_plugins(env={"MNPU_PLUGINS": CORE}))


def installed(**env: str) -> Registry:
    return Registry(load_plugins(env=env))


def test_every_component_hook_has_a_kind_and_every_kind_a_hook():
    from mnpu.plugins import hookspecs

    hooks = {name for name in vars(hookspecs) if name.startswith("mnpu_")}
    observers = {"mnpu_run_started", "mnpu_run_finished", "mnpu_guardrail_tripped"}
    assert hooks - observers == set(KIND_OF_HOOK)
    assert all(KIND_OF_HOOK[kind.hook] == name for name, kind in KINDS.items())


def test_a_component_has_a_short_name_and_a_canonical_id(registry):
    short, canonical = registry.find("backbone", "linear"), registry.find("backbone", "mnpu-core/linear")
    assert short == canonical
    assert (short.canonical, short.target) == ("mnpu-core/linear", "mnpu.nn.linear:Linear")


def test_listing_and_finding_import_nothing(registry, monkeypatch):
    monkeypatch.delitem(sys.modules, "mnpu.nn.linear", raising=False)
    registry.find("backbone", "linear")
    assert "mnpu.nn.linear" not in sys.modules


def test_components_are_listed_in_the_order_of_the_pipeline(registry):
    kinds = [component.kind for component in registry.components()]
    assert kinds == sorted(kinds, key=list(KINDS).index)


@pytest.mark.parametrize(
    ("kind", "name", "error", "message"),
    [
        ("backbone", "Lineer", ConfigError, "No backbone named 'Lineer'. Did you mean 'linear'?"),
        ("backbone", "gross_cap", ConfigError, "No backbone named 'gross_cap'. 'gross_cap' is a guardrail."),
        ("backbone", "zzz", ConfigError, "No backbone named 'zzz'. Installed backbones: dlinear, gru, linear"),
        ("backbon", "linear", ConfigError, "No kind of component is named 'backbon'. Did you mean 'backbone'?"),
    ],
)
def test_a_miss_says_what_was_probably_meant(registry, kind, name, error, message):
    with pytest.raises(error) as caught:
        registry.find(kind, name)
    assert message in str(caught.value)


def test_a_known_plugin_that_is_not_installed_is_named_with_its_command(registry, monkeypatch):
    registry.plugins.disabled.clear()  # as if they had never been installed
    for dist, kinds in KNOWN.items():
        for kind, names in kinds.items():
            for name in (names[0], f"{dist}/{names[0]}"):
                with pytest.raises(PluginError) as caught:
                    registry.find(kind, name)
                assert str(caught.value).endswith(f"Run: pip install {dist}")


def test_a_component_of_a_disabled_plugin_says_which_switch_hides_it(site):
    site.add("night-lib", GUARDRAILS % ("night", "night"))
    registry = installed(MNPU_DISABLE_PLUGINS="night-lib")
    with pytest.raises(PluginError, match="'night' belongs to night-lib, which MNPU_DISABLE_PLUGINS leaves out"):
        registry.find("guardrail", "night")


def test_a_component_of_a_broken_plugin_says_why_it_broke(site):
    site.add("night-lib", "import no_such_thing\n" + GUARDRAILS % ("night", "night"))
    registry = installed()
    for name in ("night", "night-lib/night"):
        with pytest.raises(PluginError, match=r"night-lib 0\.0\.1, which failed to load: .*no_such_thing.*doctor"):
            registry.find("guardrail", name)


def test_a_name_that_two_plugins_claim_is_ambiguous_and_core_is_not_overwritten(site):
    site.add("night-lib", GUARDRAILS % ("night", "night"))
    registry = installed()
    with pytest.raises(ConfigError, match=r"is ambiguous.*Write mnpu-core/gross_cap or night-lib/gross_cap"):
        registry.find("guardrail", "gross_cap")
    assert registry.find("guardrail", "mnpu-core/gross_cap").target == "mnpu.guard:GrossCap"
    assert registry.find("guardrail", "night-lib/gross_cap").target == "night:Mine"


def test_a_target_that_cannot_be_imported_names_the_plugin_and_the_cause(site):
    site.add("night-lib", GUARDRAILS % ("night", "night"), night="import no_such_thing")
    with pytest.raises(PluginError, match=r"night-lib/night.*could not be imported: .*no_such_thing"):
        installed().load("guardrail", "night")


def test_a_target_without_the_attribute_is_a_plugin_error(site):
    site.add("night-lib", GUARDRAILS % ("night", "night"), night="x = 1")
    with pytest.raises(PluginError, match="has no attribute 'Night'"):
        installed().load("guardrail", "night")


def test_a_missing_torch_says_which_extra_to_install(site):
    site.add("night-lib", GUARDRAILS % ("night", "night"), night="raise ModuleNotFoundError('no', name='torch.nn')")
    with pytest.raises(PluginError, match=r'needs torch.*Run: pip install "mnpu-core\[train\]"'):
        installed().load("guardrail", "night")


def test_building_fills_defaults_and_passes_what_the_framework_supplies(registry):
    registry.add("guardrail", "cap", Cap)
    registry.add("backbone", "net", Net)
    assert vars(registry.build("guardrail", "cap", {"hard": True})) == {"gross": 1.0, "hard": True}
    assert registry.build("backbone", "net", {"width": 2}, n_features=3, lookback=5).shape == (3, 5, 2)


def test_a_function_component_is_returned_with_its_parameters_bound(registry):
    registry.add("renderer", "loud", shout)
    assert registry.build("renderer", "loud", {"mark": "?"})("hey", ()) == "hey?"


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"gross": 0}, ConfigError, "guardrails[0].gross: it is 0, expected a number greater than 0."),
        ({"grosss": 1}, ConfigError, "Did you mean 'gross'?"),
        ({"gross": 13}, ConfigError, "guardrails[0]: gross is 13, which brings bad luck."),
        ({"gross": 14}, DataError, "no data for 14"),
        ({"gross": 15}, PluginError, "local/cap local could not be constructed: KeyError"),
        ({"gross": 16}, ConfigError, "guardrails[0]: local/cap asks for more memory than there is"),
        ({"gross": 17}, ConfigError, "Lower gross."),
        ({"gross": 18}, PluginError, "RuntimeError: broken. Report it"),
    ],
)
def test_what_a_constructor_refuses_is_told_with_its_place(registry, params, error, message):
    registry.add("guardrail", "cap", Cap)
    with pytest.raises(error) as caught:
        registry.build("guardrail", "cap", params, where="guardrails[0]")
    assert message in str(caught.value)


def test_what_the_framework_supplies_may_not_be_configured(registry):
    registry.add("backbone", "net", Net)
    with pytest.raises(ConfigError, match="lookback is given by the framework"):
        registry.build("backbone", "net", {"lookback": 5}, n_features=3, lookback=5)


def test_a_notebook_may_add_a_component_but_not_replace_one(registry):
    added = registry.add("guardrail", "gross_cap", Cap)
    assert added.canonical == "local/gross_cap"
    assert registry.load("guardrail", "local/gross_cap") is Cap
    with pytest.raises(ConfigError, match="ambiguous"):
        registry.find("guardrail", "gross_cap")
    with pytest.raises(ConfigError, match="registered already"):
        registry.add("guardrail", "gross_cap", Cap)


OBSERVER = """
from mnpu import hookimpl
MNPU_API = 1
SEEN = []

@hookimpl
def mnpu_run_finished(outcome):
    SEEN.append(outcome)
    %s
"""


def test_an_observer_that_raises_is_logged_with_its_name_and_muted(site, caplog):
    site.add("loud-lib", OBSERVER % "raise RuntimeError('no')").add("calm-lib", OBSERVER % "return")
    registry = installed()
    with caplog.at_level(logging.ERROR):
        registry.notify("mnpu_run_finished", run=None, outcome="finished")
        registry.notify("mnpu_run_finished", run=None, outcome="failed")
    assert sys.modules["loud_lib_plugin"].SEEN == ["finished"]
    assert sys.modules["calm_lib_plugin"].SEEN == ["finished", "failed"]
    assert [record.getMessage() for record in caplog.records] == [
        "loud-lib: its observer mnpu_run_finished raised and is muted"
    ]


def test_discovering_logs_each_broken_plugin_in_one_line(site, caplog):
    site.add("bad-lib", "raise RuntimeError('no')")
    Registry.discover()
    (message,) = [record.getMessage() for record in caplog.records if "bad-lib" in record.getMessage()]
    assert message == "bad-lib 0.0.1 failed to load: RuntimeError: no (mnpu plugins doctor bad-lib)"


def test_the_catalog_tells_what_the_first_party_packages_register():
    """Read from their source, so that it holds whether or not they are installed."""
    from mnpu.plugins.describe import promised_names

    root = Path(__file__).parents[2] / "mnpu-plugins"
    told = {dist: {kind: set(names) for kind, names in kinds.items()} for dist, kinds in KNOWN.items()}
    found: dict[str, dict[str, set[str]]] = {}
    for folder in sorted(root.iterdir()):
        (module,) = [path.parent.name for path in folder.glob("src/*/plugin.py")]
        sys.path.insert(0, str(folder / "src"))
        try:
            names = {kind: set(promised_names(f"{module}.plugin", KINDS[kind].hook)) for kind in KINDS}
        finally:
            sys.path.remove(str(folder / "src"))
        found[f"mnpu-{folder.name}"] = {kind: listed for kind, listed in names.items() if listed}
    assert told == found
