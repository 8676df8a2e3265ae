"""Implements a hook that does not exist, and one that does, which must be rolled back."""

from mnpu import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_policies():
    return {"half": "mnpu_faulty_hook.half:Half"}


@hookimpl
def mnpu_guardrail():
    return {"wall": "mnpu_faulty_hook.wall:Wall"}
