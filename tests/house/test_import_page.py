"""The page about importing is followed to the letter: its files are written, its commands run, its output compared."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mnpu.data.importing.mapping import ROLES, Entry, Knowledge, load_mapping

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/import-data.md"
REFERENCE = ROOT / "docs/reference/import-mapping.md"
COMMAND = "from mnpu.cli import main; main()"


def blocks(path):
    return re.findall(r"^```(\w+)\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.M | re.S)


def test_every_block_of_the_page_does_what_it_says(tmp_path):
    names = iter(re.findall(r"`(\w+\.(?:csv|yaml))`", PAGE.read_text(encoding="utf-8")))
    said = ""
    for kind, text in blocks(PAGE):
        if kind in ("csv", "yaml"):
            (tmp_path / next(names)).write_text(text)
        elif kind == "text":
            assert said == text
        else:
            assert kind == "bash"
            for line in text.splitlines():
                words = line.removeprefix("! ").split()
                assert words[0] == "mnpu"
                done = subprocess.run(
                    [sys.executable, "-c", COMMAND, *words[1:]],
                    cwd=tmp_path,
                    capture_output=True,
                    text=True,
                    timeout=120,
                    check=False,
                )
                assert done.returncode == (3 if line.startswith("! ") else 0), done.stderr
                said = done.stdout
    assert [path.name for path in (tmp_path / "quarantine").iterdir()]


def test_the_mapping_of_the_reference_is_one(tmp_path):
    ((_, text),) = blocks(REFERENCE)
    (tmp_path / "other.yaml").write_text(text)
    assert len(load_mapping(tmp_path / "other.yaml").entries) == 2


@pytest.mark.parametrize("model", [Entry, Knowledge])
def test_the_reference_names_every_key(model):
    text = REFERENCE.read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    assert set(model.model_fields) <= words
    assert set().union(*ROLES.values()) <= words
