"""The frozen types that flow through a pipeline, one for each arrow of its picture.

::

    store ─load─▶ Panel ─compute─▶ FeatureFrame ─split, fit, forecast─▶ Forecast ─decide─▶ Positions
    Report ◀─render─ Result ◀─simulate─ Positions ◀─limit─┘

Shape letters: T times, A assets, F features, B batch, L lookback, H horizons, Q quantile levels, C classes.
All instants are UTC with nanosecond resolution. Missing is NaN, never filled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

__all__ = [
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
    "GateOutcome",
    "Labels",
    "Line",
    "Metric",
    "Panel",
    "PolicyContext",
    "Positions",
    "Result",
    "Run",
    "Section",
    "SeriesInfo",
    "SideTable",
    "Split",
    "Table",
    "Violation",
    "WindowBatch",
    "table_of",
]

Adjustment = Literal["none", "split", "split+dividend"]
Action = Literal["warn", "scale", "de-risk"]


@dataclass(frozen=True)
class DatasetInfo:
    """What a dataset of prices declares about itself.

    Attributes
    ----------
    name : str
        Key of the dataset in the store.
    vendor, licence, note : str
        Origin, licence, and what a reader must know (survivorship, rounding, quote side).
    frequency : str
        Length of a bar: ``1m`` to ``1w``, see `mnpu.frequencies`.
    stamp : str
        What the vendor's time stamp means: ``session_date``, ``open`` or ``close``.
    adjustment : {"none", "split", "split+dividend"}
        What the vendor already applied to the prices. ``none`` is as traded.
    adjusted_as_of : str
        Date of the knowledge inside adjusted prices (ISO), empty for ``none``.
    calendar : str
        ``FX``, ``CRYPTO``, or the code of an exchange such as ``XNYS``.
    currency : str
        Currency of the prices.
    """

    name: str
    vendor: str
    frequency: str
    stamp: str
    adjustment: Adjustment
    adjusted_as_of: str
    calendar: str
    currency: str
    licence: str
    note: str = ""


@dataclass(frozen=True)
class Panel:
    """Prices as known at each decision.

    Attributes
    ----------
    times : DatetimeIndex (T,)
        Decision times, UTC, strictly increasing: the close of each bar.
    sessions : ndarray (T,) of datetime64[D]
        The session (trading day) each bar belongs to, in the calendar's own time zone.
    symbols : tuple of str (A,)
    fields : mapping of str to float64 ndarray (T, A)
        Some of ``open high low close volume split_factor dividend total_close delisting``. Row t holds what was known
        at ``times[t]``.
        Prices and volumes are continuous over splits: as traded, times (volumes: divided by) ``split_factor``,
        the product of all splits up to and including bar t. So a later split never changes an earlier row, and
        ``close / split_factor`` is the price as traded. ``dividend`` is the cash per share, in the same units, of the
        first bar without it, 0 in other bars; ``total_close`` the close with dividends bought back, for returns
        only. ``delisting`` is the cash that a share became after its last bar, NaN in all rows but that one.
    tradable : bool ndarray (T, A)
        True where the symbol is listed and has a bar at t: it is neither halted nor missing.
    datasets : tuple of DatasetInfo (A,)
        Where each symbol's prices come from.
    frequency, calendar : str
    periods_per_year : float
        Bars in a year of the calendar, for annualisation.
    bases : tuple of str (A,)
        Name under which side data about each symbol is filed where it is not filed under the symbol itself: ``BTC``
        for ``BTCUSD``. Empty where every symbol stands for itself.
    member : bool ndarray (T, A), optional
        Whether the symbol belongs to the universe at t. Who does not can be sold, but is no choice; None is everyone.
    """

    times: pd.DatetimeIndex
    sessions: np.ndarray
    symbols: tuple[str, ...]
    fields: Mapping[str, np.ndarray]
    tradable: np.ndarray
    datasets: tuple[DatasetInfo, ...]
    frequency: str
    calendar: str
    periods_per_year: float
    bases: tuple[str, ...] = ()
    member: np.ndarray | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        """The field ``name``, float64 (T, A)."""
        return self.fields[name]

    @property
    def shape(self) -> tuple[int, int]:
        """``(T, A)``."""
        return len(self.times), len(self.symbols)

    @property
    def decidable(self) -> np.ndarray:
        """Boolean (T, A): where a symbol is tradable and belongs to the universe, so that a position may be taken."""
        return self.tradable if self.member is None else self.tradable & self.member

    def rows(self, start: int, stop: int) -> Panel:
        """The bars ``start <= t < stop``."""
        return replace(
            self,
            times=self.times[start:stop],
            sessions=self.sessions[start:stop],
            fields={name: values[start:stop] for name, values in self.fields.items()},
            tradable=self.tradable[start:stop],
            member=None if self.member is None else self.member[start:stop],
        )


@dataclass(frozen=True)
class SeriesInfo:
    """What a side series declares: when it is known, and how long a value stays valid.

    ``release_lag`` is the declared rule in words (``period end + 15 days``), empty where knowledge times were
    observed. ``max_age`` is measured from ``event_time``; an older value is NaN at the decision. ``basis`` says
    where knowledge times come from: ``observed``, ``declared`` or ``left-censored``. ``kind`` says what it is:
    ``macro``, ``onchain``, ``funding``, ``fundamental``, ``benchmark``, ``calendar``, ``news`` or ``other``.
    """

    series: str
    frequency: str
    unit: str
    basis: str
    release_lag: str
    max_age: pd.Timedelta
    source: str
    licence: str
    kind: str = "macro"


@dataclass(frozen=True)
class SideTable:
    """Side data in long form: one row per value and vintage, sorted by ``knowledge_time``, then ``event_time``.

    ``knowledge_time`` is when the value could be read, ``event_time`` the end of the period that it describes.
    A revision is a new row with the same ``event_time``. ``symbol`` is ``""`` for market-wide rows. NaN values
    do not occur: a missing observation is a missing row.

    A text is a row of a series of kind ``news``, with the value 1 (a mention) and its words in ``text``, which is None
    where no row has any. An event of the economic calendar is four series of kind ``calendar``: ``NAME/scheduled``
    (value 1; its date may be known long before it), ``NAME/forecast``, ``NAME/actual`` and ``NAME/previous``.
    """

    event_time: pd.DatetimeIndex
    knowledge_time: pd.DatetimeIndex
    series: np.ndarray
    symbol: np.ndarray
    value: np.ndarray
    info: Mapping[str, SeriesInfo]
    text: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.value)

    def rows(self, keep: np.ndarray) -> SideTable:
        """The rows that a boolean mask or an array of positions picks, in its order."""
        return replace(
            self,
            event_time=self.event_time[keep],
            knowledge_time=self.knowledge_time[keep],
            series=self.series[keep],
            symbol=self.symbol[keep],
            value=self.value[keep],
            text=None if self.text is None else self.text[keep],
        )

    def known_by(self, time: pd.Timestamp) -> SideTable:
        """The rows that were known at ``time``; equality is visible."""
        return self.rows(np.flatnonzero(np.asarray(self.knowledge_time <= time)))

    def find(self, series: str, symbol: str | None = None) -> np.ndarray:
        """Positions of the rows of a series, of one symbol (``""`` for the market) or of all, in order of knowledge."""
        return self._places.get((series, symbol), np.empty(0, dtype=np.intp))

    @cached_property
    def _places(self) -> dict[tuple[str, str | None], np.ndarray]:
        """Rows of each series, and of each symbol in it, found once: a table is read by many features."""
        places: dict[tuple[str, str | None], np.ndarray] = {}
        for series, rows in pd.Series(self.series).groupby(self.series, sort=False).indices.items():
            places[str(series), None] = rows
            for symbol, some in pd.Series(rows).groupby(self.symbol[rows], sort=False).indices.items():
                places[str(series), str(symbol)] = rows[some]
        return places


@dataclass(frozen=True)
class FeatureSpec:
    """What one feature column is and what it needs.

    ``warmup`` is the number of bars, the present one included, that the value at t looks back over. ``series``
    names the side series it reads, ``fields`` the panel fields. ``scale_free`` features do not change when all
    prices of a symbol are multiplied by a constant, so they may be computed on vendor-adjusted prices. ``kind`` is
    that of its series, see ``SeriesInfo``.

    ``short_start`` features have values from short windows before their warm-up is over, and ``state`` counts the numbers
    that are carried from bar to bar for each symbol, see ``mnpu.feature``.

    ``reference`` says where the formula comes from. ``release_lags`` and ``bases`` hold one entry for each of
    ``series``, as it declares them (see ``SeriesInfo``); they are empty until the column is computed on a store.
    """

    name: str
    source: str
    function: str
    params: Mapping[str, Any]
    description: str
    fields: tuple[str, ...]
    series: tuple[str, ...]
    scale_free: bool
    warmup: int
    unit: str
    scope: Literal["symbol", "market"]
    tags: tuple[str, ...] = ()
    kind: str = "macro"
    reference: str = ""
    release_lags: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    short_start: bool = False
    state: int = 0

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables of a store that it reads, prices first."""
        prices = ["prices"] if set(self.fields) - {"split_factor"} else []
        splits = ["corporate_actions"] if "split_factor" in self.fields else []
        return (*prices, *splits, *([table_of(self.kind)] if self.series else []))


