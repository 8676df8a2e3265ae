"""Metrics of trading: how much, at what cost, and how much cost it would bear."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mnpu.types import Metric

__all__ = ["breakeven_bps", "cost_bps", "cost_total", "gross_exposure", "net_exposure", "turnover", "turnover_ann"]

NO_TRADES = "nothing was traded"


def turnover(turnover_oneway: np.ndarray) -> Metric:
    """Mean one-way turnover per bar: half the traded fraction, against drifted weights; a bar without orders is 0.

    Parameters
    ----------
    turnover_oneway : float64 ndarray (T,)
    """
    if not len(turnover_oneway):
        return Metric("turnover_oneway", None, "fraction of equity per bar", reason="no bars")
    return Metric("turnover_oneway", float(np.mean(turnover_oneway)), "fraction of equity per bar")


def turnover_ann(turnover_oneway: np.ndarray, periods_per_year: float) -> Metric:
    """One-way turnover per year, ``mean * q``."""
    bar = turnover(turnover_oneway)
    value = None if bar.value is None else bar.value * periods_per_year
    return Metric("turnover_oneway_ann", value, "fraction of equity per year", reason=bar.reason)


def cost_total(costs: Mapping[str, np.ndarray]) -> Metric:
    """Sum of all costs over all bars, each a fraction of the equity before its trade."""
    return Metric("cost_total", float(sum(np.sum(kind) for kind in costs.values())), "fraction of equity")


def cost_bps(costs: Mapping[str, np.ndarray], turnover_oneway: np.ndarray) -> Metric:
    """Cost per traded notional, basis points."""
    traded = 2.0 * float(np.sum(turnover_oneway))
    if traded <= 0:
        return Metric("cost_bps", None, "bps of traded notional", reason=NO_TRADES)
    paid = cost_total(costs).value or 0.0
    return Metric("cost_bps", paid / traded * 1e4, "bps of traded notional")


def breakeven_bps(gross: np.ndarray, turnover_oneway: np.ndarray) -> Metric:
    """The cost per traded notional at which the mean net return is zero; negative if the gross mean is.

    Solves ``mean((1 - b * traded) * (1 + gross) - 1) = 0`` for the trades that were made.

    Parameters
    ----------
    gross, turnover_oneway : float64 ndarray (T,)
    """
    charged = float(np.sum(2.0 * turnover_oneway * (1.0 + gross)))
    if charged <= 0:
        reason = "no cost would have mattered: all was lost" if np.any(turnover_oneway > 0) else NO_TRADES
        return Metric("breakeven_bps", None, "bps of traded notional", reason=reason)
    return Metric("breakeven_bps", float(np.sum(gross)) / charged * 1e4, "bps of traded notional")


def gross_exposure(weights: np.ndarray) -> Metric:
    """Mean over bars of the sum of absolute weights (T, A) held after the fill."""
    return _mean("gross_exposure", np.abs(weights).sum(axis=1))


def net_exposure(weights: np.ndarray) -> Metric:
    """Mean over bars of the sum of weights (T, A) held after the fill."""
    return _mean("net_exposure", weights.sum(axis=1))


def _mean(name: str, values: np.ndarray) -> Metric:
    if not len(values):
        return Metric(name, None, "fraction of equity", reason="no bars")
    return Metric(name, float(np.mean(values)), "fraction of equity")
