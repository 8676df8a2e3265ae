"""``mnpu plugins``: list, show, doctor, check and new, as a user runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mnpu.cli import cli
from mnpu.commands._scaffold import TEMPLATES, write_plugin
from mnpu.errors import ConfigError, MnpuError, PluginError
from mnpu.plugins.kinds import KINDS

PLUGIN = """
from mnpu import hookimpl
MNPU_API = 1

@hookimpl
def mnpu_guardrails():
    return {"night": "night_rule:Night", "gross_cap": "night_rule:Night"}
"""
RULE = '''
from typing import Annotated
from pydantic import Field


class Night:
    """Hold nothing at night.

    Parameters
    ----------
    hour : int, default=21
        When the night begins.
    """

    path_dependent = False

    def __init__(self, hour: Annotated[int, Field(ge=0, le=23)] = 21):
        self.hour = hour

    def limit(self, proposed, book):
        return proposed * 2
'''
KINDS_TO_WRITE = sorted(path.name.removesuffix(".py.template") for path in TEMPLATES.glob("*.py.template"))
KINDS_TO_WRITE = [kind for kind in KINDS_TO_WRITE if kind in KINDS]


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, ["plugins", *args])


def refused(*args: str) -> None:
    """Let the error through that the outer edge would turn into a message."""
    CliRunner().invoke(cli, ["plugins", *args], standalone_mode=False, catch_exceptions=False)


def answer(*args: str) -> dict:
    result = run(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def night(site):
    return site.add("night-lib", PLUGIN, night_rule=RULE)


def test_list_names_every_component_with_its_summary(night):
    lines = run("list").output.splitlines()
    assert any(re.match(r"  night +night-lib/night +Hold nothing at night$", line) for line in lines)
    assert lines.index("feature sources") < lines.index("guardrails") < lines.index("renderers")


def test_list_shows_an_ambiguous_name_by_its_canonical_id(night):
    assert re.search(r"^  mnpu-core/gross_cap", run("list").output, re.MULTILINE)


def test_list_of_one_kind_holds_that_kind_only():
    kinds = {component["kind"] for component in answer("list", "--kind", "guardrail")["components"]}
    assert kinds == {"guardrail"}


def test_list_refuses_an_unknown_kind():
    with pytest.raises(ConfigError, match="Did you mean 'backbone'"):
        refused("list", "--kind", "bakcbone")


def test_list_succeeds_with_a_broken_plugin_and_names_it_at_the_end(site):
    site.add("bad-lib", "raise RuntimeError('half done')")
    result = run("list")
    assert result.exit_code == 0
    end = result.output.partition("failed to load")[2]
    assert re.search(r"bad-lib 0\.0\.1 +RuntimeError: half done$", end, re.MULTILINE)


def test_list_as_json_has_the_broken_ones_with_their_traceback(site):
    site.add("bad-lib", "raise RuntimeError('half done')")
    (broken,) = [plugin for plugin in answer("list")["broken"] if plugin["dist"] == "bad-lib"]
    assert (broken["dist"], broken["cause"]) == ("bad-lib", "RuntimeError: half done")
    assert "Traceback" in broken["traceback"]


@pytest.mark.parametrize("name", ["night", "night-lib/night", "guardrail/night"])
def test_show_explains_a_component_with_an_example(night, name):
    output = run("show", name).output
    assert re.search(r"^hour +int +21 +≥ 0, ≤ 23 +When the night begins\.$", output, re.MULTILINE)
    assert "guardrails:\n  - {use: night, hour: 21}" in output


def test_show_writes_the_canonical_id_into_the_example_of_an_ambiguous_name(night):
    assert "{use: night-lib/gross_cap, hour: 21}" in run("show", "night-lib/gross_cap").output


def test_show_of_a_distribution_explains_everything_it_provides(night):
    assert [c["name"] for c in answer("show", "night-lib")["components"]] == ["gross_cap", "night"]


def test_show_of_one_feature_leaves_the_others_out():
    (component,) = answer("show", "price.log_return")["components"]
    assert component["description"]["name"] == "price.log_return"
    assert component["example"].startswith("features:\n  - {use: price.log_return")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("nigth", ConfigError, "Did you mean 'night'?"),
        ("price.log_retrun", ConfigError, "Did you mean 'price.log_return'?"),
        ("bad-lib", PluginError, "bad-lib 0.0.1 failed to load: RuntimeError: no"),
    ],
)
def test_show_says_what_was_probably_meant(night, name, error, message):
    night.add("bad-lib", "raise RuntimeError('no')")
    with pytest.raises(error) as caught:
        refused("show", name)
    assert message in str(caught.value)


def test_doctor_shows_cause_traceback_and_fix(site):
    site.add("bad-lib", "import no_such_library")
    output = run("doctor", "bad-lib").output
    assert "cause: ModuleNotFoundError: No module named 'no_such_library'" in output
    assert "fix: Install no_such_library, or reinstall: pip install --force-reinstall bad-lib" in output
    assert 'bad_lib_plugin.py", line 1' in output


def test_doctor_works_under_the_strict_switch(site, monkeypatch):
    site.add("bad-lib", "raise RuntimeError")
    monkeypatch.setenv("MNPU_STRICT_PLUGINS", "1")
    result = run("doctor")
    assert result.exit_code == 0
    assert "MNPU_STRICT_PLUGINS=1" in result.output


def test_doctor_warns_of_clashes_and_of_switches_that_name_nothing(night, monkeypatch):
    monkeypatch.setenv("MNPU_DISABLE_PLUGINS", "nothing-like-this")
    notes = answer("doctor")["notes"]
    assert any("'gross_cap' is provided by mnpu-core and night-lib" in note for note in notes)
    assert any("MNPU_DISABLE_PLUGINS names 'nothing-like-this'" in note for note in notes)


def test_check_fails_a_component_that_breaks_a_law(night):
    result = run("check", "night-lib/night", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    broken = [law["law"] for checked in report["checked"] for law in checked["laws"] if not law["passed"]]
    assert report["passed"] is False
    assert broken
    assert "Not all laws hold." in run("check", "night-lib/night").output


def test_check_passes_our_own_guardrail():
    result = run("check", "mnpu-core/gross_cap")
    assert result.exit_code == 0
    assert "All laws hold." in result.output


@pytest.fixture
def new_plugin(site, tmp_path):
    """Write a plugin and lay it out as if it had been installed."""

    def write(name: str, kind: str):
        written = write_plugin(name, kind, tmp_path / "made")
        project = (written.root / "pyproject.toml").read_text()
        entry = re.search(r'entry-points."mnpu.plugins"\]\n(\S+) = "(\S+)"', project)
        assert entry is not None
        (written.root / "src" / written.package).rename(site.path / written.package)
        info = site.path / f"{written.package}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {written.dist}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[mnpu.plugins]\n{entry[1]} = {entry[2]}\n")
        return written

    return write


@pytest.mark.parametrize("kind", KINDS_TO_WRITE)
def test_a_new_plugin_of_every_kind_is_discovered_and_keeps_its_laws(new_plugin, site, kind):
    if kind in ("backbone", "head", "instrument", "logger"):
        pytest.importorskip("torch", reason="networks, and what watches them, need the train extra")
    if kind == "forecaster":
        pytest.importorskip("safetensors", reason="what a model keeps is saved with the train extra")
    written = new_plugin("my-idea", kind)
    listed = {(c["kind"], c["canonical"]) for c in answer("list")["components"]}
    assert (kind, "my-idea/my_idea") in listed
    result = run("check", written.dist)
    assert result.exit_code == 0, result.output


def test_a_new_plugin_writes_exactly_these_files(tmp_path):
    written = write_plugin("My-Idea", "policy", tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in written.files) == [
        "my-idea/README.md",
        "my-idea/pyproject.toml",
        "my-idea/src/my_idea/__init__.py",
        "my-idea/src/my_idea/plugin.py",
        "my-idea/src/my_idea/policy.py",
        "my-idea/src/my_idea/py.typed",
        "my-idea/tests/test_my_idea.py",
    ]


def test_new_says_how_to_go_on(tmp_path):
    output = run("new", "my-idea", "--kind", "metric", "--dir", str(tmp_path)).output
    assert f"pip install -e {tmp_path / 'my-idea'}" in output
    assert "mnpu plugins check my-idea" in output


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("my-idea", "polcy", "Did you mean 'policy'?"),
        ("my-idea", "importer", "nothing in this mnpu-core calls components of kind importer yet"),
        ("9lives", "policy", "'9lives' cannot name a package"),
        ("true", "policy", "'true' is no text in a pipeline file"),
        ("null", "policy", "'null' is no text in a pipeline file"),
        ("class", "policy", "'class' cannot name a package"),
        ("json", "policy", "a module named 'json' is installed already"),
        ("mnpu-report", "policy", "one of MNPU's own packages"),
    ],
)
def test_new_refuses_what_would_not_work(tmp_path, name, kind, message):
    with pytest.raises(ConfigError) as caught:
        write_plugin(name, kind, tmp_path)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_new_overwrites_nothing(tmp_path):
    write_plugin("my-idea", "policy", tmp_path)
    with pytest.raises(ConfigError, match="exists already"):
        write_plugin("my-idea", "metric", tmp_path)


def test_new_into_a_place_that_cannot_be_written_leaves_nothing(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(MnpuError, match="cannot be written"):
        write_plugin("my-idea", "policy", blocked)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["file"]
