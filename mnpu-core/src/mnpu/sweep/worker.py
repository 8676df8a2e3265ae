"""A process that does one job after another: lines of JSON in, lines of JSON out, until its input ends.

What a job prints goes to standard error. When whoever asked is gone, so is this process, whatever it was doing: a
trial is taken up again from what lies on the disk.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from importlib import import_module
from queue import SimpleQueue
from typing import Any

__all__ = ["main"]


def main(function: str) -> None:
    """Serve ``package.module:function``, which takes a mapping and gives one.

    Where the module has a function ``prepare`` it is called first, while whoever asks is not ready yet.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    jobs: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    name, _, called = function.partition(":")
    module = import_module(name)
    work = getattr(module, called)
    getattr(module, "prepare", lambda: None)()
    while True:
        answers.write(json.dumps(_done(work, json.loads(jobs.get()))) + "\n")
        answers.flush()


def _done(work: Any, job: Any) -> dict[str, Any]:
    try:
        return {"outcome": work(job)}
    except BaseException as error:  # the outer edge of this process: whoever asked is told
        return {"raised": f"{type(error).__name__}: {error}"}


def _listen(jobs: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
