"""What must be true of the command line while the four faulty plugins are installed, however they got there."""

from __future__ import annotations

import json
from collections.abc import Callable
from subprocess import CompletedProcess

Mnpu = Callable[..., "CompletedProcess[str]"]

BROKEN = {
    "mnpu-faulty-import": "ImportError: libquant.so.3: cannot open shared object file",
    "mnpu-faulty-hook": "unknown hook 'mnpu_guardrail', did you mean 'mnpu_guardrails'?",
    "mnpu-faulty-api": "written for plugin API 99, this mnpu-core provides API 1: upgrade mnpu-core",
}


def list_succeeds_and_names_them(mnpu: Mnpu) -> None:
    """``plugins list`` exits 0, lists core's components and ends with the broken plugins."""
    done = mnpu("plugins", "list")
    assert done.returncode == 0, done.stderr
    components, _, end = done.stdout.partition("failed to load")
    assert "mnpu-core/price" in components
    for dist, cause in BROKEN.items():
        assert dist not in components
        assert f"{dist} 0.0.1" in end
        assert cause in end


def doctor_shows_the_causes(mnpu: Mnpu) -> None:
    """``plugins doctor`` exits 0, with cause, traceback and the name that is claimed twice."""
    done = mnpu("plugins", "doctor")
    assert done.returncode == 0, done.stderr
    for cause in BROKEN.values():
        assert f"cause: {cause}" in done.stdout
    assert "raise ImportError(" in done.stdout
    assert "the backbone 'linear' is provided by mnpu-core and mnpu-faulty-name" in done.stdout
    assert "the command 'plugins' of mnpu-faulty-name does not replace mnpu's own" in done.stdout


def help_still_works(mnpu: Mnpu) -> None:
    """``--help`` exits 0 and says which plugins failed."""
    done = mnpu("--help")
    assert done.returncode == 0, done.stderr
    assert "Failed to load:" in done.stdout


def nothing_of_core_is_overwritten(mnpu: Mnpu) -> None:
    """The taken name is ambiguous, and core's component is reached by its canonical id."""
    listed = json.loads(mnpu("plugins", "list", "--kind", "backbone", "--json").stdout)["components"]
    named = {component["canonical"]: component["target"] for component in listed if component["name"] == "linear"}
    assert named["mnpu-core/linear"] == "mnpu.nn.linear:Linear"
    assert "mnpu-faulty-name/linear" in named
    done = mnpu("plugins", "show", "backbone/linear")
    assert done.returncode == 2
    assert "Write mnpu-core/linear or mnpu-faulty-name/linear" in done.stderr


def a_rolled_back_plugin_offers_nothing(mnpu: Mnpu) -> None:
    """What a broken plugin would have provided is refused with its cause."""
    for name, dist in (("backbone/turbo", "import"), ("policy/half", "hook"), ("head/oracle", "api")):
        done = mnpu("plugins", "show", name)
        assert done.returncode == 5
        assert f"belongs to mnpu-faulty-{dist} 0.0.1, which failed to load" in done.stderr


def strict_stops_at_the_first(mnpu: Mnpu) -> None:
    """``MNPU_STRICT_PLUGINS=1`` refuses to go on; the doctor still works."""
    done = mnpu("plugins", "list", MNPU_STRICT_PLUGINS="1")
    assert done.returncode == 5
    assert "plugin mnpu-faulty-api 0.0.1" in done.stderr
    assert mnpu("plugins", "doctor", MNPU_STRICT_PLUGINS="1").returncode == 0


def they_can_be_left_out(mnpu: Mnpu) -> None:
    """The deny list takes them away, and with them every complaint."""
    names = ",".join([*BROKEN, "mnpu-faulty-name"])
    done = mnpu("plugins", "list", "--json", MNPU_DISABLE_PLUGINS=names)
    report = json.loads(done.stdout)
    assert report["broken"] == []
    assert {plugin["dist"] for plugin in report["disabled"]} == {*BROKEN, "mnpu-faulty-name"}


CHECKS = (
    list_succeeds_and_names_them,
    doctor_shows_the_causes,
    help_still_works,
    nothing_of_core_is_overwritten,
    a_rolled_back_plugin_offers_nothing,
    strict_stops_at_the_first,
    they_can_be_left_out,
)
