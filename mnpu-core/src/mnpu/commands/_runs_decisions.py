"""Whether runs that are put side by side are about the same decisions: only then do their numbers compare models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["OTHER_DECISIONS", "have_same_decisions"]

OTHER_DECISIONS = (
    "warning: the runs are not about the same decisions (symbols and times), so their numbers differ for that alone; "
    "a sweep trims its rows to those that all have"
)


def have_same_decisions(runs: Path, ids: Sequence[str]) -> bool | None:
    """Whether the ledger says of all of ``ids`` that they are about the same symbols at the same times.

    None if it does not say of one which they are.
    """
    from mnpu.ledger import read_rows

    sets = {row["run_id"]: row.get("decisions") for row in read_rows(runs)[0]}
    found = {sets.get(run_id) for run_id in ids}
    return None if None in found else len(found) == 1
