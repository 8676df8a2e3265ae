"""Laws of engines: where tasks run changes nothing about what comes out.

Functions, tasks and results are such that they can be pickled, so that an engine of other processes is held to the
same laws.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mnpu.errors import DataError
from mnpu.testing import LawOutcome
from mnpu.testing.general import asked

__all__ = ["laws"]

Factory = Callable[..., Any]

WORKERS = (1, 2, 5)
TASKS = 7


def laws(factory: Factory) -> list[LawOutcome]:
    """The laws of one engine.

    Parameters
    ----------
    factory : callable
        Builds it from its defaults and ``workers``.
    """

    def broken(check: Callable[[Any], str]) -> str:
        return next(filter(None, (check(factory(workers=n)) for n in WORKERS)), "")

    return [asked(law, partial(broken, check)) for law, check in _LAWS.items()]


def _later_is_quicker(shared: Any, task: int) -> int:
    time.sleep(0.002 * (TASKS - task))
    return task


def _sums(shared: np.ndarray, task: int) -> float:
    return float(np.sum(np.sin(shared * (task + 1))))


def _fails_from_three(shared: Any, task: int) -> int:
    if task >= 3:
        raise DataError(f"task {task}", where="a feature", expected="none that fails", next_step="Repair it.")
    return task


def _writes(shared: Sequence[np.ndarray], task: int) -> None:
    shared[0][task] = task + 1


def _writes_a_file(shared: str, task: int) -> None:
    Path(shared, str(task)).write_text(str(task + 1))


def _ordered(engine: Any) -> str:
    found = list(engine.map(_later_is_quicker, range(TASKS)))
    return "" if found == list(range(TASKS)) else f"results came as {found}"


def _none_and_one(engine: Any) -> str:
    found = [list(engine.map(_later_is_quicker, range(n))) for n in (0, 1)]
    return "" if found == [[], [0]] else f"none and one task gave {found}"


def _equal(engine: Any) -> str:
    shared = np.random.default_rng(0).normal(size=50_000)
    expected = [_sums(shared, task) for task in range(TASKS)]
    found = list(engine.map(_sums, range(TASKS), shared=shared))
    return "" if found == expected else "results differ from those of a plain loop"


def _first_error(engine: Any) -> str:
    found = []
    try:
        for result in engine.map(_fails_from_three, range(TASKS)):
            found.append(result)
    except DataError as error:
        if found != [0, 1, 2]:
            return f"{found} came before the error of the fourth task"
        same = str(error) == str(_error_of(3))
        return "" if same else f"the error became {error}"
    return "an error of a task is lost"


def _error_of(task: int) -> DataError:
    try:
        _fails_from_three(None, task)
    except DataError as error:
        return error
    raise AssertionError(task)


def _again(engine: Any) -> str:
    _first_error(engine)
    return _ordered(engine) and "after an error " + _ordered(engine)


def _memory(engine: Any) -> str:
    if not isinstance(getattr(engine, "shares_memory", None), bool):
        return "it does not say in shares_memory whether tasks may write into shared arrays"
    if engine.shares_memory:
        written = np.zeros(TASKS, dtype=int)
        list(engine.map(_writes, range(TASKS), shared=(written,)))
        found = written.tolist()
    else:
        with tempfile.TemporaryDirectory() as folder:
            list(engine.map(_writes_a_file, range(TASKS), shared=folder))
            found = [int(Path(folder, str(task)).read_text()) for task in range(TASKS)]
    return "" if found == list(range(1, TASKS + 1)) else f"tasks wrote 1 to {TASKS}, and {found} is there"


_LAWS: Mapping[str, Callable[[Any], str]] = {
    "gives results in the order of the tasks": _ordered,
    "runs no task, and one": _none_and_one,
    "gives what a plain loop gives, whatever the workers": _equal,
    "ends with the first error as it was raised": _first_error,
    "works on after an error": _again,
    "what tasks write is there for whoever asked": _memory,
}
