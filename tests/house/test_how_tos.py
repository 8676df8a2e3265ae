"""Every module that a how-to page or the README shows is written to disk and held to the laws of its kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mnpu.plugins.registry import Registry
from mnpu.testing import check_component

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "how-to"
SHOWN = {
    "README": ("feature_source", ""),
    "add-a-feature": ("feature_source", ""),
    "add-a-backbone": ("backbone", ":Gru"),
    "add-a-forecaster": ("forecaster", ":Elastic"),
    "add-to-the-report": ("report_section", ":extreme_days"),
    "watch-training": ("instrument", ":LargestWeight"),
}


def module_of(page):
    """The block that begins with a docstring is a whole module."""
    path = (ROOT if page == "README" else PAGES) / f"{page}.md"
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    return next(block for block in blocks if block.startswith('"""'))


@pytest.mark.parametrize("page", SHOWN)
def test_what_a_how_to_shows_holds_the_laws(page, tmp_path, monkeypatch):
    kind, attribute = SHOWN[page]
    wanted = {"backbone": ["torch"], "instrument": ["torch"], "forecaster": ["safetensors", "sklearn"]}
    for needed in wanted.get(kind, ()):
        pytest.importorskip(needed)
    name = f"shown_{page.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(module_of(page), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry.discover()
    registry.add(kind, "shown", f"{name}{attribute}")
    outcomes = check_component(registry, kind, "local/shown")
    assert outcomes
    assert [outcome for outcome in outcomes if not outcome.passed] == []


def test_every_how_to_that_shows_a_module_is_tested():
    shown = {path.stem for path in PAGES.glob("*.md") if re.search(r'^```python\n"""', path.read_text("utf-8"), re.M)}
    assert shown == set(SHOWN) - {"README"}
