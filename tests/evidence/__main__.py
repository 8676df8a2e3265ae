"""Gather evidence, and go on where it stopped: ``python -m tests.evidence [synthetic|recipes|page] [options]``.

``synthetic`` fits every model on planted signals and on nothing, ``recipes`` runs real data, ``page`` writes the pages
of ``docs`` from the rows that are there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.evidence import fitting, real
from tests.evidence.models import MODELS
from tests.evidence.page import page
from tests.evidence.real_page import SEEDS as REAL_SEEDS
from tests.evidence.real_page import page as real_page
from tests.evidence.rows import REAL_ROWS, ROWS, RealRow, Row, append, read
from tests.evidence.verdicts import SEEDS, current, nulls, verdict

ROOT = Path(__file__).parents[2]
PLANTS = ("signal", "null")


def main(arguments: Sequence[str]) -> int:
    """Do what is asked; 1 where the synthetic evidence falls short."""
    options = _options(arguments)
    if options.what == "recipes":
        seeds = range(options.first, options.first + (options.seeds or REAL_SEEDS))
        models = options.models or list(real.MODELS)
        real.run(options.recipes, models, seeds, rows=options.rows or REAL_ROWS, work=options.work)
    if options.what == "synthetic":
        synthetic(options)
    return 0 if options.rows else pages()


def pages() -> int:
    """Write both pages from the rows that are kept; 1 where the synthetic evidence falls short."""
    rows = current(read(Row, ROWS))
    _write("evidence.md", page(rows))
    _write("real-data.md", real_page(read(RealRow, REAL_ROWS)))
    short = [model.name for model in MODELS.values() if not verdict(model, rows).passes]
    if short:
        print(f"too little is found, or too few seeds are there: {', '.join(short)}.", file=sys.stderr)
    if not nulls(rows).passes:
        print(f"{nulls(rows).rejected} of {nulls(rows).n} nulls are rejected, which is not chance.", file=sys.stderr)
    return 1 if short or not nulls(rows).passes else 0


def _write(name: str, text: str) -> None:
    (ROOT / "docs" / name).write_text(text, encoding="utf-8", newline="\n")


def synthetic(options: argparse.Namespace) -> None:
    """Fit what has no row yet."""
    path = options.rows or ROWS
    done = {(row.plant, row.model, row.digest, row.seed) for row in read(Row, path)}
    for seed in range(options.first, options.first + (options.seeds or SEEDS)):
        for plant in options.plants:
            for model in (MODELS[name] for name in options.models or MODELS):
                if (plant, model.name, model.digest(plant), seed) in done:
                    continue
                row = fitting.fit(plant, model, seed)
                append(row, path)
                print(
                    f"{plant:6s} {model.name:24s} seed {seed:2d}  ic {row.ic:+.3f}  of {row.score_ic:+.3f}", flush=True
                )


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s evidence --", description=__doc__)
    parser.add_argument("what", nargs="?", default="synthetic", choices=("synthetic", "recipes", "page"))
    parser.add_argument("--seeds", type=int, help="how many: 20, and of recipes 5, where nothing is said")
    parser.add_argument("--first", type=int, default=0, help="the first of them; settings were chosen from 100 on")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="some of them")
    parser.add_argument("--plants", nargs="+", default=list(PLANTS), choices=PLANTS)
    parser.add_argument("--recipes", nargs="+", default=list(real.RECIPES), choices=list(real.RECIPES))
    parser.add_argument("--rows", type=Path, help="where rows are kept; beside this file where nothing is said")
    parser.add_argument("--work", type=Path, default=ROOT / ".nox" / "evidence", help="where stores are made")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
