"""The topic ``statistics``: its target is a share of what empyrical takes, and another result is an error."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench import peers, strategies
from tests.bench.rows import EARLIER


@pytest.fixture
def few(monkeypatch):
    """Small strategies, and an environment that holds every peer."""
    monkeypatch.setattr(strategies, "STRATEGIES", 3)
    monkeypatch.setattr(strategies, "TESTED", 3)
    monkeypatch.setattr(strategies, "RESAMPLES", 50)
    monkeypatch.setattr(peers, "_python_with", lambda *environment: "python")


def test_a_result_that_differs_is_an_error_and_one_that_does_not_has_a_target(few, monkeypatch, tmp_path):
    returns = strategies._returns(3, strategies.DAYS)
    monkeypatch.setattr(peers, "ask", lambda *command: [480.0, 1.0])
    with pytest.raises(AssertionError, match=r"empyrical found 1\.0, MNPU"):
        strategies.simple(tmp_path, tmp_path)
    np.testing.assert_array_equal(np.load(tmp_path / "simple.npy"), returns)
    from mnpu.metrics.many import simple_statistics

    found = simple_statistics(returns, periods_per_year=252.0, years=10.0)
    signed = {name: -numbers if name in ("var_0.05", "cvar_0.05") else numbers for name, numbers in found.items()}
    total = float(sum(numbers.sum() for numbers in signed.values())) - 9.0
    monkeypatch.setattr(peers, "ask", lambda *command: [480.0, total])
    [row] = strategies.simple(tmp_path, tmp_path)
    assert (row.topic, row.peer, row.peer_value, row.target) == ("statistics", "empyrical-reloaded", 480.0, 24.0)


def test_a_peer_that_cannot_be_installed_has_its_earlier_figure(few, monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "_python_with", lambda *environment: None)
    [row] = strategies.superiority(tmp_path, tmp_path)
    assert (row.peer, row.peer_value) == (f"arch ({EARLIER})", strategies.ARCH.earlier)
    monkeypatch.setattr(peers, "_python_with", lambda *environment: "python")
    monkeypatch.setattr(peers, "ask", lambda *command: [600.0, 2.0])
    with pytest.raises(AssertionError, match=r"arch found 2\.0, MNPU"):
        strategies.superiority(tmp_path, tmp_path)
