"""A column of a library: what it is called there, what it needs, and for how long the library remembers.

An average that decays by a factor each bar remembers its start for ever, but less and less. After ``forgets`` bars the
start is worth less than one part in 10^9 of the column's range, which is the tolerance between a value of the batch
and one bar by bar. As the averages of a column follow on one another, that is a multiple of the sum of all its
windows: `BY_EMA` times them where each decays by ``1 - 2 / (window + 1)``, `BY_WILDER` times where by
``1 - 1 / window``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

import numpy as np

from mnpu.features.api import View
from mnpu.features.api import feature as mnpu_feature
from mnpu.features.libraries.own_bars import Chain, Runs, bars_held, over_own_bars
from mnpu.features.select import require

__all__ = ["BY_EMA", "BY_WILDER", "NOTHING", "Column", "Library", "after", "slowest", "values"]

_MARK = "__mnpu_column__"

#: Bars, for each bar of its windows, until a column has forgotten its start.
NOTHING, BY_EMA, BY_WILDER = 0.0, 14.0, 30.0

Params = Mapping[str, Any]
Bars = int | Callable[[Params], int]
F = TypeVar("F", bound=Callable[..., np.ndarray])


@dataclass(frozen=True)
class Library:
    """A library that may be installed: ``module`` as it is imported, ``name`` as it is called, core's ``extra``.

    ``compute(column, params)`` is the library's function of a symbol's fields.
    """

    module: str
    name: str
    extra: str
    compute: Callable[[Column, Params], Callable[..., np.ndarray]]

    def feature(
        self,
        fields: Sequence[str],
        *,
        of: str,
        part: int = 0,
        warmup: Bars = 1,
        forgets: float = NOTHING,
        more: int = 0,
        chain: Chain | None = None,
        unit: str = "currency",
        scale_free: bool = False,
    ) -> Callable[[F], F]:
        """Mark a function as a feature that is one column; its body is ``return values(view, itself, ...)``.

        Parameters
        ----------
        fields : sequence of str
            What the library's function is given, in its order.
        of : str
            Name of the library's function.
        part : int, default=0
            Which of its results.
        warmup : int, or callable of the parameters that returns one, default=1
            Bars of the first value, that one included.
        forgets : float
            See the module; `NOTHING` where a value depends on its window alone.
        more : int, default=0
            Further bars until it has forgotten its start.
        chain : callable, optional
            How it goes on from block to block where it never forgets.
        unit : str
        scale_free : bool, default=False
            Whether it stays the same when all prices of a symbol are multiplied by a constant.
        """
        made = Column(self, of, part, tuple(fields), warmup, forgets, more, chain)

        def mark(function: F) -> F:
            setattr(function, _MARK, made)
            function.__doc__ = f"{inspect.getdoc(function)}\n\n{_sections(made, unit)}"
            state = len(made.fields)
            return mnpu_feature(
                fields=made.fields,
                scale_free=scale_free,
                warmup=warmup,
                unit=unit,
                tags=(self.module,),
                state=lambda params: bars_held(state, made.reach_for(params)),
            )(function)

        return mark


@dataclass(frozen=True)
class Column:
    """One column: ``of`` names the library's function, ``part`` which of its results."""

    library: Library
    of: str
    part: int
    fields: tuple[str, ...]
    warmup: Bars
    forgets: float
    more: int
    chain: Chain | None

    def warmup_for(self, params: Params) -> int:
        """Bars of the first value, that one included."""
        return self.warmup(params) if callable(self.warmup) else self.warmup

    def reach_for(self, params: Params) -> int:
        """How many bars before its first value a run must begin."""
        if self.chain is not None:
            return 1
        windows = sum(value for name, value in params.items() if type(value) is int and not name.endswith("matype"))
        return self.warmup_for(params) - 1 + ceil(self.forgets * windows) + self.more


def after(more: int = 1, **windows: int) -> Callable[[Params], int]:
    """The warm-up ``more`` and so many times each of the ``windows``."""
    return lambda params: more + sum(times * int(params[name]) for name, times in windows.items())


def slowest(more: int, *names: str, **windows: int) -> Callable[[Params], int]:
    """The same, and the longest of the windows that are named."""
    rest = after(more, **windows)
    return lambda params: max(int(params[name]) for name in names) + rest(params)


def values(view: View, function: Callable[..., np.ndarray], **params: Any) -> np.ndarray:
    """The column that ``function`` was marked as, (T, A)."""
    made: Column = getattr(function, _MARK)
    require({made.library.module: f"mnpu-core[{made.library.extra}]"}, made.of)
    compute = made.library.compute(made, params)
    return over_own_bars(view, made.fields, Runs(compute, made.warmup_for(params), made.reach_for(params), made.chain))


def _sections(made: Column, unit: str) -> str:
    """What holds for every column, as sections of its docstring; its module says what is missing."""
    name, asked = made.library.name, f"``{made.of}``" + (f", result {made.part}" if made.part else "")
    level = "Its level says where the symbol's bars begin.\n" if made.chain is not None else ""
    return f"""Returns
-------
values : ndarray (T, A)
    {asked} of {name}, {unit}.

Notes
-----
{level}Source: the library {name}."""
