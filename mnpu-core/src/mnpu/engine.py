"""Where tasks run: in threads of this process, the engine that core brings.

An engine is told what to do and on what, not how: ``map`` yields one result for each task, in the order of the tasks,
and the results are the same for any number of workers, because tasks do not depend on one another. What all tasks
read comes as ``shared``, once. A task writes big arrays where ``shared`` says: into memory if the engine's workers
share it, else into a file, so that nothing big travels through the engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from threading import Event, Lock, Thread
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import Field

__all__ = ["Engine", "LocalEngine"]

Result = TypeVar("Result")

#: Seconds that an interrupted engine waits for the tasks at work, which nothing can stop.
PATIENCE = 1.0


class Engine(Protocol):
    """Runs independent tasks.

    Attributes
    ----------
    shares_memory : bool
        Whether a task may write into an array of ``shared`` and the caller sees it. If not, ``function``, ``shared``,
        tasks and results are pickled.
    """

    shares_memory: bool

    def map(
        self, function: Callable[[Any, Any], Result], tasks: Sequence[Any], *, shared: Any = None
    ) -> Iterator[Result]:
        """``function(shared, task)`` for every task, in their order; the first error ends it."""
        ...


class LocalEngine:
    """Threads of this process: right where the work is compiled code or array operations, which hold no lock.

    Parameters
    ----------
    workers : int, default=1
        Threads; with one, tasks run where they are asked for.
    """

    shares_memory = True

    def __init__(self, *, workers: Annotated[int, Field(ge=1, le=256)] = 1) -> None:
        self.workers = workers

    def map(
        self, function: Callable[[Any, Any], Result], tasks: Sequence[Any], *, shared: Any = None
    ) -> Iterator[Result]:
        """``function(shared, task)`` for every task, in their order; the first error ends it and drops what waits.

        Interrupted, it does not wait for tasks that take long: their threads end with the process.
        """
        if self.workers == 1 or len(tasks) < 2:
            yield from (function(shared, task) for task in tasks)
            return
        results: list[Future[Result]] = [Future() for _ in tasks]
        waiting, lock, stopped = iter(zip(tasks, results, strict=True)), Lock(), Event()

        def work() -> None:
            while not stopped.is_set():
                with lock:
                    task, result = next(waiting, (None, None))
                if result is None:
                    return
                try:
                    result.set_result(function(shared, task))
                except BaseException as error:  # whatever it is, whoever asked for the results gets it
                    result.set_exception(error)

        threads = [Thread(target=work, name=f"mnpu_{n}", daemon=True) for n in range(min(self.workers, len(tasks)))]
        for thread in threads:
            thread.start()
        patience: float | None = PATIENCE
        try:
            for place in range(len(results)):
                yield results[place].result()
                results[place] = Future()  # what was handed over is not held any longer
            patience = None
        except Exception:
            patience = None
            raise
        finally:
            stopped.set()
            _join(threads, patience)


def _join(threads: Sequence[Thread], patience: float | None) -> None:
    """Wait for the threads, no longer than ``patience`` seconds together."""
    end = None if patience is None else time.monotonic() + patience
    for thread in threads:
        thread.join(None if end is None else max(end - time.monotonic(), 0.0))
