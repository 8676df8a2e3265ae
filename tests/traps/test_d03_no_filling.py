"""D3: what is missing stays missing: no fill from later, no mean in a gap, no look ahead outside labels."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mnpu.data.scaling import Scaler
from mnpu.data.windows import window_index
from mnpu.features import price
from mnpu.features.compute import compute
from mnpu.features.plan import features_of, plan_function
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import Panel
from tests.traps.planting import fails

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for path in ROOT.glob("mnpu-*/**/*.py") if "src" in path.parts)

#: Files that look towards later rows, and why they may: none of them makes a feature, a position or a number of one.
MAY = {
    "mnpu-core/src/mnpu/data/fixture/events.py": "it makes up a market",
    "mnpu-core/src/mnpu/feature_tools/donors.py": "it rolls a random order, not time",
    "mnpu-core/src/mnpu/nn/tcn.py": "it turns a ring buffer of the past",
    "mnpu-core/src/mnpu/validation/spikes.py": "it judges a table after the fact",
}


def looks_ahead(call: ast.Call) -> bool:
    """Whether a call fills from later, fills with a statistic, centres a window, or shifts towards the past."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    named = {word.arg: word.value for word in call.keywords}
    given = [*call.args, *named.values()]
    texts = {value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)}
    if name in {"bfill", "backfill", "interpolate"} or texts & {"bfill", "backfill"}:
        return True
    if name == "fillna":
        return "method" in named or any(isinstance(part, ast.Call) for value in given for part in ast.walk(value))
    if name in {"shift", "roll", "pct_change"}:  # of diff a negative axis cannot be told from a negative lag
        return any(isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub) for value in given)
    return name == "rolling" and isinstance(center := named.get("center"), ast.Constant) and bool(center.value)


def found_in(source: str) -> list[str]:
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [ast.unparse(call) for call in calls if looks_ahead(call)]


def no_source_looks_ahead(sources: dict[str, str]) -> None:
    assert {path: seen for path, text in sources.items() if (seen := found_in(text)) and path not in MAY} == {}


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in SOURCES}


def test_no_source_fills_from_later(sources) -> None:
    assert len(sources) > 300
    no_source_looks_ahead(sources)
    assert [path for path in MAY if not found_in(sources[path])] == [], "a file that no longer needs to be allowed"


@pytest.mark.parametrize(
    "fault",
    [
        "close = frame.bfill()",
        "close = frame.ffill().bfill()",
        "close = frame.fillna(method='bfill')",
        "close = frame.reindex(days, method='backfill')",
        "close = frame.fillna(frame.mean())",
        "close = frame.fillna(np.nanmedian(frame.to_numpy()))",
        "close = frame.interpolate(limit_area='inside')",
        "label = close.pct_change().shift(-1)",
        "label = close.shift(periods=-5)",
        "label = np.roll(close, -1, axis=0)",
        "mean = close.rolling(5, center=True).mean()",
    ],
)
def test_the_lint_finds(fault: str) -> None:
    no_source_looks_ahead({"mnpu-core/src/mnpu/features/new.py": "close = frame.ffill().shift(1).fillna(0.0)"})
    fails(no_source_looks_ahead, {"mnpu-core/src/mnpu/features/new.py": fault})


# A panel whose second symbol begins late keeps it missing in features, in inputs and in windows.

LATE = 300


def late_panel() -> Panel:
    panel = synthetic_panel(np.random.default_rng(2), bars=600)
    fields = {name: values.copy() for name, values in panel.fields.items()}
    for values in fields.values():
        values[:LATE, 1] = np.nan
    tradable = panel.tradable.copy()
    tradable[:LATE, 1] = False
    return replace(panel, fields=fields, tradable=tradable)


def filled_back(panel: Panel) -> Panel:
    """The fault: what comes first is carried back to the beginning."""
    fields = {name: pd.DataFrame(values).bfill().to_numpy() for name, values in panel.fields.items()}
    return replace(panel, fields=fields)


def filled_back_and_traded(panel: Panel) -> Panel:
    return replace(filled_back(panel), tradable=np.isfinite(panel["close"]) | True)


def leading_gaps_stay(change: Callable[[Panel], Panel]) -> None:
    panel = change(late_panel())
    planned = [column for one in features_of(price).values() for column in plan_function(one, {}, source="price")]
    of_price = [f for f, column in enumerate(planned) if {"close", "open", "high", "low"} & set(column.spec.fields)]
    assert len(of_price) >= 4
    frame = compute(planned, panel, synthetic_side([], panel, np.random.default_rng(3)))
    assert np.isnan(frame.values[:LATE, 1][:, of_price]).all()
    scaler = Scaler.fit(frame.values, times=frame.times, rows=(0, 450))
    scaled = scaler.scale(frame.values)
    assert (scaled[:LATE, 1][:, of_price] == 0).all()  # the mean, beside a mask that says so
    masks = np.flatnonzero(scaler.has_gaps).tolist()
    assert set(of_price) <= set(masks)
    assert (scaled[:LATE, 1][:, len(planned) + np.arange(len(masks))[np.isin(masks, of_price)]] == 0).all()
    time, symbol = window_index(frame.values, None, frame.tradable, rows=(0, 600), lookback=10)
    assert time[symbol == 1].min() > LATE
    assert time[symbol == 0].min() < LATE


def test_a_leading_gap_stays_a_gap_through_features_inputs_and_windows() -> None:
    leading_gaps_stay(lambda panel: panel)
    fails(leading_gaps_stay, filled_back)
    fails(leading_gaps_stay, filled_back_and_traded)
