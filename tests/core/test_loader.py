"""The loader: each plugin stands or falls alone, and what went wrong is remembered."""

from __future__ import annotations

import pytest

from mnpu.errors import PluginError
from mnpu.plugins.loader import CORE, BrokenPlugin, PluginSet, load_plugins, normalise

GOOD = """
from mnpu import hookimpl
MNPU_API = 1

@hookimpl
def mnpu_backbones():
    return {"tidy": "tidy_model:Tidy"}
"""


def broken(plugins: PluginSet, dist: str) -> BrokenPlugin:
    (found,) = [plugin for plugin in plugins.broken if plugin.dist == dist]
    return found


def dists(plugins: PluginSet) -> list[str]:
    return [plugin.dist for plugin in plugins.loaded]


def test_core_comes_first_and_its_components_need_no_entry_point():
    plugins = load_plugins(env={})
    assert dists(plugins)[0] == CORE
    assert plugins.loaded[0].components["backbone"]["linear"] == "mnpu.nn.linear:Linear"


def test_a_plugin_is_found_by_its_entry_point_and_nothing_of_it_is_imported(site):
    site.add("tidy-lib", GOOD, version="1.2")
    (plugin,) = [p for p in load_plugins(env={}).loaded if p.dist == "tidy-lib"]
    assert (plugin.version, plugin.entry) == ("1.2", "tidy-lib")
    assert plugin.components == {"backbone": {"tidy": "tidy_model:Tidy"}}  # a module that does not exist


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("raise RuntimeError('half\\n  done')", "RuntimeError: half done"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("MNPU_API = 2", "written for plugin API 2, this mnpu-core provides API 1: upgrade mnpu-core"),
        ("MNPU_API = '0.9'", "written for plugin API 0.9, this mnpu-core provides API 1: upgrade the plugin"),
        ("MNPU_API = 'one'", "MNPU_API is 'one'"),
        (GOOD.replace("backbones", "backbone"), "unknown hook 'mnpu_backbone', did you mean 'mnpu_backbones'?"),
        (GOOD.replace("@hookimpl", ""), "mnpu_backbones is not marked, expected @hookimpl above it"),
        (GOOD.replace("mnpu_backbones()", "mnpu_backbones(registry)"), "PluginValidationError"),
        (GOOD.replace('{"tidy": "tidy_model:Tidy"}', "['tidy']"), "mnpu_backbones returned ['tidy'] (list)"),
        (GOOD.replace('{"tidy": "tidy_model:Tidy"}', "None"), "mnpu_backbones returned None (NoneType)"),
        (GOOD.replace('"tidy_model:Tidy"', "object"), "returned <class 'object'> (type) for 'tidy'"),
        (GOOD.replace("tidy_model:Tidy", "tidy model"), "returned 'tidy model' (str) for 'tidy'"),
        (GOOD.replace('"tidy":', "1:"), "returned the name 1 (int)"),
        (GOOD.replace('"tidy":', '"a/b":'), "returned the name 'a/b' (str)"),
        (GOOD.replace("return {", "1 / 0; return {"), "ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_plugin_is_remembered_with_its_cause_and_takes_nothing_down(site, source, cause):
    site.add("bad-lib", source).add("tidy-lib", GOOD)
    plugins = load_plugins(env={})
    assert cause in broken(plugins, "bad-lib").cause
    assert "tidy-lib" in dists(plugins)
    assert "bad-lib" not in dists(plugins)


def test_the_traceback_of_a_broken_plugin_leads_to_its_own_line(site):
    site.add("bad-lib", "x = 1\nraise ValueError('here')\n")
    assert 'bad_lib_plugin.py", line 2' in broken(load_plugins(env={}), "bad-lib").traceback


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("def mnpu_run_started(run, colour):\n    pass\n", "colour"),
        ("def mnpu_heads():\n    return 42\n", "mnpu_heads returned 42"),
        ("def mnpu_heads():\n    raise SystemExit\n", "SystemExit"),
    ],
)
def test_a_half_registered_plugin_leaves_no_hook_behind(site, fault, cause):
    site.add("bad-lib", f"{GOOD}\n@hookimpl\n{fault}")
    plugins = load_plugins(env={})
    assert cause in broken(plugins, "bad-lib").cause
    modules = {impl.plugin.__name__ for impl in plugins.manager.hook.mnpu_backbones.get_hookimpls()}
    assert "bad_lib_plugin" not in modules
    assert not plugins.manager.has_plugin("bad-lib:bad-lib")


