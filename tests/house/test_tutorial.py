"""The runner of the tutorial runs what it should, and stops where a line fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.run_tutorial import blocks, execute

ROOT = Path(__file__).parents[2]


def page(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text.replace("'''", "```"), encoding="utf-8")
    return path


def test_files_are_written_and_commands_run_where_the_last_block_ended(tmp_path, capfd):
    make, write = "'''bash\nmkdir a && cd a\n'''\n", "'''yaml title=\"b/c.yaml\"\nx: 1\n'''\n"
    text = f"{make}{write}'''bash\ncat b/c.yaml; basename $PWD\n'''\n"
    assert execute(page(tmp_path, text)) == 0
    assert capfd.readouterr().out.endswith("x: 1\na\n")


def test_the_first_failing_line_ends_it(tmp_path, capfd):
    assert execute(page(tmp_path, "words\n\n'''bash\nfalse\necho after\n'''\n")) == 1
    captured = capfd.readouterr()
    assert "after\n" not in captured.out.replace("$ echo after\n", "")
    assert ":3: the block failed" in captured.err


def test_an_expected_failure_must_fail(tmp_path):
    assert execute(page(tmp_path, "'''bash\n! false\n'''\n")) == 0
    assert execute(page(tmp_path, "'''bash\n! true\n'''\n")) == 1


def test_a_block_that_nothing_runs_is_refused(tmp_path):
    with pytest.raises(ValueError, match="line 1: a python block"):
        list(blocks("```python\nx\n```\n"))


def test_the_tutorial_has_only_blocks_that_are_executed():
    found = list(blocks((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")))
    assert {block.language for block in found} == {"bash", "python", "text", "yaml"}


def test_the_page_on_looking_at_features_has_only_blocks_that_are_executed():
    found = list(blocks((ROOT / "docs" / "how-to" / "look-at-features.md").read_text(encoding="utf-8")))
    assert {block.language for block in found} == {"bash", "text"}


def test_the_page_on_fixtures_has_only_blocks_that_are_executed():
    found = list(blocks((ROOT / "docs" / "how-to" / "make-a-fixture.md").read_text(encoding="utf-8")))
    assert {block.language for block in found} == {"bash", "python", "text"}


def test_the_page_on_a_feature_in_a_minute_has_only_blocks_that_are_executed():
    found = list(blocks((ROOT / "docs" / "how-to" / "feature-in-a-minute.md").read_text(encoding="utf-8")))
    assert {block.language for block in found} == {"bash", "python", "text"}
