"""Registers the macro feature source."""

from mnpu import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_feature_sources():
    return {"macro": "mnpu_data_macro.macro"}
