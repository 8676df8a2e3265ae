"""``mnpu features``: list, show and docs, as a user runs them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mnpu.cli import cli
from mnpu.errors import ConfigError, DataError, MnpuError, PluginError
from mnpu.features import View, feature
from mnpu.features.api import meta_of
from mnpu.features.catalogue import _formula, find, signals
from mnpu.plugins.registry import Registry

PLUGIN = """
from mnpu import hookimpl
MNPU_API = 1

@hookimpl
def mnpu_feature_sources():
    return {"tides": "tide_signals"}
"""
SIGNALS = '''
"""Signals of the sea."""

from typing import Annotated
import numpy as np
from pydantic import Field
from mnpu import View, feature


@feature(fields=("close",), series=lambda p: (p["gauge"],), warmup=lambda p: 3 * p["window"] + p["skip"] - 2,
         unit="metres", tags=("sea", "momentum"), kind="other")
def height(view: View, *, gauge: str = "dover", window: Annotated[int, Field(ge=2)] = 5, skip: int = 1) -> np.ndarray:
    """Height of the tide.

    Parameters
    ----------
    gauge : str, default="dover"
        Where it is measured.

    Returns
    -------
    height : ndarray (T, A)
        ``high - low``, in
        metres.

    Notes
    -----
    NaN at low tide.
    Source: Laplace (1775), after
    Newton.
    """
    return np.zeros(view.shape)


@feature(series=lambda p: (p["gauge"],), scope="market", tags=("sea",))
def level(view: View, *, gauge: str) -> np.ndarray:
    """Needs a gauge."""
    return np.zeros(view.shape[0])
'''


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, ["features", *args])


def answer(*args: str) -> dict:
    result = run(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*args: str) -> None:
    """Let the error through that the outer edge would turn into a message."""
    CliRunner().invoke(cli, ["features", *args], standalone_mode=False, catch_exceptions=False)


@pytest.fixture
def tides(site):
    return site.add("tide-lib", PLUGIN, tide_signals=SIGNALS)


def test_list_has_a_line_for_every_signal_of_every_source(tides):
    listed = [line.split()[0] for line in run("list").output.splitlines()[1:]]
    assert {"price.log_return", "price.hour_of_day", "tides.height", "tides.level"} <= set(listed)
    assert len(listed) == len(set(listed))


def test_list_folds_a_set_of_hundreds_and_its_json_does_not():
    lines = run("list", "--source", "alpha158").output.splitlines()
    assert len(lines) < 60
    (roc,) = [line for line in lines if line.startswith("alpha158.ROC")]
    assert re.split(r"  +", roc)[:4] == ["alpha158.ROC5 … ROC60", "symbol", "closes", "6 … 61"]
    assert len(answer("list", "--source", "alpha158")["features"]) == 158


def test_list_of_a_source_holds_that_source_only_in_the_order_of_its_module(tides):
    assert [each["name"] for each in answer("list", "--source", "tides")["features"]] == ["tides.height", "tides.level"]


def test_list_of_a_tag_holds_the_signals_with_that_tag(tides):
    names = {each["name"] for each in answer("list", "--tag", "momentum")["features"]}
    assert {"price.momentum", "tides.height"} <= names
    assert "price.log_return" not in names


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (["list", "--tag", "momentun"], ConfigError, "no feature has the tag 'momentun', expected one of"),
        (["list", "--tag", "momentun"], ConfigError, "Did you mean 'momentum'?"),
        (["list", "--source", "tide"], ConfigError, "Did you mean 'tides'?"),
        (["list", "--store", "nowhere.db"], DataError, "nowhere.db: no store there"),
        (["show", "price.log_retrun"], ConfigError, "Did you mean 'price.log_return'?"),
        (["show", "log_return"], ConfigError, "Did you mean 'price.log_return'?"),
        (["show", "xyzzy"], ConfigError, "No feature named 'xyzzy'. Run: mnpu features list."),
        (["show", "bad.x"], PluginError, "'bad-lib/bad' (bad-lib 0.0.1, no_such_module) could not be imported"),
    ],
)
def test_an_unknown_name_is_answered_with_a_guess(tides, args, error, message):
    tides.add("bad-lib", PLUGIN.replace("tides", "bad").replace("tide_signals", "no_such_module"))
    with pytest.raises(error) as caught:
        refused(*args)
    assert message in str(caught.value)


def test_list_tells_broken_plugins_and_sources_that_cannot_be_imported_and_succeeds(site):
    site.add("bad-lib", "raise RuntimeError('half done')")
    site.add("empty-lib", PLUGIN.replace("tide_signals", "no_such_module"))
    result = run("list")
    assert result.exit_code == 0
    assert re.search(r"could not be imported\n  tides of empty-lib 0\.0\.1 +.*no_such_module", result.output)
    assert re.search(r"bad-lib 0\.0\.1 +RuntimeError: half done$", result.output, re.MULTILINE)
    told = answer("list")
    assert [each["source"] for each in told["failed"]] == ["tides"]
    assert "bad-lib" in [each["dist"] for each in told["broken"]]


def test_show_states_the_whole_spec(tides):
    shown = answer("show", "tides.height")
    parameters = {each["name"]: each for each in shown.pop("parameters")}
    assert parameters["window"]["limits"] == "≥ 2"
    assert parameters["gauge"] == {
        "name": "gauge",
        "annotation": "str",
        "default": "'dover'",
        "doc": "Where it is measured.",
        "limits": "",
    }
    assert shown == {
        "name": "tides.height",
        "source": "tides",
        "function": "height",
        "dist": "tide-lib",
        "version": "0.0.1",
        "summary": "Height of the tide.",
        "formula": "``high - low``, in metres.",
        "notes": "NaN at low tide.",
        "reference": "Laplace (1775), after Newton",
        "unit": "metres",
        "scope": "symbol",
        "scale_free": True,
        "warmup": {"formula": "3 window + skip - 2", "at_defaults": 14},
        "tables": ["prices", "observations"],
        "fields": ["close"],
        "kind": "other",
        "series": ["dover"],
        "release_lags": [],
        "bases": [],
        "missing": [],
        "tags": ["sea", "momentum"],
    }


def test_show_says_how_a_pipeline_names_it(tides):
    assert '  - {use: tides.height, gauge: "dover", window: 5, skip: 1}' in run("show", "tides.height").output


def test_a_signal_whose_parameter_has_no_default_is_listed_all_the_same(tides):
    shown = answer("show", "tides.level")
    assert (shown["series"], shown["parameters"][0]["default"]) == ([], None)
    assert re.search(r"^gauge +str +required", run("show", "tides.level").output, re.MULTILINE)


def test_a_canonical_name_is_understood(tides):
    assert answer("show", "tide-lib/tides.height")["name"] == "tides.height"


def test_a_source_that_two_packages_claim_is_listed_by_its_canonical_name(tides):
    tides.add("moon-lib", PLUGIN)
    names = {each["name"] for each in answer("list", "--tag", "sea")["features"]}
    assert names == {f"{dist}/tides.{name}" for dist in ("tide-lib", "moon-lib") for name in ("height", "level")}


def test_a_store_says_when_series_are_known_and_which_are_missing(tides, demo_store):
    tides.add("fed-lib", PLUGIN.replace("tides", "fed").replace("tide_signals", "fed_signals"), fed_signals=FED)
    known = answer("show", "fed.rate", "--store", str(demo_store))
    assert (known["release_lags"], known["bases"], known["missing"]) == (["period end + 33 days"], ["declared"], [])
    assert answer("show", "tides.height", "--store", str(demo_store))["missing"] == ["dover"]
    listed = run("list", "--store", str(demo_store)).output
    assert "not in the store: dover" in listed
    assert "period end + 33 days" in listed
    assert "core_cpi: period end + 33 days (declared)" in run("show", "fed.rate", "--store", str(demo_store)).output


FED = '''
import numpy as np
from mnpu import View, feature

@feature(series=("core_cpi",), scope="market")
def rate(view: View) -> np.ndarray:
    """A rate."""
    return np.zeros(view.shape[0])
'''


def test_a_warm_up_that_is_no_plain_sum_has_no_formula():
    @feature(warmup=lambda p: max(p["fast"], p["slow"]))
    def cross(view: View, *, fast: int = 5, slow: int = 20):
        """Two averages."""

    @feature(warmup=lambda p: p["window"] ** 2)
    def square(view: View, *, window: int = 5):
        """A square."""

    @feature(warmup=lambda p: 2 * p["window"])
    def double(view: View, *, window: int = 5, name: str = "x"):
        """Twice."""

    cases = ((cross, {"fast": 5, "slow": 20}), (square, {"window": 5}), (double, {"window": 5, "name": "x"}))
    assert [_formula(meta_of(function), params) for function, params in cases] == ["", "", "2 window"]


@pytest.mark.parametrize("function", ["log_return", "momentum", "realised_volatility", "distance_from_average"])
def test_the_formula_of_a_warm_up_gives_the_warm_up_for_other_parameters(function):
    from mnpu.features import price
    from mnpu.features.plan import plan_function

    formula = find(Registry.discover(), f"price.{function}").warmup
    (column,) = plan_function(vars(price)[function], {"window": 77}, source="price")
    assert column.spec.warmup == eval(formula, {}, {"window": 77})


def test_docs_writes_an_index_and_a_page_for_each_source(tides, tmp_path):
    written = answer("docs", "--out", str(tmp_path / "new" / "pages"))["pages"]
    assert {Path(path).name for path in written} >= {"index.md", "price.md", "tides.md"}
    page = (tmp_path / "new" / "pages" / "tides.md").read_text()
    assert "# Signals of tides\n" in page
    assert "| **Formula** | `high - low`, in metres. |" in page
    assert "| **Warm-up** | `3 window + skip - 2`, 14 bars at the defaults |" in page
    assert "| **Known** | bars at their close<br>`dover`: as the rule of its import declares |" in page
    assert "| **Source** | Laplace (1775), after Newton |" in page


def test_docs_of_one_source_leave_the_index_alone(tides, tmp_path):
    assert [Path(path).name for path in answer("docs", "--out", str(tmp_path), "--source", "tides")["pages"]] == [
        "tides.md"
    ]


def test_every_link_between_the_pages_leads_to_a_heading(tmp_path):
    refused("docs", "--out", str(tmp_path))
    pages = {path.name: path.read_text() for path in tmp_path.iterdir()}
    anchors = {
        name: {re.sub(r"[^\w-]", "", line[3:].lower()) for line in text.splitlines() if line.startswith("## ")}
        for name, text in pages.items()
    }
    links = [
        (file or name, to) for name, text in pages.items() for file, to in re.findall(r"\]\(([\w.]*)#(\w+)\)", text)
    ]
    assert len(links) > 20
    assert [link for link in links if link[1] not in anchors.get(link[0], ())] == []


def test_docs_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MnpuError, match="cannot be written"):
        refused("docs", "--out", str(tmp_path / "file" / "pages"))


def test_errors_are_json_too_with_their_exit_code(site):
    done = site.mnpu("features", "list", "--tag", "nosuch", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert json.loads(done.stderr)["type"] == "ConfigError"
    assert site.mnpu("features", "show", "macros.x").returncode in (2, 5)


def test_listing_imports_no_network_and_help_no_features():
    code = (
        "import sys\nfrom mnpu.cli import main\n"
        "try: main({args!r})\nexcept SystemExit as done: assert not done.code\n"
        "print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )

    def imported(args: list[str], heavy: list[str]) -> str:
        line = code.format(args=args, heavy=heavy)
        return subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True).stderr.strip()

    assert imported(["features", "list"], ["torch", "lightning", "exchange_calendars", "matplotlib"]) == "[]"
    assert imported(["features", "--help"], ["numpy", "pandas", "pydantic", "mnpu.features.api"]) == "[]"


def test_every_signal_of_ours_says_formula_unit_tags_and_source():
    found, _ = signals(Registry.discover())
    lacking = {
        signal.name: [name for name in ("unit", "tags", "reference") if not getattr(signal.spec, name)]
        + ([] if signal.formula else ["formula"])
        for signal in found
        if signal.dist.startswith("mnpu-")
    }
    assert {name: what for name, what in lacking.items() if what} == {}
