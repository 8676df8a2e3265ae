"""Registers the guardrails."""

from mnpu import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_guardrails():
    return {"exposure": "mnpu_guardrails.exposure:Exposure"}
