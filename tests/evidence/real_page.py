"""The page of real data, from the rows alone: one table for each recipe, whatever it says."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from tests.evidence.page import in_lines
from tests.evidence.real import MODELS, RECIPES, digest
from tests.evidence.rows import RealRow

__all__ = ["SEEDS", "page", "table"]

SEEDS = 5

INTRODUCTION = """\
# Real data

Written by `nox -s evidence -- recipes` from `tests/evidence/real_rows.jsonl`, whatever it says. Each recipe is run as
it stands, with its folds, training, policy, guardrails and costs; only the model changes, and every model has the
defaults of its constructor. All rows of a table are judged on the same decisions: each carries a hash of the cells with
a forecast, and no page is written where two differ.

Numbers are means over the seeds, and ± is the standard deviation between seeds: the luck of initial weights and of the
order of batches. It is not the luck of the market, which is larger: *error of the Sharpe ratio* says what one history
of this length tells. A difference between two rows that is smaller than either says nothing.
"""

ABOUT = {
    "us_equities_daily": """\
## Equities

`us_equities_daily.yaml`: 24 US securities, 1990 to 2018, five-day returns, a book that is long and short; trades cost
3 bps. The companies were chosen in hindsight, which flatters `buy_and_hold` most.
""",
    "bitcoin_onchain_daily": """\
## Bitcoin, daily

`bitcoin_onchain_daily.yaml`: one symbol, 2014 to 2018, with what its chain tells, long or short; trades cost 12 bps.
One symbol has no rank IC. Little more than two years of one market are tested, in which it rose tenfold.
""",
    "perpetuals_hourly": """\
## Perpetual futures, hourly

`perpetuals_hourly.yaml`: six contracts in 2025, returns of a day ahead, long and short; trades cost 5 bps. Funding is
not paid in the simulation.
""",
}

COLUMNS = (
    ("total_return_net", "net return", "{:+.0%}"),
    ("total_return_gross", "gross return", "{:+.0%}"),
    ("sharpe", "Sharpe, net", "{:+.2f}"),
    ("max_drawdown", "max. drawdown", "{:.0%}"),
    ("turnover_oneway_ann", "turnover a year", "{:.0f}"),
    ("rank_ic", "rank IC", "{:+.4f}"),
    ("hit_rate", "hit rate", "{:.1%}"),
    ("pinball", "pinball, bps", "{:.2f}"),
    ("coverage_0.90", "coverage 90 %", "{:.1%}"),
)
SPREAD = {"sharpe": "{:.2f}", "rank_ic": "{:.4f}", "total_return_net": "{:.0%}"}  #: Shown with their deviation.
UNITS = {"pinball": 1e4}


def page(rows: Sequence[RealRow]) -> str:
    """The page for ``rows``, those of other settings left out."""
    parts = [INTRODUCTION]
    for recipe in RECIPES:
        own = [row for row in rows if (row.recipe, row.digest) == (recipe, digest(recipe)) and row.seed < SEEDS]
        if own:
            parts += [ABOUT[recipe], table(own), _below(own)]
    return in_lines("\n".join(parts))


def table(rows: Sequence[RealRow]) -> str:
    """One line a strategy, models first in their order, means over seeds."""
    if len({row.decisions for row in rows}) > 1:
        raise ValueError(f"rows of {rows[0].recipe} are about different decisions")
    lines = [
        f"| | seeds | {' | '.join(title for _, title, _ in COLUMNS)} |",
        f"|---|---:|{'---:|' * len(COLUMNS)}",
    ]
    names = [*MODELS, *sorted({row.model for row in rows} - set(MODELS))]
    for name in names:
        own = [row for row in rows if row.model == name]
        if own:
            cells = [_cell(own, metric, form) for metric, _, form in COLUMNS]
            seeds = str(len(own)) if name in MODELS else ""
            lines.append(f"| `{name}` | {seeds} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(rows: Sequence[RealRow], metric: str, form: str) -> str:
    values = [row.values[metric] * UNITS.get(metric, 1.0) for row in rows if metric in row.values]
    if not values:
        return ""
    shown = form.format(mean(values))
    if metric in SPREAD and len(values) > 1:
        shown += f" ± {SPREAD[metric].format(stdev(values))}"
    return shown


def _below(rows: Sequence[RealRow]) -> str:
    """What holds for all rows of a table."""
    judged = [row for row in rows if row.model in MODELS]
    error = mean(row.errors["sharpe"] for row in judged if "sharpe" in row.errors)
    base = {round(row.values["hit_rate_base"], 3) for row in judged if "hit_rate_base" in row.values}
    parts = [f"Error of the Sharpe ratio: {error:.2f}."]
    if len(base) == 1:
        parts.append(f"Always naming the more frequent sign is right in {base.pop():.1%} of cells.")
    return " ".join(parts) + "\n"
