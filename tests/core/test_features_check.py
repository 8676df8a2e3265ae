"""A plain file with features is held to the laws of a source, and says why where it cannot be."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mnpu.cli import cli
from mnpu.errors import MnpuError
from mnpu.testing.features import laws

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "feature-in-a-minute.md"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in {"reversal", "peeks", "some", "some.beside_it", "beside_it"} - modules:
        sys.modules.pop(name, None)


def check(file: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["features", "check", str(file), *options])


def shown(name: str, folder: Path) -> Path:
    """A block of the page as a file."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf'^```python title="{name}"\n(.*?)^```$', text, flags=re.M | re.S)
    assert found
    path = folder / name
    path.write_text(found[1], encoding="utf-8")
    return path


def test_ten_lines_keep_every_law_and_each_is_told(tmp_path: Path) -> None:
    done = check(shown("reversal.py", tmp_path))
    assert done.exit_code == 0, done.output
    told = [line for line in done.output.splitlines() if line.startswith("  ok  reversal: ")]
    assert {"reversal: does not see the future", "reversal: streams the batch values"} <= {line[6:] for line in told}
    assert done.output.endswith("All laws hold.\n")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_that_looks_ahead_is_told_with_the_value_that_gave_it_away(tmp_path: Path) -> None:
    done = check(shown("peeks.py", tmp_path), "--json")
    assert done.exit_code == 1
    told = json.loads(done.output)
    assert (told["passed"], told["features"]) == (False, ["distance"])
    failed = {law["law"]: law["detail"] for law in told["laws"] if not law["passed"]}
    assert "goes from" in failed["distance: does not see the future"]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (None, 2, "does not exist"),
        ("x = 1\n", 2, "has no feature"),
        ("import no_such_module\n", 5, "ModuleNotFoundError"),
        ("def broken(:\n", 5, "SyntaxError"),
        ("REQUIRES = {'no_such': 'acme[x]'}\nfrom mnpu.features.price import log_price\n", 5, 'pip install "acme[x]"'),
    ],
)
def test_what_cannot_be_checked_says_why(tmp_path: Path, text: str | None, code: int, message: str) -> None:
    file = tmp_path / "some.py"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    raised = check(file).exception
    assert isinstance(raised, MnpuError)
    assert (raised.exit_code, message in str(raised)) == (code, True), str(raised)


SCALED_ONCE = """
import numpy as np
from mnpu import View, feature
{begin}
@feature(fields=("close",), scale_free=False, unit="deviations")
def scaled(view: View) -> np.ndarray:
    \"\"\"Close by what the first panel was like.\"\"\"
    if not FITTED:
        FITTED.extend([np.nanmean(view["close"]), np.nanstd(view["close"])])
    mean, deviation = FITTED
    return (view["close"] - mean) / deviation


@feature(fields=("close",), scale_free=False, unit="currency")
def honest(view: View) -> np.ndarray:
    \"\"\"Close.\"\"\"
    return view["close"] * 1.0
"""


@pytest.mark.parametrize("begin", ["FITTED = []\n", "from some.beside_it import FITTED\n"])
def test_a_scaler_that_is_fitted_once_and_kept_knows_the_future(tmp_path: Path, begin: str) -> None:
    """Every other law holds: whatever the future is replaced by later, the scaler is that of the first data."""
    package = tmp_path / "some"
    package.mkdir()
    (package / "beside_it.py").write_text("FITTED = []\n", encoding="utf-8")
    (package / "__init__.py").write_text(SCALED_ONCE.format(begin=begin), encoding="utf-8")
    sys.path.insert(0, str(tmp_path))
    outcomes = laws(importlib.import_module("some"))
    failed = {outcome.law: outcome.detail for outcome in outcomes if not outcome.passed}
    assert list(failed) == ["scaled: answers to its data"]
    assert (
        "remembers the first data that it saw, with its future: some.scaled: " in failed["scaled: answers to its data"]
    )
    assert sys.modules["some"].FITTED  # what was imported before is there again


def test_a_file_is_held_to_what_it_remembers(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text(SCALED_ONCE.format(begin="FITTED = []\n"), encoding="utf-8")
    done = check(file)
    assert done.exit_code == 1
    assert "FAILED  scaled: answers to its data" in done.output
    assert done.output.count("FAILED") == 1


FAILING = """
import sys
from mnpu import View, feature

@feature(fields=("close",), {said})
def some(view: View, *, window: int = 3):
    \"\"\"Close.\"\"\"
    {begin}
    return view["close"] / view["close"]
"""


@pytest.mark.parametrize(
    ("said", "begin", "told"),
    [
        ('warmup=lambda p: p["windw"]', "", "some[window=3]: @feature(warmup=...) raised KeyError: 'windw'"),
        ("memory=lambda p: p.nothing", "", "@feature(memory=...) raised AttributeError"),
        ('series=lambda p: 1 / 0, unit="x"', "", "@feature(series=...) raised ZeroDivisionError"),
        ("warmup=1", "sys.exit(0)", "feature some.some[window=3] of local: raised SystemExit: 0"),
    ],
)
def test_what_fails_in_a_feature_is_its_failure_and_is_named(tmp_path: Path, said: str, begin: str, told: str) -> None:
    file = tmp_path / "some.py"
    file.write_text(FAILING.format(said=said, begin=begin or "pass"), encoding="utf-8")
    done = check(file)
    assert done.exit_code == 1
    assert told in done.output
    assert done.output.endswith("Not all laws hold.\n")


def test_what_stands_beside_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("WINDOW = 3\n", encoding="utf-8")
    file = shown("reversal.py", tmp_path)
    file.write_text("from beside_it import WINDOW\n" + file.read_text(encoding="utf-8").replace("= 5", "= WINDOW"))
    assert check(file).exit_code == 0
