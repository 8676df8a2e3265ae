"""The reference pages of signals say what the signals say."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from mnpu.cli import cli
from mnpu.plugins.registry import Registry

PAGES = Path(__file__).parents[2] / "docs/reference/signals"
OURS = sorted(
    component.name for component in Registry.discover().components("feature_source") if component.dist[:5] == "mnpu-"
)


def generated(folder: Path, *args: str) -> None:
    done = CliRunner().invoke(cli, ["features", "docs", "--out", str(folder), *args])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("source", OURS)
def test_the_page_of_a_source_is_what_its_signals_say(source, demo_store, tmp_path):
    generated(tmp_path, "--source", source, "--store", str(demo_store))
    page = f"{source}.md"
    hint = "write it anew: mnpu init DIR; mnpu features docs --out docs/reference/signals --store DIR"
    assert (PAGES / page).is_file(), hint
    assert (PAGES / page).read_text(encoding="utf-8") == (tmp_path / page).read_text(encoding="utf-8"), hint


def test_the_index_leads_to_every_page(demo_store, tmp_path):
    pages = {path.stem for path in PAGES.glob("*.md")} - {"index"}
    if set(OURS) != pages:
        pytest.skip(f"not all packages of ours are installed: {', '.join(sorted(pages - set(OURS)))}")
    generated(tmp_path, "--store", str(demo_store))
    assert (PAGES / "index.md").read_text(encoding="utf-8") == (tmp_path / "index.md").read_text(encoding="utf-8")
