"""What commands share: one way to print an answer, and options with one meaning."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from mnpu.commands._shared import config_options, emit, json_option, lay_out, plain, run_argument, runs_option, table


class Pair(NamedTuple):
    left: int
    right: float


@dataclass
class Fact:
    name: str
    value: float


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (np.float64("nan"), None),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([1.0, np.nan]), [1.0, None]),
        (pd.Timestamp("2020-01-02", tz="UTC"), "2020-01-02T00:00:00+00:00"),
        (pd.NaT, None),
        (Path("a") / "b", str(Path("a") / "b")),
        (Pair(1, 2.0), {"left": 1, "right": 2.0}),
        (Fact("x", float("inf")), {"name": "x", "value": None}),
        ({1: (True, None)}, {"1": [True, None]}),
    ],
)
def test_any_answer_becomes_plain_json(value, expected):
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)


def test_a_table_is_as_wide_as_its_widest_cells():
    assert table(("name", "n"), [("a", 1), ("bcdef", 22)], right=("n",)) == "name    n\na       1\nbcdef  22"


def test_the_last_column_wraps_in_a_terminal_and_nowhere_else():
    rows = [("a", "one two three four five six seven"), ("b", "eight")]
    assert lay_out(rows) == "a  one two three four five six seven\nb  eight"
    assert lay_out(rows, indent="  ", width=30) == "  a  one two three four five\n     six seven\n  b  eight"


def test_where_there_is_no_room_for_a_sentence_the_terminal_wraps():
    assert lay_out([("a" * 20, "one two three four")], width=30) == f"{'a' * 20}  one two three four"


@click.command()
@config_options
@runs_option
@run_argument
@json_option
def everything(**given):
    """Show what was given."""
    emit(given.pop("as_json"), given, lambda: click.echo("for people"))


def test_options_have_one_name_and_one_meaning():
    args = ["p.yaml", "id-001", "-f", "a.yaml", "-f", "b.yaml", "--set", "x.y=1", "--runs", "elsewhere", "--json"]
    assert json.loads(CliRunner().invoke(everything, args).stdout) == {
        "file": "p.yaml",
        "run": "id-001",
        "overlays": ["a.yaml", "b.yaml"],
        "sets": ["x.y=1"],
        "runs": "elsewhere",
    }


def test_without_json_the_answer_is_for_people():
    assert CliRunner().invoke(everything, ["p.yaml", "id-001"]).stdout == "for people\n"
