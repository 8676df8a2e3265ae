"""The catalogue's page: the comparison in words and pictures, and every row."""

from __future__ import annotations

from pathlib import Path

from mnpu.atomic import write_atomically
from mnpu.judging import is_beyond_luck
from mnpu.metrics.significance import CONFIDENCE
from mnpu.sweep.agenda import section
from mnpu.sweep.catalogue import COLUMNS, Catalogue
from mnpu.sweep.differences import compared
from mnpu.sweep.pictures import critical_differences, pareto_front

__all__ = ["write"]

HEAD = """# Benchmark catalogue

Written by `nox -s catalogue`, whatever it says, from the sweep `tests/catalogue/{name}.yaml`; the rows are
`{rows}`. All rows of a market are judged on the same decisions, out of sample and after costs. They are a
comparison, not a promise: where this page says *not distinguishable from luck*, nothing was found. The equities are
names that are still listed, which flatters whatever holds them: beside 0.73 for holding all of them, a Sharpe ratio of
0.7 is no discovery.
"""

#: What the columns are called on the page, and what they are.
NAMES = {
    "total_return_net": ("ROI", "compound net return over the whole time, fraction"),
    "sharpe": ("Sharpe", "annualised, of net returns"),
    "dsr": ("DSR", "probability that the true Sharpe ratio is above zero, after every recipe tried on the data"),
    "pbo": ("PBO", "probability that choosing the best of the rows with these decisions is overfitted"),
    "max_drawdown": ("drawdown", "largest, fraction"),
    "rank_ic": ("rank IC", "mean over the decisions; none for one symbol"),
    "coverage_0.90": ("coverage", "of the 90 % intervals, 0.90 is right"),
    "crps": ("CRPS", "mean a decision, less is better"),
    "cost_total": ("cost", "fraction of equity over the whole time"),
    "seconds": ("wall s", "seconds of the wall, two trials at a time on two cores"),
}


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
        *_luck(found),
        "",
        *(f"* *{NAMES[column][0]}*: {NAMES[column][1]}" for column in COLUMNS),
        "",
        f"| {' | '.join((*axes, *(NAMES[column][0] for column in COLUMNS)))} |",
        "|" + "---|" * len(axes) + "---:|" * len(COLUMNS),
    ]
    for entry in found.entries:
        values = (entry.values.get(column) for column in COLUMNS)
        shown = ("" if value is None else f"{value:.3g}" for value in values)
        lines.append(f"| {' | '.join((*entry.at(axes), *shown))} |")
    return write_atomically(docs / "catalogue.md", ("\n".join(lines) + "\n").encode())


def _luck(found: Catalogue) -> list[str]:
    """How many rows luck explains."""
    known = [ratio for entry in found.entries if (ratio := entry.values.get("dsr")) is not None]
    luck = sum(not is_beyond_luck(ratio) for ratio in known)
    return [f"{luck} of {len(known)} rows have a DSR below {CONFIDENCE}: they are not distinguishable from luck."]
