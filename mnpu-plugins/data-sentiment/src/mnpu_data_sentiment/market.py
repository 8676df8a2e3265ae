"""Features of all texts together, those about the market and about other symbols included."""

from __future__ import annotations

import numpy as np

from mnpu import View, feature
from mnpu_data_sentiment.posts import Days, Posts, WholeDays, abnormal_count, audible_for, days_of, scores_of, texts_of

__all__ = [
    "market_disagreement",
    "market_mention_volume",
    "market_tone",
    "market_tone_momentum",
]


@feature(
    series=scores_of,
    kind="news",
    scope="market",
    unit="tone",
    tags=("sentiment", "tone", "market"),
    memory=audible_for(),
)
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
    posts = Posts.scored(view, series, model, half_life).of_market
    return posts.mean(posts.tones, half_life)


@feature(
    series=scores_of,
    kind="news",
    scope="market",
    unit="tone",
    tags=("sentiment", "tone", "momentum", "market"),
    memory=audible_for("fast", "slow"),
)
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
    posts = Posts.scored(view, series, model, max(fast, slow)).of_market
    return posts.mean(posts.tones, fast) - posts.mean(posts.tones, slow)


@feature(
    series=scores_of,
    kind="news",
    scope="market",
    unit="tone",
    tags=("sentiment", "disagreement", "market"),
    memory=audible_for(),
)
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
    posts = Posts.scored(view, series, model, half_life).of_market
    return posts.spread(posts.tones, half_life)


@feature(
    series=texts_of,
    kind="news",
    scope="market",
    unit="standard deviations",
    tags=("sentiment", "attention", "market"),
    memory=days_of("days", 1),
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
    return abnormal_count(Posts(view, view.texts(series)).of_market, days)
