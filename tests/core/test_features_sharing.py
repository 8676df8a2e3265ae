"""What features share: the same alone and beside others, and only of what each of them declared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnpu.errors import ConfigError, PluginError
from mnpu.features import View, alpha158, alpha360, feature
from mnpu.features.compute import evaluate
from mnpu.features.plan import PlannedFeature, features_of, plan_function
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import Panel, SideTable


def volumes(view: View) -> np.ndarray:
    return np.log1p(view["volume"])


def weekly_volumes(view: View) -> np.ndarray:
    weeks = view.coarser("1w")
    return weeks.at_decisions(weeks["volume"])


def twice(view: View) -> np.ndarray:
    return 2 * view.once(volumes)


def published(view: View) -> np.ndarray:
    known = view.known("rate")
    return np.broadcast_to(view.at_decision(known, known.values[:, 0])[:, None], view.shape)


SHARED = {"volumes": volumes, "weekly_volumes": weekly_volumes, "twice": twice, "published": published}


@feature(fields=("volume",), series=("rate",), warmup=12, unit="shares")
def honest(view: View, *, what: str = "volumes") -> np.ndarray:
    """Of volumes."""
    return view.once(SHARED[what])


@feature(fields=("close",), warmup=12, unit="shares")
def sly(view: View, *, what: str = "volumes") -> np.ndarray:
    """Of volumes, without saying so."""
    return view.once(SHARED[what])


def planned(*functions: object, **given: object) -> list[PlannedFeature]:
    return [column for function in functions for column in plan_function(function, given, source="own")]


@pytest.fixture
def panel() -> Panel:
    return synthetic_panel(np.random.default_rng(3), bars=60)


@pytest.fixture
def side(panel: Panel) -> SideTable:
    return synthetic_side(("rate",), panel, np.random.default_rng(4))


@pytest.mark.parametrize("what", SHARED)
def test_what_another_feature_may_read_is_still_undeclared(panel: Panel, side: SideTable, what: str) -> None:
    for columns in (planned(sly, what=what), planned(honest, sly, what=what), planned(sly, honest, what=what)):
        with pytest.raises(ConfigError, match=r"own\.sly.*which it did not declare"):
            evaluate(columns, panel, side)
    assert np.isfinite(evaluate(planned(honest, what=what), panel, side)).any()


def test_arguments_that_are_equal_and_not_the_same_are_computed_apart(panel: Panel, side: SideTable) -> None:
    def kind(view: View, of: object) -> np.ndarray:
        return np.full(view.shape, float(isinstance(of, bool)))

    view = View(panel, side)
    assert [view.once(kind, of).max() for of in (1, True, 1.0)] == [0, 1, 0]


@pytest.mark.parametrize("what", ["first", "state"])
def test_what_is_shared_knows_nothing_of_one_feature_alone(panel: Panel, side: SideTable, what: str) -> None:
    view = View(panel, side, first=3, state=np.zeros((1, panel.shape[1])))
    with pytest.raises(PluginError, match=rf"view\.{what} in what is computed once for several"):
        view.once(lambda view: np.full(view.shape, getattr(view, what)))
    assert (view.first, view.state.shape) == (3, (1, panel.shape[1]))


def levels(view: View, columns: object, out: np.ndarray) -> None:
    out[:] = view["close"][view.first :] * view["volume"][view.first :]


@feature(fields=("close",), unit="currency", kernel=levels)
def turnover(view: View) -> np.ndarray:
    """What was traded, by a kernel that reads more than it says."""
    return view["close"]


def test_a_kernel_reads_what_its_columns_declare(panel: Panel, side: SideTable) -> None:
    with pytest.raises(ConfigError, match="reads the field 'volume', which it did not declare"):
        evaluate(planned(turnover), panel, side)


@pytest.mark.parametrize("more", [{"series": ("rate",)}, {"state": 1}])
def test_a_kernel_reads_fields_alone(more: dict[str, object]) -> None:
    with pytest.raises(PluginError, match="a kernel that reads fields alone"):
        feature(fields=("close",), kernel=levels, **more)(turnover)


def test_every_column_of_a_kernel_is_the_same_alone_on_the_fields_that_it_declares(panel: Panel) -> None:
    nothing = synthetic_side((), panel, np.random.default_rng(0))
    for source in (alpha158, alpha360):
        columns = [c for function in features_of(source).values() for c in plan_function(function, {}, source="own")]
        whole = evaluate(columns, panel, nothing)
        for f, column in enumerate(columns):
            only = replace(panel, fields={name: panel.fields[name] for name in column.spec.fields})
            np.testing.assert_array_equal(evaluate([column], only, nothing)[..., 0], whole[..., f])


def test_what_a_mask_hides_is_not_seen(panel: Panel, side: SideTable) -> None:
    @feature(fields=("close",), unit="currency")
    def cheap(view: View) -> np.ndarray:
        """Closes below fifty."""
        return np.ma.masked_greater(view["close"], 50)

    with pytest.raises(PluginError, match="returned masked float64"):
        evaluate(planned(cheap), panel, side)
