"""The tone of a text: rules by example, then labelled sentences that the lexicon was not written for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mnpu_data_sentiment.tone import lexicon, parse, tone, tones
from tests.data_sentiment.world import SHARED

PHRASES = SHARED / "oracles" / "financial_phrasebank.parquet"


@pytest.mark.parametrize(
    "text",
    [
        "Operating profit rose to EUR 13.1 mn",
        "Shares jump after earnings beat estimates",
        "The net loss narrowed to EUR 2 mn",
        "Costs fell by a tenth",
        "The company reduced its debt",
        "Profit before taxes rose",
        "Operating profit was EUR 0.4 mn, up from a loss of EUR 0.8 mn",
        "The firm avoided bankruptcy",
        "$AAPL upgraded, great quarter!",
    ],
)
def test_good_news_sounds_good(text: str) -> None:
    assert tone(text) > 0


@pytest.mark.parametrize(
    "text",
    [
        "Operating profit fell to EUR 8.7 mn",
        "The net loss widened",
        "Costs rose sharply",
        "Profit before taxes fell",
        "Sales did not improve",
        "CEO resigns amid fraud probe",
        "The company swung to a loss from a profit",
        "rt @trader: this stock is not good http://t.co/great",
    ],
)
def test_bad_news_sounds_bad(text: str) -> None:
    assert tone(text) < 0


@pytest.mark.parametrize("text", ["", " ", "The annual general meeting is on 3 May.", "URL AT_USER", "...", "😀 µ 12"])
def test_what_says_nothing_is_neutral(text: str) -> None:
    assert tone(text) == 0


def test_the_formula_by_hand() -> None:
    assert tone("good") == 1 / 2
    assert tone("good great") == 2 / 3
    assert tone("good bad") == 0
    assert tone("very good") == 1.5 / 2.5
    assert tone("not good") == -0.75 / 1.75
    assert tone("good. but not good") == pytest.approx((1 - 0.75) / (1 + 0.75 + 1))


def test_a_negation_ends_with_its_clause() -> None:
    assert tone("not today. good") == tone("good")


def test_case_and_quotes_do_not_matter() -> None:
    assert tone("It ISN’T Good") == tone("it isn't good") < 0


def test_no_word_is_both_good_and_bad() -> None:
    read = (Path(__file__).parents[2] / "mnpu-plugins/data-sentiment/src/mnpu_data_sentiment/lexicon.txt").read_text()
    body = [line for line in read.splitlines() if not line.startswith("#")]
    good, bad = parse_class(body, "positive"), parse_class(body, "negative")
    assert not good & bad
    assert not parse_class(body, "up") & parse_class(body, "down")
    assert not (good | bad) & set(lexicon().direction)
    assert parse(body) == lexicon()


def parse_class(lines: list[str], name: str) -> set[str]:
    start = lines.index(f"[{name}]") + 1
    stop = next((i for i in range(start, len(lines)) if lines[i].startswith("[")), len(lines))
    return set(" ".join(lines[start:stop]).split())


@pytest.mark.skipif(not PHRASES.exists(), reason=f"{PHRASES} is not here")
def test_labelled_sentences_are_told_apart_better_than_by_the_usual_guess() -> None:
    """Sentences of uneven rank; those of even rank were read while the lexicon was written.

    Held well below what was measured (0.95 and 0.91), and above VADER 3.3.2 on the same sentences (0.74 and 0.76) and
    the larger class (0.69).
    """
    phrases = pd.read_parquet(PHRASES).drop_duplicates("text").iloc[1::2]
    phrases = phrases[phrases["label"] != "neutral"]
    good, scores = (phrases["label"] == "positive").to_numpy(), tones(phrases["text"])
    rank = pd.Series(scores).rank().to_numpy()
    n = good.sum()
    auc = (rank[good].sum() - n * (n + 1) / 2) / (n * (~good).sum())
    accuracy = np.mean(np.where(scores == 0, True, scores > 0) == good)  # silent: the larger class
    assert auc > 0.90
    assert accuracy > max(good.mean(), 0.85)
