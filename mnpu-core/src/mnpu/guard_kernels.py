"""What a compiled guardrail is given, and a chain of such rules as the machine code takes it.

A rule with a kernel has ``kernel``, a function compiled by numba, and ``kernel_params(symbols)``, its own numbers; one
without has ``kernel`` None or no such attribute. All kernels have one signature, arrays of one book in double
precision, C-ordered::

    kernel(task, weights, held, tradable, numbers, series, past, seen, params, state, work, over) -> bool

* ``task`` is `LIMIT`: ``weights`` (A,) become what ``rule.limit`` allows of them; true where what it was given is above
  a limit by more than 5e-10, or a warning is due: where it is false and nothing has changed, no limit is exceeded and
  ``explain`` has nothing to say. Or `EXCESS`: ``over`` (k,) becomes ``excess_of(rule)`` of ``weights``. Or `REMEMBER`:
  ``state`` (m,) becomes ``rule.remember`` where ``weights`` is what is allowed;
* ``held`` are the drifted weights (A,), with ``tradable`` (A,) bool;
* ``numbers`` (5,) at the places `EQUITY` ... `YEAR`, ``series`` (2, A) in the rows `VOLUME` and `AGE`; NaN is unknown;
* ``past`` (K, A) are trailing returns, the newest last, 0 where there was none; ``seen`` (K + 1, A), how many returns
  there have been before each row of ``past``: their differences say which were there;
* ``params`` are what ``kernel_params`` gave; ``state`` (m,) is the rule's memory, zeros for a new account: only
  `REMEMBER` writes it;
* ``work`` are ``rule.kernel_work(symbols)`` numbers for the kernel's own use, or none; ``work[0]`` is 0 at the first
  call of a decision, the rest is what the kernel left there.

The array-API functions of a rule are its definition; the conformance kit holds the kernel equal to them. A rule whose
memory depends on what was proposed, beside what was allowed, cannot have a kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnpu.guard_rounds import excess_of
from mnpu.types import Book

__all__ = [
    "AGE",
    "DAY",
    "DAY_EQUITY",
    "EQUITY",
    "EXCESS",
    "LIMIT",
    "PEAK",
    "REMEMBER",
    "VOLUME",
    "YEAR",
    "CompiledChain",
    "compiled_chain",
    "numbers_of",
    "past_of",
    "series_of",
]

#: Tasks of a kernel.
LIMIT, EXCESS, REMEMBER = range(3)
#: Places in ``numbers``; the day is counted from 1 in 1970 and from -1 backwards before, the last are a year's bars.
EQUITY, PEAK, DAY_EQUITY, DAY, YEAR = range(5)
#: Rows of ``series``.
VOLUME, AGE = range(2)


def numbers_of(book: Book) -> np.ndarray:
    """The numbers (5,) of one book; NaN where unknown."""
    day = None if book.day is None else book.day + (book.day >= 0)
    known: list[Any] = [book.equity, book.peak, book.day_equity, day, book.periods_per_year]
    return np.array([np.nan if x is None else float(x) for x in known])


def series_of(book: Book) -> np.ndarray:
    """The series (2, A) of one book; NaN where unknown."""
    return np.stack([np.full(len(book.symbols), np.nan) if x is None else x for x in (book.volume, book.age)])


def past_of(returns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (R, A) with 0 for NaN, and how many there have been before each row, (R + 1, A)."""
    known = np.isfinite(returns)
    seen = np.zeros((len(returns) + 1, returns.shape[1]))
    np.cumsum(known, axis=0, out=seen[1:])
    return np.where(known, returns, 0.0), seen


@dataclass(frozen=True)
class CompiledChain:
    """A chain as machine code reads it, for one universe.

    Attributes
    ----------
    kernels : tuple
        The rules' functions, whose addresses are
    addresses : uint64 (R,)
    places : int64 (R + 1, 4)
        Where the parts of each rule begin in ``params``, in a row of states, of work, and of excesses.
    params : float64 (P,)
    names : tuple of str (R,)
        Of the rules, as a chain keeps their memory.
    """

    kernels: tuple[Any, ...]
    addresses: np.ndarray
    places: np.ndarray
    params: np.ndarray
    names: tuple[str, ...]

    def memory(self, states: np.ndarray) -> dict[str, np.ndarray]:
        """A row of states as the memory of an account."""
        ends = self.places[:, 1]
        return {
            name: states[ends[i] : ends[i + 1]] for i, name in enumerate(self.names) if ends[i + 1] > ends[i]
        }  # fmt: skip


def compiled_chain(
    guardrails: Sequence[Any], names: Sequence[str], symbols: Sequence[str], known: Sequence[str]
) -> CompiledChain | None:
    """The chain as machine code, or None where a rule has none.

    Parameters
    ----------
    guardrails : sequence of Guardrail
    names : sequence of str
        Of the rules, no two alike.
    symbols : sequence of str
    known : sequence of str
        Fields of a `Book` that it will have. A rule that needs another (``rule.needs``) goes without a kernel: what it
        does then is not what its kernel does.
    """
    kernels = [getattr(rule, "kernel", None) for rule in guardrails]
    if any(kernel is None for kernel in kernels):
        return None
    if any(field not in known for rule in guardrails for field in getattr(rule, "needs", ())):
        return None
    from mnpu.guard_loops import address_of  # imports the compiler

    params = [np.asarray(rule.kernel_params(symbols), dtype=np.float64).ravel() for rule in guardrails]
    sizes = [_sizes(rule, symbols) for rule in guardrails]
    parts = [(len(own), memory, work, k) for own, (memory, work, k) in zip(params, sizes, strict=True)]
    places = np.zeros((len(kernels) + 1, 4), dtype=np.int64)
    np.cumsum(np.array(parts, dtype=np.int64).reshape(-1, 4), axis=0, out=places[1:])
    addresses = np.array([address_of(kernel) for kernel in kernels], dtype=np.uint64)
    whole = np.concatenate([*params, np.zeros(0)])
    return CompiledChain(tuple(kernels), addresses, places, whole, tuple(names))


def _sizes(rule: Any, symbols: Sequence[str]) -> tuple[int, int, int]:
    """Length of a rule's memory, of its work and of its excess."""
    n = len(symbols)
    bars = max(getattr(rule, "lookback", 0), 1)
    told: dict[str, Any] = {"day": 0, "day_equity": 1.0, "past": np.zeros((bars, n)), "periods_per_year": 1.0}
    told |= {"volume": np.zeros(n), "age": np.zeros(n)}
    flat = Book(np.zeros(n), np.ones(n, dtype=bool), np.asarray(1.0), np.asarray(1.0), None, tuple(symbols), **told)
    memory = len(rule.remember(flat.weights, flat.weights, flat)) if hasattr(rule, "remember") else 0
    work = int(rule.kernel_work(symbols)) if hasattr(rule, "kernel_work") else 0
    return memory, work, int(np.shape(excess_of(np, rule, flat.weights, flat))[-1])
