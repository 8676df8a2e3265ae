"""Processes that do trials, kept from one trial to the next, because starting one takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from queue import Empty, LifoQueue
from threading import Lock
from typing import Any

from mnpu.errors import MnpuError

__all__ = ["Ended", "Lost", "Workers"]

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Lost(MnpuError):
    """A process ended without an answer."""


class Ended(Exception):
    """The sweep ends, and its processes with it: what they were at is taken up when it goes on."""


class Workers:
    """Processes for ``function``; as many as are asked at a time.

    Parameters
    ----------
    function : str
        ``package.module:function``, from a mapping to a mapping, both of plain data.
    """

    def __init__(self, function: str) -> None:
        self._function = function
        self._idle: LifoQueue[subprocess.Popen[str]] = LifoQueue()
        self._all: list[subprocess.Popen[str]] = []
        self._lock = Lock()
        self._closed = False

    @property
    def ready(self) -> int:
        """Processes that wait for a job."""
        return self._idle.qsize()

    def start(self, count: int) -> None:
        """Have some ready: they start at the same time."""
        for process in [self._started() for _ in range(count)]:
            self._idle.put(process)

    def do(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of an idle process, or of a new one.

        Raises
        ------
        Lost
            The process ended, or the function raised.
        Ended
            It was ended from here.
        """
        try:
            process = self._idle.get_nowait()
        except Empty:
            process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):  # ended, and closed from here
            line = ""
        if not line:
            if self._closed:
                raise Ended
            raise Lost(_ending(process.wait()))
        answer = json.loads(line)
        self._idle.put(process)
        if "raised" in answer:
            raise Lost(answer["raised"])
        outcome: dict[str, Any] = answer["outcome"]
        return outcome

    def close(self) -> None:
        """End all processes, those at work too."""
        with self._lock:
            self._closed = True
        for process in self._all:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

    def _started(self) -> subprocess.Popen[str]:
        environment = {**dict.fromkeys(_THREADS, "1"), **os.environ}
        with self._lock:
            if self._closed:
                raise Ended
            process = subprocess.Popen(
                [sys.executable, "-m", "mnpu.sweep.worker", self._function],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env=environment,
                start_new_session=True,  # Ctrl-C is for the sweep, which ends its processes itself
            )
            self._all.append(process)
        return process


def _ending(code: int) -> str:
    if code < 0:
        hint = ": perhaps there was too little memory" if code == -9 else ""
        return f"its process was ended by signal {-code}{hint}"
    return f"its process ended with exit code {code}"
