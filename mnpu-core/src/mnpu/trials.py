"""What judging a trial needs, of every trial: the ledger keeps it with the row.

A Sharpe ratio is judged by how many were tried and how they varied, so a row says the ratio per bar, from how many
returns it comes and what shape they have. Rows are compared on the same decisions only, so it says which they were.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd

from mnpu.metrics.many import moments
from mnpu.metrics.returns import sharpe_bar
from mnpu.types import Result

__all__ = ["decision_set", "facts", "hash_decisions", "shape"]


def facts(result: Result) -> dict[str, Any]:
    """Columns of the ledger's row of a trial, per bar and without annualising.

    Returns
    -------
    facts : dict
        ``strategy``, ``sharpe_bar`` (None where it is undefined, with ``undefined`` saying why), ``n`` returns, their
        ``skew`` and non-excess ``kurtosis``, ``periods_per_year``, ``decisions`` (hash), ``n_decisions`` (cells),
        ``first_decision`` and ``last_decision``.
    """
    ratio = sharpe_bar(result.net)
    skew, kurtosis = shape(result.net)
    chosen = decision_set(result)
    deciding = result.times[np.flatnonzero(chosen.any(axis=1))]
    return {
        "strategy": result.name,
        "sharpe_bar": ratio.value,
        "undefined": ratio.reason,
        "n": len(result.net),
        "skew": skew,
        "kurtosis": kurtosis,
        "periods_per_year": float(result.periods_per_year),
        "decisions": hash_decisions(result.times, result.positions.symbols, chosen),
        "n_decisions": int(chosen.sum()),
        "first_decision": deciding[0] if len(deciding) else None,
        "last_decision": deciding[-1] if len(deciding) else None,
    }


def shape(returns: np.ndarray) -> tuple[float | None, float | None]:
    """Skewness and non-excess kurtosis of returns (T,), as `mnpu.metrics.many` has them.

    None for fewer than three returns, and where they do not vary.
    """
    if len(returns) < 3 or sharpe_bar(returns).value is None:
        return None, None
    found = moments(returns)
    return float(found.skew), float(found.kurtosis)


def decision_set(result: Result) -> np.ndarray:
    """Boolean (T, A): where a decision could be taken, and every forecaster of the run had a forecast for it."""
    forecasts = [each.forecast for each in (result, *result.comparisons) if each.forecast is not None]
    cells = np.ones((len(result.times), len(result.positions.symbols)), dtype=bool)
    if result.panel is not None:
        cells &= result.panel.decidable
    return np.logical_and.reduce([cells, *(forecast.available for forecast in forecasts)])


def hash_decisions(times: pd.DatetimeIndex, symbols: tuple[str, ...], cells: np.ndarray) -> str:
    """Hash of a set of (time, symbol), whatever stands around it: empty rows and columns, the order of symbols.

    Parameters
    ----------
    times : DatetimeIndex (T,)
    symbols : tuple of str (A,)
    cells : bool ndarray (T, A)
    """
    order = [a for a in np.argsort(np.array(symbols, dtype=str)) if cells[:, a].any()]
    rows = np.flatnonzero(cells.any(axis=1))
    kept = np.ascontiguousarray(cells[rows][:, order])
    digest = hashlib.sha256(json.dumps([symbols[a] for a in order]).encode())
    digest.update(times[rows].as_unit("ns").asi8.astype("<i8").tobytes())
    digest.update(np.packbits(kept).tobytes())
    return digest.hexdigest()[:16]
