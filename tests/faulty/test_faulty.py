"""With faulty plugins laid out as installed, the command line works and says what is wrong."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.core.conftest import Site, site
from tests.faulty.checks import CHECKS

__all__ = ["site"]  # the fixture, used here by its name

PACKAGES = Path(__file__).with_name("packages")


@pytest.fixture
def faulty(site: Site) -> Site:
    """The four packages, as pip would leave them."""
    for package in sorted(PACKAGES.iterdir()):
        project = (package / "pyproject.toml").read_text("utf-8")
        entry = re.search(r'entry-points."mnpu.plugins"\]\n(\S+) = "(\S+)"', project)
        assert entry is not None
        module = entry[2].partition(".")[0]
        shutil.copytree(package / "src" / module, site.path / module)
        info = site.path / f"{module}-0.0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.name}\nVersion: 0.0.1\n")
        (info / "entry_points.txt").write_text(f"[mnpu.plugins]\n{entry[1]} = {entry[2]}\n")
    return site


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_command_line_survives(faulty, check):
    check(faulty.mnpu)


def test_a_plugin_that_exits_while_it_is_imported_ends_nothing(site):
    site.add("exit-lib", "raise SystemExit(0)")
    done = site.mnpu("plugins", "list")
    assert done.returncode == 0
    assert re.search(r"exit-lib 0\.0\.1 +SystemExit: 0$", done.stdout, re.MULTILINE)


def test_a_hook_that_returns_garbage_is_named_with_what_it_returned(site):
    site.add("odd-lib", "from mnpu import hookimpl\n@hookimpl\ndef mnpu_heads():\n    return 42\n")
    done = site.mnpu("plugins", "list")
    assert done.returncode == 0
    assert "mnpu_heads returned 42 (int), expected" in done.stdout


def test_a_plugin_that_prints_does_not_spoil_json(site):
    site.add("loud-lib", "print('hello')\nraise RuntimeError('no')")
    assert site.mnpu("plugins", "list", "--json").stdout.startswith("{")
