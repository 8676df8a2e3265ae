"""Which rows of a piece are refused, by which rule, and what about them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["Verdict"]


class Verdict:
    """One judgement for each of N rows; the first rule that refuses a row counts.

    ``code`` is 0 for a row that may come in, else an index into ``rules``, pairs of a rule's name and its reason.
    ``detail`` says more about single rows.
    """

    def __init__(self, n: int) -> None:
        self.code = np.zeros(n, dtype=np.int16)
        self.rules: list[tuple[str, str]] = [("", "")]
        self.detail: dict[int, str] = {}

    @property
    def ok(self) -> np.ndarray:
        """Boolean (N,): not refused so far."""
        clean: np.ndarray = self.code == 0
        return clean

    def refuse(self, rows: np.ndarray, rule: str, reason: str, *, detail: Callable[[int], str] | None = None) -> None:
        """Refuse ``rows``, boolean (N,), unless an earlier rule did."""
        rows = rows & self.ok
        if not rows.any():
            return
        self.rules.append((rule, reason))
        self.code[rows] = len(self.rules) - 1
        if detail is not None:
            for row in np.flatnonzero(rows).tolist():
                self.detail[row] = detail(row)

    def reason(self, row: int) -> str:
        """Why a row is refused, in words."""
        reason = self.rules[self.code[row]][1]
        return f"{reason}: {self.detail[row]}" if row in self.detail else reason
