"""How numbers, dates and metrics are written, once, so that every format of a report shows the same characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd

from mnpu.types import Figure, Metric, Table

__all__ = [
    "NOT_AVAILABLE",
    "caption_of",
    "count",
    "date",
    "is_numeric",
    "label_of",
    "metric_cell",
    "number",
    "numeric_columns",
    "percent",
    "period",
    "stamp",
]

NOT_AVAILABLE = "n/a"
_MINUS = "\N{MINUS SIGN}"
_NUMERIC = re.compile(rf"[+{_MINUS}-]?[\d,]*\.?\d+(%| bps| years?)?( ± [\d,.]+)?( \(.*\))?")


@dataclass(frozen=True)
class _Look:
    """How one metric is shown: its label and the name of its number style."""

    label: str
    style: str


# Labels of the metrics that definitions name; anything else shows its own name, and its unit decides the style.
_LOOKS = {
    "total_return_net": _Look("Net return", "percent"),
    "total_return_gross": _Look("Gross return", "percent"),
    "cagr": _Look("Net CAGR", "percent2"),
    "ann_vol": _Look("Volatility a year", "percent"),
    "sharpe": _Look("Sharpe ± se", "ratio"),
    "sharpe_bar": _Look("Sharpe a bar ± se", "fine"),
    "sharpe_lo": _Look("Sharpe by Lo ± se", "ratio"),
    "psr": _Look("Probability of a Sharpe above 0", "percent"),
    "dsr": _Look("DSR", "percent"),
    "pbo": _Look("PBO", "percent"),
    "min_trl": _Look("Bars to show a Sharpe above 0", "count"),
    "min_trl_dsr": _Look("Bars to show a Sharpe above luck", "count"),
    "sortino": _Look("Sortino", "ratio"),
    "calmar": _Look("Calmar", "ratio"),
    "max_drawdown": _Look("Max drawdown", "percent"),
    "cvar_0.05": _Look("CVaR 5% a bar", "percent2"),
    "turnover_oneway": _Look("Turnover a bar", "percent2"),
    "turnover_oneway_ann": _Look("Turnover a year", "percent0"),
    "cost_bps": _Look("Cost, bps of traded", "tenth"),
    "cost_total": _Look("Sum of costs", "percent"),
    "breakeven_bps": _Look("Break-even cost, bps", "tenth"),
    "hit_rate": _Look("Hit rate", "percent"),
    "hit_rate_base": _Look("Base hit rate", "percent"),
    "ic": _Look("IC", "fine"),
    "rank_ic": _Look("Rank IC", "fine"),
    "ic_t": _Look("t of the IC", "ratio"),
    "rank_ic_t": _Look("t of the rank IC", "ratio"),
    "icir": _Look("ICIR", "ratio"),
    "pinball": _Look("Pinball loss", "loss"),
    "crps": _Look("CRPS", "loss"),
    "pit_ks": _Look("PIT distance from uniform", "fine"),
    "brier": _Look("Brier score", "fine"),
    "nll_dirichlet": _Look("Class log loss", "fine"),
    "ece": _Look("Class calibration error", "percent"),
    "gross_exposure": _Look("Mean gross exposure", "percent"),
    "net_exposure": _Look("Mean net exposure", "percent"),
    "n": _Look("Bars", "count"),
    "periods_per_year": _Look("Bars a year", "tenth"),
    "years": _Look("Years", "tenth"),
}

_STYLE_OF_UNIT = {
    "fraction": "percent",
    "fraction per year": "percent",
    "fraction per bar": "percent2",
    "probability": "percent",
    "return": "loss",
    "bps": "tenth",
    "fraction of equity": "percent",
    "correlation": "fine",
    "count": "count",
    "bars": "count",
    "decisions": "count",
    "years": "tenth",
}


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """A plain number with a true minus sign and thousands separators; ``n/a`` where it is undefined."""
    if value is None or not isfinite(value):
        return NOT_AVAILABLE
    rounded = round(float(value), digits) + 0.0  # + 0.0: no negative zero
    return f"{rounded:{'+' if signed and rounded else ''},.{digits}f}".replace("-", _MINUS)


def percent(value: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """A fraction as per cent: 0.123 is ``12.3%``."""
    text = number(None if value is None else 100 * value, digits, signed=signed)
    return text if text == NOT_AVAILABLE else f"{text}%"


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return number(value, 0)


def date(instant: Any) -> str:
    """The UTC date of an instant, ISO; ``n/a`` for NaT."""
    stamped = pd.Timestamp(instant)
    return NOT_AVAILABLE if stamped is pd.NaT else stamped.strftime("%Y-%m-%d")


def stamp(instant: Any) -> str:
    """An instant to the minute in UTC; ``n/a`` for NaT."""
    stamped = pd.Timestamp(instant)
    return NOT_AVAILABLE if stamped is pd.NaT else stamped.strftime("%Y-%m-%d %H:%M UTC")


def period(times: Sequence[Any] | pd.DatetimeIndex) -> str:
    """First to last date of ``times``."""
    return f"{date(times[0])} to {date(times[-1])}" if len(times) else "no decisions"


def label_of(name: str) -> str:
    """What a metric is called in a report."""
    return _look(Metric(name, None, "")).label


def metric_cell(metric: Metric | None) -> str:
    """A metric as a table cell, with ``± se`` where its standard error is known."""
    if metric is None or metric.value is None or not np.isfinite(metric.value):
        return NOT_AVAILABLE
    write = _STYLES[_look(metric).style]
    known = metric.se is not None and np.isfinite(metric.se)
    return f"{write(metric.value)} ± {write(metric.se)}" if known else write(metric.value)


def is_numeric(cell: str) -> bool:
    """Whether a cell holds a number, so that its column can be set flush right."""
    return bool(_NUMERIC.fullmatch(cell))


def numeric_columns(table: Table) -> list[bool]:
    """Which columns are set flush right: those of numbers, and those without any value beside one of numbers."""
    right: list[bool] = []
    for i in range(len(table.columns)):
        cells = [row[i] for row in table.rows]
        numbers = all(is_numeric(cell) or cell in ("", NOT_AVAILABLE) for cell in cells)
        known = any(is_numeric(cell) for cell in cells)
        right.append(i > 0 and numbers and (known or right[-1]))
    return right


def caption_of(figure: Figure) -> str:
    """The title of a figure, with the dates that its axis spans."""
    x = figure.lines[0].x if figure.lines else None
    return f"{figure.title}, {period(x)}" if isinstance(x, pd.DatetimeIndex) and len(x) else figure.title


def _look(metric: Metric) -> _Look:
    if metric.name in _LOOKS:
        return _LOOKS[metric.name]
    coverage = re.fullmatch(r"coverage_(0?\.\d+)", metric.name)
    if coverage:
        return _Look(f"Coverage {percent(float(coverage[1]), 0)}", "percent")
    interval = re.fullmatch(r"interval_score_(0?\.\d+)", metric.name)
    if interval:
        return _Look(f"Interval score {percent(float(interval[1]), 0)}", "loss")
    label = metric.name.replace("_", " ")
    return _Look(label[:1].upper() + label[1:], _STYLE_OF_UNIT.get(metric.unit, "ratio"))


_STYLES = {
    "percent": percent,
    "percent0": lambda value: percent(value, 0),
    "percent2": lambda value: percent(value, 2),
    "loss": lambda value: percent(value, 3),
    "ratio": number,
    "fine": lambda value: number(value, 3),
    "tenth": lambda value: number(value, 1),
    "count": count,
}
