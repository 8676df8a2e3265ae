"""What ``mnpu run`` and ``mnpu demo`` print at the end: the comparison, the gates, whether it is luck, the report."""

from __future__ import annotations

from typing import Any

import click

from mnpu.commands._shared import table
from mnpu.execute import Executed
from mnpu.report.headline import summary_table, verdict
from mnpu.types import Judgement

__all__ = ["judgement_json", "outcome_json", "print_outcome"]


def print_outcome(executed: Executed) -> None:
    """Print one line per strategy, the gates, whether it is luck, and the paths of run and report."""
    result = executed.result
    cells = summary_table(result)
    click.echo()
    click.echo(table(cells.columns, cells.rows, right=cells.columns[1:]))
    click.echo()
    gates = ", ".join(f"{gate.name} {'passed' if gate.passed else 'FAILED'}" for gate in result.gates)
    click.echo(f"honesty gates: {gates}")
    click.echo(verdict(result))
    click.echo(f"run: {executed.path}")
    for path in executed.reports:
        click.echo(f"report: {path}")


def judgement_json(judgement: Judgement | None) -> dict[str, Any] | None:
    """A judgement for machines, with its words; None where nobody judged."""
    if judgement is None:
        return None
    told = {name: getattr(judgement, name) for name in judgement.__dataclass_fields__ if name != "logits"}
    return {"words": judgement.words, "beyond_luck": judgement.beyond_luck, **told}


def outcome_json(executed: Executed) -> dict[str, Any]:
    """The same for machines: every metric of every strategy."""
    result = executed.result
    return {
        "run": result.run.run_id if result.run else "",
        "path": executed.path,
        "reports": executed.reports,
        "gates": result.gates,
        "judgement": judgement_json(result.judgement),
        "strategies": {r.name: dict(r.metrics) for r in (result, *result.comparisons)},
    }