def table_of(kind: str) -> str:
    """The table or view of a store that holds the series of a kind."""
    return _TABLES.get(kind, "observations")


_TABLES = {
    "macro": "macro_observations",
    "onchain": "onchain_metrics",
    "funding": "funding_rates",
    "benchmark": "benchmarks",
    "calendar": "calendar_events",
    "news": "news",
}


@dataclass(frozen=True)
class FeatureFrame:
    """Features as known at each decision: ``values`` float32 (T, A, F), NaN where missing."""

    times: pd.DatetimeIndex
    symbols: tuple[str, ...]
    values: np.ndarray
    names: tuple[str, ...]
    tradable: np.ndarray
    specs: tuple[FeatureSpec, ...]

    def only(self, names: Sequence[str]) -> FeatureFrame:
        """The same decisions with these columns alone, in this order; the frame itself where they are all of it."""
        if tuple(names) == self.names:
            return self
        columns, specs = [self.names.index(name) for name in names], {spec.name: spec for spec in self.specs}
        return FeatureFrame(
            self.times,
            self.symbols,
            np.moveaxis(np.moveaxis(self.values, -1, 0)[columns], 0, -1),  # each column stays in one piece
            tuple(names),
            self.tradable,
            tuple(specs[name] for name in names if name in specs),
        )


