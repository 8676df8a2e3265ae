"""Laws of validators, targets, metrics, report sections, renderers and commands."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mnpu.data.calendars import get_calendar
from mnpu.testing import LawOutcome
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.testing.general import asked
from mnpu.testing.results import bare_result, sample_sections, synthetic_result
from mnpu.types import Figure, Fold, Labels, Metric, Panel, Section, Table

__all__ = ["laws"]

Factory = Callable[..., Any]


def laws(kind: str, factory: Factory, *, seed: int = 0) -> list[LawOutcome]:
    """The laws of one of these kinds; none for a kind that nothing calls yet.

    Parameters
    ----------
    kind : str
    factory : callable
        Builds the component from its defaults.
    seed : int, default=0
        Of the made-up market.
    """
    return [
        asked(law, partial(check, factory, np.random.default_rng(seed))) for law, check in _LAWS.get(kind, {}).items()
    ]


def _clean_data_passes(factory: Factory, rng: np.random.Generator) -> str:
    panel = _without_holidays(synthetic_panel(rng))
    validator = factory()
    for table in (panel, synthetic_side(("rate",), panel, rng)):
        errors = [finding for finding in validator.check(table, None) if finding.severity == "error"]
        if errors:
            return f"it refuses clean data: {errors[0].rule} (first: {errors[0].sample})"
    return ""


def _without_holidays(panel: Panel) -> Panel:
    """The bars on weekdays on which the exchange opens: what is made up knows no holidays."""
    noon = pd.DatetimeIndex(panel.sessions).as_unit("ns").tz_localize("UTC") + pd.Timedelta(hours=17)
    kept = np.flatnonzero(get_calendar(panel.calendar).contains(noon))
    fields = {name: values[kept] for name, values in panel.fields.items()}
    clocks = {"times": panel.times[kept], "sessions": panel.sessions[kept]}
    return replace(panel, **clocks, fields=fields, tradable=panel.tradable[kept])


def _validator_leaves_alone(factory: Factory, rng: np.random.Generator) -> str:
    panel = synthetic_panel(rng)
    before = {name: values.copy() for name, values in panel.fields.items()}
    factory().check(panel, None)
    changed = [name for name in before if not np.array_equal(before[name], panel[name], equal_nan=True)]
    return f"it changed {', '.join(changed)}" if changed else ""


def _labels(factory: Factory, panel: Panel) -> Labels:
    labels: Labels = factory()(panel, "next_close")
    return labels


def _label_shapes(factory: Factory, rng: np.random.Generator) -> str:
    panel = synthetic_panel(rng)
    labels = _labels(factory, panel)
    expected = (*panel.shape, len(labels.horizons))
    if labels.values.shape != expected:
        return f"values have shape {labels.values.shape}, expected {expected}"
    lengths = {len(labels.start), *(len(end) for end in labels.end)}
    return "" if lengths == {panel.shape[0]} else f"intervals have {sorted(lengths)} rows, expected {panel.shape[0]}"


def _labels_after_decision(factory: Factory, rng: np.random.Generator) -> str:
    panel = synthetic_panel(rng)
    labels = _labels(factory, panel)
    known = ~np.asarray(labels.start.isna())
    if (labels.start[known] <= panel.times[known]).any():
        return "a label starts at or before its decision"
    for horizon, end in zip(labels.horizons, labels.end, strict=True):
        both = known & ~np.asarray(end.isna())
        if (end[both] < labels.start[both]).any():
            return f"a label of horizon {horizon} ends before it starts"
    return ""


def _labels_have_intervals(factory: Factory, rng: np.random.Generator) -> str:
    labels = _labels(factory, synthetic_panel(rng))
    for place, end in enumerate(labels.end):
        open_ended = np.isfinite(labels.values[:, :, place]).any(axis=1) & np.asarray(end.isna() | labels.start.isna())
        if open_ended.any():
            return f"row {int(np.flatnonzero(open_ended)[0])} has a value but no interval"
    return "" if np.isfinite(labels.values).any() else "it has no finite label on a market that has everything"


def _labels_end_where_they_say(factory: Factory, rng: np.random.Generator) -> str:
    """Prices after a label's end are replaced; the label must not change, or the purge would be too short."""
    panel = synthetic_panel(rng)
    labels = _labels(factory, panel)
    for cut in (len(panel.times) // 3, 2 * len(panel.times) // 3):
        fields = {name: values.copy() for name, values in panel.fields.items()}
        for name in ("open", "high", "low", "close"):
            fields[name][cut:] *= np.exp(rng.normal(scale=0.2, size=fields[name][cut:].shape))
        other = _labels(factory, replace(panel, fields=fields))
        for place, end in enumerate(labels.end):
            over = np.asarray(end < panel.times[cut])
            same = np.array_equal(labels.values[over, :, place], other.values[over, :, place], equal_nan=True)
            if not same:
                return f"a label of horizon {labels.horizons[place]} depends on prices after its end"
    return ""


def _labels_look_back_as_they_say(factory: Factory, rng: np.random.Generator) -> str:
    """Bars before the look-back are left out; an agent, which holds no more, must compute the same labels."""
    target, panel = factory(), synthetic_panel(rng)
    lookback = getattr(target, "lookback", None)
    if lookback is None or (hasattr(target, "for_fold") and not hasattr(target, "as_learnt")):
        return ""  # an agent does without
    whole = target(panel, "next_close").values
    first = max(int(lookback), len(panel.times) // 3)
    cut = target(panel.rows(first - int(lookback), len(panel.times)), "next_close").values
    same = np.array_equal(whole[first:], cut[int(lookback) :], equal_nan=True)
    return "" if same else f"a label depends on more than the {lookback} bars before its decision"


def _folds_learn_from_training(factory: Factory, rng: np.random.Generator) -> str:
    """What follows a training range is replaced; the labels of the range must not change, or it was learnt from."""
    target = factory()
    if not hasattr(target, "for_fold"):
        return ""  # its labels are the same in every fold
    labels = target(synthetic_panel(rng), "next_close")
    n = len(labels.values)
    fold = Fold(0, (0, n // 2), (n // 2, 3 * n // 4), (3 * n // 4, n))
    own = target.for_fold(labels, fold)
    moved = any(not a.equals(b) for a, b in zip(own.end, labels.end, strict=True))
    if moved or own.values.shape != labels.values.shape:
        return "the labels of a fold have another shape or other intervals"
    if (np.isfinite(own.values) & ~np.isfinite(labels.values)).any():
        return "a fold knows a label that is not known"
    later = labels.values.copy()
    later[n // 2 :] = 5 * later[n // 2 :] + 3
    other = target.for_fold(replace(labels, values=later), fold)
    same = np.array_equal(own.values[: n // 2], other.values[: n // 2], equal_nan=True)
    return "" if same else "labels of the training range change with what follows it"


def _learnt_is_told(factory: Factory, rng: np.random.Generator) -> str:
    """An agent has a fold's labels of a few bars from what the fold has learnt; they must be the fold's own."""
    target = factory()
    if not hasattr(target, "as_learnt"):
        return ""  # an agent does without
    if not hasattr(target, "for_fold"):
        return "it has as_learnt, and no for_fold to learn in"
    labels = target(synthetic_panel(rng), "next_close")
    n = len(labels.values)
    own = target.for_fold(labels, Fold(0, (0, n // 2), (n // 2, 3 * n // 4), (3 * n // 4, n)))
    learnt = own.learnt
    if not isinstance(learnt, np.ndarray) or learnt.ndim != 2 or len(learnt) != len(labels.horizons):
        return f"learnt of a fold's labels is {learnt!r}, expected an array (H, K)"
    if not np.isfinite(learnt).all():
        return "what a fold has learnt is not finite"
    few = slice(3 * n // 4, n)
    ends = tuple(end[few] for end in labels.end)
    here = target.as_learnt(replace(labels, values=labels.values[few], start=labels.start[few], end=ends), learnt)
    same = np.array_equal(here.values, own.values[few], equal_nan=True)
    return "" if same else "as_learnt gives other labels than the fold has"


def _metric_on(result_of: Callable[[np.random.Generator], Any]) -> Callable[[Factory, np.random.Generator], str]:
    def check(factory: Factory, rng: np.random.Generator) -> str:
        metric = factory()(result_of(rng))
        if not isinstance(metric, Metric):
            return f"it returned {type(metric).__name__}, expected a Metric"
        if not (metric.name and metric.unit):
            return "it has no name or no unit"
        if metric.value is None:
            return "" if metric.reason else "its value is None without a reason"
        return "" if math.isfinite(metric.value) else f"its value is {metric.value}; None with a reason says why"

    return check


def _section_on(result_of: Callable[[np.random.Generator], Any]) -> Callable[[Factory, np.random.Generator], str]:
    def check(factory: Factory, rng: np.random.Generator) -> str:
        section = factory()(result_of(rng))
        if not isinstance(section, Section):
            return f"it returned {type(section).__name__}, expected a Section"
        return next(filter(None, map(_block_problem, section.blocks)), "" if section.title else "it has no title")

    return check


def _block_problem(block: object) -> str:
    if isinstance(block, Table):
        ragged = [row for row in block.rows if len(row) != len(block.columns)]
        if ragged:
            return f"a row has {len(ragged[0])} cells, expected {len(block.columns)}"
        unformatted = [cell for row in block.rows for cell in row if not isinstance(cell, str)]
        return f"the cell {unformatted[0]!r} is not text" if unformatted else ""
    drawable = isinstance(block, (str, Figure))
    return "" if drawable else f"a block is {type(block).__name__}, expected text, Table or Figure"


def _deterministic(factory: Factory, rng: np.random.Generator) -> str:
    result = synthetic_result(rng)
    function = factory()
    return "" if repr(function(result)) == repr(function(result)) else "two calls gave two answers"


def _renders_everything(factory: Factory, rng: np.random.Generator) -> str:
    sections = sample_sections()
    text = factory()("A title", sections)
    if not isinstance(text, str):
        return f"it returned {type(text).__name__}, expected text"
    tables = [block for section in sections for block in section.blocks if isinstance(block, Table)]
    wanted = ["A title", *(section.title for section in sections), "The first paragraph."]
    wanted += [cell for table in tables for row in (table.columns, *table.rows) for cell in row]
    plain = html.unescape(text).replace("\\", "")
    missing = [words for words in wanted if words not in plain]
    return f"{missing[0]!r} is not in the text" if missing else ""


def _is_a_command(factory: Factory, rng: np.random.Generator) -> str:
    import click

    command = factory()
    if not isinstance(command, click.Command):
        return f"it is a {type(command).__name__}, expected a click command"
    return "" if command.help else "it has no help"


_LAWS: Mapping[str, Mapping[str, Callable[[Factory, np.random.Generator], str]]] = {
    "validator": {
        "finds no error in clean data": _clean_data_passes,
        "leaves the data as it is": _validator_leaves_alone,
    },
    "target": {
        "has one value and one interval for each decision and horizon": _label_shapes,
        "every label starts after its decision and ends after its start": _labels_after_decision,
        "every value has an interval": _labels_have_intervals,
        "depends on nothing after its end": _labels_end_where_they_say,
        "looks back over no more bars than it says": _labels_look_back_as_they_say,
        "a fold learns from its training range alone": _folds_learn_from_training,
        "what a fold has learnt gives its labels again": _learnt_is_told,
    },
    "metric": {
        "gives a number with its unit": _metric_on(synthetic_result),
        "is null with a reason where it is undefined": _metric_on(lambda rng: bare_result()),
        "gives the same answer twice": _deterministic,
    },
    "report_section": {
        "gives a section that any renderer can draw": _section_on(synthetic_result),
        "copes with a result of which little is known": _section_on(lambda rng: bare_result()),
    },
    "renderer": {"writes every title, paragraph and cell": _renders_everything},
    "command": {"is a click command with a help text": _is_a_command},
}
