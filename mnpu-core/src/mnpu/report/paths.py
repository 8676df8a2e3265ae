"""The histories of a split that tests every decision several times."""

from __future__ import annotations

from mnpu.report.format import number, percent
from mnpu.types import Result, Section, Table

__all__ = ["paths"]


def paths(result: Result) -> Section | None:
    """The Sharpe ratio and its like of every path; None where there is one history."""
    if not result.paths:
        return None
    shown = (("sharpe", number), ("total_return_net", percent), ("max_drawdown", percent))
    rows = tuple(
        (
            str(path.number + 1),
            *(form(path.metrics[name].value if name in path.metrics else None) for name, form in shown),
        )
        for path in result.paths
    )
    values = {name: result.metrics[name].value for name in result.metrics if name.startswith("sharpe_paths_")}
    mean, deviation = (number(values.get(f"sharpe_paths_{what}")) for what in ("mean", "sd"))
    return Section(
        "Paths",
        (
            f"Every decision was tested by several folds, which makes {len(rows)} whole histories out of sample. Their "
            f"Sharpe ratios have a mean of {mean} and a standard deviation of {deviation}. All else in this report is "
            "of the first path. Paths share data and training, so their spread is no standard error.",
            Table(("Path", "Sharpe ratio", "Total net return", "Largest drawdown"), rows),
        ),
    )
