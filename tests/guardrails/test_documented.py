"""The recipes that the reference shows are valid, and show every guardrail with every setting."""

from __future__ import annotations

import inspect
import re
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from mnpu.plugins.registry import Registry
from mnpu_guardrails.plugin import mnpu_guardrails

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "guardrails.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)


@pytest.mark.parametrize("block", BLOCKS, ids=["short", "every rule"])
def test_what_the_reference_shows_is_valid(block, tmp_path, mnpu):
    pytest.importorskip("torch", reason="the recipe's models need it")
    recipe = yaml.safe_load((files("mnpu.recipes") / "us_equities_daily.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**recipe, **yaml.safe_load(block)}), encoding="utf-8")
    code, _, error = mnpu("validate", path)
    assert code == 0, error


def test_every_rule_is_shown_with_every_setting():
    shown = {use.pop("use"): use for use in yaml.safe_load(BLOCKS[-1])["guardrails"]}
    assert set(shown) == set(mnpu_guardrails())
    registry = Registry.discover()
    for name, settings in shown.items():
        known = inspect.signature(registry.load("guardrail", name)).parameters
        assert set(settings) == set(known), name
