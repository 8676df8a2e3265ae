"""Registers the state-space backbones."""

from mnpu import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_backbones():
    return {"s4d": "mnpu_models_ssm.s4d:S4D"}
