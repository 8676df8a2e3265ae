"""Real posts and headlines, read where they are: that nothing is seen early, and what the numbers look like."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mnpu.features.compute import evaluate
from mnpu.features.leaks import choose_cuts, future_perturbation
from mnpu.types import Panel, SideTable
from mnpu_data_sentiment import sentiment
from tests.data_sentiment.world import SHARED, decisions, planned, table, values

TWEETS = SHARED / "news" / "stock_tweets_2014_2015.parquet"
HEADLINES = SHARED / "news" / "cnbc_headlines_2017_2020.parquet"
MARKET = [name for name in sentiment.__all__ if name.startswith("market")]

needs_tweets = pytest.mark.skipif(not TWEETS.exists(), reason=f"{TWEETS} is not here")
needs_headlines = pytest.mark.skipif(not HEADLINES.exists(), reason=f"{HEADLINES} is not here")


def closes(start: str, end: str, symbols: tuple[str, ...]) -> Panel:
    days = pd.bdate_range(start, end) + pd.Timedelta(hours=16)
    return decisions(days.tz_localize("America/New_York").tz_convert("UTC"), symbols)


def texts_of(frame: pd.DataFrame, series: str) -> SideTable:
    return table(frame["available_at"], frame["symbol"].fillna("").tolist(), frame["text"].tolist(), series=series)


@pytest.fixture(scope="module")
def tweeted() -> tuple[Panel, SideTable]:
    frame = pd.read_parquet(TWEETS)
    symbols = ("AAPL", "AMZN", "XOM", "REX", "NONE")
    some = frame[frame["symbol"].isin(symbols) & (frame["available_at"] < pd.Timestamp("2014-11-05", tz="UTC"))]
    return closes("2014-02-03", "2014-10-31", symbols), texts_of(some, "tweet")


@needs_tweets
def test_tweets_of_the_future_change_nothing(tweeted, rng: np.random.Generator) -> None:
    panel, side = tweeted
    columns = [column for name in sentiment.__all__ for column in planned(name, series="tweet")]
    base = evaluate(columns, panel, side)
    for cut in (20, 113):
        known = side.known_by(panel.times[cut])
        assert len(known) < len(side)
        np.testing.assert_array_equal(evaluate(columns, panel, known)[: cut + 1], base[: cut + 1])
    cuts = choose_cuts(panel, side, count=2, rng=rng)
    assert future_perturbation(columns, panel, side, cuts=cuts, rng=rng) == []


@needs_tweets
def test_tweets_give_sensible_numbers(tweeted) -> None:
    panel, side = tweeted
    told = {name: values(name, panel, side, series="tweet") for name in sentiment.__all__}
    assert np.isfinite(told["tone"][:, 0]).all()
    assert np.isfinite(told["tone"][:, 1]).mean() > 0.9
    assert np.nanmean(told["tone"]) > 0  # people write about what they like
    assert 0 < np.nanmin(told["novelty"]) < np.nanmedian(told["novelty"]) < 1
    assert 0 <= np.nanmin(told["disagreement"]) < np.nanmax(told["disagreement"]) <= 1
    assert np.isfinite(told["attention_share"]).all()
    assert (told["attention_share"][:, 4] == 0).all()
    assert np.isnan(told["tone"][:, 4]).all()


@needs_tweets
def test_the_talk_about_apple_is_loud_when_it_reports(tweeted) -> None:
    panel, side = tweeted
    volume = pd.Series(values("mention_volume", panel, side, series="tweet")[:, 0], index=panel.times)
    reported = ["2014-04-24", "2014-07-23", "2014-10-21"]  # the close after each report, which came after the bell
    assert volume[[str(day)[:10] in reported for day in volume.index]].min() > volume.quantile(0.8)


@needs_headlines
def test_headlines_without_a_symbol_are_about_the_market_only(rng: np.random.Generator) -> None:
    side = texts_of(pd.read_parquet(HEADLINES), "cnbc")
    panel = closes("2018-03-01", "2020-07-17", ("A", "B"))
    assert np.isnan(values("tone", panel, side, series="cnbc")).all()
    columns = [column for name in MARKET for column in planned(name, series="cnbc")]
    base = evaluate(columns, panel, side)
    assert np.isfinite(base).mean() > 0.9
    for cut in (50, 300, 550):
        known = side.known_by(panel.times[cut])
        np.testing.assert_array_equal(evaluate(columns, panel, known)[: cut + 1], base[: cut + 1])


@needs_headlines
def test_headlines_of_march_2020_were_worse_than_those_of_2019() -> None:
    side = texts_of(pd.read_parquet(HEADLINES), "cnbc")
    panel = closes("2019-01-02", "2020-07-17", ("A",))
    tone = pd.Series(values("market_tone", panel, side, series="cnbc", half_life=10)[:, 0], index=panel.times)
    assert tone["2020-03-15":"2020-04-05"].mean() < tone["2019"].mean()
