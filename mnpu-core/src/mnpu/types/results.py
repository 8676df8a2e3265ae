"""What came of a strategy, its numbers, and enough to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mnpu.types.features import FeatureSpec
from mnpu.types.forecasts import Forecast, Split
from mnpu.types.judgement import Judgement
from mnpu.types.measures import Metric
from mnpu.types.positions import Positions
from mnpu.types.prices import Panel
from mnpu.types.side import SeriesInfo
from mnpu.types.training import TrainingRecord

__all__ = ["GateOutcome", "Metric", "PathOutcome", "Result", "Run"]


@dataclass(frozen=True)
class GateOutcome:
    """Outcome of one honesty gate; ``detail`` says what was compared, with its numbers."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Run:
    """Enough to do it again. ``recipe_id`` hashes the four hashes; ``run_id`` is the recipe and a counter.

    ``locked`` names the locked range and whose it is, empty where there is none; ``unlocked`` runs are judged on it,
    and ``looks`` counts the runs that were, this one included.
    """

    run_id: str
    recipe_id: str
    name: str
    seed: int
    config_hash: str
    data_hash: str
    code_hash: str
    env_hash: str
    versions: Mapping[str, str]
    config: Mapping[str, Any]
    started_at: pd.Timestamp
    trials: int = 1
    locked: str = ""
    unlocked: bool = False
    looks: int = 0


@dataclass(frozen=True)
class PathOutcome:
    """The judged strategy on one of several whole out-of-sample histories: its number, net returns (T,) and metrics."""

    number: int
    net: np.ndarray
    metrics: Mapping[str, Metric]


@dataclass(frozen=True)
class Result:
    """Outcome of one strategy over its out-of-sample decisions.

    Attributes
    ----------
    name : str
        Backbone or rule.
    times : DatetimeIndex (T,)
        Decision times. The return in row t is earned from the fill of decision t to the fill of decision t + 1.
    fill_times : DatetimeIndex (T,)
        When decision t was filled.
    gross, net : float64 (T,)
        Simple returns of the book before and after costs.
    equity : float64 (T + 1,)
        Net asset value, starting at 1.
    turnover_oneway : float64 (T,)
        Half the traded fraction, against drifted weights.
    costs : mapping of str to float64 (T,)
        Cost by kind, fraction of equity before the trade.
    proposed, positions : Positions
        Before and after the guardrails.
    forecast : Forecast or None
    labels : float64 (T, A, H) or None
        What the forecasts were about, NaN where unknown.
    periods_per_year : float
    metrics : mapping of str to Metric
    comparisons : tuple of Result
        Other models and rules on the same decisions.
    gates : tuple of GateOutcome
    run : Run or None
    panel : Panel or None
        Prices over the evaluated decisions.
    notes : tuple of str
        What a reader must know about the data: dataset, survivorship, adjustment, when values were known.
    series : tuple of SeriesInfo
        The side series that were read.
    features : tuple of FeatureSpec
    folds : Split or None
    training : TrainingRecord or None
        What instruments read while the networks of the run were fitted.
    paths : tuple of PathOutcome
        Every history of a split that has several; this result is of the first.
    judgement : Judgement or None
        Whether the Sharpe ratio can be told from luck, as the ledger stood when it was asked; None where it was not.
    fills : DataFrame or None
        One row per trade: ``time``, ``symbol``, ``weight_before``, ``weight_after``, ``price`` (as quoted), ``cost``.
    """

    name: str
    times: pd.DatetimeIndex
    fill_times: pd.DatetimeIndex
    gross: np.ndarray
    net: np.ndarray
    equity: np.ndarray
    turnover_oneway: np.ndarray
    costs: Mapping[str, np.ndarray]
    proposed: Positions
    positions: Positions
    periods_per_year: float
    forecast: Forecast | None = None
    labels: np.ndarray | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    comparisons: tuple[Result, ...] = ()
    gates: tuple[GateOutcome, ...] = ()
    run: Run | None = None
    panel: Panel | None = None
    notes: tuple[str, ...] = ()
    series: tuple[SeriesInfo, ...] = ()
    features: tuple[FeatureSpec, ...] = ()
    folds: Split | None = None
    fills: pd.DataFrame | None = None
    training: TrainingRecord | None = None
    paths: tuple[PathOutcome, ...] = ()
    judgement: Judgement | None = None