@dataclass(frozen=True)
class Labels:
    """What is forecast: ``values`` float64 (T, A, H), NaN where unknown, with the interval each one spans.

    ``start`` (T,) is the fill time; ``end`` (T, H) the instant of the last price inside the label. Rows too
    close to the end of the data have NaT intervals and NaN values.
    """

    values: np.ndarray
    start: pd.DatetimeIndex
    end: tuple[pd.DatetimeIndex, ...]
    horizons: tuple[int, ...]
    name: str


@dataclass(frozen=True)
class Fold:
    """Three half-open ranges of bar indices, in time order, already purged and embargoed.

    No label of ``train`` ends at or after the first decision of ``validation``, none of ``validation`` at or
    after the first decision of ``test``.
    """

    number: int
    train: tuple[int, int]
    validation: tuple[int, int]
    test: tuple[int, int]


@dataclass(frozen=True)
class Split:
    """Ordered folds over ``times``; a shuffled split cannot be expressed.

    ``times`` are the decision times that the ranges of the folds index, None where they are not recorded.
    """

    folds: tuple[Fold, ...]
    purge_bars: int
    embargo_bars: int
    times: pd.DatetimeIndex | None = None


@dataclass(frozen=True)
class WindowBatch:
    """A batch of model inputs: ``x`` (B, L, F'), ``y`` (B, H), and the bar and symbol index of each, (B,)."""

    x: Any
    y: Any
    time: Any
    symbol: Any


