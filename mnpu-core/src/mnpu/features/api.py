"""What a feature is: a plain function of a view of the past, with a note of what it needs.

A whole feature, ready to be registered as part of a source::

    from typing import Annotated

    import numpy as np
    from pydantic import Field

    from mnpu import View, feature
    from mnpu.features.trailing import trailing_mean

    @feature(fields=("close",), warmup=lambda p: p["window"], unit="fraction")
    def distance(view: View, *, window: Annotated[int, Field(ge=1)] = 20) -> np.ndarray:
        \"\"\"Close against its mean over the last ``window`` bars.\"\"\"
        return view["close"] / trailing_mean(view["close"], window) - 1

The view is what keeps a feature honest. Prices come as rows that were known at their own decision. Side data has no
rows of the panel's time at all: it comes as *what was known at each publication* (:meth:`View.known`), and
:meth:`View.at_decision` alone brings it to decisions, by the moment it became known.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import pandas as pd

from mnpu.errors import ConfigError, MnpuError, PluginError
from mnpu.features.memo import Memo
from mnpu.features.view import View, Vintage

__all__ = ["FeatureMeta", "Kernel", "Memo", "View", "Vintage", "feature", "meta_of"]

_MARK = "__mnpu_feature__"

Params = Mapping[str, Any]
Memory: TypeAlias = "int | pd.Timedelta | None"
Kind = Literal["macro", "onchain", "funding", "fundamental", "benchmark", "calendar", "news", "other"]
F = TypeVar("F", bound=Callable[..., np.ndarray])

#: ``kernel(view, columns, out)`` computes several features at once: ``columns`` names the n functions with their
#: parameters, ``out`` (n, T - view.first, A), float64 or float32, gets the rows from ``view.first`` on.
Kernel = Callable[[View, Sequence[tuple[str, Params]], np.ndarray], None]


@dataclass(frozen=True)
class FeatureMeta:
    """What :func:`feature` notes about a function. What is callable depends on its parameters."""

    fields: tuple[str, ...]
    series: tuple[str, ...] | Callable[[Params], Sequence[str]]
    scale_free: bool
    warmup: int | Callable[[Params], int]
    unit: str
    scope: Literal["symbol", "market"]
    tags: tuple[str, ...]
    kind: str = "macro"
    short_start: bool = False
    memory: Memory | Callable[[Params], Memory] = None
    state: int | Callable[[Params], int] = 0
    kernel: Kernel | None = None

    def series_for(self, params: Params) -> tuple[str, ...]:
        """The side series that are read with these parameters."""
        return tuple(_asked("series", self.series, params)) if callable(self.series) else self.series

    def warmup_for(self, params: Params) -> int:
        """The bars that are looked back over with these parameters, the present one included."""
        return _whole("warmup", _asked("warmup", self.warmup, params), 1)

    def memory_for(self, params: Params) -> Memory:
        """How much side data the newest value depends on with these parameters, see :func:`feature`."""
        memory: Any = _asked("memory", self.memory, params)
        if memory is None or (isinstance(memory, pd.Timedelta) and memory > pd.Timedelta(0)):
            return memory
        return _whole("memory", memory, 1)

    def state_for(self, params: Params) -> int:
        """The numbers that are carried from bar to bar for each symbol with these parameters."""
        return _whole("state", _asked("state", self.state, params), 0)


def _asked(name: str, told: Any, params: Params) -> Any:
    """What was said of a feature, with these parameters; PluginError where the function that tells it fails."""
    if not callable(told):
        return told
    try:
        return told(params)
    except MnpuError:  # it refuses the parameters, and says why
        raise
    except Exception as error:  # code of a plugin: whatever it raises is its failure, not the user's
        raise PluginError(
            f"@feature({name}=...) raised {type(error).__name__}: {error}",
            expected=f"a function of the parameters, which are {', '.join(params) or 'none'}",
        ) from error


def _whole(name: str, number: Any, least: int) -> int:
    """A number of bars, rows or observations; what is rounded would be too few."""
    try:
        whole = operator.index(number)
    except TypeError:
        whole = None
    if whole is None or whole < least:
        raise ConfigError(f"@feature({name}=...) is {number!r}", expected=f"a whole number of at least {least}")
    return whole


def feature(
    *,
    fields: Sequence[str] = (),
    series: Sequence[str] | Callable[[Params], Sequence[str]] = (),
    scale_free: bool = True,
    warmup: int | Callable[[Params], int] = 1,
    unit: str = "",
    scope: Literal["symbol", "market"] = "symbol",
    tags: Sequence[str] = (),
    kind: Kind = "macro",
    short_start: bool = False,
    memory: Memory | Callable[[Params], Memory] = None,
    state: int | Callable[[Params], int] = 0,
    kernel: Kernel | None = None,
) -> Callable[[F], F]:
    """Mark a function as a feature and say what it needs; the function itself stays as it is.

    Parameters
    ----------
    fields : sequence of str
        Panel fields that it reads: some of ``open high low close volume split_factor``.
    series : sequence of str, or callable of the parameters that returns one
        Side series that it reads.
    scale_free : bool, default=True
        Whether its value stays the same when all prices of a symbol are multiplied by a constant. A feature that is
        not is refused on prices that a vendor adjusted with later knowledge.
    warmup : int, or callable of the parameters that returns one, default=1
        Bars that the value at t depends on, t included.
    unit : str
        Unit of its values, such as ``fraction`` or ``fraction per year``.
    scope : {"symbol", "market"}
        Whether it returns (T, A), or (T,) for all symbols alike.
    tags : sequence of str
        Free words to find it by.
    kind : str, default="macro"
        What its series are, and so which table of a store they come from: ``macro``, ``onchain``, ``funding``,
        ``fundamental``, ``benchmark``, ``calendar``, ``news`` or ``other``.
    short_start : bool, default=False
        Whether its windows are short at the start of the data, so that it has values before its warm-up.
    memory : int, Timedelta, None, or callable of the parameters that returns one
        The side data that the newest value depends on: so many newest observations of each series (and symbol), with
        their revisions, as each of so many newest publications told them; or those known within a span of time. None
        stands for all, and a step of an agent then takes the longer, the more there is.
    state : int, or callable of the parameters that returns one, default=0
        Numbers for each symbol that it carries from bar to bar in :attr:`View.state`, where no finite window gives its
        value. ``warmup`` is then the number of bars before its first value.
    kernel : callable, optional
        Computes several features of one family in one pass, see ``Kernel``; the function is then the definition, to
        which the conformance kit holds the kernel. It reads fields alone, those that its columns declare.
    """
    for name, value in {"fields": fields, "series": series, "tags": tags}.items():
        if isinstance(value, str):  # each letter would be one
            raise PluginError(f"@feature({name}=...) is {value!r}", expected=f"({value!r},)")
    if scope not in ("symbol", "market"):
        raise PluginError(f"@feature(scope=...) is {scope!r}", expected="'symbol' or 'market'")
    told = series if callable(series) else tuple(series)
    needs = (tuple(fields), told, scale_free, warmup, unit, scope, tuple(tags), kind)
    meta = FeatureMeta(*needs, short_start, memory, state, kernel)

    def mark(function: F) -> F:
        _check_signature(function)
        if kernel is not None and (series or state):
            raise PluginError(
                "has a kernel, and series or a state",
                where=f"feature {function.__module__}.{function.__name__}",
                expected="a kernel that reads fields alone",
            )
        setattr(function, _MARK, meta)
        return function

    return mark


def meta_of(function: object) -> FeatureMeta | None:
    """What was noted about ``function``, None where it is not a feature."""
    meta = getattr(function, _MARK, None)
    return meta if isinstance(meta, FeatureMeta) else None


def _check_signature(function: Callable[..., Any]) -> None:
    """A feature takes its view first and every parameter by keyword, so that a recipe can name each one."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not kinds or kinds[0] not in by_position or set(kinds[1:]) - {inspect.Parameter.KEYWORD_ONLY}:
        raise PluginError(
            f"the signature is {inspect.signature(function)}",
            where=f"feature {function.__module__}.{function.__name__}",
            expected="(view, *, parameter=default, ...)",
        )
