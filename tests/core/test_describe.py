"""Descriptions come from source: nothing is imported, and what is shown is what is written."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from mnpu.plugins.describe import Parameter, describe, parameter_docs, promised_names, summarise, without_section
from mnpu.plugins.registry import Component
from mnpu.plugins.source import first_line, module_docstring, open_source

POISON = "raise RuntimeError('this module must not be imported')\n"
MODEL = '''
"""Models.

Second line.
"""
from __future__ import annotations
from dataclasses import dataclass
from typing import Annotated
from pydantic import Field
from .base import Base, LEVELS

raise RuntimeError("this module must not be imported")

Positive = Annotated[float, Field(gt=0)]
RATE = 1e-3


class Model(Base):
    """A model of everything.

    Parameters
    ----------
    n_features, lookback : int
        Sizes.
    width : int, default=4
        How wide
        it is.
    """

    def __init__(self, n_features, lookback, *, width: Annotated[int, Field(ge=1, le=9)] = 4,
                 rate: Positive | None = RATE, name: "str" = "x", size: int, **rest) -> None: ...


class Child(Model):
    """A child."""


class Grandchild(Base):
    """A grandchild."""


@dataclass(frozen=True)
class Rule:
    """A rule."""

    limit: Positive = 1.0
    hard: bool = False
'''
BASE = '''
raise RuntimeError("this module must not be imported")

class Base:
    """A base.

    Parameters
    ----------
    depth : int
        How deep.
    """

    def __init__(self, depth: int = 2) -> None: ...
'''
FEATURES = '''
"""Features of nothing."""
import mnpu
from mnpu import feature
from zoo.more import Bars, imported, helper

raise RuntimeError("this module must not be imported")

@feature(fields=("close",))
def first(view, *, window: int = 5):
    """The first.

    Parameters
    ----------
    window : int
        Bars.
    """

@mnpu.feature()
def second(view, *, bars: Bars = 3):
    """The second."""

def not_a_feature(view):
    """No."""
'''
MORE = '''
from typing import Annotated
from mnpu import feature
from pydantic import Field

Bars = Annotated[int, Field(ge=2)]

@feature()
def imported(view):
    """From elsewhere."""

def helper():
    """No."""
'''


@pytest.fixture
def zoo(site):
    """A package whose every module raises when it is imported."""
    folder = site.path / "zoo"
    folder.mkdir()
    sources = {"__init__": POISON, "base": BASE, "model": MODEL, "features": FEATURES, "more": MORE}
    for name, source in {**sources, "plugin": "from .model import Model as Renamed\n"}.items():
        (folder / f"{name}.py").write_text(source.lstrip())

    def component(kind: str, target: str) -> Component:
        return Component(kind, "it", "zoo/it", target, "zoo", "1")

    yield component
    assert not [name for name in sys.modules if name.partition(".")[0] == "zoo"]


def test_parameters_are_what_the_signature_says_without_what_the_framework_supplies(zoo):
    description = describe(zoo("backbone", "zoo.model:Model"))
    assert description.summary == "A model of everything"
    assert description.parameters == (
        Parameter("width", "int", "4", "How wide it is.", "≥ 1, ≤ 9"),
        Parameter("rate", "float | None", "0.001", "", "> 0"),
        Parameter("name", "str", "'x'", ""),
        Parameter("size", "int", None, ""),
    )
    assert description.path.endswith("zoo/model.py")
    assert description.line == (MODEL.lstrip().splitlines().index("class Model(Base):") + 1)


def test_a_class_without_a_constructor_has_that_of_its_base(zoo):
    child, grandchild = (describe(zoo("backbone", f"zoo.model:{name}")) for name in ("Child", "Grandchild"))
    assert [parameter.name for parameter in child.parameters] == ["width", "rate", "name", "size"]
    assert grandchild.parameters == (Parameter("depth", "int", "2", "How deep."),)


def test_a_dataclass_has_its_fields(zoo):
    assert describe(zoo("guardrail", "zoo.model:Rule")).parameters == (
        Parameter("limit", "float", "1.0", "", "> 0"),
        Parameter("hard", "bool", "False", ""),
    )


def test_a_name_that_is_imported_from_elsewhere_is_followed(zoo):
    assert describe(zoo("backbone", "zoo.plugin:Renamed")).summary == "A model of everything"
    assert summarise(zoo("backbone", "zoo.plugin:Renamed")) == "A model of everything"


def test_a_feature_source_lists_its_features_and_those_it_imports(zoo):
    description = describe(zoo("feature_source", "zoo.features"))
    assert description.summary == "Features of nothing"
    assert [(f.name, f.summary) for f in description.functions] == [
        ("it.first", "The first"),
        ("it.second", "The second"),
        ("it.imported", "From elsewhere"),
    ]
    assert description.functions[0].parameters == (Parameter("window", "int", "5", "Bars."),)
    assert description.functions[1].parameters == (Parameter("bars", "int", "3", "", "≥ 2"),)  # an imported type


@pytest.mark.parametrize("target", ["zoo.nothing:X", "zoo.model:Nothing", "nowhere.at.all", "sys"])
def test_what_has_no_source_has_an_empty_description(zoo, target):
    component = zoo("backbone", target)
    assert summarise(component) == ""
    assert describe(component).parameters == ()


def test_the_names_a_plugin_would_provide_are_read_from_its_hooks(site):
    site.add("bad-lib", POISON + "def mnpu_heads():\n    return {'a': 'x:A', 'b': 'x:B'}\n")
    assert promised_names("bad_lib_plugin", "mnpu_heads") == ("a", "b")
    assert promised_names("bad_lib_plugin", "mnpu_policies") == ()


def test_our_own_descriptions_agree_with_the_imported_signature():
    """Two independent readers of one signature: the parser here, pydantic's model there."""
    from mnpu.plugins.kinds import KINDS
    from mnpu.plugins.loader import load_plugins
    from mnpu.plugins.registry import Registry
    from mnpu.plugins.schema import model_from_signature

    registry = Registry(load_plugins(env={"MNPU_PLUGINS": "mnpu-core"}))
    apart = {"feature_source", "backbone", "head"}
    if find_spec("torch") is None:
        apart.add("instrument")
    for component in registry.components():
        if component.kind in apart:
            continue
        kind, target = KINDS[component.kind], registry.load(component.kind, component.canonical)
        bare = kind.called and not isinstance(target, type)
        model = model_from_signature(target, skip=kind.supplied, keyword_only=bare)
        assert [p.name for p in describe(component).parameters] == list(model.model_fields), component


