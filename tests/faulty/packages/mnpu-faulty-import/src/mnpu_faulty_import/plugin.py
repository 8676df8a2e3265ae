"""Raises when it is imported, as a plugin does whose native library is missing."""

from mnpu import hookimpl

MNPU_API = 1

raise ImportError("libquant.so.3: cannot open shared object file")


@hookimpl
def mnpu_backbones():
    return {"turbo": "mnpu_faulty_import.turbo:Turbo"}
