"""Machine code that is kept belongs to the source as it stands, in whatever file that is."""

from __future__ import annotations

import subprocess
import sys

import pytest

CALLED = """
from mnpu.data.compiled import compiled
RATE = 2.0
@compiled
def charged(x):
    return RATE * x
"""
LOOP = """
import numpy as np
from mnpu.data.compiled import compiled
from {package}.called import charged
@compiled
def total(values):
    found = 0.0
    for value in values:
        found += step(value)
    return found
@compiled
def step(value):
    return charged(value) + 1.0
"""
ASK = """
import numpy as np
from {package}.loop import total
print(total(np.array([1.0, 2.0])), sum(total.stats.cache_hits.values()))
"""


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Asks for the total of 1 and 2 in a process of its own: the value, and whether its machine code was kept."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "kept_loops"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "called.py").write_text(CALLED)
    (folder / "loop.py").write_text(LOOP.format(package="kept_loops"))

    def asked(**changed):
        for name, (old, new) in changed.items():
            text = (folder / f"{name}.py").read_text()
            assert old in text
            (folder / f"{name}.py").write_text(text.replace(old, new))
        code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + ASK.format(package="kept_loops")
        command = [sys.executable, "-B", "-c", code]  # Python's own cache tells no two changes of one second apart
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return float(told[0]), bool(int(told[1]))

    return asked


def test_a_loop_is_kept_until_what_it_calls_changes(ask):
    assert ask() == (8.0, False)
    assert ask() == (8.0, True)
    assert ask(called=("RATE * x", "RATE + x")) == (9.0, False)  # a function that it reaches over another
    assert ask(called=("RATE = 2.0", "RATE = 3.0")) == (11.0, False)  # a constant of that one
    assert ask() == (11.0, True)
    assert ask(called=("from mnpu", "# words\nfrom mnpu")) == (11.0, True)  # where it stands does not matter
    assert ask(called=("RATE = 3.0", "RATE = 2.0")) == (9.0, True)  # known from before
