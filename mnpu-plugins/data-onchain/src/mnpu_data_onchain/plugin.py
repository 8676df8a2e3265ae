"""Registers the on-chain and the funding feature sources."""

from mnpu import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_feature_sources():
    return {"onchain": "mnpu_data_onchain.onchain", "funding": "mnpu_data_onchain.funding"}
