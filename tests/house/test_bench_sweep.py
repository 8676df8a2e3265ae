"""The benchmark of sweeps measures what it says, at a small size."""

from __future__ import annotations

from tests.bench import sweep


def test_a_small_sweep_is_measured_beside_the_ideal(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "CASES", {"trials of 0.2 s": (0.2, 4, 0.93)})
    [row] = sweep.measure(tmp_path)
    assert row.mnpu > 1.0
    assert row.target == 1 / 0.93
    assert row.case.startswith("4 trials of 0.2 s, 2 workers, ")
