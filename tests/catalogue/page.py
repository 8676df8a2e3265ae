"""The catalogue's page: the comparison in words and pictures, and every row."""

from __future__ import annotations

from pathlib import Path

from mnpu.atomic import write_atomically
from mnpu.sweep.agenda import section
from mnpu.sweep.catalogue import COLUMNS, Catalogue
from mnpu.sweep.differences import compared
from mnpu.sweep.pictures import critical_differences, pareto_front

__all__ = ["write"]

HEAD = """# Benchmark catalogue

Written by `nox -s catalogue`, whatever it says, from the sweep `tests/catalogue/{name}.yaml`; the rows are
`{rows}`. All rows of a market are judged on the same decisions. *dsr* is the probability that the true
Sharpe ratio is above zero after every recipe that was tried on the data, *crps* is per decision, *cost_total* a
fraction of equity over the whole time, *seconds* those of the wall with two trials at a time on two cores.
"""


def write(found: Catalogue, docs: Path, rows: Path) -> Path:
    """Write ``catalogue.md`` and its pictures into ``docs``."""
    name, axes = found.kept.name, found.kept.axes
    drawn = {
        "pareto": pareto_front(found, x="seconds", y=found.kept.objective),
        "ranks": critical_differences(compared(found, metric=found.kept.objective, direction=found.kept.direction)),
    }
    for kind, text in drawn.items():
        write_atomically(docs / "catalogue" / f"{name}-{kind}.svg", text.encode())
    lines = [
        HEAD.format(name=name, rows=f"tests/catalogue/{rows.name}"),
        section(found),
        f"![What each place gives against what it costs](catalogue/{name}-pareto.svg)",
        "",
        f"![Mean ranks, and what is not distinguishable](catalogue/{name}-ranks.svg)",
        "",
        "## Every row",
        "",
        f"| {' | '.join((*axes, *COLUMNS))} |",
        "|" + "---|" * len(axes) + "---:|" * len(COLUMNS),
    ]
    for entry in found.entries:
        values = (entry.values.get(column) for column in COLUMNS)
        shown = ("" if value is None else f"{value:.3g}" for value in values)
        lines.append(f"| {' | '.join((*entry.at(axes), *shown))} |")
    return write_atomically(docs / "catalogue.md", ("\n".join(lines) + "\n").encode())
