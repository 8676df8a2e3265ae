"""What texts are about, as components of their embeddings: by symbol, and of all texts."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from mnpu import View, feature
from mnpu_data_sentiment import embeddings
from mnpu_data_sentiment.posts import Days, Posts, audible_for, texts_of

__all__ = ["embedding", "market_embedding"]

Component = Annotated[int, Field(ge=0, lt=embeddings.COMPONENTS)]


@feature(series=texts_of, kind="news", unit="projection", tags=("sentiment", "embedding"), memory=audible_for())
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
    posts = Posts.audible(view, series, half_life)
    return posts.mean(posts.component(component, model), half_life)


@feature(
    series=texts_of,
    kind="news",
    scope="market",
    unit="projection",
    tags=("sentiment", "embedding", "market"),
    memory=audible_for(),
)
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
    posts = Posts.audible(view, series, half_life).of_market
    return posts.mean(posts.component(component, model), half_life)
