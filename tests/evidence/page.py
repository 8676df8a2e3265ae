"""The page of evidence, from the rows alone: the same rows give the same text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from statistics import median

from mnpu.data.fixture.plan import WINDOW
from tests.evidence.models import IC, MODELS, RECIPE, SETTINGS, SIZES, SPLITS
from tests.evidence.rows import Row
from tests.evidence.verdicts import BAND, LEVEL, SEEDS, WANTED, Verdict, current, nulls, verdict

__all__ = ["in_lines", "page", "table"]

KEPT = ("#", "|", "* ", "1. ")  #: Headings, tables and lists keep their lines.

INTRODUCTION = """\
# Evidence

Written by `nox -s evidence` from `tests/evidence/rows.jsonl`, a line for every fit. Two questions, on synthetic markets
whose truth is known ([Make a fixture](how-to/make-a-fixture.md)):

1. Where a signal of a known size was planted, does each forecaster find it, out of sample?
2. Where nothing was planted, does it find nothing, as often as a test at {level:.0%} should?

Each line is a fit as `mnpu run` does it: the fixture's store and recipe, features, labels, purged folds, training that
the validation range stops, forecasts of the test range. The information coefficient is the mean over the test decisions
of the correlation, across symbols, of the forecast median with the return that follows the fill.
"""

SIGNAL = """\
## A planted signal

{symbols} symbols, {sessions:,} sessions, {seeds} markets; the volume z-score of {window} bars correlates with the
return after the fill by {ic:g} in expectation. It is one of four columns, over windows of 8 bars; nothing says which
one counts. Asked for: a median over the seeds of {wanted:.0%} of {ic:g}, so {least:.3f}, for every backbone under the
quantile head and for every head on `linear`.
"""

WHY_LESS = """\
*Of the score* is the median share of what the planted column itself achieved on the same decisions, as if it were the
forecast: no model can do better in expectation. What is missing is the noise in the fitted weights: all symbols share
the market's moves, so {sessions:,} sessions teach less than their number of cells suggests.
"""

NULL = """\
## Nothing

{symbols} symbols, {sessions:,} sessions in which no return can be forecast. Every fit has a market of its own, so their
luck is independent. A fit *rejects* where the 95 % interval of its information coefficient (Newey and West, fixed-b)
excludes zero.

**{rejected} of {n} fits reject, {share:.1%}.** Of as many independent tests at {level:.0%}, {band:.0%} reject between
{low} and {high} times. {says}
"""

SETTINGS_TEXT = """\
## What was set

Sizes, features and training were chosen on signals of seeds 100 to 103, which are not among these, after a look at a
shorter history of seed 0. Nulls were fitted once before, of seed 103, to see how long they take; nothing was chosen by
what they said. Everything not named here is a default.

* One training block for all, in `tests/evidence/recipe.yaml`:
  {train}.
* One fold of {signal} on a signal;
  of {null} on a null.
* {settings}.

`nox -s evidence` goes on from the rows that are there, and fits again whatever was set otherwise. The tests hold one
seed of `linear`, `s4d` and `omni` to its row.
"""


def page(rows: Sequence[Row]) -> str:
    """The page for ``rows``, those of other settings left out."""
    kept = current(rows)
    size, of_null = SIZES["signal"], SIZES["null"]
    found = nulls(kept)
    parts = [
        INTRODUCTION.format(level=LEVEL),
        SIGNAL.format(
            symbols=size["symbols"],
            sessions=size["sessions"],
            seeds=SEEDS,
            window=WINDOW,
            ic=IC,
            wanted=WANTED,
            least=WANTED * IC,
        ),
        table([verdict(model, kept) for model in MODELS.values()], kept),
        WHY_LESS.format(sessions=size["sessions"]),
        NULL.format(
            symbols=of_null["symbols"],
            sessions=of_null["sessions"],
            rejected=found.rejected,
            n=found.n,
            share=found.rejected / max(found.n, 1),
            level=LEVEL,
            band=BAND,
            low=found.band[0],
            high=found.band[1],
            says="That is what chance gives." if found.passes else "**That is not what chance gives.**",
        ),
        SETTINGS_TEXT.format(
            train=_train(),
            signal=_fold("signal"),
            null=_fold("null"),
            settings="; ".join(f"`{name}`: {_named(chosen)}" for name, chosen in SETTINGS.items()),
        ),
    ]
    return in_lines("\n".join(parts))


def in_lines(text: str) -> str:
    """Paragraphs wrapped at the width of a source line, and a space before each percent sign; tables are left."""
    blocks = re.sub(r"(?<=\d)%", " %", text).split("\n\n")
    return "\n\n".join(block if block.startswith(KEPT) else wrapped(block) for block in blocks) + "\n"


def wrapped(text: str) -> str:
    """A paragraph whose words stay whole."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def table(verdicts: Sequence[Verdict], rows: Sequence[Row]) -> str:
    """Models with what they found in signals and in nulls."""
    lines = [
        "| backbone | head | median IC | of the known | smallest to largest | of the score | nulls rejected |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for one in verdicts:
        if not one.ics:
            continue
        own = nulls([row for row in rows if row.model == one.model.name])
        mark = "" if one.passes else " (falls short)" if len(one.ics) >= SEEDS else f" ({len(one.ics)} seeds)"
        cells = [
            f"`{one.model.backbone}`",
            f"`{one.model.head}`",
            f"{median(one.ics):.3f}",
            f"{one.share:.0%}{mark}",
            f"{min(one.ics):.3f} to {max(one.ics):.3f}",
            f"{one.of_score:.0%}",
            f"{own.rejected} of {own.n}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _train() -> str:
    block = RECIPE.read_text(encoding="utf-8").partition("train: ")[2].strip()
    return f"`{block}`"


def _fold(plant: str) -> str:
    split = SPLITS[plant]
    return f"{split['train']} of training, {split['validation']} of validation, {split['test']} of test"


def _named(chosen: dict[str, object]) -> str:
    return ", ".join(f"`{name}: {value}`" for name, value in chosen.items())
