"""Where tasks run: in threads of this process, the engine that core brings.

An engine is told what to do and on what, not how: ``map`` yields one result for each task, in the order of the tasks,
and the results are the same for any number of workers, because tasks do not depend on one another. What all tasks
read comes as ``shared``, once; big arrays that they write lie in files, which tasks name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import Field

__all__ = ["Engine", "LocalEngine"]

Task = TypeVar("Task")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs independent tasks."""

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

    def __init__(self, *, workers: Annotated[int, Field(ge=1, le=256)] = 1) -> None:
        self.workers = workers

    def map(
        self, function: Callable[[Any, Any], Result], tasks: Sequence[Any], *, shared: Any = None
    ) -> Iterator[Result]:
        """``function(shared, task)`` for every task, in their order; the first error ends it and drops what waits."""
        if self.workers == 1 or len(tasks) < 2:
            yield from (function(shared, task) for task in tasks)
            return
        with ThreadPoolExecutor(min(self.workers, len(tasks)), thread_name_prefix="mnpu") as pool:
            waiting: deque[Future[Result]] = deque(pool.submit(function, shared, task) for task in tasks)
            try:
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
