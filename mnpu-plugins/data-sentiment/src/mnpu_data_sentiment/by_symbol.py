"""Features of the texts about each symbol: their tone, how much they agree, how many and how new they are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mnpu import View, feature
from mnpu_data_sentiment.posts import (
    DAY,
    Days,
    Posts,
    WholeDays,
    abnormal_count,
    audible_for,
    days_of,
    ratio,
    scores_of,
    source_of,
    texts_of,
)

__all__ = [
    "attention_share",
    "disagreement",
    "mention_volume",
    "negative_share",
    "novel_tone",
    "novelty",
    "relative_tone",
    "tone",
    "tone_momentum",
    "tone_surprise",
]

#: Smallest standard deviation of a single text's tone: below it, texts that agree by chance would make any news huge.
LEAST_SPREAD = 0.1


@feature(series=scores_of, kind="news", unit="tone", tags=("sentiment", "tone"), memory=audible_for())
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
    posts = Posts.scored(view, series, model, half_life)
    return posts.mean(posts.tones, half_life)


@feature(
    series=scores_of,
    kind="news",
    unit="tone",
    tags=("sentiment", "tone", "momentum"),
    memory=audible_for("fast", "slow"),
)
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
    posts = Posts.scored(view, series, model, max(fast, slow))
    return posts.mean(posts.tones, fast) - posts.mean(posts.tones, slow)


@feature(
    series=scores_of,
    kind="news",
    unit="standard deviations",
    tags=("sentiment", "tone", "surprise"),
    memory=days_of("days", 1),
)
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
    posts = Posts(view, view.texts(source_of(series, model)), model)
    n, total, squares = posts.moments(posts.tones, DAY)
    n_all, total_all, squares_all = posts.moments(posts.tones, (days + 1) * DAY)
    before = n_all - n
    usual = ratio(total_all - total, before, least=5.0)
    variance = ratio(squares_all - squares, before, least=5.0) - usual**2
    spread = np.maximum(np.sqrt(np.maximum(variance, 0.0)), LEAST_SPREAD)
    return (ratio(total, n, least=1.0) - usual) / spread * np.sqrt(n)


@feature(series=scores_of, kind="news", unit="tone", tags=("sentiment", "tone"), memory=audible_for())
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
    posts = Posts.scored(view, series, model, half_life)
    everywhere = posts.of_market.mean(posts.tones, half_life)
    return posts.mean(posts.tones, half_life) - everywhere[:, None]


@feature(series=scores_of, kind="news", unit="tone", tags=("sentiment", "disagreement"), memory=audible_for())
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
    posts = Posts.scored(view, series, model, half_life)
    return posts.spread(posts.tones, half_life)


@feature(series=scores_of, kind="news", unit="fraction", tags=("sentiment", "tone"), memory=audible_for())
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
    posts = Posts.scored(view, series, model, half_life)
    return posts.mean((posts.tones < 0).astype(float), half_life)


@feature(
    series=texts_of, kind="news", unit="standard deviations", tags=("sentiment", "attention"), memory=days_of("days", 1)
)
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
    return abnormal_count(Posts(view, view.texts(series)), days)


@feature(series=texts_of, kind="news", unit="fraction", tags=("sentiment", "attention"), memory=days_of("window"))
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
    posts, span = Posts(view, view.texts(series)), pd.Timedelta(days=window)
    return ratio(posts.count(span), posts.of_market.count(span)[:, None], least=1.0)


@feature(
    series=texts_of, kind="news", unit="fraction", tags=("sentiment", "novelty"), memory=audible_for(before="window")
)
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
    posts = Posts.audible(view, series, half_life, before=window)
    return posts.mean(posts.novelty(window), half_life)


@feature(
    series=texts_of,
    kind="news",
    unit="tone",
    tags=("sentiment", "tone", "novelty"),
    memory=audible_for(before="window"),
)
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
    posts = Posts.audible(view, series, half_life, before=window)
    return posts.mean(posts.tones, half_life, weight=posts.novelty(window))
