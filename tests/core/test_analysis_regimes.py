"""Regimes are known at the decision, and their tables count every decision once."""

from __future__ import annotations

import numpy as np
import pytest

from mnpu.analysis.regimes import regime_table, regimes, trailing_terciles
from tests.core.analysis_world import a_replay


@pytest.fixture
def closes(rng):
    noise = rng.normal(0.0005, 0.01, (700, 4)) * np.where(np.arange(700) % 200 < 100, 0.5, 1.5)[:, None]
    return 20 * np.exp(np.cumsum(noise, axis=0))


def test_terciles_are_those_of_the_values_before(rng):
    values = rng.normal(size=60)
    values[7] = np.nan
    expected = []
    for t in range(60):
        past = [v for v in values[:t] if np.isfinite(v)]
        if len(past) < 20 or not np.isfinite(values[t]):
            expected.append("")
            continue
        low, high = np.quantile(past, [1 / 3, 2 / 3])
        expected.append("low" if values[t] <= low else "middle" if values[t] <= high else "high")
    assert trailing_terciles(values, history=20).tolist() == expected


def test_no_regime_knows_what_comes_later(make_panel, closes, rng):
    changed = closes.copy()
    changed[451:] = rng.uniform(1, 100, (249, 4))
    one, other = (regimes(a_replay(make_panel(c), np.zeros((600, 4)), first=50)) for c in (closes, changed))
    assert {kind: names[:401].tolist() for kind, names in one.items()} == {
        kind: names[:401].tolist() for kind, names in other.items()
    }
    assert one["volatility"][402:].tolist() != other["volatility"][402:].tolist()


def test_every_decision_is_counted_once_in_each_kind(make_panel, closes, rng):
    found = a_replay(make_panel(closes), rng.normal(0, 0.2, (600, 4)), first=50)
    rows = regime_table(found)
    for kind in ("trend", "drawdown", "year", "volatility"):
        own = [row for row in rows if row.kind == kind]
        named = regimes(found)[kind] != ""
        assert sum(row.decisions for row in own) == named.sum()
        assert sum(row.mean_ann * row.decisions for row in own) == pytest.approx(found.net[named].sum() * 252)
    assert {row.regime for row in rows if row.kind == "volatility"} == {"low", "middle", "high"}


def test_a_regime_has_the_sharpe_ratio_of_its_own_returns(make_panel, closes, rng):
    found = a_replay(make_panel(closes), rng.normal(0, 0.2, (600, 4)), first=50)
    of = np.where(np.arange(600) % 3 == 0, "a", np.where(np.arange(600) < 550, "b", "")).astype(object)
    rows = {row.regime: row for row in regime_table(found, {"mine": of})}
    own = found.net[of == "a"]
    assert rows["a"].sharpe == pytest.approx(own.mean() / own.std(ddof=1) * 252**0.5)
    assert rows["a"].se is not None
    assert rows["a"].stretches == 200
    assert (rows["a"].decisions, rows["b"].decisions) == ((of == "a").sum(), (of == "b").sum())
    assert rows["b"].vol_ann == pytest.approx(found.net[of == "b"].std(ddof=1) * 252**0.5)


def test_a_few_decisions_have_no_sharpe_ratio(make_panel, closes):
    found = a_replay(make_panel(closes), np.full((600, 4), 0.25), first=50)
    of = np.array(["few"] * 19 + [""] * 581, dtype=object)
    assert regime_table(found, {"mine": of})[1].sharpe is None
