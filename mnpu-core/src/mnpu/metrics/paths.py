"""How a strategy's Sharpe ratio differs between the histories that one split makes.

Source: Lopez de Prado (2018), section 12.4. Paths share their data and most of their training, so their spread says how
much hangs on what was learnt from, and is no standard error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnpu.types import Metric, PathOutcome

__all__ = ["path_metrics"]


def path_metrics(paths: Sequence[PathOutcome]) -> dict[str, Metric]:
    """Mean, standard deviation (ddof=1), lowest and highest of the annual Sharpe ratios of all paths; none for no path.

    A path whose Sharpe ratio is undefined is left out, and makes the reason.
    """
    if not paths:
        return {}
    values = [path.metrics["sharpe"].value for path in paths]
    known = np.array([value for value in values if value is not None])
    unit, reason = paths[0].metrics["sharpe"].unit, ""
    if len(known) < len(values):
        reason = f"{len(values) - len(known)} of {len(values)} paths have no Sharpe ratio"
    deviation = float(known.std(ddof=1)) if len(known) > 1 else None
    found = {
        "sharpe_paths_mean": float(known.mean()) if len(known) else None,
        "sharpe_paths_sd": deviation,
        "sharpe_paths_lowest": float(known.min()) if len(known) else None,
        "sharpe_paths_highest": float(known.max()) if len(known) else None,
    }
    return {name: Metric(name, value, unit, reason=reason) for name, value in found.items()}
