"""Computing columns, and the data that is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mnpu.errors import ConfigError, DataError, PluginError
from mnpu.features import View, feature, price
from mnpu.features.compute import compute, compute_latest, refuse_unknown, require_series
from mnpu.features.plan import PlannedFeature, features_of, plan_function, series_needed
from mnpu.testing.features import synthetic_panel, synthetic_side
from mnpu.types import FeatureFrame, Panel


@pytest.fixture
def panel() -> Panel:
    return synthetic_panel(np.random.default_rng(4))


def columns(function: Callable[..., np.ndarray], **params: Any) -> list[PlannedFeature]:
    return plan_function(function, params, source="price", dist="some-plugin")


def computed(planned: list[PlannedFeature], panel: Panel) -> FeatureFrame:
    return compute(planned, panel, synthetic_side(series_needed(planned), panel, np.random.default_rng(5)))


def adjusted(panel: Panel, **changes: Any) -> Panel:
    info = replace(panel.datasets[0], name="vendor", adjustment="split+dividend", adjusted_as_of="2022-12-28")
    return replace(panel, datasets=(info, *panel.datasets[1:]), **changes)


def test_columns_come_in_order_as_float32(panel: Panel) -> None:
    frame = computed([*columns(price.log_return, window=[1, 5]), *columns(price.day_of_week)], panel)
    assert frame.values.shape == (*panel.shape, 3)
    assert frame.values.dtype == np.float32
    assert all(frame.values[..., f].flags.c_contiguous for f in range(3))  # a column is read without the others
    assert frame.names == ("price.log_return[window=1]", "price.log_return[window=5]", "price.day_of_week[phase=sin]")
    assert [spec.name for spec in frame.specs] == list(frame.names)


def test_a_market_feature_is_the_same_for_every_symbol(panel: Panel) -> None:
    values = computed(columns(price.day_of_week), panel).values[..., 0]
    assert (values == values[:, :1]).all()


def test_levels_of_adjusted_prices_are_refused_with_the_reason(panel: Panel) -> None:
    with pytest.raises(DataError, match=r"price\.log_price.* S0 in dataset vendor .*with knowledge of 2022-12-28"):
        computed(columns(price.log_price), adjusted(panel))


@feature(fields=("close",), unit="currency")
def boast(view: View) -> np.ndarray:
    """The close itself, which says that it is scale-free, as features do unless told otherwise."""
    return np.array(view["close"])


@feature(fields=("total_close",), unit="rank")
def dearest(view: View) -> np.ndarray:
    """Rank of each symbol's price among all: the same when all are multiplied by one number, but not by several."""
    return np.argsort(np.argsort(view["total_close"], axis=1), axis=1).astype(float)


@pytest.mark.parametrize("function", [boast, dearest])
def test_levels_that_call_themselves_scale_free_are_refused_on_adjusted_prices(
    panel: Panel, function: Callable[..., np.ndarray]
) -> None:
    whole = replace(panel, fields={**panel.fields, "total_close": panel["close"]})
    assert computed(columns(function), whole).values.any()
    with pytest.raises(DataError, match=r"reads price levels, although .* S0 in dataset vendor .*of 2022-12-28"):
        computed(columns(function), adjusted(whole))


def test_every_shipped_feature_that_says_it_is_scale_free_is(panel: Panel) -> None:
    every = [c for f in features_of(price).values() for c in columns(f) if c.spec.scale_free]
    planned = [c for c in every if c.spec.warmup <= len(panel.times)]
    assert len(planned) > 5
    computed(planned, adjusted(panel))


def test_scale_free_features_of_adjusted_prices_are_welcome(panel: Panel) -> None:
    assert np.isfinite(computed(columns(price.log_return), adjusted(panel)).values).any()


def test_a_symbol_without_volume_is_named_with_its_dataset(panel: Panel) -> None:
    volume = panel["volume"].copy()
    volume[:, 3] = np.nan
    with pytest.raises(DataError, match="dataset synthetic has no volume for S3"):
        computed(columns(price.volume_zscore), replace(panel, fields={**panel.fields, "volume": volume}))


