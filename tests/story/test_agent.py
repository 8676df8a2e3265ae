"""What is tested is what is served: an Agent, stepped bar by bar, decides what the vectorised run decided."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs mnpu-core[train]")

SESSIONS = 260


def test_an_agent_decides_what_the_run_decided_over_250_real_sessions(small_run, registry):
    from mnpu.agent import Agent, replay

    result = small_run.result
    agent, bars = replay(small_run.path, registry, sessions=SESSIONS)
    assert isinstance(agent, Agent)
    checked = 0
    for rows, news in bars:
        decision = agent.step(rows, news)
        t = result.times.get_loc(decision.time)
        np.testing.assert_allclose(decision.proposed, result.proposed.weights[t], atol=1e-9)
        np.testing.assert_allclose(decision.weights, result.positions.weights[t], atol=1e-9)
        np.testing.assert_allclose(decision.forecast.quantiles[-1], result.forecast.quantiles[t], rtol=1e-6, atol=1e-9)
        checked += 1
    assert checked >= 250
