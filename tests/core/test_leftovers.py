"""What a killed process left unfinished is removed by whoever next writes the same thing, and nothing else is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mnpu.leftovers import SUFFIX, unfinished

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="asking for a process would end it")
WRITER = """
import sys, time, pathlib
from mnpu.leftovers import SUFFIX, unfinished
target = pathlib.Path(sys.argv[1])
(target.parent / f"{unfinished(target)}a{SUFFIX}").touch()
(target.parent / f"{unfinished(target)}b{SUFFIX}").mkdir()
(target.parent / f"{unfinished(target)}b{SUFFIX}" / "part").touch()
print("written", flush=True)
time.sleep(100)
"""


def test_what_is_being_written_stays_and_what_a_killed_process_left_goes(tmp_path):
    target = tmp_path / "market[1].db"
    others = [target, tmp_path / f".other.db.0-1-{SUFFIX}", tmp_path / f".{target.name}.elsewhere-1-a{SUFFIX}"]
    for other in others:
        other.touch()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout.readline() == b"written\n"
        unfinished(target)
        assert len(list(tmp_path.iterdir())) == len(others) + 2
    finally:
        writer.kill()
        writer.communicate()
    own = tmp_path / f"{unfinished(target)}{SUFFIX}"
    own.touch()
    unfinished(target)
    assert sorted(tmp_path.iterdir()) == sorted([*others, own])
