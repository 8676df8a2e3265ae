"""The page of a source of hundreds of signals: a row for those that differ in their number alone."""

from __future__ import annotations

from mnpu.features.catalogue import Signal, signals
from mnpu.features.pages import index_page, source_page
from mnpu.features.set_pages import is_set, rows, span
from mnpu.plugins.registry import Registry


def of(source: str) -> list[Signal]:
    return signals(Registry.discover(), source=source)[0]


def test_a_row_stands_for_all_windows_of_an_operator() -> None:
    found = {row.names: row for row in rows(of("alpha158"))}
    assert len(found) == 13 + 29
    mean = found["`MA5`, `MA10`, `MA20`, `MA30`, `MA60`"]
    assert (mean.what, mean.formula) == ("Mean of the last n closes.", "``mean(close, n) / close``.")
    assert mean.warmup == "5, 10, 20, 30, 60"


def test_a_number_of_the_formula_is_not_taken_for_that_of_the_name() -> None:
    found = rows(of("alpha360"))
    assert [row.names for row in found if "VOLUME" in row.names] == ["`VOLUME59` … `VOLUME1`", "`VOLUME0`"]


def test_a_few_signals_keep_their_sections() -> None:
    assert not is_set(of("price"))
    assert "## price.log_return" in source_page("price", "", of("price"), {})


def test_a_set_is_named_by_its_ends_in_the_index() -> None:
    page = index_page([*of("alpha360"), *of("price")])
    assert "[`alpha360.CLOSE59` … `alpha360.VOLUME0`](alpha360.md)" in page
    assert "[`price.momentum`](price.md#pricemomentum)" in page
    assert span(["a", "b"]) == "`a`, `b`"
