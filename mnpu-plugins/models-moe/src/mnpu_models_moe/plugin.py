"""Registers the mixture-of-experts backbones."""

from mnpu import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_backbones():
    return {"moe_transformer": "mnpu_models_moe.moe_transformer:MoeTransformer"}
