"""The HTML report is one file that needs no network, shows the Markdown report's numbers and trusts no text."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mnpu.report import markdown
from mnpu.report.sections import sections, title
from mnpu.types import Figure, Line, Section, Table
from mnpu_report.calendar_returns import calendar_returns, monthly
from mnpu_report.figures import draw
from mnpu_report.html import _inline, render
from tests.fakes import make_result


@pytest.fixture(scope="module")
def result():
    return make_result(1200)


@pytest.fixture(scope="module")
def parts(result):
    return sections(result, added=[calendar_returns(result)])


@pytest.fixture(scope="module")
def page(result, parts):
    return render(title(result), parts)


class Outline(HTMLParser):
    """Every tag with its attributes, the open tags checked, and the visible text of table cells."""

    VOID = frozenset({"meta", "line", "path", "use", "br", "wbr", "link", "img"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.cells: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("td", "th", "dt", "dd"):
            self.cells.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag, f"{tag} closes what it did not open"

    def handle_data(self, data):
        if self.open and {"td", "th", "dt", "dd"} & set(self.open):
            self.cells[-1] += data


def test_the_page_names_no_address_and_runs_no_script(page):
    assert "://" not in page
    assert "<script" not in page
    for tag, attributes in Outline(page).tags:
        assert tag not in ("link", "img", "iframe", "object", "embed")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "src", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page


def test_every_tag_is_closed_in_order(page):
    assert Outline(page).open == []


def test_ids_do_not_repeat(page):
    ids = [attributes["id"] for _, attributes in Outline(page).tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_cells_are_those_of_the_markdown_report(result, parts, page):
    text = markdown.render(
        title(result), [Section(s.title, tuple(b for b in s.blocks if isinstance(b, Table))) for s in parts]
    )
    rows = [line for line in text.splitlines() if line.startswith("|") and not re.match(r"\|[ :|-]+\|$", line)]
    plain = lambda cell: cell.strip().replace("**", "").replace("`", "")
    tiles = next(b for b in parts[0].blocks if isinstance(b, Table))
    wanted = [plain(cell) for row in rows for cell in row.strip("|").split("|")]
    wanted = wanted[len(tiles.columns) :]  # the tiles have no heading of their own
    assert [plain(cell) for cell in Outline(page).cells] == wanted


def test_everything_from_the_result_is_escaped():
    evil = '<script>alert("x")</script>'
    section = Section(
        evil, (evil, f"> {evil}", f"- {evil}", Table((evil,), ((evil,),)), Figure(evil, (Line(evil, [0, 1], [0, 1]),)))
    )
    page = render(evil, [section])
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 7


def test_bold_and_code_are_the_only_markup():
    page = render("t", [Section("s", ("**a** `b<c` [x](y) <i>",))])
    assert "<strong>a</strong> <code>b&lt;c</code> [x](y) &lt;i&gt;" in page


def test_core_writes_no_markup_that_the_page_does_not_know():
    """A word between single asterisks would be shown with them."""
    for module in sorted(Path(str(files("mnpu.report"))).glob("*.py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not re.search(r"(?<![*\w])\*[A-Za-z][^*]*\*(?!\*)", node.value), (module.name, node.lineno)


def test_the_same_result_gives_the_same_page(page):
    again = make_result(1200)
    assert render(title(again), sections(again, added=[calendar_returns(again)])) == page


@pytest.mark.parametrize("kind", ["line", "area", "bar", "calibration", "density"])
def test_every_kind_of_figure_is_drawn(kind):
    picture = draw(
        Figure("a < b & $c$", (Line("one", [0, 1, 2], [1.0, 3.0, 2.0]), Line("two", [0, 1, 2], [2.0, 1.0, 2.0])), kind)
    )
    assert picture.svg.startswith("<svg")
    assert 'aria-label="a &lt; b &amp; $c$"' in picture.svg
    assert [label for label, _, _ in picture.legend] == ["one", "two"]


def test_a_number_is_marked_beside_an_area_whose_height_has_no_scale():
    x = np.linspace(-3, 3, 41)
    bell = Line("luck", x, np.exp(-(x**2) / 2))
    picture = draw(Figure("density", (Line("this", [1.0, 1.0], [0.0, 1.2]), bell), "density", x_label="ratio"))
    assert ">ratio</text>" in picture.svg
    assert ">0.5</text>" not in picture.svg  # neither axis has a tick there: the one has whole numbers, the other none
    assert picture.svg.count("fill-opacity: 0.13") == 1


def test_a_surface_is_drawn_as_contours_and_needs_no_legend():
    x = np.linspace(-1, 1, 5)
    bowl = tuple(Line(f"{b:g}", x, x**2 + b**2) for b in x)
    picture = draw(Figure("loss", bowl, "contour", "b", "a"))
    assert picture.legend == ()
    assert len(re.findall("<path", picture.svg)) > 10
    for lines in ((), bowl[:1], tuple(Line(line.label, x, np.full(5, np.nan)) for line in bowl)):
        assert draw(Figure("nothing", lines, "contour")).svg.endswith("</svg>")


@pytest.mark.parametrize("lines", [(), (Line("empty", [], []),), (Line("gaps", [0, 1], [np.nan, np.nan]),)])
def test_a_figure_without_numbers_is_an_empty_frame(lines):
    assert draw(Figure("nothing", lines)).svg.endswith("</svg>")


def test_thinning_keeps_the_worst_day(result):
    from mnpu_report.figures import _thin

    y = np.zeros(50_000)
    y[31_234] = -0.9
    x, thin = _thin(Line("crash", np.arange(50_000), y))
    assert len(thin) <= 702
    assert thin.min() == -0.9
    assert x[thin.argmin()] == 31_234


class TestCalendarReturns:
    def test_a_month_compounds_its_days(self, result):
        table = monthly(result)
        net = pd.Series(result.net, index=result.times)
        for (year, month), days in net.groupby([net.index.year, net.index.month]):
            assert table.loc[year, month] == pytest.approx(np.prod([1 + r for r in days]) - 1)

    def test_the_years_compound_to_the_whole(self, result):
        whole = (1 + monthly(result).fillna(0)).prod(axis=None)
        assert whole == pytest.approx(result.equity[-1])

    def test_a_month_without_decisions_is_empty(self, result):
        first = calendar_returns(result).blocks[1].rows[-1]
        assert first[0] == str(result.times[0].year)
        assert first[1] == ""

    def test_a_result_without_decisions_has_no_table(self, result):
        none = replace(result, net=result.net[:0], times=result.times[:0])
        assert calendar_returns(none).blocks == ("The run made no decision.",)

    def test_colours_stay_within_their_range(self, result):
        shades = [tone for row in calendar_returns(result).blocks[1].shade for tone in row if tone is not None]
        assert max(map(abs, shades)) <= 1


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_page_fits_its_window_in_a_browser(page, tmp_path):
    """A narrow and a wide window: nothing but tables, which scroll by themselves, may be wider than the page."""
    probe = "<script>document.title = document.documentElement.scrollWidth + ' of ' + window.innerWidth</script>"
    (tmp_path / "page.html").write_text(page.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    for width in (700, 1100):
        shown = subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={tmp_path / str(width)}", f"--window-size={width},900", "--dump-dom",
             (tmp_path / "page.html").as_uri()],
            capture_output=True, text=True, timeout=60, check=True,
        ).stdout  # fmt: skip
        found = re.search(r"<title>(\d+) of (\d+)</title>", shown)
        assert found
        assert int(found[1]) <= int(found[2])


def test_a_long_name_may_break_at_its_parameters_and_nowhere_else():
    assert _inline("`a.tone[series=x,days=3]`") == "<code>a.tone[<wbr>series=x,<wbr>days=3]</code>"
    assert _inline("[a, b]") == "[a, b]"
