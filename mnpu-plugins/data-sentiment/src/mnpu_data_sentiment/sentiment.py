"""Features of texts, by symbol and for the whole market: tone, attention, novelty, embeddings.

A text counts from the moment it could be read, and what is computed of it uses that text and earlier ones only. Each
feature reads one series of kind ``news``, by default ``news``; a recipe names its own.

The tone of a text is what this package's lexicon says, or, where ``model`` is named, the score that is stored of it in
``news_scores``: it counts from the moment at which text and score could both be read, and the first score of a text
stays. A recipe says ``{use: sentiment.tone, series: tweet, model: finbert}``.

A mean over texts gives each the weight ``w = 0.5 ** (age / half_life)`` at the decision. It is NaN where all known
texts together weigh less than 1/32: a single text is forgotten after five half-lives, and a source that has stopped
gives no values. Texts about the market, and about symbols that the panel lacks, count in the features whose name
begins with ``market`` only, and there together with all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from mnpu import View, feature
from mnpu.features.texts import Texts
from mnpu_data_sentiment import embeddings
from mnpu_data_sentiment.novelty import novelty as novelty_of
from mnpu_data_sentiment.tone import tones

__all__ = [
    "attention_share",
    "disagreement",
    "embedding",
    "market_disagreement",
    "market_embedding",
    "market_mention_volume",
    "market_tone",
    "market_tone_momentum",
    "mention_volume",
    "negative_share",
    "novel_tone",
    "novelty",
    "relative_tone",
    "tone",
    "tone_momentum",
    "tone_surprise",
]

#: Known texts that weigh less than this in all say nothing any more.
LEAST_WEIGHT = 2.0**-5
#: Half-lives after which a text is left out: even a million of them weigh nothing beside the least weight then.
FORGOTTEN = 60
#: A spread of tones needs as much as this many equal weights.
LEAST_TEXTS = 1.5
#: Smallest standard deviation of a single text's tone: below it, texts that agree by chance would make any news huge.
LEAST_SPREAD = 0.1
#: Rounding: a smaller variance is none.
TINY = 1e-12

DAY = pd.Timedelta(days=1)
EVER = pd.Timedelta(days=36_500)
WEEKEND = 5

Days = Annotated[float, Field(gt=0, le=365)]
WholeDays = Annotated[int, Field(ge=2, le=365)]
Component = Annotated[int, Field(ge=0, lt=embeddings.COMPONENTS)]


def _series(params: Mapping[str, Any]) -> tuple[str, ...]:
    return (params["series"],)


def _scored(params: Mapping[str, Any]) -> tuple[str, ...]:
    return (_source(params["series"], params["model"]),)


def _source(series: str, model: str) -> str:
    """The texts of a source, or the scores that a model gave them."""
    return f"{series}/{model}" if model else series


@feature(series=_scored, kind="news", unit="tone", tags=("sentiment", "tone"))
def tone(view: View, *, series: str = "news", model: str = "", half_life: Days = 3.0) -> np.ndarray:
    """Mean tone of the texts about a symbol, the newest weighing most.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``, or their stored scores.
    series : str, default="news"
        Source of the texts, as it is stored.
    model : str, default=""
        Whose stored scores are the tones, each known when it was computed; by default the lexicon's.
    half_life : float, default=3
        Days after which a text weighs half.

    Returns
    -------
    tone : ndarray (T, A)
        ``sum(w * s) / sum(w)`` with s the tone of a text, from -1 (bad) to 1 (good).

    Notes
    -----
    Known when published. NaN where texts weigh less than 1/32 in all. Source: Tetlock (2007) for the idea; the lexicon
    is this package's own.
    """
    texts = _audible(view, _source(series, model), half_life)
    return _mean(view, texts, _tones(texts, model), half_life)


@feature(series=_scored, kind="news", unit="tone", tags=("sentiment", "tone", "momentum"))
def tone_momentum(
    view: View, *, series: str = "news", model: str = "", fast: Days = 1.0, slow: Days = 10.0
) -> np.ndarray:
    """Tone of the last days less that of the last weeks, by symbol.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``, or their stored scores.
    series : str, default="news"
        Source of the texts, as it is stored.
    model : str, default=""
        Whose stored scores are the tones, each known when it was computed; by default the lexicon's.
    fast, slow : float, default=1 and 10
        Half-lives in days.

    Returns
    -------
    momentum : ndarray (T, A)
        ``tone(half_life=fast) - tone(half_life=slow)``, from -2 to 2.

    Notes
    -----
    Known when published. NaN where either tone is: five fast half-lives after the last text.
    Source: the moving averages of Brock, Lakonishok & LeBaron (1992), on tone.
    """
    texts = _audible(view, _source(series, model), max(fast, slow))
    scores = _tones(texts, model)
    return _mean(view, texts, scores, fast) - _mean(view, texts, scores, slow)


@feature(series=_scored, kind="news", unit="standard deviations", tags=("sentiment", "tone", "surprise"))
def tone_surprise(view: View, *, series: str = "news", model: str = "", days: WholeDays = 90) -> np.ndarray:
    """Mean tone of the last 24 hours against the texts of the days before, in standard errors, by symbol.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``, or their stored scores.
    series : str, default="news"
        Source of the texts, as it is stored.
    model : str, default=""
        Whose stored scores are the tones, each known when it was computed; by default the lexicon's.
    days : int, default=90
        Length of the past that is compared with, which ends where the last 24 hours begin.

    Returns
    -------
    surprise : ndarray (T, A)
        ``(m - M) / (max(S, 0.1) / sqrt(n))``: m the mean tone of the n texts of the last 24 hours, M and S mean and
        standard deviation (ddof=0) of those of the ``days`` days before.

    Notes
    -----
    Known when published. NaN without a text in the last 24 hours and with fewer than 5 texts in the days before.
    Source: Student's t of a mean, against the past as if it were known exactly.
    """
    texts = view.texts(_source(series, model))
    scores = _tones(texts, model)
    n, total, squares = _moments(view, texts, scores, DAY)
    n_all, total_all, squares_all = _moments(view, texts, scores, (days + 1) * DAY)
    before = n_all - n
    usual = _ratio(total_all - total, before, least=5.0)
    variance = _ratio(squares_all - squares, before, least=5.0) - usual**2
    spread = np.maximum(np.sqrt(np.maximum(variance, 0.0)), LEAST_SPREAD)
    return (_ratio(total, n, least=1.0) - usual) / spread * np.sqrt(n)


@feature(series=_scored, kind="news", unit="tone", tags=("sentiment", "tone"))
def relative_tone(view: View, *, series: str = "news", model: str = "", half_life: Days = 3.0) -> np.ndarray:
    """Tone of the texts about a symbol less that of all texts.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``, or their stored scores.
    series : str, default="news"
        Source of the texts, as it is stored.
    model : str, default=""
        Whose stored scores are the tones, each known when it was computed; by default the lexicon's.
    half_life : float, default=3
        Days after which a text weighs half.

    Returns
    -------
    tone : ndarray (T, A)
        ``tone - market_tone``, from -2 to 2.

    Notes
    -----
    Known when published. NaN where texts about the symbol weigh less than 1/32 in all.
    Source: Tetlock (2007) for the tone of the whole market.
    """
    texts = _audible(view, _source(series, model), half_life)
    scores = _tones(texts, model)
    market = _mean(view, texts, scores, half_life, market=True)
    return _mean(view, texts, scores, half_life) - market[:, None]


@feature(series=_scored, kind="news", unit="tone", tags=("sentiment", "disagreement"))
def disagreement(view: View, *, series: str = "news", model: str = "", half_life: Days = 3.0) -> np.ndarray:
    """Standard deviation of the tones of the texts about a symbol, the newest weighing most.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``, or their stored scores.
    series : str, default="news"
        Source of the texts, as it is stored.
    model : str, default=""
        Whose stored scores are the tones, each known when it was computed; by default the lexicon's.
    half_life : float, default=3
        Days after which a text weighs half.

    Returns
    -------
    disagreement : ndarray (T, A)
        ``sqrt(sum(w * s**2) / sum(w) - (sum(w * s) / sum(w))**2)`` with s the tone of a text; 0 where all are of one
        tone, at most 1.

    Notes
    -----
    Known when published. NaN where texts weigh less than 1/32 in all, and where a single text outweighs the others:
    ``sum(w)**2 / sum(w**2) < 1.5``. Source: Antweiler & Frank (2004), disagreement among messages.
    """
    texts = _audible(view, _source(series, model), half_life)
    return _spread(view, texts, _tones(texts, model), half_life)


@feature(series=_scored, kind="news", unit="fraction", tags=("sentiment", "tone"))
def negative_share(view: View, *, series: str = "news", model: str = "", half_life: Days = 3.0) -> np.ndarray:
    """Share of the texts about a symbol whose tone is negative, the newest weighing most.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``, or their stored scores.
    series : str, default="news"
        Source of the texts, as it is stored.
    model : str, default=""
        Whose stored scores are the tones, each known when it was computed; by default the lexicon's.
    half_life : float, default=3
        Days after which a text weighs half.

    Returns
    -------
    share : ndarray (T, A)
        ``sum(w * (s < 0)) / sum(w)`` with s the tone of a text, from 0 to 1.

    Notes
    -----
    Known when published. NaN where texts weigh less than 1/32 in all. Source: Tetlock, Saar-Tsechansky & Macskassy
    (2008), who find negative words to say more than positive ones.
    """
    texts = _audible(view, _source(series, model), half_life)
    return _mean(view, texts, (_tones(texts, model) < 0).astype(float), half_life)


@feature(series=_series, kind="news", unit="standard deviations", tags=("sentiment", "attention"))
def mention_volume(view: View, *, series: str = "news", days: WholeDays = 28) -> np.ndarray:
    """Number of texts about a symbol in the last 24 hours against the days before.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``.
    series : str, default="news"
        Source of the texts, as it is stored.
    days : int, default=28
        Windows of 24 hours that are compared with, each ending at the time of day of the decision.

    Returns
    -------
    volume : ndarray (T, A)
        ``(c - m) / sqrt(max(v, m, 1))``: c the count of the last 24 hours, m and v mean and variance (ddof=0) of the
        counts before. At least Poisson's variance m, and 1, so that the first mention of a quiet symbol is no wonder.

    Notes
    -----
    Known when published. Week-ends: people write less then, so the last 24 hours are compared with windows of their
    own kind, Saturday or Sunday with such, other days with others; a window is of the day (UTC) of its middle. What
    is written at a week-end counts in the windows of a market that decides then, and in none of one that does not.
    NaN before the source is ``days`` + 1 days old, where it was silent about all symbols through all windows, before
    the first text about the symbol, and without two windows of the kind.
    Source: Barber & Odean (2008) for abnormal attention; the spread is this package's own.
    """
    return _abnormal(view, view.texts(series), days)


@feature(series=_series, kind="news", unit="fraction", tags=("sentiment", "attention"))
def attention_share(view: View, *, series: str = "news", window: Days = 7.0) -> np.ndarray:
    """Share of all texts of the last days that are about a symbol.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``.
    series : str, default="news"
        Source of the texts, as it is stored.
    window : float, default=7
        Days.

    Returns
    -------
    share : ndarray (T, A)
        Texts about the symbol over all texts, known after ``t - window`` and at or before t; from 0 to 1.

    Notes
    -----
    Known when published. 0 where others are written about; NaN where nobody is.
    Source: Da, Engelberg & Gao (2011) for attention.
    """
    texts, span = view.texts(series), pd.Timedelta(days=window)
    count = np.ones(len(texts))
    total = view.within(texts, count, span, market=True)
    return _ratio(view.within(texts, count, span), total[:, None], least=1.0)


@feature(series=_series, kind="news", unit="fraction", tags=("sentiment", "novelty"))
def novelty(view: View, *, series: str = "news", half_life: Days = 3.0, window: Days = 7.0) -> np.ndarray:
    """How new the texts about a symbol are: a post that is passed on repeats words that were known.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``.
    series : str, default="news"
        Source of the texts, as it is stored.
    half_life : float, default=3
        Days after which a text weighs half.
    window : float, default=7
        Days that a text is compared with.

    Returns
    -------
    novelty : ndarray (T, A)
        ``sum(w * v) / sum(w)``, from 0 to 1: v is 1 less the largest similarity of a text with an earlier one about the
        same symbol that became known in the ``window`` before it. Similarity is the number of words and of pairs of
        neighbouring words in both, over that in either; near-best where many are alike (MinHash), 1 for a repetition.

    Notes
    -----
    Known when published. Of texts that became known at once, each is compared with those before it in the order of the
    source. NaN where texts weigh less than 1/32 in all. Source: Tetlock (2011) on stale news; Broder (1997).
    """
    texts = _audible(view, series, half_life, before=window)
    return _mean(view, texts, _novelty(texts, window), half_life)


@feature(series=_series, kind="news", unit="tone", tags=("sentiment", "tone", "novelty"))
def novel_tone(view: View, *, series: str = "news", half_life: Days = 3.0, window: Days = 7.0) -> np.ndarray:
    """Mean tone of the texts about a symbol, each counting by how new it is.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``.
    series : str, default="news"
        Source of the texts, as it is stored.
    half_life : float, default=3
        Days after which a text weighs half.
    window : float, default=7
        Days that a text is compared with.

    Returns
    -------
    tone : ndarray (T, A)
        ``sum(w * v * s) / sum(w * v)`` with s the tone and v the novelty of a text; from -1 to 1.

    Notes
    -----
    Known when published. NaN where ``sum(w * v)`` is below 1/32. See ``novelty``.
    Source: Tetlock (2011) on stale news.
    """
    texts = _audible(view, series, half_life, before=window)
    new, life = _novelty(texts, window), pd.Timedelta(days=half_life)
    weight = view.decayed(texts, new, life)
    return _ratio(view.decayed(texts, new * tones(texts.text), life), weight, least=LEAST_WEIGHT)


@feature(series=_series, kind="news", unit="projection", tags=("sentiment", "embedding"))
def embedding(
    view: View, *, series: str = "news", component: Component = 0, half_life: Days = 3.0, model: str = ""
) -> np.ndarray:
    """What the texts about a symbol are about: one component of their mean embedding, the newest weighing most.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``.
    series : str, default="news"
        Source of the texts, as it is stored.
    component : int, default=0
        One of 32 fixed random directions; give a list for a column each.
    half_life : float, default=3
        Days after which a text weighs half.
    model : str, default=""
        Folder of a static sentence model (the extra ``embeddings``); without one, hashed words and pairs of words.

    Returns
    -------
    embedding : ndarray (T, A)
        ``sum(w * e) / sum(w)``, e the projection of a text: for n hashed words and pairs, the sum of a sign for each,
        over ``sqrt(n)``; for a model, its vector at length 1 times standard normal numbers.

    Notes
    -----
    Known when published. NaN where texts with words weigh less than 1/32 in all. Directions come from a seed, so no
    later corpus enters; a model, however, knows what it was trained on: choose one that is older than the decisions.
    Source: Achlioptas (2003), random projections with signs.
    """
    texts = _audible(view, series, half_life)
    return _mean(view, texts, embeddings.component(texts.text.tolist(), component, model=model), half_life)


@feature(series=_scored, kind="news", scope="market", unit="tone", tags=("sentiment", "tone", "market"))
def market_tone(view: View, *, series: str = "news", model: str = "", half_life: Days = 3.0) -> np.ndarray:
    """Mean tone of all texts, the newest weighing most.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``, or their stored scores.
    series : str, default="news"
        Source of the texts, as it is stored.
    model : str, default=""
        Whose stored scores are the tones, each known when it was computed; by default the lexicon's.
    half_life : float, default=3
        Days after which a text weighs half.

    Returns
    -------
    tone : ndarray (T,)
        ``sum(w * s) / sum(w)`` with s the tone of a text, from -1 to 1.

    Notes
    -----
    Known when published. NaN where texts weigh less than 1/32 in all. Source: Tetlock (2007).
    """
    texts = _audible(view, _source(series, model), half_life)
    return _mean(view, texts, _tones(texts, model), half_life, market=True)


@feature(series=_scored, kind="news", scope="market", unit="tone", tags=("sentiment", "tone", "momentum", "market"))
def market_tone_momentum(
    view: View, *, series: str = "news", model: str = "", fast: Days = 1.0, slow: Days = 10.0
) -> np.ndarray:
    """Tone of all texts of the last days less that of the last weeks.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``, or their stored scores.
    series : str, default="news"
        Source of the texts, as it is stored.
    model : str, default=""
        Whose stored scores are the tones, each known when it was computed; by default the lexicon's.
    fast, slow : float, default=1 and 10
        Half-lives in days.

    Returns
    -------
    momentum : ndarray (T,)
        ``market_tone(half_life=fast) - market_tone(half_life=slow)``, from -2 to 2.

    Notes
    -----
    Known when published. NaN where either tone is.
    Source: the moving averages of Brock, Lakonishok & LeBaron (1992), on tone.
    """
    texts = _audible(view, _source(series, model), max(fast, slow))
    scores = _tones(texts, model)
    return _mean(view, texts, scores, fast, market=True) - _mean(view, texts, scores, slow, market=True)


@feature(series=_scored, kind="news", scope="market", unit="tone", tags=("sentiment", "disagreement", "market"))
def market_disagreement(view: View, *, series: str = "news", model: str = "", half_life: Days = 3.0) -> np.ndarray:
    """Standard deviation of the tones of all texts, the newest weighing most.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``, or their stored scores.
    series : str, default="news"
        Source of the texts, as it is stored.
    model : str, default=""
        Whose stored scores are the tones, each known when it was computed; by default the lexicon's.
    half_life : float, default=3
        Days after which a text weighs half.

    Returns
    -------
    disagreement : ndarray (T,)
        As ``disagreement``, over all texts.

    Notes
    -----
    Known when published. NaN as for ``disagreement``. Source: Antweiler & Frank (2004).
    """
    texts = _audible(view, _source(series, model), half_life)
    return _spread(view, texts, _tones(texts, model), half_life, market=True)


@feature(
    series=_series, kind="news", scope="market", unit="standard deviations", tags=("sentiment", "attention", "market")
)
def market_mention_volume(view: View, *, series: str = "news", days: WholeDays = 28) -> np.ndarray:
    """Number of all texts in the last 24 hours against the days before.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``.
    series : str, default="news"
        Source of the texts, as it is stored.
    days : int, default=28
        Windows of 24 hours that are compared with.

    Returns
    -------
    volume : ndarray (T,)
        As ``mention_volume``, over all texts.

    Notes
    -----
    Known when published. NaN and week-ends as for ``mention_volume``.
    Source: Barber & Odean (2008) for abnormal attention.
    """
    return _abnormal(view, view.texts(series), days, market=True)


@feature(series=_series, kind="news", scope="market", unit="projection", tags=("sentiment", "embedding", "market"))
def market_embedding(
    view: View, *, series: str = "news", component: Component = 0, half_life: Days = 3.0, model: str = ""
) -> np.ndarray:
    """What all texts are about: one component of their mean embedding, the newest weighing most.

    Parameters
    ----------
    view : View
        Uses the texts of ``series``.
    series : str, default="news"
        Source of the texts, as it is stored.
    component : int, default=0
        One of 32 fixed random directions.
    half_life : float, default=3
        Days after which a text weighs half.
    model : str, default=""
        As for ``embedding``.

    Returns
    -------
    embedding : ndarray (T,)
        As ``embedding``, over all texts.

    Notes
    -----
    Known when published. NaN where texts with words weigh less than 1/32 in all. See ``embedding``.
    Source: Achlioptas (2003), random projections with signs.
    """
    texts = _audible(view, series, half_life)
    values = embeddings.component(texts.text.tolist(), component, model=model)
    return _mean(view, texts, values, half_life, market=True)


def _tones(texts: Texts, model: str) -> np.ndarray:
    """Tone of each text: what is stored, or what the lexicon says."""
    return texts.value if model else tones(texts.text)


def _audible(view: View, series: str, half_life: float, *, before: float = 0.0) -> Texts:
    """The texts that weigh anything at a decision of the view, with those of ``before`` days before them.

    What is older than sixty half-lives could not change a mean to the ninth digit, and a step of an agent should not
    take longer for a long past.
    """
    texts = view.texts(series)
    if not view.shape[0]:
        return texts
    first = view.times[0] - pd.Timedelta(days=FORGOTTEN * half_life + before)
    start, stop = (texts.knowledge_time.searchsorted(time, side="right") for time in (first, view.times[-1]))
    some = slice(start, stop)
    return replace(
        texts,
        knowledge_time=texts.knowledge_time[some],
        symbol=texts.symbol[some],
        text=texts.text[some],
        value=texts.value[some],
    )


def _novelty(texts: Texts, window: float) -> np.ndarray:
    known = texts.knowledge_time.as_unit("ns").asi8
    return _novelty_of(tuple(texts.text), texts.symbol.tobytes(), known.tobytes(), pd.Timedelta(days=window).value)


@lru_cache(maxsize=2)
def _novelty_of(texts: tuple[str, ...], symbol: bytes, known: bytes, window: int) -> np.ndarray:
    """Computed once for two columns of the same texts."""
    values = novelty_of(texts, np.frombuffer(symbol, np.intp), np.frombuffer(known, np.int64), window)
    values.flags.writeable = False
    return values


def _ratio(value: np.ndarray, weight: np.ndarray, *, least: float) -> np.ndarray:
    """``value / weight``, NaN where the weight is below ``least``."""
    enough = weight >= least
    return np.where(enough, value / np.where(enough, weight, 1.0), np.nan)


def _mean(view: View, texts: Texts, values: np.ndarray, half_life: float, *, market: bool = False) -> np.ndarray:
    """Decayed mean of the values that are not NaN."""
    life = pd.Timedelta(days=half_life)
    weight = view.decayed(texts, np.isfinite(values).astype(float), life, market=market)
    return _ratio(view.decayed(texts, values, life, market=market), weight, least=LEAST_WEIGHT)


def _spread(view: View, texts: Texts, values: np.ndarray, half_life: float, *, market: bool = False) -> np.ndarray:
    """Decayed standard deviation, NaN where one value outweighs the others."""
    counts, life = np.ones(len(texts)), pd.Timedelta(days=half_life)
    weight = view.decayed(texts, counts, life, market=market)
    squared_weights = view.decayed(texts, counts, life / 2, market=market)  # w ** 2 has half the half-life
    variance = (
        _mean(view, texts, values**2, half_life, market=market)
        - _mean(view, texts, values, half_life, market=market) ** 2
    )
    several = weight**2 >= LEAST_TEXTS * squared_weights
    variance = np.where(variance < TINY, 0.0, variance)  # NaN stays NaN
    return np.where(several, np.sqrt(variance), np.nan)


def _moments(
    view: View, texts: Texts, values: np.ndarray, window: pd.Timedelta
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number, sum and sum of squares of the values within a window, each (T, A)."""
    n, total, squares = (view.within(texts, x, window) for x in (np.ones(len(texts)), values, values**2))
    return n, total, squares