def test_ctrl_c_during_a_plugin_is_not_swallowed(site):
    site.add("bad-lib", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_plugins(env={})


def test_an_entry_point_must_be_a_module(site):
    site.add("bad-lib", GOOD, value="bad_lib_plugin:mnpu_backbones")
    assert "expected the name of a module" in broken(load_plugins(env={}), "bad-lib").cause


def test_strict_raises_for_the_first_broken_plugin(site):
    site.add("bad-lib", "raise RuntimeError('no')")
    with pytest.raises(PluginError, match=r"plugin bad-lib 0.0.1 .*RuntimeError: no") as caught:
        load_plugins(env={"MNPU_STRICT_PLUGINS": "1"})
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize("name", ["tidy-lib", "Tidy_Lib", "neat"])
def test_a_plugin_is_left_out_by_distribution_or_entry_point_name(site, name):
    site.add("tidy-lib", GOOD, entry="neat")
    plugins = load_plugins(env={"MNPU_DISABLE_PLUGINS": f"other, {name}"})
    assert "tidy-lib" not in dists(plugins)
    assert [(d.dist, d.switch) for d in plugins.disabled] == [("tidy-lib", "MNPU_DISABLE_PLUGINS")]
    assert any("'other', which is not installed" in note for note in plugins.notes)


def test_the_allow_list_loads_core_and_what_it_names(site):
    site.add("tidy-lib", GOOD).add("bad-lib", "raise RuntimeError")
    plugins = load_plugins(env={"MNPU_PLUGINS": "tidy-lib"})
    assert dists(plugins) == [CORE, "tidy-lib"]
    assert not plugins.broken


def test_naming_core_alone_loads_core_alone(site):
    site.add("tidy-lib", GOOD)
    plugins = load_plugins(env={"MNPU_PLUGINS": "mnpu-core"})
    assert dists(plugins) == [CORE]
    assert plugins.notes == []


def test_an_entry_point_name_used_by_two_distributions_is_noted_and_both_load(site):
    site.add("tidy-lib", GOOD, entry="same").add("trim-lib", GOOD, entry="same")
    plugins = load_plugins(env={})
    assert {"tidy-lib", "trim-lib"} <= set(dists(plugins))
    assert any("'same' belongs to tidy-lib and trim-lib" in note for note in plugins.notes)


def test_a_distribution_that_provides_a_name_twice_keeps_the_first(site):
    site.add("tidy-lib", GOOD, second=GOOD)
    (site.path / "tidy_lib-0.0.1.dist-info" / "entry_points.txt").write_text(
        "[mnpu.plugins]\na = tidy_lib_plugin\nb = second\n"
    )
    plugins = load_plugins(env={})
    assert dists(plugins).count("tidy-lib") == 1
    assert "provides the backbone 'tidy' twice" in broken(plugins, "tidy-lib").cause


def test_a_plugin_without_an_api_is_loaded_with_a_note(site):
    site.add("tidy-lib", GOOD.replace("MNPU_API = 1", ""))
    (plugin,) = [p for p in load_plugins(env={}).loaded if p.dist == "tidy-lib"]
    assert "does not state MNPU_API" in plugin.notes[0]


def test_what_a_plugin_prints_does_not_reach_stdout(site, capsys):
    site.add("tidy-lib", GOOD + "\nprint('hello')\n")
    load_plugins(env={})
    assert capsys.readouterr().out == ""


def test_a_plugin_that_imports_something_heavy_is_noted(site):
    site.add("slow-lib", GOOD + "\nimport pandas\n")
    done = site.mnpu("plugins", "doctor", "slow-lib")
    assert "slow_lib_plugin imports numpy, pandas" in done.stdout


@pytest.mark.parametrize(("name", "normal"), [("Mnpu_Models.SSM", "mnpu-models-ssm"), ("a--b", "a-b")])
def test_names_are_compared_as_package_indexes_do(name, normal):
    assert normalise(name) == normal
