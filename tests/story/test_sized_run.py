"""A recipe whose account has a size: it costs what is said, is filled in parts, and is served by nobody."""

from __future__ import annotations

import pytest

from mnpu.errors import ConfigError
from mnpu.progress import Silent

pytest.importorskip("torch", reason="training needs mnpu-core[train]")


VOLUMES = (
    "data.dataset=us_ohlcv_daily",
    "data.symbols=[AAPL, GOOG, IBM, MSFT]",
    "data.end=2012-12-31",
    "split.test=1y",
    "compare=[]",
)


def _run(recipe, registry, runs, *sets):
    from mnpu.config import load_config
    from mnpu.execute import execute

    return execute(load_config(recipe, sets=sets), registry, runs=runs, progress=Silent())


def test_a_large_account_pays_for_its_size_and_is_filled_in_parts(small_recipe, registry, tmp_path):
    small = "execution={capital: 1000, participation: 0.1}", "costs.impact=0.5", "costs.borrow_bps=200"
    large = "execution={capital: 1e11, participation: 0.1}", *small[1:]
    plain = _run(small_recipe, registry, tmp_path / "plain", *VOLUMES).result
    results = [
        _run(small_recipe, registry, tmp_path / str(k), *VOLUMES, *s).result for k, s in enumerate((small, large))
    ]
    paid = [{kind: values.sum() for kind, values in r.costs.items()} for r in results]
    assert paid[0]["impact"] < 0.1 * paid[1]["impact"]  # by the square root of the size, per unit of a trade
    assert paid[0]["borrow"] > 0
    assert set(paid[0]) == {"commission", "half_spread", "impact", "borrow", "funding", "liquidation"}
    assert results[0].turnover_oneway.sum() == pytest.approx(plain.turnover_oneway.sum(), rel=0.01)
    assert results[1].turnover_oneway.sum() < 0.9 * plain.turnover_oneway.sum()
    assert results[0].net.sum() < plain.net.sum()


def test_an_agent_is_refused_because_it_cannot_know_what_a_broker_fills(small_recipe, registry, tmp_path):
    from mnpu.agent import replay

    done = _run(small_recipe, registry, tmp_path, *VOLUMES, "costs.impact=0.5")
    with pytest.raises(ConfigError, match="this recipe simulates fills that depend on the account's size"):
        replay(done.path, registry, sessions=5)
