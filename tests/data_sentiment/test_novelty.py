"""Novelty against a comparison of every pair, and embeddings against sums by hand."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnpu_data_sentiment.novelty import novelty

WORDS = ["profit", "beats", "the", "a", "loss", "apple", "up", "down"]


def features_of(text: str) -> set[str]:
    words = re.findall(r"[a-z]+", text.lower())
    return {*words, *(f"{a} {b}" for a, b in pairwise(words))}


def every_pair(texts: list[str], symbol: list[int], known: list[int], window: int) -> np.ndarray:
    sets, out = [features_of(text) for text in texts], np.full(len(texts), np.nan)
    for i, mine in enumerate(sets):
        alike = [
            len(mine & sets[j]) / len(mine | sets[j])
            for j in range(i)
            if symbol[j] == symbol[i] and known[i] - known[j] < window and sets[j]
        ]
        if mine:
            out[i] = 1 - max(alike, default=0.0)
    return out


def ask(texts: list[str], symbol: list[int], known: list[int], window: int) -> np.ndarray:
    return novelty(texts, np.array(symbol, dtype=np.intp), np.array(known, dtype=np.int64), window)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), max_size=25),
    seed=st.integers(0, 999),
)
def test_it_is_never_below_a_comparison_of_every_pair_and_0_for_every_repetition(texts: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    symbol, known = rng.integers(0, 2, size=len(texts)), np.sort(rng.integers(0, 30, size=len(texts)))
    exact = every_pair(texts, symbol.tolist(), known.tolist(), 10)
    found = ask(texts, symbol.tolist(), known.tolist(), 10)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(exact))
    assert (found >= exact - 1e-12)[~np.isnan(exact)].all()
    repeated = exact == 0
    np.testing.assert_array_equal(found[repeated], 0.0)


def test_among_many_that_are_alike_it_is_close_to_a_comparison_of_every_pair(rng: np.random.Generator) -> None:
    texts = [" ".join(rng.choice(WORDS, size=12).tolist()) + f" {'x' * (i % 40)}" for i in range(400)]
    exact = every_pair(texts, [0] * 400, list(range(400)), 50)
    found = ask(texts, [0] * 400, list(range(400)), 50)
    assert np.mean(found - exact) < 0.05
    assert np.mean(found > exact + 0.15) < 0.05


def test_words_in_another_order_are_partly_new() -> None:
    assert ask(["profit up", "up profit"], [0, 0], [0, 1], 10)[1] == pytest.approx(1 - 2 / 4)


def test_a_repetition_is_stale_only_within_the_window_and_for_the_same_symbol() -> None:
    text = "profit beats the loss"
    assert ask([text, text], [0, 0], [0, 9], 10).tolist() == [1.0, 0.0]
    assert ask([text, text], [0, 0], [0, 10], 10).tolist() == [1.0, 1.0]
    assert ask([text, text], [0, 1], [0, 1], 10).tolist() == [1.0, 1.0]


def test_of_two_known_at_once_the_second_repeats_the_first() -> None:
    assert ask(["profit up", "profit up"], [0, 0], [5, 5], 10).tolist() == [1.0, 0.0]


def test_what_is_read_later_changes_nothing() -> None:
    texts, later = ["profit up", "loss down", "profit down"], ["loss down", "profit up"]
    first = ask(texts, [0] * 3, [1, 2, 3], 10)
    np.testing.assert_array_equal(ask(texts + later, [0] * 5, [1, 2, 3, 3, 4], 10)[:3], first)


def test_a_text_without_words_has_none_and_is_no_news_for_others() -> None:
    found = ask(["", "URL ...", "profit"], [0, 0, 0], [0, 1, 2], 10)
    assert np.isnan(found[:2]).all()
    assert found[2] == 1.0


def test_no_texts_are_no_trouble() -> None:
    assert ask([], [], [], 10).shape == (0,)
    assert np.isnan(ask([""], [0], [0], 10)).all()
