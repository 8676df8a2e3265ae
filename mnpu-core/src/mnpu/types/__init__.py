"""The frozen types that flow through a pipeline, one for each arrow of its picture.

::

    store ─load─▶ Panel ─compute─▶ FeatureFrame ─split, fit, forecast─▶ Forecast ─decide─▶ Positions
    Report ◀─render─ Result ◀─simulate─ Positions ◀─limit─┘

Shape letters: T times, A assets, F features, B batch, L lookback, H horizons, Q quantile levels, C classes.
All instants are UTC with nanosecond resolution. Missing is NaN, never filled.
"""

from __future__ import annotations

from mnpu.types.features import FeatureFrame, FeatureSpec
from mnpu.types.forecasts import Fold, Forecast, History, Labels, Split, WindowBatch, join_forecasts, join_history
from mnpu.types.judgement import Judgement, TrialRow
from mnpu.types.levels import LEVELS, levels_are_sound
from mnpu.types.measures import Metric
from mnpu.types.positions import Action, Book, Decision, PolicyContext, Positions, Violation
from mnpu.types.prices import DatasetInfo, Panel
from mnpu.types.reports import Block, Figure, Line, Section, Table
from mnpu.types.results import GateOutcome, PathOutcome, Result, Run
from mnpu.types.side import SeriesInfo, SideTable, table_of
from mnpu.types.training import TrainingRecord

__all__ = [
    "LEVELS",
    "Action",
    "Block",
    "Book",
    "DatasetInfo",
    "Decision",
    "FeatureFrame",
    "FeatureSpec",
    "Figure",
    "Fold",
    "Forecast",
    "History",
    "GateOutcome",
    "Judgement",
    "Labels",
    "Line",
    "Metric",
    "Panel",
    "PathOutcome",
    "PolicyContext",
    "Positions",
    "Result",
    "Run",
    "Section",
    "SeriesInfo",
    "SideTable",
    "Split",
    "Table",
    "TrainingRecord",
    "TrialRow",
    "Violation",
    "WindowBatch",
    "join_forecasts",
    "join_history",
    "levels_are_sound",
    "table_of",
]
