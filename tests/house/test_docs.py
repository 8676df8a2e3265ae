"""The documentation names everything that exists, and nothing that does not."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
import pytest

from mnpu.cli import cli
from mnpu.plugins import hookspecs
from mnpu.plugins.registry import Registry

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def headings(page):
    return re.findall(r"^#+ `?([^`\n]+)`?$", (DOCS / page).read_text(encoding="utf-8"), flags=re.M)


HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("mnpu_"))


def command_lines(command, words=("mnpu",)):
    """Every command that does something, with the words that ask for it."""
    if not isinstance(command, click.Group):
        return [" ".join(words)]
    context = click.Context(command)
    found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [line for name, inner in found for line in command_lines(inner, (*words, name))]


COMMANDS = command_lines(cli)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_heading(hook):
    assert hook in headings("reference/hooks.md")


def test_every_heading_is_a_hook():
    assert sorted(name for name in headings("reference/hooks.md") if name.startswith("mnpu_")) == HOOKS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_heading(command):
    assert [name for name in headings("reference/cli.md") if f"{name} ".startswith(f"{command} ")]


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


def test_every_key_of_a_sweep_stands_in_the_reference():
    from mnpu.sweep.definition import Axis, Budget, Case, Search, Sweep

    page = (ROOT / "docs" / "reference" / "sweeps.md").read_text(encoding="utf-8")
    for block in (Sweep, Axis, Case, Search, Budget):
        for key in block.model_fields:
            assert f"`{key}`" in page, f"{block.__name__}.{key}"


def test_the_readme_begins_with_the_two_commands():
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8")[:2500]
    assert 'python -m pip install "nox[uv]" && python -m nox -s demo' in first_screen
    assert 'python -m pip install "nox[uv]" && python -m nox -s tests' in first_screen


def test_the_page_of_the_validators_is_made_from_them():
    from tests.house.validators_page import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.house.validators_page"


def unknown(words):
    """What of a command line is not there, or nothing: a command, or an option of it."""
    command, context = cli, click.Context(cli, info_name="mnpu")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return words[0]
        command, context, words = found, click.Context(found, parent=context), words[1:]
    options = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
    return next((word for word in words if word.startswith("--") and word.partition("=")[0] not in options), None)


@pytest.mark.parametrize("page", sorted([*DOCS.rglob("*.md"), ROOT / "README.md"]), ids=lambda page: page.name)
def test_every_command_that_a_page_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?:^|`|\$ |! )mnpu ([a-z][^`\n|;#]*)", text, flags=re.M)
    assert [line for line in named if unknown(line.rstrip(".,):").split())] == []


MODELS = [c for c in Registry.discover().components() if c.kind in ("backbone", "head", "forecaster")]


@pytest.mark.parametrize("model", [c for c in MODELS if c.dist.startswith("mnpu-")], ids=lambda c: c.name)
def test_every_setting_of_a_model_stands_on_its_page(model):
    for needed in ("torch", *(["lightgbm"] if model.name == "lightgbm" else [])):
        pytest.importorskip(needed)
    page = (DOCS / "models" / f"{'heads' if model.kind == 'head' else model.name}.md").read_text(encoding="utf-8")
    parameters = inspect.signature(Registry.discover().load(model.kind, model.canonical)).parameters.values()
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert [p.name for p in named if not re.search(rf"\b{p.name}\b", page)] == []
    said = dict(re.findall(r"^\| `(\w+)` \| ([-\d.]+) \|", page, flags=re.M))
    assert {p.name: float(said[p.name]) for p in named if p.name in said} == {
        p.name: p.default for p in named if p.name in said
    }
