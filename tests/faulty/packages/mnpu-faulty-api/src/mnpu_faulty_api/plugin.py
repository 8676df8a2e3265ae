"""Was written for an API that does not exist yet."""

from mnpu import hookimpl

MNPU_API = 99


@hookimpl
def mnpu_heads():
    return {"oracle": "mnpu_faulty_api.oracle:Oracle"}
