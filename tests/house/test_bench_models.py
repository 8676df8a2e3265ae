"""The benchmarks of models measure what they say, at small sizes, and agree with their peers before any clock runs."""

from __future__ import annotations

import pytest

from tests.bench.rows import EARLIER

pytest.importorskip("torch", reason="a network needs the train extra")
pytest.importorskip("mnpu_models_ssm")
pytest.importorskip("mnpu_models_moe")

from tests.bench import experts, scan


@pytest.fixture
def small(monkeypatch):
    sizes = {"BATCH": 2, "WIDTH": 8, "MODES": 3, "TOKENS": 64, "LENGTHS": (8, 64), "CHUNK": 8}
    for name, value in {**sizes, "EARLIER_SCAN": {4: 9.0, 8: 9.0}, "REPEATS": 1, "FEW": 1, "STEPS": 2}.items():
        monkeypatch.setattr(scan, name, value)


def test_the_scan_is_measured_beside_mambapy(small, tmp_path):
    pytest.importorskip("mambapy.mamba", reason="mambapy is not installed")
    rows = scan.measure(tmp_path)
    assert {row.peer for row in rows if "mambapy" in row.peer} == {"mambapy pscan", "mambapy, without a norm"}
    assert all(row.mnpu > 0 and row.target > 0 for row in rows)
    beside = [row for row in rows if row.peer == "mambapy pscan"]
    assert [row.target for row in beside] == pytest.approx([row.peer_value / 18 for row in beside], abs=0.01)


def test_without_mambapy_its_earlier_figures_are_shown(small, tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "_published", lambda: None)
    rows = [row for row in scan.measure(tmp_path) if "mambapy" in row.peer]
    assert [(row.peer_value, EARLIER in row.peer) for row in rows] == [(9.0, True), (9.0, True), (167.0, True)]


def test_a_chunked_scan_may_take_what_160_thousand_tokens_a_second_take(small, tmp_path):
    targets = [row.target for row in scan.measure(tmp_path) if row.peer == "none: the target" and row.unit == "ms"]
    assert targets == [0.4, 0.4]  # 64 tokens


def test_experts_are_measured_beside_dense_networks(monkeypatch, tmp_path):
    monkeypatch.setattr(experts, "REPEATS", {512: 1, 8192: 1})
    monkeypatch.setattr(experts, "WIDTH", 8)
    monkeypatch.setattr(experts, "HIDDEN", 16)
    rows = {(row.peer, "8,192" in row.case): row for row in experts.measure(tmp_path)}
    assert rows[experts.DENSE, True].target == pytest.approx(rows[experts.DENSE, True].peer_value / 0.9, abs=0.01)
    assert rows[experts.ALL, True].target == pytest.approx(rows[experts.ALL, True].peer_value / 5, abs=0.01)
