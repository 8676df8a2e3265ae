"""Tones that somebody else computed and stored: the same signals, from scores instead of words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mnpu.features.leaks import future_perturbation
from mnpu.types import SideTable
from mnpu_data_sentiment.tone import tones
from tests.data_sentiment.world import chatter, planned, values

TONAL = (
    *("tone", "tone_momentum", "tone_surprise", "relative_tone", "disagreement", "negative_share"),
    *("market_tone", "market_tone_momentum", "market_disagreement"),
)


def scored(side: SideTable, score: np.ndarray, *, late: str = "0s") -> SideTable:
    """The texts with a score of each beside it, known so much later."""
    info = {"news/lab": replace(side.info["news"], series="news/lab", unit="score")}
    both = SideTable(
        event_time=side.event_time.append(side.event_time),
        knowledge_time=side.knowledge_time.append(side.knowledge_time + pd.Timedelta(late)),
        series=np.repeat(np.array(["news", "news/lab"], dtype=object), len(score)),
        symbol=np.tile(side.symbol, 2),
        value=np.append(side.value, score),
        info={**side.info, **info},
        text=np.append(side.text, np.full(len(score), "", dtype=object)),
    )
    return both.rows(np.lexsort([both.event_time.asi8, both.knowledge_time.asi8]))


@pytest.mark.parametrize("name", TONAL)
def test_scores_that_are_the_lexicons_tones_give_the_lexicons_signal(name):
    panel, side = chatter(3)
    stored = values(name, panel, scored(side, tones(side.text)), model="lab")
    np.testing.assert_array_equal(stored, values(name, panel, side))
    assert np.isfinite(stored).any()


def test_a_score_counts_from_the_moment_at_which_it_was_computed():
    panel, side = chatter(4)
    late = scored(side, np.random.default_rng(1).uniform(-1, 1, len(side)), late="36h")
    found = values("tone", panel, late, model="lab")
    rows = np.flatnonzero(late.series == "news/lab")
    for t in range(0, len(panel.times), 5):
        age = (panel.times[t] - late.knowledge_time[rows]) / pd.Timedelta(days=3)
        for a, symbol in enumerate(panel.symbols):
            heard = rows[(late.knowledge_time[rows] <= panel.times[t]) & (late.symbol[rows] == symbol)]
            weight = 0.5 ** np.asarray(age)[np.isin(rows, heard)]
            expected = (weight * late.value[heard]).sum() / weight.sum() if weight.sum() >= 1 / 32 else np.nan
            np.testing.assert_allclose(found[t, a], expected, atol=1e-12)


@pytest.mark.parametrize("name", TONAL)
def test_no_later_score_changes_an_earlier_signal(name):
    panel, side = chatter(5)
    late = scored(side, np.random.default_rng(2).uniform(-1, 1, len(side)), late="36h")
    columns = planned(name, model="lab")
    assert future_perturbation(columns, panel, late, cuts=(7, 20, 33), rng=np.random.default_rng(3)) == []
    assert columns[0].spec.series == ("news/lab",)
