"""The seam: every hook that a plugin may implement, on one page.

A component hook returns ``{name: "package.module:Attribute"}``. Nothing heavy is imported until a pipeline uses
the component; listing reads docstrings and signatures from source. No hook is called per step, batch or request.
"""

from __future__ import annotations

import pluggy

__all__ = ["API", "hookimpl", "hookspec"]

API = 1  #: Major version of the contract below; a plugin states the one it was written for as ``MNPU_API``.

hookspec = pluggy.HookspecMarker("mnpu")
hookimpl = pluggy.HookimplMarker("mnpu")


@hookspec
def mnpu_feature_sources():
    """Modules of ``@feature`` functions: ``(T, A)`` arrays from a point-in-time view."""


@hookspec
def mnpu_validators():
    """``check(table, context) -> findings``; an error finding stops the run."""


@hookspec
def mnpu_backbones():
    """``nn.Module``, ``(B, L, F) -> (B, L, D)``; says whether it is causal and whether it can stream."""


@hookspec
def mnpu_heads():
    """``nn.Module`` with its own proper loss and ``forecast``; ``(B, D)`` to a distribution."""


@hookspec
def mnpu_forecasters():
    """Whole models: ``fit(training, validation)``, ``forecast(windows)`` to quantiles; see `mnpu.forecasters`."""


@hookspec
def mnpu_instruments():
    """What watches a fit while it runs, ``Moment -> readings``, and changes nothing."""


@hookspec
def mnpu_loggers():
    """Where the course of a fit is written, ``log(values, epoch, step)``; it decides nothing."""


@hookspec
def mnpu_targets():
    """Labels with the interval that each one spans."""


@hookspec
def mnpu_policies():
    """``(Forecast, PolicyContext) -> Positions``."""


@hookspec
def mnpu_guardrails():
    """``limit(proposed, book) -> allowed``; never adds risk."""


@hookspec
def mnpu_rewards():
    """``Step -> (N,)``; used by reinforcement learning."""


@hookspec
def mnpu_costs():
    """Cost and fill models."""


@hookspec
def mnpu_metrics():
    """``Result -> Metric``."""


@hookspec
def mnpu_report_sections():
    """``Result -> Section``."""


@hookspec
def mnpu_renderers():
    """Report formats: ``render(title, sections) -> str``; the name is the file suffix."""


@hookspec
def mnpu_importers():
    """Raw rows of a dataset since a cursor."""


@hookspec
def mnpu_engines():
    """Where tasks run."""


@hookspec
def mnpu_commands():
    """A click command, loaded when it is run."""


@hookspec
def mnpu_run_started(run):
    """Observe: a run begins."""


@hookspec
def mnpu_run_finished(run, outcome):
    """Observe: a run ended; ``outcome`` is ``finished`` or ``failed``."""


@hookspec
def mnpu_guardrail_tripped(violation):
    """Observe: a guardrail changed a book."""
