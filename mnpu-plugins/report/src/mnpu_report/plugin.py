"""Registers the HTML renderer and the sections it adds."""

from mnpu import hookimpl

MNPU_API = 1


@hookimpl
def mnpu_renderers():
    return {"html": "mnpu_report.html:render"}


@hookimpl
def mnpu_report_sections():
    return {"calendar_returns": "mnpu_report.calendar_returns:calendar_returns"}
