"""A text as a few numbers: the projection of its words, or of a sentence model's vector, on fixed random directions.

Nothing is fitted, so no statistics of a later corpus enter: directions come from a seed, and each of them is about as
telling as the others (Achlioptas, 2003). A text has the same numbers whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from mnpu.errors import ConfigError, PluginError
from mnpu_data_sentiment.words import grams_of

__all__ = ["COMPONENTS", "component", "components", "hashed", "sentences"]

COMPONENTS, SEED = 32, 20240229
REMEMBERED = 1 << 17

Encoder = Callable[[Sequence[str]], np.ndarray]


def component(texts: Sequence[str], index: int, *, model: str = "") -> np.ndarray:
    """Component ``index`` of each text, float64 (N,); NaN for a text without words.

    ``model`` is the folder of a sentence model, empty for hashed words.
    """
    return components(texts, model=model)[:, index]


def components(texts: Sequence[str], *, model: str = "") -> np.ndarray:
    """All components of each text, float64 (N, COMPONENTS); NaN for a text without words."""
    return _encoder(model)(texts)


def hashed(texts: Sequence[str]) -> np.ndarray:
    """Projections of the words and pairs of words of each text, (N, COMPONENTS); NaN for a text without words.

    Each word and each pair stands for one direction with signs that are bits of its hash; the signs of a text's n
    words and pairs are added up and divided by the root of n.
    """
    grams = grams_of(texts)
    n = np.diff(grams.start)
    sums = np.empty((len(texts), COMPONENTS))
    for c in range(COMPONENTS):
        signs = ((grams.hash >> np.uint64(c)) & np.uint64(1)).astype(float) * 2 - 1
        sums[:, c] = np.bincount(grams.text, weights=signs, minlength=len(texts))
    with np.errstate(invalid="ignore"):
        return sums / np.sqrt(n)[:, None]


def sentences(model: str) -> Encoder:
    """An encoder by the static sentence model in a folder; needs the extra ``embeddings``, and no network.

    Raises
    ------
    ConfigError
        Where ``model`` is no folder; nothing is ever downloaded.
    PluginError
        Where the extra is not installed, or the folder holds no such model.
    """
    folder, where = Path(model), "sentiment.embedding"
    if not folder.is_dir():
        raise ConfigError(
            f"model is {model!r}, which is no folder",
            where=where,
            expected="the folder of a model2vec model that is already on this machine",
            next_step="Nothing is downloaded: save a model there, or leave model out to use hashed words.",
        )
    try:
        from model2vec import StaticModel
    except ImportError as error:
        raise PluginError(
            f"the model in {model!r} cannot be read without model2vec",
            where=where,
            expected="the extra that brings it",
            next_step='Run: pip install "mnpu-data-sentiment[embeddings]".',
        ) from error
    try:
        loaded = StaticModel.from_pretrained(str(folder.resolve()), force_download=False)
    except (OSError, ValueError, KeyError) as error:
        raise PluginError(
            f"the folder {model!r} cannot be read as a sentence model: {error}",
            where=where,
            expected="the files that StaticModel.save_pretrained of model2vec writes",
        ) from error
    return lambda texts: projected(loaded.encode(list(texts), use_multiprocessing=False))


def projected(vectors: np.ndarray) -> np.ndarray:
    """Vectors (N, D) of any length, scaled to length 1, on COMPONENTS random directions; NaN where a vector is 0.

    One dimension after the other: a product of matrices may round a row differently when others stand beside it.
    """
    vectors = np.asarray(vectors, dtype=float)
    directions = np.random.default_rng(SEED).normal(size=(vectors.shape[1], COMPONENTS))
    sums, squares = np.zeros((len(vectors), COMPONENTS)), np.zeros(len(vectors))
    for values, direction in zip(vectors.T, directions, strict=True):
        sums += values[:, None] * direction
        squares += values**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(squares[:, None] > 0, sums / np.sqrt(squares)[:, None], np.nan)


class Remembered:
    """An encoder that computes each text once: a recipe asks for several components of the same texts."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._place, self._held = encoder, dict[str, int](), np.empty((0, COMPONENTS))

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Components of each text, (N, COMPONENTS)."""
        new = [text for text in dict.fromkeys(texts) if text not in self._place]
        if len(self._place) + len(new) > REMEMBERED:
            self._place, self._held, new = {}, self._held[:0], list(dict.fromkeys(texts))
        if new:
            self._place.update(zip(new, range(len(self._place), len(self._place) + len(new)), strict=True))
            self._held = np.concatenate([self._held, self._encoder(new)])
        return self._held[np.fromiter(map(self._place.__getitem__, texts), dtype=np.intp, count=len(texts))]


@lru_cache(maxsize=4)
def _encoder(model: str) -> Remembered:
    return Remembered(sentences(model) if model else hashed)
