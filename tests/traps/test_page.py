"""The page of traps names every trap, and only tests and pages that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.traps.planting import fails

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanations/traps.md"
TRAPS = [f"D{n}" for n in (*range(1, 16), *range(17, 21))]


def rows_of(text: str) -> dict[str, list[str]]:
    cells = [line.strip("|").split(" | ") for line in text.splitlines() if re.match(r"\| D\d+ \|", line)]
    return {row[0].strip(): row[1:] for row in cells}


def every_trap_has_a_row_and_a_test(text: str) -> None:
    rows = rows_of(text)
    assert list(rows) == TRAPS
    for trap, (_, does, see) in rows.items():
        tests = re.findall(r"`(tests/[\w/]+\.py)`", see)
        assert tests, f"{trap} names no test"
        assert [path for path in tests if not (ROOT / path).is_file()] == []
        assert len(does) > 40


def test_the_page_names_every_trap_with_tests_that_are_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    every_trap_has_a_row_and_a_test(text)
    fails(every_trap_has_a_row_and_a_test, text.replace("| D7 |", "| D70 |"))
    fails(every_trap_has_a_row_and_a_test, text.replace("tests/traps/test_d08_costs.py", "tests/traps/test_gone.py"))


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_has_a_file_here_that_plants_a_fault(trap: str) -> None:
    files = list(Path(__file__).parent.glob(f"test_d{int(trap[1:]):02d}_*.py"))
    assert files
    assert any("fails(" in path.read_text(encoding="utf-8") for path in files)


def test_links_of_the_page_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).resolve().is_file(), target
