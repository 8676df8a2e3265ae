"""Laws of loggers: one takes all that it may be told of a fit, lets go of it at the end, and leaves the fit alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from mnpu import training
from mnpu.testing import LawOutcome
from mnpu.testing.fits import small_fit
from mnpu.testing.general import asked
from mnpu.training.loggers import LoggedFit, Logger

__all__ = ["laws"]

Factory = Callable[..., Logger]
Check = Callable[[Factory, Path], str]

_STEP = {"loss_train": 1.25, "lr": 1e-3, "gradient_norm": 0.5}
_EPOCH = {**_STEP, "loss_validation": 1.5, "telemetry.router.0.load": 0.25}
#: What a fit may say, with the epochs that had ended and its steps.
_ROWS: tuple[tuple[Mapping[str, float], int, int], ...] = (
    (_STEP, 0, 2),
    (_EPOCH, 1, 4),
    ({**_STEP, "gradient_norm": float("inf")}, 1, 6),  # as a step in half precision that is left out
    ({**_EPOCH, "telemetry.router.0.load": float("nan")}, 2, 8),
)
_SETTINGS = {"epochs": 2, "lr": 1e-3, "optimizer": "adamw", "ema": None, "pretrain": {"use": "masked", "epochs": 1}}


def laws(factory: Factory, target: type[Logger]) -> list[LawOutcome]:
    """The laws of one logger.

    Parameters
    ----------
    factory : callable
        Builds it from its defaults and from what it is given, anew each time.
    target : type
        Its class, whose ``OFFLINE`` says with what it reaches no network.
    """
    outcomes = []
    for law, check in _LAWS.items():
        with TemporaryDirectory() as folder:
            own = partial(factory, **_offline(target, folder))
            outcomes.append(asked(law, partial(check, own, Path(folder))))
    return outcomes


def _offline(target: type[Logger], folder: str) -> dict[str, Any]:
    given = getattr(target, "OFFLINE", {})
    return {key: value.replace("{folder}", folder) if isinstance(value, str) else value for key, value in given.items()}


def _is_a_logger(factory: Factory, folder: Path) -> str:
    logger = factory()
    missing = [name for name in ("open", "log", "close") if not callable(getattr(logger, name, None))]
    if missing:
        return f"it has no {missing[0]}(); subclass mnpu.training.loggers.Logger"
    every = getattr(logger, "every_steps", None)
    whole = isinstance(every, int) and not isinstance(every, bool) and every >= 0
    return "" if whole else f"every_steps is {every!r}, expected 0 or a number of steps"


def _takes_every_row(factory: Factory, folder: Path) -> str:
    for number in range(2):  # the folds of a run, one after the other, each with a logger of its own
        logger = factory()
        logger.open(_fit(folder, fold=number))
        for values, epoch, step in _ROWS:
            told = dict(values)
            logger.log(told, epoch=epoch, step=step)
            if told.keys() != values.keys() or any(told[n] is not values[n] for n in values):
                return "it changed the numbers that it was told; others are told them too"
        logger.close(failed=False)
    return ""


def _goes_on(factory: Factory, folder: Path) -> str:
    """Stopped without a word after the last row, and resumed from a checkpoint before it."""
    stopped = factory()
    stopped.open(_fit(folder))
    for values, epoch, step in _ROWS:
        stopped.log(values, epoch=epoch, step=step)
    stopped.close(failed=True)
    again = factory()
    again.open(_fit(folder, step=4))
    for values, epoch, step in _ROWS[2:]:
        again.log(values, epoch=epoch, step=step)
    again.close(failed=False)
    return ""


def _closes_after_an_error(factory: Factory, folder: Path) -> str:
    for number, rows in enumerate((_ROWS[:0], _ROWS[:1])):
        logger = factory()
        logger.open(_fit(folder, fold=number))
        for values, epoch, step in rows:
            logger.log(values, epoch=epoch, step=step)
        logger.close(failed=True)
    return ""


def _changes_no_bit(factory: Factory, folder: Path) -> str:
    alone = small_fit([])
    logged = small_fit(training.logging_to({"asked": factory()}, _fit(folder)))
    if alone.history != logged.history:
        return "the losses of a fit differ with it and without it"
    mine, other = alone.network.state_dict(), logged.network.state_dict()
    changed = [name for name in mine if not torch.equal(mine[name], other[name])]
    return f"it changed the weights {', '.join(changed)}" if changed else ""


def _fit(folder: Path, *, fold: int = 0, step: int = 0) -> LoggedFit:
    return LoggedFit("asked-001", "asked", fold, folder / "logs" / f"fold-{fold:02d}", _SETTINGS, step)


_LAWS: dict[str, Check] = {
    "it opens, logs and closes": _is_a_logger,
    "takes every row of a fit, in order": _takes_every_row,
    "goes on with a fit that was stopped": _goes_on,
    "closes after an error": _closes_after_an_error,
    "changes no bit of a training": _changes_no_bit,
}
