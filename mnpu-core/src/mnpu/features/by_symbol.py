"""What was known of each symbol at each of its publications, for all symbols together: for steps over many symbols."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from mnpu.data.asof import Joined, Releases, Vintage, join_panel, windows

__all__ = ["KnownBySymbol", "names_in"]


def names_in(filed: Sequence[str]) -> list[str]:
    """The names under which something is filed, each once."""
    return list(dict.fromkeys(name for name in filed if name))


class KnownBySymbol:
    """The last ``n`` observations at each publication, name by name, ready to be brought to decisions.

    Parameters
    ----------
    releases : Releases
        Of the names in `names_in` of ``filed``.
    filed : sequence of str (A,)
        The name under which rows about each symbol are filed, ``""`` for none; several may share one.
    n : int
    vintage : {"latest", "first"}
    """

    def __init__(self, releases: Releases, filed: Sequence[str], n: int, vintage: Vintage) -> None:
        names = names_in(filed)
        told = windows(releases, n, vintage=vintage)
        self._held = {n: told.values}
        self._widest = told.values
        told.values.flags.writeable = False
        self._edges = np.searchsorted(told.code, np.arange(len(names) + 1)).tolist()
        self._order = np.argsort(told.knowledge_time, kind="stable")
        rows = (told.code, told.event_time, told.knowledge_time)
        self._rows = tuple(column[self._order] for column in rows)
        code = {name: number for number, name in enumerate(names)}
        self._columns = np.flatnonzero([bool(name) for name in filed])
        self._codes = np.array([code[name] for name in filed if name], dtype=np.intp)
        self._n_codes, self._n_symbols = len(names), len(filed)

    def last(self, n: int) -> np.ndarray:
        """The last n observations at each publication of all names, (K, n), read-only; n as at first, or less."""
        if n not in self._held:
            values = np.ascontiguousarray(self._widest[:, -n:])  # in one piece, as they are where none else is asked
            values.flags.writeable = False
            self._held[n] = values
        return self._held[n]

    def each(self, function: Callable[[np.ndarray], np.ndarray], n: int) -> np.ndarray:
        """``function`` of the last n observations at the publications of each name, (K, n), one after the other."""
        edges, values = self._edges, self.last(n)
        found = [function(values[edges[k] : edges[k + 1]]) for k in range(self._n_codes)]
        return np.concatenate(found) if found else np.empty(0)

    def at(self, decisions: np.ndarray, values: np.ndarray, max_age: pd.Timedelta) -> np.ndarray:
        """One number for each publication, brought to the decisions (T,) in nanoseconds: (T, A)."""
        return self._placed(self._joined(decisions, values, max_age).value)

    def age(self, decisions: np.ndarray, max_age: pd.Timedelta) -> np.ndarray:
        """Days from the end of the newest known period to each decision, (T, A)."""
        return self._placed(self._joined(decisions, self._widest[:, -1], max_age).age(decisions))

    def _joined(self, decisions: np.ndarray, values: np.ndarray, max_age: pd.Timedelta) -> Joined:
        code, event, known = self._rows
        releases = Releases(code, event, known, np.ascontiguousarray(values[self._order]), self._n_codes)
        return join_panel(decisions, releases, max_age=max_age)

    def _placed(self, joined: np.ndarray) -> np.ndarray:
        out = np.full((len(joined), self._n_symbols), np.nan)
        out[:, self._columns] = joined[:, self._codes]
        return out
