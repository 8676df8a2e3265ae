"""What is committed speaks of the project alone: no path of a machine, no address of a private index, no secret."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Written in pieces, so that this file does not name them either.
FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.])/(?:work|root|home|Users|opt)/\w"),
    "an address of an index": re.compile(r"(?:extra-)?index" + r"-url|/sim" + r"ple/|file:///\w"),
    "a key": re.compile(r"(?:sk|ghp|gho)[-_][A-Za-z0-9]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY"),
}
ALLOWED = {("noxfile.py", "an address of an index")}  # it forbids that they are written
BINARY = {".parquet", ".png", ".db", ".npz", ".gz"}


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_file_names_a_machine_an_index_or_a_key():
    found = []
    for path in tracked():
        if path.suffix in BINARY or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        name = str(path.relative_to(ROOT))
        found += [
            f"{name}: {what}: {hit[0]}"
            for what, pattern in FORBIDDEN.items()
            if (name, what) not in ALLOWED and (hit := pattern.search(text))
        ]
    assert not found


def test_no_committed_file_is_large():
    """The bundled data is 2.3 MB altogether; anything else of size belongs elsewhere."""
    large = [str(path.relative_to(ROOT)) for path in tracked() if path.is_file() and path.stat().st_size > 1_500_000]
    assert large == []


def test_the_planted_words_are_found():
    for what, text in (
        ("a path of one machine", "see /" + "home/someone/x"),
        ("an address of an index", "https://host/sim" + "ple/"),
        ("a key", "ghp_" + "a" * 36),
    ):
        assert FORBIDDEN[what].search(text)
