"""How the tables of an analysis are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnpu.commands._shared import table

if TYPE_CHECKING:
    from mnpu.analysis.capacity import Capacity
    from mnpu.analysis.summary import Analysis

__all__ = ["print_analysis"]

PERCENT = frozenset(
    (
        *("contribution", "mean_ann", "net_weight", "gross_weight", "weight", "benchmark_weight"),
        *("benchmark_total", "excess_total", "excess_mean_ann", "tracking_error"),
        *("allocation", "selection", "interaction", "share", "vol_ann", "universe_ann"),
        *("gross_ann", "turnover_oneway", "cost_ann", "total_return", "impact_ann", "participation", "filled"),
        *("universe", "strategy", "strategy_drawdown", "final", "typical", "worst", "covered"),
    )
)
MONEY = frozenset(("capital", "money_ann"))
MOST = 30  #: Rows of a table that are printed; files have all.

#: What a table is not, said below it.
CAVEATS = {
    "symbols": "What was earned, not what would be again.",
    "decisions": "Averages are of the whole period, which nobody knew at its start.",
    "costs_paid": "Linked to the net return, so that gross counts a little otherwise than above.",
    "benchmarks": "Benchmarks pay no costs. beta_matched holds as much market as the book did.",
    "brinson": "Beside the equal-weighted universe; gross of costs.",
    "factors": "Betas are of the whole period: alpha is what they leave, not what a hedge would have earned.",
    "regimes": "Regimes are known at the decision. Many rows were looked at: some are large by luck.",
    "lags": "Lag 1 is the run itself; lag 0 cannot be traded.",
    "seeds": "Seeds share the sample: their spread is that of fitting, not the error of the ratio.",
    "capacity": "Impact is a law with a guessed factor, and others trade nothing. Without an account of a size, capital"
    " stays what it was.",
    "crises": "Losses of books that do nothing meanwhile. Symbols without prices then count as 0.",
    "shocks": "Sizes, not probabilities.",
}


def print_analysis(facts: Mapping[str, Any], found: Analysis, files: Sequence[Path]) -> None:
    """Print every table with what it is not."""
    from mnpu.analysis.summary import TABLES

    total = found.total
    click.echo(
        f"{facts['strategy']} of {facts['run']}: {total.decisions:,} decisions, {facts['first']:%Y-%m-%d} to"
        f" {facts['last']:%Y-%m-%d}, gross {total.gross:+.2%}, net {total.net:+.2%}"
    )
    click.echo(facts["judged"])
    for note in facts["notes"]:
        click.echo(f"note: {note}")
    for name, rows in found.tables.items():
        click.echo(f"\n{name}: {TABLES[name]}")
        if not rows:
            click.echo("none")
            continue
        _rows(_ordered(name, rows))
        _beside(name, found)
        if name in CAVEATS:
            click.echo(CAVEATS[name])
    if "features" in facts:
        _families(facts["features"])
    click.echo()
    for name, reason in found.reasons.items():
        click.echo(f"not made: {name} ({reason})")
    for path in files:
        click.echo(f"file: {path}")


def _ordered(name: str, rows: Sequence[Any]) -> Sequence[Any]:
    if name != "symbols" or len(rows) <= MOST:
        return rows
    return sorted(rows, key=lambda row: -abs(row.contribution))[:MOST]


def _rows(rows: Sequence[Any]) -> None:
    names = [name for name in rows[0]._fields if any(getattr(row, name) not in (None, "") for row in rows)]
    cells = [tuple(_cell(name, getattr(row, name)) for name in names) for row in rows]
    right = [name for name in names if any(isinstance(getattr(row, name), (int, float)) for row in rows)]
    click.echo(table(names, cells, right=right))


def _cell(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return "-"
    if hasattr(value, "strftime"):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, float):
        if name in MONEY:
            return f"{value:,.0f}"
        if name in PERCENT:
            return f"{round(value, 4) + 0.0:.2%}"
        small = name == "beta" or (name == "se" and abs(value) < 0.05)  # alpha is a number of one bar
        return f"{value:.3g}" if small else f"{round(value, 2) + 0.0:.2f}"
    return str(value)


def _beside(name: str, found: Analysis) -> None:
    """What a table has beside its rows."""
    if name == "lags" and found.lags is not None:
        click.echo(found.lags.words)
    if name == "factors" and found.regression is not None:
        about = found.regression
        click.echo(f"R² {about.r_squared:.3f}, {about.n:,} bars, errors of Newey and West with {about.lags} lags")
    if name == "seeds" and found.seeds is not None and found.seeds.spread is not None:
        click.echo(f"mean {found.seeds.mean:.2f}, spread {found.seeds.spread:.2f}, {found.seeds.decisions:,} decisions")
    if name == "capacity" and found.capacity is not None:
        about_capital = found.capacity
        click.echo(_capitals(about_capital))
        if about_capital.unpriced:
            click.echo(f"{about_capital.unpriced:.1%} of what was traded has no known volume and costs no impact here.")


def _capitals(found: Capacity) -> str:
    """The three capitals; those that the curve does not reach are not named."""
    said = [
        f"{words} at {capital:,.0f}"
        for words, capital in (
            ("the mean net return is zero", found.zero),
            ("half the Sharpe ratio is left", found.half),
            ("most money is earned", found.best),
        )
        if capital is not None
    ]
    if not said:
        orders = " that fills half of its orders" if found.rows and found.rows[0].filled is not None else ""
        return f"Nothing is earned at any capital{orders}."
    sentence = ", ".join(said)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _families(found: Sequence[Mapping[str, Any]]) -> None:
    click.echo("\nfeatures: fall when a family of columns tells nothing (positive: it helped)")
    measures = ("rank_ic", "pinball", "sharpe")
    rows = []
    for item in found:
        falls = [item["fall"][name] for name in measures]
        shown = [
            "-" if f.value is None else f"{f.value:+.4g}" + ("" if f.se is None else f" ± {f.se:.2g}") for f in falls
        ]
        rows.append((item["family"], str(len(item["columns"])), *shown))
    click.echo(table(("family", "columns", *measures), rows, right=("columns", *measures)))
    click.echo("Families stand in for one another, so their falls do not add up.")
