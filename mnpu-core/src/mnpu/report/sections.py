"""The sections of a report, in an investor's reading order.

What was earned and whether it can be believed comes first, how it was measured next, and what is needed to do it
again last. Plugins add sections of their own after the comparisons.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mnpu.report import calibration, charts, evidence, headline, luck, paths, provenance, training
from mnpu.types import Result, Section

if TYPE_CHECKING:
    from mnpu.plugins.registry import Registry

__all__ = ["added_sections", "sections", "title"]


def title(result: Result) -> str:
    """The title of the report."""
    return f"{result.run.name}: {result.name}" if result.run else result.name


def sections(result: Result, *, added: Sequence[Section] = ()) -> tuple[Section, ...]:
    """Everything that core has to say about a result, with the sections that plugins ``added``."""
    fitted, histories = training.training(result), paths.paths(result)
    return (
        headline.headline(result),
        luck.luck(result),
        luck.trials(result),
        *([] if histories is None else [histories]),
        charts.charts(result),
        headline.comparison(result),
        *added,
        calibration.calibration(result),
        *([] if fitted is None else [fitted]),
        evidence.guardrails(result),
        evidence.gates(result),
        provenance.data(result),
        provenance.features(result),
        provenance.costs(result),
        provenance.folds(result),
        provenance.reproducibility(result),
    )


def added_sections(result: Result, registry: Registry) -> tuple[Section, ...]:
    """The sections of every installed plugin; one that fails says so in its place, and the report goes on."""
    return tuple(_added(component, result, registry) for component in registry.components("report_section"))


def _added(component: object, result: Result, registry: Registry) -> Section:
    name, canonical = component.name, component.canonical  # type: ignore[attr-defined]
    try:
        return registry.load("report_section", canonical)(result)  # type: ignore[operator]
    except Exception as failure:  # the edge of a plugin: a picture that fails must not cost the report of a run
        logging.getLogger(__name__).warning("report section %s failed", canonical, exc_info=True)
        return Section(name.replace("_", " "), (f"> **`{canonical}` failed:** {type(failure).__name__}: {failure}",))
