"""Prices of zero or less, as those of oil in April 2020: no return begins there, and nothing is a share of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mnpu.features import price, returns, technical
from mnpu.features.compute import evaluate
from mnpu.features.plan import features_of, plan_function
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import Panel

BAD, LAST = 120, 3
PRICES = ("open", "high", "low", "close")


@pytest.fixture(params=[-37.63, 0.0])
def oil(request: pytest.FixtureRequest) -> Panel:
    panel = synthetic_panel(np.random.default_rng(1))
    fields = {name: values.copy() for name, values in panel.fields.items()}
    for name in PRICES:
        fields[name][BAD, LAST] = request.param
    return replace(panel, fields=fields)


def values(function: Any, panel: Panel, **params: Any) -> np.ndarray:
    nothing = synthetic_side((), panel, np.random.default_rng(0))
    return np.asarray(evaluate(plan_function(function, params, source="own"), panel, nothing)[:, LAST, 0])


def test_no_return_begins_at_a_price_that_is_not_positive(oil: Panel) -> None:
    close = oil["close"][:, LAST]
    for made, sign in (
        (values(returns.simple_return, oil), 1),
        (values(returns.reversal, oil, window=1), -1),
        (values(price.momentum, oil, window=1, skip=0), 1),
        (values(technical.roc, oil, window=1), 100),
    ):
        assert made[BAD] == pytest.approx(sign * (close[BAD] / close[BAD - 1] - 1))  # what was paid is lost, and more
        assert np.isnan(made[BAD + 1])
        assert np.isfinite(made[BAD + 2])


RELATIVE = [
    name
    for name, function in features_of(technical).items()
    if (text := function.__doc__ or "") and ("/ close - 1``" in text or "/ close``" in text)
]


@pytest.mark.parametrize("name", RELATIVE)
def test_nothing_is_a_share_of_a_price_that_is_not_positive(name: str, oil: Panel) -> None:
    made = values(features_of(technical)[name], oil)
    assert np.isnan(made[BAD])
    assert np.isfinite(made[[BAD - 1, BAD + 1]]).all()


def test_those_are_many() -> None:
    assert len(RELATIVE) >= 15