def _abnormal(view: View, texts: Texts, days: int, *, market: bool = False) -> np.ndarray:
    """The count of the last 24 hours in standard deviations of those before that are of its kind."""
    ones = np.ones(len(texts))
    until = np.stack([view.within(texts, ones, d * DAY, market=market) for d in range(1, days + 2)])
    counts = np.diff(until, axis=0, prepend=0.0)  # (days + 1, T) or (days + 1, T, A), the newest first
    middles = [view.times - d * DAY - DAY / 2 for d in range(days + 1)]
    weekend = np.stack([np.asarray(middle.day_of_week) >= WEEKEND for middle in middles])  # (days + 1, T)
    alike = (weekend[1:] == weekend[0]).astype(float)  # (days, T)
    n = alike.sum(axis=0)
    if not market:
        alike, n = alike[..., None], n[:, None]
    mean = _ratio((alike * counts[1:]).sum(axis=0), n, least=2.0)
    variance = _ratio((alike * (counts[1:] - mean) ** 2).sum(axis=0), n, least=2.0)
    usual = (counts[0] - mean) / np.sqrt(np.maximum(np.maximum(variance, mean), 1.0))
    return np.where(_heard(view, texts, days, market=market), usual, np.nan)


def _heard(view: View, texts: Texts, days: int, *, market: bool) -> np.ndarray:
    """Whether the source was there for all windows, said anything in them, and ever named the symbol."""
    ones, past = np.ones(len(texts)), (days + 1) * DAY
    recent = view.within(texts, ones, past, market=True)
    old_enough = np.zeros(view.shape[0], bool)
    if len(texts):
        old_enough = np.asarray(texts.knowledge_time[0] <= view.times - past)
    source = old_enough & (recent > 0)
    return source if market else source[:, None] & (view.within(texts, ones, EVER) > 0)
