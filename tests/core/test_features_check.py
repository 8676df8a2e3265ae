"""A plain file with features is held to the laws of a source, and says why where it cannot be."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mnpu.cli import cli
from mnpu.errors import MnpuError

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "feature-in-a-minute.md"


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in {"reversal", "peeks", "some", "beside_it"} - modules:
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


def test_what_stands_beside_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("WINDOW = 3\n", encoding="utf-8")
    file = shown("reversal.py", tmp_path)
    file.write_text("from beside_it import WINDOW\n" + file.read_text(encoding="utf-8").replace("= 5", "= WINDOW"))
    assert check(file).exit_code == 0
