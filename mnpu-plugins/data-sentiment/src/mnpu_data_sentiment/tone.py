"""The tone of a text, from a lexicon of finance and a few rules: fast, explainable, and the same for ever.

Words are good or bad by themselves (``fraud``) or by what goes where (``profit rose``, ``costs rose``). A negation
among the three words before turns a word, an intensifier just before it strengthens it. With P the sum of what is
good and N of what is bad, the tone is ``(P - N) / (P + N + 1)``: within -1 and 1, 0 where nothing is said, and closer
to 0 where little is said.

The lexicon is fixed and knows no label and no price. It was nevertheless written later than the texts that it scores:
that a word is a warning was not learnt from them, but was known when it was written down.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

import numpy as np

from mnpu_data_sentiment.words import ENDS, words_of

__all__ = ["Lexicon", "lexicon", "tone", "tones"]

NEGATION_REACH, SUBJECT_REACH = 3, 8
TURNED = -0.75  # "not good" is not quite as bad as "bad"
STRONGER, WEAKER = 1.5, 0.5
#: "Profit before taxes" is about the profit.
TAXED = frozenset(("before_tax", "before_taxes", "after_tax", "after_taxes", "pre_tax"))


@dataclass(frozen=True)
class Lexicon:
    """Classes of words, each a set; a phrase of two words is written with ``_`` between them."""

    tone: dict[str, float]
    direction: dict[str, float]
    burden: dict[str, float]
    negation: frozenset[str]
    origin: frozenset[str]
    degree: dict[str, float]
    breaks: frozenset[str]


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """The lexicon of this package."""
    return parse(files("mnpu_data_sentiment").joinpath("lexicon.txt").read_text(encoding="utf-8").splitlines())


def parse(lines: Iterable[str]) -> Lexicon:
    """Read a lexicon: a line is a comment (``#``), a class in brackets, or forms of one word."""
    classes: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith("["):
            current = classes.setdefault(line.strip("[] \n"), [])
        elif not line.startswith("#"):
            current += line.split()
    negative = classes["loss"] + classes["negative"]
    return Lexicon(
        tone={**dict.fromkeys(classes["positive"], 1.0), **dict.fromkeys(negative, -1.0)},
        direction={**dict.fromkeys(classes["up"], 1.0), **dict.fromkeys(classes["down"], -1.0)},
        burden={**dict.fromkeys(classes["burden"], 0.0), **dict.fromkeys(classes["loss"], -1.0)},
        negation=frozenset(classes["not"]),
        origin=frozenset(classes["from"]),
        degree={**dict.fromkeys(classes["more"], STRONGER), **dict.fromkeys(classes["less"], WEAKER)},
        breaks=frozenset(classes["break"]),
    )


@lru_cache(maxsize=1 << 18)
def tone(text: str) -> float:
    """Tone of one text, from -1 to 1; 0 where no word of the lexicon is in it."""
    return _tone(words_of(text), lexicon())


def tones(texts: Iterable[str]) -> np.ndarray:
    """Tone of each text, float64 (N,)."""
    return np.fromiter(map(tone, texts), dtype=float)


def _tone(words: Sequence[str], lex: Lexicon) -> float:
    good = bad = 0.0
    for value in _said(words, lex):
        if value > 0:
            good += value
        else:
            bad -= value
    return (good - bad) / (good + bad + 1.0)


def _said(words: Sequence[str], lex: Lexicon) -> list[float]:
    """What each word or phrase of the text that has a tone says."""
    said: list[float] = []
    start = 0  # of the clause
    burden, burden_said = -SUBJECT_REACH - 1, -1  # where the last one was, and what its mention said
    for i, word in enumerate(words):
        if word in lex.breaks or word[0] in ENDS:
            start, burden, burden_said = i + 1, -SUBJECT_REACH - 1, -1
            continue
        pair = f"{words[i - 1]}_{word}" if i > start else ""
        if word in lex.burden and pair not in TAXED:
            came_from = any(before in lex.origin for before in words[max(start, i - NEGATION_REACH) : i])
            burden, burden_said = (burden, burden_said) if came_from else (i, len(said))
            said.append(lex.burden[word] * (TURNED if came_from else _context(words, i, start, lex)))
            continue
        move = lex.direction.get(pair) or lex.direction.get(word)
        if move:
            if i - burden <= SUBJECT_REACH:
                move = -move
                said[burden_said] = 0.0  # "the loss narrowed" is no mention of a loss any more
            elif _burden_follows(words, i, lex):
                move = -move
            said.append(move * _context(words, i, start, lex))
            continue
        value = lex.tone.get(pair) or lex.tone.get(word)
        if value:
            said.append(value * _context(words, i, start, lex))
    return said


def _burden_follows(words: Sequence[str], i: int, lex: Lexicon) -> bool:
    """Whether the next words are what goes up or down: "reduced its costs"."""
    for before, word in pairwise(words[i : i + 4]):
        if word in lex.origin:
            return False
        if word in lex.burden and f"{before}_{word}" not in TAXED:
            return True
    return False


def _context(words: Sequence[str], i: int, start: int, lex: Lexicon) -> float:
    """What negation and degree before the word make of it, within its clause."""
    factor = lex.degree.get(words[i - 1], 1.0) if i > start else 1.0
    turned = any(word in lex.negation for word in words[max(start, i - NEGATION_REACH) : i])
    return factor * (TURNED if turned else 1.0)
