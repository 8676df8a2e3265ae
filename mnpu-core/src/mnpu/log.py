"""The log of a run: one JSON object a line, with the run's id on every line.

structlog is imported when a log is opened, because the import alone costs a tenth of a second.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["to_file"]


@contextmanager
def to_file(path: str | Path, **bound: Any) -> Iterator[Any]:
    """Append to a log file for as long as the block runs.

    Parameters
    ----------
    path : path
    **bound
        Facts that every line carries, such as ``run_id``.

    Yields
    ------
    log : structlog.BoundLogger
        ``log.info("fold_fitted", fold=3, loss=0.1)``. What the standard ``mnpu`` loggers say (from INFO on) goes into
        the file too. The first line says ``started``, the last one ``finished``, or ``failed`` with the type and
        message of the exception that left the block, which is raised on.
    """
    import structlog

    with open(path, "a", encoding="utf-8", buffering=1) as file:
        log = structlog.wrap_logger(
            structlog.WriteLogger(file),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
                _finite,
                structlog.processors.JSONRenderer(default=_plain, ensure_ascii=False, allow_nan=False),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            **bound,
        ).bind()
        handler, ours = _Forward(log), logging.getLogger("mnpu")
        level = ours.level
        ours.addHandler(handler)
        ours.setLevel(logging.INFO)
        log.info("started")
        try:
            yield log
            log.info("finished")
        except BaseException as error:
            log.error("failed", error=type(error).__name__, message=str(error))
            raise
        finally:
            ours.removeHandler(handler)
            ours.setLevel(level)


class _Forward(logging.Handler):
    """Carries records of the standard library's loggers over."""

    def __init__(self, log: Any) -> None:
        super().__init__(logging.DEBUG)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, Any] = {"logger": record.name, **getattr(record, "facts", {})}
        if record.exc_info:
            facts["exception"] = logging.Formatter().formatException(record.exc_info)
        self._log.log(record.levelno, record.getMessage(), **facts)


def _finite(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """JSON has no infinity and no NaN: such a number is text, ``"inf"``."""
    return {name: _as_text(value) for name, value in event.items()}


def _as_text(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, Mapping):
        return {name: _as_text(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_text(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """Instants and paths as JSON."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
