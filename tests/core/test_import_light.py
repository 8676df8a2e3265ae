"""What is cheap stays cheap: help and listings load no heavy library, and no floor below the networks reaches torch."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import mnpu
from mnpu.plugins.describe import promised_names
from mnpu.plugins.kinds import KINDS
from mnpu.plugins.loader import HEAVY, load_plugins
from mnpu.plugins.source import open_source

#: Never needed to list or to help; the last ones are cheap enough to use, but not here.
UNWANTED = {*HEAVY, "asyncio", "exchange_calendars", "matplotlib", "pydantic", "rich", "structlog", "yaml"}

MODULES_AFTER = """
import json, sys
from mnpu.cli import main
try:
    main({args!r})
except SystemExit as done:
    assert not done.code, done.code
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})), file=sys.stderr)
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["--version"],
        ["plugins", "list"],
        ["plugins", "list", "--json"],
        ["plugins", "doctor"],
        ["plugins", "show", "linear"],
        ["plugins", "show", "price"],
    ],
    ids=" ".join,
)
def test_help_and_listings_import_nothing_heavy(args):
    done = python(MODULES_AFTER.format(args=args))
    assert done.returncode == 0, done.stderr
    assert UNWANTED & set(json.loads(done.stderr)) == set()


def test_importing_mnpu_imports_the_standard_library_only():
    done = python("import sys; before = set(sys.modules); import mnpu; print(*sorted(set(sys.modules) - before))")
    imported = done.stdout.split()
    assert {name.partition(".")[0] for name in imported} <= {"mnpu", *sys.stdlib_module_names}
    assert [name for name in imported if name.startswith("mnpu")] == ["mnpu"]


@pytest.mark.parametrize("name", sorted(module.name for module in pkgutil.iter_modules(mnpu.__path__)))
def test_every_module_of_core_has_a_docstring_that_says_what_it_is_for(name):
    source = open_source(f"mnpu.{name}")
    assert source is not None
    assert source.docstring("")


def test_no_floor_below_the_networks_reaches_torch():
    floors = "types errors log plugins config hashing engine data features policies guard metrics validation simulation"
    code = f"""
import importlib, pkgutil, sys
import mnpu
for floor in {[*floors.split(), "cli"]!r}:
    if floor not in [module.name for module in pkgutil.iter_modules(mnpu.__path__)]:
        continue
    module = importlib.import_module("mnpu." + floor)
    for inner in pkgutil.walk_packages(getattr(module, "__path__", []), "mnpu." + floor + "."):
        importlib.import_module(inner.name)
print(*[name for name in ("torch", "lightning") if name in sys.modules])
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_the_parser_reads_what_the_loader_collects():
    """Names in a hook are a literal dictionary, so that a plugin that cannot be imported still says what it has."""
    for plugin in load_plugins(env={}).loaded:
        for kind, names in plugin.components.items():
            assert set(promised_names(plugin.module.__name__, KINDS[kind].hook)) == set(names)
