"""The documentation names everything that exists, and nothing that does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mnpu.plugins import hookspecs
from mnpu.plugins.registry import Registry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def headings(page):
    return re.findall(r"^#+ `?([^`\n]+)`?$", (DOCS / page).read_text(encoding="utf-8"), flags=re.M)


HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("mnpu_"))
COMMANDS = sorted(
    path.stem for path in (ROOT / "mnpu-core/src/mnpu/commands").glob("*.py") if not path.stem.startswith("_")
)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_heading(hook):
    assert hook in headings("reference/hooks.md")


def test_every_heading_is_a_hook():
    assert sorted(name for name in headings("reference/hooks.md") if name.startswith("mnpu_")) == HOOKS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_heading(command):
    assert [name for name in headings("reference/cli.md") if name.split()[:2] == ["mnpu", command]]


def test_every_registered_component_of_core_stands_in_the_reference():
    page = (DOCS / "reference/hooks.md").read_text(encoding="utf-8")
    missing = [c.name for c in Registry.discover().components() if c.dist == "mnpu-core" and f"`{c.name}`" not in page]
    assert missing == []


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"([\w/-]+\.md)", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert pages == listed


def test_decisions_are_numbered_without_gaps():
    numbers = [int(path.name[:4]) for path in sorted(DOCS.glob("decisions/[0-9]*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_readme_begins_with_the_two_commands():
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8")[:2500]
    assert 'python -m pip install "nox[uv]" && python -m nox -s demo' in first_screen
    assert 'python -m pip install "nox[uv]" && python -m nox -s tests' in first_screen


def test_the_page_of_the_validators_is_made_from_them():
    from tests.house.validators_page import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.house.validators_page"
