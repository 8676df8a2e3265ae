"""Gather evidence: ``python -m tests.evidence [--seeds N] [--models NAME ...]``; goes on where it stopped."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.evidence.fitting import fit
from tests.evidence.models import MODELS
from tests.evidence.rows import ROWS, append, read

PLANTS = ("signal", "null")


def main(arguments: Sequence[str]) -> int:
    """Fit what has no row yet."""
    options = _options(arguments)
    done = {(row.plant, row.model, row.digest, row.seed) for row in read(options.rows)}
    for seed in range(options.first, options.first + options.seeds):
        for plant in options.plants:
            for name in options.models:
                model = MODELS[name]
                if (plant, name, model.digest(plant), seed) in done:
                    continue
                row = fit(plant, model, seed)
                append([row], options.rows)
                print(f"{plant:6s} {name:24s} seed {seed:2d}  ic {row.ic:+.3f}  of {row.score_ic:+.3f}", flush=True)
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s evidence --", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them; settings are tried from 100 on")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS), metavar="NAME")
    parser.add_argument("--plants", nargs="+", default=list(PLANTS), choices=PLANTS)
    parser.add_argument("--rows", type=Path, default=ROWS, help="where rows are kept")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
