"""How a fixture is judged before it is written: the shipped validators, and the feature that reads what was planted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mnpu.config.models import FeatureUse
from mnpu.data.clock import from_ns
from mnpu.data.fixture.plan import HORIZON, WINDOW
from mnpu.data.fixture.write import PREDICTOR, Checks
from mnpu.data.targets import ForwardReturn
from mnpu.features.compute import compute
from mnpu.features.plan import plan
from mnpu.metrics.forecast import information_coefficient, rank_information_coefficient
from mnpu.plugins.registry import Registry
from mnpu.types import Forecast, Metric, Panel, SideTable
from mnpu.validation.findings import Context, refuse_errors

__all__ = ["VALIDATORS", "checks_of", "measure"]

VALIDATORS = ("ohlcv", "point_in_time")
READER = {"use": PREDICTOR, "window": WINDOW}
NOTHING = np.zeros(0, dtype=object)


def checks_of(registry: Registry) -> Checks:
    """The checks of what is installed."""
    validators = [registry.load("validator", name)() for name in VALIDATORS]

    def validate(table: Panel | SideTable, name: str) -> None:
        for validator in validators:
            refuse_errors(validator.check(table, Context(name)), where=name)

    return Checks(validate, lambda panel: measure(panel, registry))


def measure(panel: Panel, registry: Registry, use: Mapping[str, Any] = READER) -> Mapping[str, Metric]:
    """``ic`` and ``rank_ic`` of one feature, by default the one that reads the plant, as if it were the forecast."""
    (planned,) = plan([FeatureUse.model_validate(use)], registry)
    nothing = SideTable(from_ns([]), from_ns([]), NOTHING, NOTHING, np.zeros(0), {})
    values = compute([planned], panel, nothing).values.astype(float)  # (T, A, 1): one horizon
    forecast = Forecast(panel.times, panel.symbols, (HORIZON,), (0.5,), values[..., None])
    labels = ForwardReturn((HORIZON,))(panel, "next_close").values
    found = (information_coefficient(forecast, labels), rank_information_coefficient(forecast, labels))
    return {metric.name: metric for metric in found}
