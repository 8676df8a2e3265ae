"""The texts of a series as features add them up: for each symbol or over all of them, the newest weighing most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from mnpu import View
from mnpu.features.texts import FORGOTTEN_HALF_LIVES, Texts
from mnpu_data_sentiment import embeddings
from mnpu_data_sentiment.novelty import novelty
from mnpu_data_sentiment.tone import tones

__all__ = [
    "DAY",
    "Days",
    "Posts",
    "WholeDays",
    "abnormal_count",
    "audible_for",
    "days_of",
    "ratio",
    "scores_of",
    "source_of",
    "texts_of",
]

#: Known texts that weigh less than this in all say nothing any more.
LEAST_WEIGHT = 2.0**-5
#: A spread of tones needs as much as this many equal weights.
LEAST_TEXTS = 1.5
#: Rounding: a smaller variance is none.
TINY = 1e-12

DAY = pd.Timedelta(days=1)
EVER = pd.Timedelta(days=36_500)
WEEKEND = 5

Days = Annotated[float, Field(gt=0, le=365)]
WholeDays = Annotated[int, Field(ge=2, le=365)]


def texts_of(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The series of a feature that reads words."""
    return (params["series"],)


def scores_of(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The series of a feature that reads tones."""
    return (source_of(params["series"], params["model"]),)


def audible_for(*half_lives: str, before: str = "") -> Callable[[Mapping[str, Any]], pd.Timedelta]:
    """The span of :meth:`Posts.audible` with these parameters, for ``@feature(memory=...)``."""

    def span(params: Mapping[str, Any]) -> pd.Timedelta:
        longest = max(params[name] for name in half_lives or ("half_life",))
        return pd.Timedelta(days=FORGOTTEN_HALF_LIVES * longest + (params[before] if before else 0.0))

    return span


def days_of(parameter: str, more: int = 0) -> Callable[[Mapping[str, Any]], pd.Timedelta]:
    """As many days as a parameter says and ``more``, for ``@feature(memory=...)``."""
    return lambda params: pd.Timedelta(days=params[parameter] + more)


def source_of(series: str, model: str) -> str:
    """The texts of a source, or the scores that a model gave them."""
    return f"{series}/{model}" if model else series


@dataclass(frozen=True)
class Posts:
    """Texts and the decisions that they are added up at: sums have shape (T, A), or (T,) where ``market``.

    Values are one number for each text, (N,). ``model`` names who scored the texts, where that is stored.
    """

    view: View
    texts: Texts
    model: str = ""
    market: bool = False

    @classmethod
    def audible(cls, view: View, series: str, half_life: float, *, before: float = 0.0) -> Posts:
        """The texts that weigh anything at a decision of the view, with those of ``before`` days before them.

        What is older than fifty half-lives could not change a mean to the ninth digit, and a step of an agent should
        not take longer for a long past.
        """
        texts = view.texts(series)
        if not view.shape[0]:
            return cls(view, texts)
        first = view.times[0] - pd.Timedelta(days=FORGOTTEN_HALF_LIVES * half_life + before)
        return cls(view, texts.between(first, view.times[-1]))

    @classmethod
    def scored(cls, view: View, series: str, model: str, half_life: float) -> Posts:
        """The audible texts of a source, or the scores that a model gave them."""
        return replace(cls.audible(view, source_of(series, model), half_life), model=model)

    @property
    def of_market(self) -> Posts:
        """The same texts, added up over all of them."""
        return replace(self, market=True)

    @property
    def tones(self) -> np.ndarray:
        """Tone of each text: what is stored, or what the lexicon says."""
        return self.texts.value if self.model else self.texts.each(tones)

    def component(self, index: int, model: str) -> np.ndarray:
        """Component ``index`` of the embedding of each text."""
        return self.texts.each(_embedded(model))[:, index]

    def novelty(self, window: float) -> np.ndarray:
        """How new each text is against those of ``window`` days before it, about the same symbol."""
        texts = self.texts
        known = texts.knowledge_time.as_unit("ns").asi8
        span = pd.Timedelta(days=window).value
        return _novelty_of(tuple(texts.text), texts.symbol.tobytes(), known.tobytes(), span)

    def count(self, window: pd.Timedelta) -> np.ndarray:
        """Number of texts within a window."""
        return self._within(np.ones(len(self.texts)), window)

    def moments(self, values: np.ndarray, window: pd.Timedelta) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Number, sum and sum of squares of the values within a window."""
        return self.count(window), self._within(values, window), self._within(values**2, window)

    def mean(self, values: np.ndarray, half_life: float, *, weight: np.ndarray | None = None) -> np.ndarray:
        """Decayed mean of the values, each counting ``weight`` times: by default once, and not at all where NaN."""
        weight = np.isfinite(values).astype(float) if weight is None else weight
        total = self._decayed(weight, half_life)
        return ratio(self._decayed(weight * values, half_life), total, least=LEAST_WEIGHT)

    def spread(self, values: np.ndarray, half_life: float) -> np.ndarray:
        """Decayed standard deviation, NaN where one value outweighs the others."""
        counts = np.ones(len(self.texts))
        weight = self._decayed(counts, half_life)
        squared_weights = self._decayed(counts, half_life / 2)  # w ** 2 has half the half-life
        variance = self.mean(values**2, half_life) - self.mean(values, half_life) ** 2
        several = weight**2 >= LEAST_TEXTS * squared_weights
        variance = np.where(variance < TINY, 0.0, variance)  # NaN stays NaN
        return np.where(several, np.sqrt(variance), np.nan)

    def _decayed(self, values: np.ndarray, half_life: float) -> np.ndarray:
        return self.view.decayed(self.texts, values, pd.Timedelta(days=half_life), market=self.market)

    def _within(self, values: np.ndarray, window: pd.Timedelta) -> np.ndarray:
        return self.view.within(self.texts, values, window, market=self.market)


def ratio(value: np.ndarray, weight: np.ndarray, *, least: float) -> np.ndarray:
    """``value / weight``, NaN where the weight is below ``least``."""
    enough = weight >= least
    return np.where(enough, value / np.where(enough, weight, 1.0), np.nan)


def abnormal_count(posts: Posts, days: int) -> np.ndarray:
    """The count of the last 24 hours in standard deviations of those before that are of its kind."""
    times = posts.view.times
    until = np.stack([posts.count(d * DAY) for d in range(1, days + 2)])
    counts = np.diff(until, axis=0, prepend=0.0)  # (days + 1, T) or (days + 1, T, A), the newest first
    middles = [times - d * DAY - DAY / 2 for d in range(days + 1)]
    weekend = np.stack([np.asarray(middle.day_of_week) >= WEEKEND for middle in middles])  # (days + 1, T)
    alike = (weekend[1:] == weekend[0]).astype(float)  # (days, T)
    n = alike.sum(axis=0)
    if not posts.market:
        alike, n = alike[..., None], n[:, None]
    mean = ratio((alike * counts[1:]).sum(axis=0), n, least=2.0)
    variance = ratio((alike * (counts[1:] - mean) ** 2).sum(axis=0), n, least=2.0)
    usual = (counts[0] - mean) / np.sqrt(np.maximum(np.maximum(variance, mean), 1.0))
    return np.where(_heard(posts, (days + 1) * DAY), usual, np.nan)


def _heard(posts: Posts, past: pd.Timedelta) -> np.ndarray:
    """Whether the source was there for all of the past, said anything in it, and ever named the symbol."""
    recent = posts.of_market.count(past)
    old_enough = np.zeros(posts.view.shape[0], bool)
    if len(posts.texts):
        old_enough = np.asarray(posts.texts.knowledge_time[0] <= posts.view.times - past)
    source = old_enough & (recent > 0)
    return source if posts.market else source[:, None] & (posts.count(EVER) > 0)


@lru_cache(maxsize=4)
def _embedded(model: str) -> Callable[[Sequence[str]], np.ndarray]:
    """The embeddings by one model as one function, for all of their components."""
    return partial(embeddings.components, model=model)


@lru_cache(maxsize=2)
def _novelty_of(texts: tuple[str, ...], symbol: bytes, known: bytes, window: int) -> np.ndarray:
    """Computed once for two columns of the same texts."""
    values = novelty(texts, np.frombuffer(symbol, np.intp), np.frombuffer(known, np.int64), window)
    values.flags.writeable = False
    return values
