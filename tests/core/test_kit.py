"""The conformance kit finds what it is there to find: each law fails when its fault is planted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mnpu.data.targets import Direction, ForwardReturn
from mnpu.plugins.loader import CORE, load_plugins
from mnpu.plugins.registry import Registry
from mnpu.report.markdown import render
from mnpu.testing import check_component, check_plugin
from mnpu.types import Metric, Section, Table
from mnpu.validation.findings import Finding


@pytest.fixture
def registry() -> Registry:
    return Registry(load_plugins(env={"MNPU_PLUGINS": CORE}))


def broken_laws(registry: Registry, kind: str, target: object) -> set[str]:
    registry.add(kind, "it", target)
    return {outcome.law for outcome in check_component(registry, kind, "local/it") if not outcome.passed}


class Peeking(ForwardReturn):
    """Says that its labels end one bar earlier than they do."""

    def __call__(self, panel, fill="next_close"):
        labels = super().__call__(panel, fill)
        ends = tuple(end[:1].append(end[:-1]) for end in labels.end)
        return dataclasses.replace(labels, end=ends)


class Early(ForwardReturn):
    """Starts at the decision itself."""

    def __call__(self, panel, fill="next_close"):
        return dataclasses.replace(super().__call__(panel, fill), start=panel.times)


class Nostalgic(ForwardReturn):
    """Looks back over five bars, and says over none."""

    def __call__(self, panel, fill="next_close"):
        labels = super().__call__(panel, fill)
        before = np.full(labels.values.shape, np.nan)
        before[5:] = labels.values[5:] / panel["close"][:-5, :, None]
        return dataclasses.replace(labels, values=before)


class Flat(ForwardReturn):
    """Forgets the horizon."""

    def __call__(self, panel, fill="next_close"):
        labels = super().__call__(panel, fill)
        return dataclasses.replace(labels, values=labels.values[..., 0])


class Careless(Direction):
    """Tells other thresholds than it has taken."""

    def for_fold(self, labels, fold):
        own = super().for_fold(labels, fold)
        return dataclasses.replace(own, learnt=own.learnt / 2)


class Silent(Direction):
    """Tells nothing of what it has learnt."""

    def for_fold(self, labels, fold):
        return dataclasses.replace(super().for_fold(labels, fold), learnt=None)


@pytest.mark.parametrize(
    ("target", "law"),
    [
        (Peeking, "depends on nothing after its end"),
        (Early, "every label starts after its decision and ends after its start"),
        (Nostalgic, "looks back over no more bars than it says"),
        (Flat, "has one value and one interval for each decision and horizon"),
        (Careless, "what a fold has learnt gives its labels again"),
        (Silent, "what a fold has learnt gives its labels again"),
    ],
)
def test_a_faulty_target_is_found(registry, target, law):
    assert law in broken_laws(registry, "target", target)


@pytest.mark.parametrize("target", [ForwardReturn, Direction])
def test_a_sound_target_passes(registry, target):
    assert broken_laws(registry, "target", target) == set()


class Picky:
    """Refuses everything."""

    def check(self, table, context=None):
        return [Finding("rule", "error", 1, "all of it")]


class Meddling:
    """Repairs what it should report."""

    def check(self, table, context=None):
        if hasattr(table, "fields"):
            table.fields["close"][:] = 1.0
        return []


@pytest.mark.parametrize(
    ("target", "law"), [(Picky, "finds no error in clean data"), (Meddling, "leaves the data as it is")]
)
def test_a_faulty_validator_is_found(registry, target, law):
    assert law in broken_laws(registry, "validator", target)


def not_a_number(result):
    """Divide by nothing."""
    return Metric("it", float(np.std(result.net[:0])) if len(result.net) < 9 else 1.0, "ratio")


def without_reason(result):
    """Say nothing."""
    return Metric("it", None if len(result.net) < 9 else 1.0, "ratio")


def without_unit(result):
    """Count what?"""
    return Metric("it", 1.0, "")


@pytest.mark.parametrize(
    ("target", "law"),
    [
        (not_a_number, "is null with a reason where it is undefined"),
        (without_reason, "is null with a reason where it is undefined"),
        (without_unit, "gives a number with its unit"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_faulty_metric_is_found(registry, target, law):
    assert law in broken_laws(registry, "metric", target)


def ragged(result):
    """One cell too few."""
    return Section("It", (Table(("a", "b"), (("1",),)),))


def unformatted(result):
    """A number is no text."""
    return Section("It", (Table(("a",), ((1.0,),)),))


def needs_forecast(result):
    """Take a forecast for granted."""
    return Section("It", (str(result.forecast.levels),))


@pytest.mark.parametrize(
    ("target", "law"),
    [
        (ragged, "gives a section that any renderer can draw"),
        (unformatted, "gives a section that any renderer can draw"),
        (needs_forecast, "copes with a result of which little is known"),
    ],
)
def test_a_faulty_report_section_is_found(registry, target, law):
    assert law in broken_laws(registry, "report_section", target)


def forgetful(title, sections):
    """Leave the last row of every table out."""
    shorter = [
        dataclasses.replace(
            section,
            blocks=tuple(
                dataclasses.replace(block, rows=block.rows[:-1]) if isinstance(block, Table) else block
                for block in section.blocks
            ),
        )
        for section in sections
    ]
    return render(title, shorter)


def test_a_renderer_that_drops_a_cell_is_found(registry):
    assert broken_laws(registry, "renderer", forgetful) == {"writes every title, paragraph and cell"}


class Untyped:
    """A guardrail whose parameter has no type."""

    path_dependent = False

    def __init__(self, cap=1.0):
        self.cap = cap


class Silent:
    path_dependent = False


class Demanding:
    """A guardrail without a default."""

    path_dependent = False

    def __init__(self, cap: float):
        self.cap = cap


class Sizeless:
    """A backbone that does not want to know its sizes."""

    def __init__(self, width: int = 3): ...


@pytest.mark.parametrize(
    ("kind", "target", "law"),
    [
        ("engine", Untyped, "its signature is a schema"),
        ("engine", Silent, "says in one line what it is"),
        ("engine", Demanding, "can be built from its defaults"),
        ("backbone", Sizeless, "takes what the framework supplies"),
    ],
)
def test_a_component_of_any_kind_is_held_to_the_general_laws(registry, kind, target, law):
    assert law in broken_laws(registry, kind, target)


def test_a_plugin_module_that_imports_something_heavy_or_states_no_api_is_found(site):
    site.add("slow-lib", "import numpy\nfrom mnpu import hookimpl\n@hookimpl\ndef mnpu_heads():\n    return {}\n")
    outcomes = check_plugin(Registry(load_plugins(env={})), "slow-lib")
    assert [outcome.law for outcome in outcomes if not outcome.passed] == [
        "slow_lib_plugin: states its API",
        "slow_lib_plugin: imports nothing heavy",
    ]
