"""The macro features run on a synthetic economy with release lags, vintages and holes, and see nothing early in it."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.commands._fixture import checks_of
from mnpu.config.models import FeatureUse
from mnpu.data.fixture.plan import Plan
from mnpu.data.fixture.write import write_fixture
from mnpu.data.store import Store
from mnpu.features.compute import compute
from mnpu.features.leaks import choose_cuts, future_perturbation
from mnpu.features.plan import plan, series_needed
from mnpu.plugins.registry import Registry

USES = (
    {"use": "macro.credit_spread"},
    {"use": "macro.credit_spread_change", "months": 3},
    {"use": "macro.core_inflation_gap", "months": 36},
    {"use": "macro.oil_momentum", "window": 60},
    {"use": "macro.vix_level"},
    {"use": "macro.vix_change", "window": 5},
    {"use": "macro.vix_term"},
    {"use": "macro.growth", "series": "GDPC1", "vintage": ["latest", "first"]},
    {"use": "macro.revision", "series": "GDPC1"},
    {"use": "macro.vintage_surprise", "series": "GDPC1"},
    {"use": "macro.release_age", "series": "GDPC1"},
)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    registry = Registry.discover()
    size = Plan(symbols=4, sessions=500, seed=8, covered=1)
    written = write_fixture(tmp_path_factory.mktemp("fixture") / "new", size, checks_of(registry))
    store, facts = Store.open(written.store), written.facts
    planned = plan([FeatureUse.model_validate(use) for use in USES], registry)
    panel = store.panel(store.symbols(), start=facts["first"], end=facts["last"])
    return planned, panel, store.side(series_needed(planned))


def test_every_macro_feature_has_values_throughout(loaded):
    planned, panel, side = loaded
    values = compute(planned, panel, side).values[:, 0]
    present = np.isfinite(values[120:]).mean(axis=0)
    assert (present > 0.9).all(), dict(zip((column.name for column in planned), present, strict=True))


def test_no_macro_feature_sees_the_future_of_a_fixture(loaded, rng):
    planned, panel, side = loaded
    cuts = choose_cuts(panel, side, count=12, rng=rng)
    assert future_perturbation(planned, panel, side, cuts=cuts, rng=rng) == []