def test_a_panel_of_closes_has_no_high(panel: Panel) -> None:
    closes = replace(panel, fields={"close": panel["close"]})
    with pytest.raises(DataError, match=r"dataset synthetic has no high for S0, S1, S2 and 2 more"):
        computed(columns(price.high_low_range), closes)


def test_only_the_symbols_of_the_dataset_at_fault_are_named(panel: Panel) -> None:
    with pytest.raises(DataError, match="those of S0 in dataset vendor are adjusted"):
        computed(columns(price.log_price), adjusted(panel))


def test_a_symbol_that_is_not_listed_yet_is_not_accused_of_lacking_a_field(panel: Panel) -> None:
    early = panel.rows(0, 40)
    assert not early.tradable[:, 0].any()
    assert np.isnan(computed(columns(price.log_return), early).values[:, 0]).all()


def test_too_short_a_history_is_refused(panel: Panel) -> None:
    with pytest.raises(DataError, match=r"momentum.*240 bars from 2001-01-02 to 2001-12-18, too short a history"):
        computed(columns(price.momentum), panel)


def test_a_column_without_a_value_is_refused(panel: Panel) -> None:
    volume = np.where(panel.tradable, 0.0, np.nan)
    with pytest.raises(DataError, match="has no value in 240 bars from 2001-01-02"):
        computed(columns(price.volume_zscore), replace(panel, fields={**panel.fields, "volume": volume}))


def test_a_live_row_without_a_value_is_one_more_missing_value(panel: Panel) -> None:
    volume = np.where(panel.tradable, 0.0, np.nan)
    still = replace(panel, fields={**panel.fields, "volume": volume})
    side = synthetic_side((), panel, np.random.default_rng(0))
    assert np.isnan(compute_latest(columns(price.volume_zscore), still, side).values).all()


@feature(series=("rate",), scope="market", unit="index", kind="macro")
def rate(view: View) -> np.ndarray:
    """The newest known rate."""
    known = view.known("rate")
    return view.at_decision(known, known.values[:, -1])


def test_a_series_that_is_missing_is_named_with_the_plugin_that_reads_it(panel: Panel) -> None:
    side = synthetic_side(("other",), panel, np.random.default_rng(0))
    expected = (
        r"series 'rate' of table macro_observations, which some-plugin reads, is not in the side table.*\(other\)"
    )
    with pytest.raises(DataError, match=expected):
        compute(columns(rate), panel, side)


def test_every_missing_series_is_named_once_with_its_table_its_plugin_and_the_next_step() -> None:
    @feature(series=("funding", "rate"), kind="funding")
    def carry(view: View) -> np.ndarray:
        """Reads two series."""
        return np.zeros(view.shape)

    planned = [*columns(rate), *columns(carry)]
    require_series(planned, ["rate", "funding", "vix"], where="market.db")
    with pytest.raises(DataError) as caught:
        require_series(planned, ["rates", "vix"], where="market.db")
    first, second = str(caught.value).splitlines()
    assert first == (
        "feature price.rate: series 'rate' of table macro_observations, which some-plugin reads, is not in market.db, "
        "expected one that is there (rates, vix). Did you mean 'rates'? See what is there with: mnpu data info. "
        "Import the series, or remove the feature."
    )
    assert "feature price.carry: series 'funding' of table funding_rates, which some-plugin reads" in second


def test_a_store_without_side_data_is_told_as_such() -> None:
    with pytest.raises(DataError, match=r"expected one that is there \(no series at all\)"):
        require_series(columns(rate), [], where="market.db")


def test_a_series_that_begins_after_the_data_tells_what_it_covers(panel: Panel) -> None:
    side = synthetic_side(("rate",), panel, np.random.default_rng(0))
    first = side.knowledge_time.min()
    with pytest.raises(DataError, match=rf"nothing of series 'rate' .* rate became known between {first:%Y-%m-%d} and"):
        refuse_unknown(columns(rate), side)


def test_a_computed_column_says_when_its_series_are_known(panel: Panel) -> None:
    side = synthetic_side(("rate",), panel, np.random.default_rng(0))
    info = replace(side.info["rate"], release_lag="period end + 9 days", basis="declared")
    frame = compute([*columns(rate), *columns(price.log_return)], panel, replace(side, info={"rate": info}))
    assert [(spec.release_lags, spec.bases) for spec in frame.specs] == [
        (("period end + 9 days",), ("declared",)),
        ((), ()),
    ]


