"""The reference page of the validators, made from the components: ``python -m tests.house.validators_page``."""

from __future__ import annotations

from pathlib import Path

from mnpu.plugins.describe import summarise
from mnpu.plugins.registry import Registry

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "validators.md"

HEAD = """\
# Validators

What data must satisfy. `mnpu data check` runs all of them on a store, a pipeline those that it lists under
`validators` (`ohlcv` and `point_in_time` unless it says otherwise), on the prices and side data that it loads, before
anything is trained. An **error** refuses the data: the command ends with 3, the findings stand in the run's log as
JSON, and nothing is repaired. A **warning** is said and stays.

Each finding has the rule it breaks, how many rows break it, the first of them, and what to do. Rules look at the first
vintage of each bar, unless they are about vintages. Thresholds follow the symbol: a move is held against the median
move of the same symbol, and what returns within a bar against the bars around it, so that October 2008 is no error. A
rule that needs to know more than the table (the asset class, recorded splits, listing dates) reads it from the store.

A third party adds a validator through the hook [`mnpu_validators`](hooks.md#mnpu_validators).

*This page is made from the components by `python -m tests.house.validators_page`.*
"""


def page() -> str:
    """The whole page."""
    registry = Registry.discover()
    parts = [HEAD]
    for component in sorted(registry.components("validator"), key=lambda c: c.name):
        if component.dist != "mnpu-core":
            continue
        validator = registry.load("validator", component.canonical)
        reads = ", ".join(f"`{kind.__name__}`" for kind in validator.reads)
        parts.append(f"## {component.name}\n\n{summarise(component).rstrip('.')}. Reads {reads}.\n")
        parts.append("| Rule | Severity | Why | What to do |\n|---|---|---|---|")
        parts += [f"| {rule.text} | {rule.severity} | {rule.why} | {rule.hint} |" for rule in validator.rules]
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
