"""Registers the state-space backbones."""

from mnpu import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_backbones():
    return {
        "mamba": "mnpu_models_ssm.mamba:Mamba",
        "mamba2": "mnpu_models_ssm.mamba2:Mamba2",
        "s4d": "mnpu_models_ssm.s4d:S4D",
    }
