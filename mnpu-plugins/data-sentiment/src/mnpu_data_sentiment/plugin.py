"""Registers the sentiment feature source."""

from mnpu import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_feature_sources():
    return {"sentiment": "mnpu_data_sentiment.sentiment"}