@pytest.mark.parametrize(
    ("text", "docstring"),
    [
        ('"""One."""\nimport x', "One."),
        ("# licence\n\n'''Two.\n\nMore.'''\n", "Two.\n\nMore."),
        ('r"""A \\d."""', "A \\d."),
        ("import x\n", ""),
        ("'single'\n", "single"),
        ("def broken(:", ""),
    ],
)
def test_the_docstring_of_a_module_is_read_from_its_head(text, docstring):
    assert module_docstring(text) == docstring


@pytest.mark.parametrize(("doc", "line"), [("One.\n\nTwo.", "One"), ("And so on...", "And so on..."), ("", "")])
def test_a_summary_is_the_first_line_without_its_full_stop(doc, line):
    assert first_line(doc) == line


DOC = """Title.

Parameters
----------
a, b : int
    Two numbers
    that go together.
*c
    The rest.

Returns
-------
x : int
"""


def test_parameter_docs_are_read_from_numpydoc():
    both = "Two numbers that go together."
    assert parameter_docs(DOC) == {"a": both, "b": both, "c": "The rest."}


def test_a_section_can_be_left_out():
    assert without_section(DOC, "Parameters") == "Title.\n\nReturns\n-------\nx : int"


def test_the_source_of_a_module_is_found_without_importing_its_parents(zoo):
    source = open_source("zoo.model")
    assert source is not None
    assert source.imports["Base"] == ("zoo.base", "Base")
