"""How a fixture is judged before it is written: every installed validator, and the feature that reads the plant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnpu.config.models import FeatureUse
from mnpu.data.clock import from_ns
from mnpu.data.fixture.plan import HORIZON, WINDOW
from mnpu.data.fixture.write import PREDICTOR, Checks
from mnpu.data.store import Store
from mnpu.data.targets import ForwardReturn
from mnpu.features.compute import compute
from mnpu.features.plan import plan
from mnpu.metrics.forecast import information_coefficient, rank_information_coefficient
from mnpu.plugins.registry import Registry
from mnpu.types import Forecast, Metric, Panel, SideTable
from mnpu.validation.check import check_store
from mnpu.validation.findings import refuse_errors

__all__ = ["checks_of", "measure"]

READER = {"use": PREDICTOR, "window": WINDOW}
NOTHING = np.zeros(0, dtype=object)


def checks_of(registry: Registry) -> Checks:
    """The checks of what is installed: the validators of ``mnpu data check``, on every table."""
    validators = {c.name: registry.build("validator", c.canonical, {}) for c in registry.components("validator")}

    def validate(store: Path) -> list[dict[str, Any]]:
        reported = check_store(Store.open(store), validators).reported
        for r in reported:
            refuse_errors([r.finding], where=r.table)
        return [
            {"table": r.table, "validator": r.validator, "rule": r.finding.rule, "sample": r.finding.sample}
            for r in reported
        ]

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