def test_the_tables_of_a_column_follow_from_its_fields_and_the_kind_of_its_series() -> None:
    @feature(fields=("close", "split_factor"), series=("tweets",), kind="news")
    def both(view: View) -> np.ndarray:
        """Reads prices and texts."""
        return np.zeros(view.shape)

    assert [column.spec.tables for column in (*columns(both), *columns(rate), *columns(price.day_of_week))] == [
        ("prices", "corporate_actions", "news"),
        ("macro_observations",),
        (),
    ]


def test_a_series_that_ended_before_the_data_tells_what_it_covers(panel: Panel) -> None:
    later = replace(panel, times=panel.times + pd.Timedelta(days=3650))
    side = synthetic_side(("rate",), panel, np.random.default_rng(0))
    with pytest.raises(DataError, match=r"no value.* rate became known between \d{4}-\d\d-\d\d and 200[12]-\d\d-\d\d"):
        compute(columns(rate), later, side)


def test_a_decision_sees_a_publication_at_its_own_instant_but_no_later_one(panel: Panel) -> None:
    side = synthetic_side(("rate",), panel, np.random.default_rng(0))
    values = compute(columns(rate), panel, side).values[:, 0, 0]
    for t in (0, 7, 50, 239):
        known = np.flatnonzero(np.asarray(side.knowledge_time <= panel.times[t]))
        newest = side.event_time[known].max()
        (last,) = [row for row in known if side.event_time[row] == newest][-1:]
        assert values[t] == np.float32(side.value[last])


def test_an_undeclared_series_is_refused(panel: Panel) -> None:
    @feature(series=("rate",), scope="market")
    def sly(view: View) -> np.ndarray:
        """Reads more than it says."""
        return view.at_decision(view.known("other"), view.known("other").values[:, 0])

    side = synthetic_side(("rate", "other"), panel, np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"reads the series 'other', which it did not declare, expected one of rate"):
        compute(columns(sly), panel, side)


def test_an_undeclared_field_is_refused(panel: Panel) -> None:
    @feature(fields=("close",))
    def sly(view: View) -> np.ndarray:
        """Reads more than it says."""
        return view["volume"]

    with pytest.raises(ConfigError, match="reads the field 'volume', which it did not declare"):
        computed(columns(sly), panel)


def test_a_feature_cannot_write_into_the_panel(panel: Panel) -> None:
    @feature(fields=("close",))
    def vandal(view: View) -> np.ndarray:
        """Scales in place."""
        close = view["close"]
        close *= 2
        return close

    with pytest.raises(PluginError, match=r"feature price\.vandal of some-plugin: raised ValueError: .*read-only"):
        computed(columns(vandal), panel)


def test_an_infinite_value_is_refused_where_it_is(panel: Panel) -> None:
    @feature(fields=("close",))
    def infinite(view: View) -> np.ndarray:
        """Divides by zero."""
        return view["close"] / 0

    with pytest.raises(DataError, match=r"the value of S1 at 2001-01-02 21:00 is infinite, or too large, expected"):
        computed(columns(infinite), panel)


@pytest.mark.parametrize("wrong", [lambda x: x[:-1], lambda x: x[:, 0], lambda x: x.astype(str)])
def test_an_array_of_another_shape_or_type_is_refused(panel: Panel, wrong: Callable[..., np.ndarray]) -> None:
    @feature(fields=("close",))
    def odd(view: View) -> np.ndarray:
        """Returns something else."""
        return wrong(np.array(view["close"]))

    with pytest.raises(
        PluginError, match=r"feature price\.odd of some-plugin: returned .* expected float64 \(240, 5\)"
    ):
        computed(columns(odd), panel)


def test_one_number_for_each_publication_is_asked_for(panel: Panel) -> None:
    @feature(series=("rate",), scope="market")
    def whole(view: View) -> np.ndarray:
        """Hands windows over instead of numbers."""
        known = view.known("rate", 3)
        return view.at_decision(known, known.values)

    with pytest.raises(PluginError, match="expected one number for each publication"):
        computed(columns(whole), panel)
