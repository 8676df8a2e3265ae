"""Claims the name of one of core's backbones, and the name of one of core's commands."""

from mnpu import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_backbones():
    return {"linear": "mnpu_faulty_name.linear:Linear"}


@hookimpl
def mnpu_commands():
    return {"plugins": "mnpu_faulty_name.plugins:command"}