@dataclass(frozen=True)
class Forecast:
    """Predictive distribution: ``quantiles`` float64 (T, A, H, Q), never crossing, NaN where none was possible.

    ``levels`` (Q,) are increasing and symmetric around 0.5, which is one of them. ``probabilities`` (T, A, H, C)
    and ``evidence`` (T, A, H) are optional.
    """

    times: pd.DatetimeIndex
    symbols: tuple[str, ...]
    horizons: tuple[int, ...]
    levels: tuple[float, ...]
    quantiles: np.ndarray
    probabilities: np.ndarray | None = None
    evidence: np.ndarray | None = None

    @property
    def available(self) -> np.ndarray:
        """Boolean (T, A): where a forecast exists for every horizon."""
        return np.isfinite(self.quantiles).all(axis=(2, 3))

    def median(self, horizon: int = 0) -> np.ndarray:
        """The median of the ``horizon``-th horizon, (T, A)."""
        return self.quantiles[:, :, horizon, self.levels.index(0.5)]

    def width(self, horizon: int = 0) -> np.ndarray:
        """Outermost quantile minus innermost, (T, A): the width of the widest interval."""
        return self.quantiles[:, :, horizon, -1] - self.quantiles[:, :, horizon, 0]

    def rows(self, start: int, stop: int) -> Forecast:
        """The decisions ``start <= t < stop``."""
        cut = lambda x: None if x is None else x[start:stop]  # noqa: E731
        return replace(
            self,
            times=self.times[start:stop],
            quantiles=self.quantiles[start:stop],
            probabilities=cut(self.probabilities),
            evidence=cut(self.evidence),
        )


@dataclass(frozen=True)
class PolicyContext:
    """What a policy may know beside the forecast; every row t was known at ``times[t]``.

    ``returns`` (T, A) is the simple return of the bar that ends at t, ``tradable`` (T, A) where a position may
    be taken (the symbol trades and belongs to the decision set).
    """

    times: pd.DatetimeIndex
    symbols: tuple[str, ...]
    returns: np.ndarray
    tradable: np.ndarray
    periods_per_year: float


@dataclass(frozen=True)
class Violation:
    """One change that a guardrail made: ``limit`` and ``value`` in the rule's own unit."""

    rule: str
    code: str
    time: pd.Timestamp
    symbol: str
    limit: float
    value: float
    action: Action


@dataclass(frozen=True)
class Positions:
    """Target book: ``weights`` float64 (T, A), signed fraction of equity, decided at t, filled after t.

    ``rebalance`` (T,) is False where no order is sent and the book drifts with prices.
    """

    times: pd.DatetimeIndex
    symbols: tuple[str, ...]
    weights: np.ndarray
    rebalance: np.ndarray
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True)
class Book:
    """The account as a guardrail sees it at a decision. Leading dimensions are parallel books.

    Attributes
    ----------
    weights : array (..., A)
        The drifted weights that are held now, fraction of equity.
    tradable : bool array (..., A)
    equity, peak : array (...,)
        Net asset value and its running maximum, start = 1.
    time : Timestamp or None
        Decision time; None when many times are limited at once.
    symbols : tuple of str (A,)
    """

    weights: Any
    tradable: Any
    equity: Any
    peak: Any
    time: pd.Timestamp | None
    symbols: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """One live answer: the book decided at ``time``, before and after the guardrails."""

    time: pd.Timestamp
    symbols: tuple[str, ...]
    proposed: np.ndarray
    weights: np.ndarray
    forecast: Forecast
    violations: tuple[Violation, ...]


@dataclass(frozen=True)
class Metric:
    """A number with its unit; ``value`` is None, with a ``reason``, where it is undefined. ``se`` if known."""

    name: str
    value: float | None
    unit: str
    se: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class GateOutcome:
    """Outcome of one honesty gate; ``detail`` says what was compared, with its numbers."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Run:
    """Enough to do it again. ``recipe_id`` hashes the four hashes; ``run_id`` is the recipe and a counter."""

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


@dataclass(frozen=True)
class Line:
    """One curve of a figure: ``x`` and ``y`` of equal length."""

    label: str
    x: Any
    y: Any


@dataclass(frozen=True)
class Figure:
    """A picture, described so that any renderer can draw it."""

    title: str
    lines: tuple[Line, ...]
    kind: Literal["line", "area", "bar", "calibration"] = "line"
    y_label: str = ""
    x_label: str = ""
    log_y: bool = False


@dataclass(frozen=True)
class Table:
    """A table of ready-formatted cells; ``highlight`` is the row to set in bold, if any.

    ``tiles`` are a few label and value pairs that a renderer may set large. ``shade`` gives each cell a number from
    -1 to 1 that a renderer may colour it by, None for no colour.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    highlight: int | None = None
    kind: Literal["grid", "tiles"] = "grid"
    shade: tuple[tuple[float | None, ...], ...] | None = None


Block = str | Table | Figure


@dataclass(frozen=True)
class Section:
    """One part of a report: paragraphs (Markdown inline), tables and figures in reading order."""

    title: str
    blocks: tuple[Block, ...]
