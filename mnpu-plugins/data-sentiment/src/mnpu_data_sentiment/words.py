"""Words of a text, and their hashes: what every number of this package starts from.

All are pure functions of one text. Words are remembered for texts that are asked for again: posts are repeated, and a
recipe asks for several columns of the same texts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import chain

import numpy as np

__all__ = ["ENDS", "ODD", "Grams", "grams_of", "mixed", "words_of"]

#: A word with its hyphens and apostrophes, a number, or a mark that ends a clause.
TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,]\d+)*|[.;:!?]+(?=\s|$)")
#: What stands for an address or a name in posts, and the sign of a post passed on: they say nothing about the content.
MASKED = re.compile(r"https?://\S+|@\w+|\b(?:URL|AT_USER)\b|^\s*rt\b", re.IGNORECASE)
ENDS = frozenset(".;:!?")

SEED = b"mnpu-data-sentiment"
ODD, SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


@lru_cache(maxsize=1 << 18)
def words_of(text: str) -> tuple[str, ...]:
    """Lower-case words, numbers and clause marks of a text, in order; addresses and user names are left out."""
    return tuple(TOKEN.findall(MASKED.sub(" ", text).lower().replace("’", "'")))


@dataclass(frozen=True)
class Grams:
    """The words and the pairs of neighbouring words of N texts, M in all, as numbers.

    Attributes
    ----------
    text : int (M,)
        The text that each stands in, not decreasing.
    hash : uint64 (M,)
        The same in every process and for every corpus.
    start : int (N + 1,)
        Where each text begins; a text without words is empty.
    """

    text: np.ndarray
    hash: np.ndarray
    start: np.ndarray


def grams_of(texts: Sequence[str]) -> Grams:
    """Hashes of the words and the pairs of words of each text; clause marks are left out."""
    words = [[word for word in words_of(text) if word[0] not in ENDS] for text in texts]
    code = {word: _hash(word) for word in set(chain.from_iterable(words))}
    n_words = np.fromiter(map(len, words), dtype=np.intp, count=len(words))
    single = np.fromiter((code[word] for word in chain.from_iterable(words)), dtype=np.uint64, count=n_words.sum())
    owner = np.repeat(np.arange(len(words)), n_words)
    inside = np.flatnonzero(owner[1:] == owner[:-1])
    pairs = mixed(single[inside] * ODD + single[inside + 1])
    text = np.concatenate([owner, owner[inside]])
    order = np.argsort(text, kind="stable")
    start = np.concatenate([[0], np.cumsum(n_words + np.maximum(n_words - 1, 0))])
    return Grams(text[order], np.concatenate([single, pairs])[order], start)


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers (uint64) whose every bit depends on every bit of those given: the end of SplitMix64."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * SECOND
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _hash(word: str) -> int:
    """64 bits; not Python's own hash, which differs from process to process."""
    return int.from_bytes(blake2b(word.encode(), digest_size=8, key=SEED).digest(), "little")
