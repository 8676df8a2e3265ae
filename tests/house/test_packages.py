"""What every package of the repository has in common: one version, one licence, capped torch, data in the wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "mnpu-core" / "pyproject.toml", *sorted(ROOT.glob("mnpu-plugins/*/pyproject.toml"))]
PROJECTS = {path.parent.name: tomllib.loads(path.read_text(encoding="utf-8"))["project"] for path in FILES}

each_package = pytest.mark.parametrize("name", PROJECTS)


def requirements(project):
    return [
        *project.get("dependencies", []),
        *(r for extra in project.get("optional-dependencies", {}).values() for r in extra),
    ]


@each_package
def test_whatever_can_pull_torch_caps_it(name):
    project = PROJECTS[name]
    named = [r for r in requirements(project) if re.match(r"torch\b", r)]
    heavy = [r for r in requirements(project) if re.match(r"(torch|lightning)\b", r) or "[train]" in r]
    assert all("<2.14" in r for r in named)
    assert bool(heavy) == bool(named), "a requirement that brings torch stands beside one that caps it"


def test_all_packages_have_one_version():
    assert len({project["version"] for project in PROJECTS.values()}) == 1


@each_package
def test_the_index_page_has_a_readme_a_licence_and_a_summary(name):
    project, folder = PROJECTS[name], next(path.parent for path in FILES if path.parent.name == name)
    assert project["license"] == "Apache-2.0"
    assert (folder / project["readme"]).read_text(encoding="utf-8").startswith(f"# {project['name']}")
    assert project["description"].endswith(".")
    assert project["requires-python"] == ">=3.10"


@each_package
def test_the_licence_is_the_same_text_everywhere(name):
    folder = next(path.parent for path in FILES if path.parent.name == name)
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "LICENSE" in PROJECTS[name]["license-files"]


@each_package
def test_every_requirement_has_a_lower_and_an_upper_bound_where_majors_break(name):
    for requirement in requirements(PROJECTS[name]):
        assert ">=" in requirement, f"{requirement} has no lower bound"
        if re.match(r"(torch|pandas|numpy|pydantic|lightning|mnpu-core)\b", requirement):
            assert "<" in requirement, f"{requirement} has no upper bound"


@pytest.mark.parametrize("name", [name for name in PROJECTS if name != "mnpu-core"])
def test_a_plugin_depends_on_core_and_on_no_other_plugin(name):
    ours = [r for r in requirements(PROJECTS[name]) if r.startswith("mnpu")]
    assert ours
    assert all(re.match(r"mnpu-core(\[train\])?>=", r) for r in ours)


@each_package
def test_the_package_is_typed(name):
    folder = next(path.parent for path in FILES if path.parent.name == name)
    assert list(folder.glob("src/*/py.typed"))


@each_package
def test_the_wheel_holds_every_file_of_the_package(name, tmp_path):
    """Editable installs hide a data file that the build leaves out."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: nox -s dist builds the wheels too")
    folder = next(path.parent for path in FILES if path.parent.name == name)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(folder / "src"))
        for path in (folder / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    assert wanted <= packed
