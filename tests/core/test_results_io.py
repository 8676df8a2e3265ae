"""What is read back from a run directory is the result that was written, bit for bit."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pandas as pd
import pytest

from mnpu.errors import MnpuError
from mnpu.results_io import read_metrics, read_result, write_result
from mnpu.types import (
    DatasetInfo,
    FeatureSpec,
    Fold,
    Forecast,
    GateOutcome,
    Metric,
    Panel,
    Positions,
    Result,
    Run,
    SeriesInfo,
    Split,
    TrainingRecord,
    Violation,
)

SYMBOLS = ("ON", "BRK.B", "005930")


def same(one, other, path=""):
    """Equality of every field, arrays bit for bit with NaN equal to NaN."""
    if is_dataclass(one):
        assert type(one) is type(other), path
        for field in fields(one):
            same(getattr(one, field.name), getattr(other, field.name), f"{path}.{field.name}")
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, path
        assert one.shape == other.shape, path
        if one.dtype == np.float64:
            one, other = one.view("int64"), other.view("int64")
        np.testing.assert_array_equal(one, other, err_msg=path)
    elif isinstance(one, pd.DatetimeIndex):
        assert one.dtype == other.dtype, path
        assert one.equals(other), path
    elif isinstance(one, dict):
        assert list(one) == list(other), path
        for key in one:
            same(one[key], other[key], f"{path}[{key}]")
    elif isinstance(one, tuple):
        assert len(one) == len(other), path
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            same(a, b, f"{path}[{i}]")
    else:
        assert one == other, path


def strategy(rng, name, *, forecast=True, violations=()):
    days, assets = 6, len(SYMBOLS)
    times = pd.date_range("2020-03-05 21:00", periods=days, freq="D", tz="UTC").as_unit("ns")
    fill_times = times[1:].append(pd.DatetimeIndex([pd.NaT], dtype="datetime64[ns, UTC]"))
    quantiles = np.sort(rng.normal(size=(days, assets, 2, 3)), axis=-1)
    quantiles[1, 2] = np.nan
    weights = rng.normal(size=(days, assets))
    rebalance = np.array([True, False, True, True, False, True])
    return Result(
        name=name,
        times=times,
        fill_times=fill_times,
        gross=rng.normal(size=days) / 3,
        net=np.array([-0.0, 1e-300, 0.1 + 0.2, np.nan, 5e-324, 1.0]),
        equity=np.cumprod(np.r_[1.0, 1 + rng.normal(size=days) / 99]),
        turnover_oneway=rng.random(days),
        costs={"commission": rng.random(days), "half_spread": rng.random(days)},
        proposed=Positions(times, SYMBOLS, weights, rebalance),
        positions=Positions(times, SYMBOLS, weights / 2, np.ones(days, dtype=bool), tuple(violations)),
        periods_per_year=252.0,
        forecast=Forecast(times, SYMBOLS, (1, 5), (0.1, 0.5, 0.9), quantiles) if forecast else None,
        labels=rng.normal(size=(days, assets, 2)),
        metrics={
            "sharpe": Metric("sharpe", 0.1 + 0.2, "per year", se=1 / 3),
            "rank_ic": Metric("rank_ic", None, "", reason="one symbol"),
        },
    )


@pytest.fixture
def result():
    rng = np.random.default_rng(5)
    at = pd.Timestamp("2020-03-06 21:00", tz="UTC").as_unit("ns")
    violation = Violation("exposure", "EXPOSURE_GROSS", at, "", 1.0, 1.2500000000000002, "scale")
    first = strategy(rng, "omni", violations=[violation, replace(violation, symbol="ON", action="de-risk")])
    rule = replace(strategy(rng, "momentum", forecast=False), labels=first.labels)
    info = DatasetInfo("us", "stooq", "1d", "session_date", "split", "2020-01-01", "XNYS", "USD", "CC0", "é")
    panel = Panel(
        times=first.times,
        sessions=np.arange("2020-03-05", "2020-03-11", dtype="datetime64[D]"),
        symbols=SYMBOLS,
        fields={"close": rng.random((6, 3)), "volume": np.full((6, 3), np.nan)},
        tradable=rng.random((6, 3)) > 0.5,
        datasets=(info, info, replace(info, name="kr", note="")),
        frequency="1d",
        calendar="XNYS",
        periods_per_year=252.0,
    )
    run = Run(
        *("abc-001", "abc", "demo", 7, "c", "d", "e", "f"),
        versions={"mnpu-core": "0.1.0"},
        config={"data": {"symbols": ["ON"], "start": "2005-01-01"}, "train": {"lr": 1e-4}},
        started_at=pd.Timestamp("2026-01-02 03:04:05.123456", tz="UTC"),
        trials=3,
    )
    spec = FeatureSpec(
        *("price.log_return[window=5]", "price", "log_return", {"window": 5}, "Log return."),
        *(("close",), (), True, 6, "fraction", "symbol", ("returns",)),
    )
    series = SeriesInfo("CPI", "1mo", "index", "declared", "+15 d", pd.Timedelta("70D"), "FRED", "public domain")
    return replace(
        first,
        comparisons=(rule, strategy(rng, "linear")),
        gates=(GateOutcome("permuted", True, "mean moved by 1e-4"), GateOutcome("negated", False, "it stayed")),
        run=run,
        panel=panel,
        notes=("Chosen in hindsight.",),
        series=(series,),
        features=(spec,),
        folds=Split((Fold(0, (0, 2), (2, 3), (3, 6)),), 1, 2, times=first.times),
    )


def test_a_result_reads_back_equal_in_every_field(result, tmp_path):
    write_result(tmp_path, result)
    same(result, read_result(tmp_path))


def test_who_belonged_to_the_universe_is_read_back(result, tmp_path):
    member = np.arange(result.panel.tradable.size).reshape(result.panel.shape) % 3 == 0
    panel = replace(result.panel, member=member, bases=("S&P", "ON", "é"))
    write_result(tmp_path, replace(result, panel=panel))
    read = read_result(tmp_path).panel
    np.testing.assert_array_equal(read.member, member)
    assert read.bases == panel.bases
    assert "member" in pd.read_parquet(tmp_path / "panel.parquet")


def test_a_result_without_anything_optional_reads_back(result, tmp_path):
    bare = replace(
        result, comparisons=(), gates=(), run=None, panel=None, notes=(), series=(), features=(), folds=None,
        forecast=None, labels=None, metrics={},
    )  # fmt: skip
    write_result(tmp_path, bare)
    same(bare, read_result(tmp_path))


def test_probabilities_and_evidence_read_back(result, tmp_path):
    rng = np.random.default_rng(1)
    forecast = replace(result.forecast, probabilities=rng.random((6, 3, 2, 4)), evidence=rng.random((6, 3, 2)))
    rich = replace(result, forecast=forecast)
    write_result(tmp_path, rich)
    same(rich, read_result(tmp_path))


def test_thresholds_and_what_was_said_before_calibration_read_back(result, tmp_path):
    rng = np.random.default_rng(2)
    before = replace(result.forecast, probabilities=rng.random((6, 3, 2, 3)), evidence=rng.random((6, 3, 2)))
    before = replace(before, thresholds=rng.random((6, 2, 2)))
    after = replace(before, quantiles=before.quantiles + 1, probabilities=rng.random((6, 3, 2, 3)), uncalibrated=before)
    rich = replace(result, forecast=after)
    write_result(tmp_path, rich)
    same(rich, read_result(tmp_path))


def test_what_training_showed_reads_back_and_what_was_not_there_is_empty(result, tmp_path):
    measured = [("omni", 0, 0, 1, 5, "noise_scale", "", np.inf), ("linear", 1, 2, 0, 9, "dead_units", "head", np.nan)]
    alert = ("omni", 0, 0, 1, 5, "collapse", "", 0.0, 1e-6, "log", "the forecast is the same")
    for name, record in (
        ("all", TrainingRecord.of(measured, [("omni", 0, 0, "plane", -1.0, 0.5, 0.1 + 0.2)], [alert])),
        ("some", TrainingRecord.of(measured)),
        ("none", None),
    ):
        (tmp_path / name).mkdir()
        write_result(tmp_path / name, replace(result, training=record))
        again = read_result(tmp_path / name).training
        assert (again is None) is (record is None)
        for table in ("measurements", "landscape", "alerts") if record is not None else ():
            pd.testing.assert_frame_equal(getattr(again, table), getattr(record, table), check_exact=True)


def test_records_of_several_fits_are_joined_in_order():
    rows = [(name, 0, 0, 1, 1, "lr", "", 0.1) for name in ("omni", "linear")]
    joined = TrainingRecord.join([TrainingRecord.of(rows[:1]), TrainingRecord.of(), TrainingRecord.of(rows[1:])])
    pd.testing.assert_frame_equal(joined.measurements, TrainingRecord.of(rows).measurements)
    assert list(joined.alerts.columns) == list(TrainingRecord.of().alerts.columns)


def test_two_writes_give_the_same_bytes(result, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_result(tmp_path / name, result)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_a_metric_that_is_not_a_number_becomes_null_with_its_reason(result, tmp_path):
    odd = replace(result, metrics={"calmar": Metric("calmar", float("inf"), "")})
    write_result(tmp_path, odd)
    metric = read_metrics(tmp_path)["metrics"]["calmar"]
    assert metric["value"] is None
    assert "inf" in metric["reason"]


def test_fills_are_kept_as_given(result, tmp_path):
    write_result(tmp_path, result, fills={"symbol": np.array(["ON", "BRK.B"], dtype=object), "traded": np.ones(2)})
    assert pd.read_parquet(tmp_path / "fills.parquet").symbol.tolist() == ["ON", "BRK.B"]


def test_a_run_without_a_result_says_so(tmp_path):
    with pytest.raises(MnpuError, match="holds no result"):
        read_result(tmp_path)


@pytest.mark.parametrize("name", ["diagnostics.parquet", "positions.parquet", "panel.parquet", "result.json"])
def test_a_damaged_result_is_refused(result, tmp_path, name):
    write_result(tmp_path, result)
    (tmp_path / name).write_bytes(b"PAR1 not really")
    with pytest.raises(MnpuError, match=name):
        read_result(tmp_path)


def test_a_missing_table_is_refused(result, tmp_path):
    write_result(tmp_path, result)
    (tmp_path / "positions.parquet").unlink()
    with pytest.raises(MnpuError, match="damaged"):
        read_result(tmp_path)


def test_metrics_json_is_plain(result, tmp_path):
    write_result(tmp_path, result)
    record = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert record["metrics"]["sharpe"]["value"] == 0.1 + 0.2
    assert set(record["comparisons"]) == {"momentum", "linear"}
