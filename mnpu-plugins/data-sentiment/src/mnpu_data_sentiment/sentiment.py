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

# Features are listed in the order in which they stand here.
# isort: off
from mnpu_data_sentiment.by_symbol import (
    tone,
    tone_momentum,
    tone_surprise,
    relative_tone,
    disagreement,
    negative_share,
    mention_volume,
    attention_share,
    novelty,
    novel_tone,
)
from mnpu_data_sentiment.contents import embedding
from mnpu_data_sentiment.market import market_tone, market_tone_momentum, market_disagreement, market_mention_volume
from mnpu_data_sentiment.contents import market_embedding
# isort: on

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
