"""Brakes on what the account has lost, and the switch that stops everything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from array_api_compat import array_namespace
from pydantic import Field

from mnpu.guard import State
from mnpu.types import Book
from mnpu_guardrails.rule import (
    NO_LIMIT,
    Action,
    Rule,
    action_code,
    as_column,
    flat_of,
    gross_of,
    increases,
    reduced,
    refuse_pair,
    scaled_to,
)

__all__ = ["DailyLoss", "Drawdown", "KillSwitch"]


class Brake(Rule):
    """A rule that caps gross exposure while it is on: all that trades is scaled by one factor."""

    def measure(self, weights: Any, book: Book) -> Any:
        """Gross exposure, (..., 1)."""
        return gross_of(array_namespace(weights), weights)

    def project(self, weights: Any, book: Book) -> Any:
        """Scaled by one factor."""
        xp = array_namespace(weights)
        least, now = gross_of(xp, flat_of(xp, book)), gross_of(xp, weights)
        return scaled_to(xp, weights, book, least, now, self.limits(weights, book))


class Drawdown(Brake):
    """Brake: less gross exposure the further equity is below its peak.

    Parameters
    ----------
    start : float, default=0.1
        Drawdown at which the brake begins, a positive fraction of the peak.
    stop : float, default=0.2
        Drawdown at which gross is down to ``floor``.
    resume : float, default=0.05
        Drawdown at which the brake is released again. Until then it never loosens.
    gross : float, default=1.0
        Largest gross where the brake begins.
    floor : float, default=0.0
        Largest gross from ``stop`` on. At 0 the account cannot recover, so it is HALTED until an explicit reset, which
        takes the equity of that moment for the new peak.
    action : {"scale", "de-risk", "warn"}

    Notes
    -----
    Between ``start`` and ``stop`` the largest gross falls in a straight line from ``gross`` to ``floor``; without the
    brake there is no limit. Projection: all that trades is scaled by one factor. Code: ``DRAWDOWN_BRAKE``.

    Memory: how far the brake is on (0 to 1), whether it has halted, and the peak since a reset (0 before the first).
    """

    name = "drawdown"
    codes = ("DRAWDOWN_BRAKE",)

    def __init__(
        self,
        start: Annotated[float, Field(gt=0, lt=1)] = 0.1,
        stop: Annotated[float, Field(gt=0, le=1)] = 0.2,
        resume: Annotated[float, Field(ge=0, lt=1)] = 0.05,
        gross: Annotated[float, Field(ge=0)] = 1.0,
        floor: Annotated[float, Field(ge=0)] = 0.0,
        action: Action = "scale",
    ) -> None:
        super().__init__(action)
        if start >= stop:
            refuse_pair("drawdown", f"start {start}", f"stop {stop}", "a brake that begins before it stops")
        if resume > start:
            refuse_pair("drawdown", f"resume {resume}", f"start {start}", "a release at a smaller drawdown")
        if floor > gross:
            refuse_pair("drawdown", f"floor {floor}", f"gross {gross}", "a floor of at most the gross")
        self.start, self.stop, self.resume, self.gross, self.floor = start, stop, resume, gross, floor

    def limits(self, like: Any, book: Book) -> Any:
        """Largest gross, (..., 1)."""
        xp = array_namespace(like)
        brake, _, _ = self._now(xp, like, book)
        most = self.gross + brake * (self.floor - self.gross)
        return xp.where(brake > 0, most, xp.zeros_like(most) + NO_LIMIT)

    def remember(self, proposed: Any, allowed: Any, book: Book) -> Any:
        """Brake, halt and own peak, (..., 3)."""
        xp = array_namespace(allowed)
        return xp.concat(xp.broadcast_arrays(*self._now(xp, allowed, book)), axis=-1)

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them."""
        return [action_code(self.action), self.start, self.stop, self.resume, self.gross, self.floor]

    def reset(self, book: Book) -> Any:
        """Nothing on, and the equity of now as the peak."""
        xp = array_namespace(book.weights)
        equity = as_column(xp, book.equity, book.weights)
        return xp.concat([xp.zeros_like(equity), xp.zeros_like(equity), equity], axis=-1)

    def state(self, book: Book) -> State:
        """REDUCING with the brake on, HALTED after it has stopped everything."""
        brake, halted, _ = self._now(np, np.asarray(book.weights), book)
        return "HALTED" if halted.any() else "REDUCING" if (brake > 0).any() else "ACTIVE"

    def _now(self, xp: Any, like: Any, book: Book) -> tuple[Any, Any, Any]:
        """Brake (0 to 1), halt (0 or 1) and own peak as of this decision, each (..., 1)."""
        kept = self._memory(xp, book, like, 3)
        was, halted, own = kept[..., :1], kept[..., 1:2], kept[..., 2:]
        equity, peak = as_column(xp, book.equity, like), as_column(xp, book.peak, like)
        own = xp.where((own > 0) & xp.isfinite(equity), xp.maximum(own, equity), own)
        peak = xp.where(own > 0, own, peak)
        down = 1.0 - equity / xp.where(peak > 0, peak, xp.ones_like(peak))
        # 1e-12: a drawdown of exactly the limit counts as reached, whatever rounding says
        raw = xp.clip((down - self.start + 1e-12) / (self.stop - self.start), min=0.0, max=1.0)
        known = xp.isfinite(down)  # an equity that is not known sets no brake and releases none
        raw = xp.where(known, raw, xp.zeros_like(raw))
        brake = xp.where(known & (down <= self.resume), xp.zeros_like(raw), xp.maximum(was, raw))
        halted = xp.maximum(halted, xp.astype((raw >= 1) & (self.floor == 0), like.dtype))
        brake, halted, own = xp.broadcast_arrays(xp.where(halted > 0, xp.ones_like(brake), brake), halted, own)
        return brake, halted, own


class DailyLoss(Brake):
    """Stop for the day after too large a loss.

    Parameters
    ----------
    loss : float, default=0.03
        Loss since the day began at which the rule trips, a positive fraction of equity then.
    gross : float, default=0.0
        Largest gross for the rest of the day.
    action : {"scale", "de-risk", "warn"}

    Notes
    -----
    A day is a UTC day, and begins with the equity of the last decision of the day before. Once tripped it stays so
    until the next day, whatever equity does; a clock that goes back ends no day. Projection: all that trades is scaled
    by one factor. Code: ``DAILY_LOSS``.

    Memory: the day in which it last tripped, as `Rule` counts days, 0 for never.
    """

    name = "daily_loss"
    codes = ("DAILY_LOSS",)
    needs = ("day", "day_equity")

    def __init__(
        self,
        loss: Annotated[float, Field(gt=0, lt=1)] = 0.03,
        gross: Annotated[float, Field(ge=0)] = 0.0,
        action: Action = "scale",
    ) -> None:
        super().__init__(action)
        self.loss, self.gross = loss, gross

    def limits(self, like: Any, book: Book) -> Any:
        """Largest gross, (..., 1)."""
        xp = array_namespace(like)
        tripped = self._tripped(xp, like, book)
        return xp.where(tripped, xp.zeros_like(like[..., :1]) + self.gross, xp.zeros_like(like[..., :1]) + NO_LIMIT)

    def remember(self, proposed: Any, allowed: Any, book: Book) -> Any:
        """The day of the last trip, (..., 1)."""
        xp = array_namespace(allowed)
        kept = self._memory(xp, book, allowed, 1)
        if self._unknown(book):
            return kept
        today = xp.zeros_like(kept) + self._day(book)
        latest = xp.where((kept != 0) & (kept > today), kept, today)
        return xp.where(self._tripped(xp, allowed, book), latest, kept)

    def state(self, book: Book) -> State:
        """REDUCING for the rest of a day in which it tripped."""
        if self._unknown(book):
            return "REDUCING"
        return "REDUCING" if self._tripped(np, np.asarray(book.weights), book).any() else "ACTIVE"

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them."""
        return [action_code(self.action), self.loss, self.gross]

    def reset(self, book: Book) -> Any:
        """Never tripped; a loss that is still there trips it again."""
        xp = array_namespace(book.weights)
        return xp.zeros_like(book.weights[..., :1])

    def _tripped(self, xp: Any, like: Any, book: Book) -> Any:
        equity, began = as_column(xp, book.equity, like), as_column(xp, book.day_equity, like)
        lost = equity <= began * (1.0 - self.loss) + 1e-12
        kept = self._memory(xp, book, like, 1)
        return lost | ((kept != 0) & (kept >= self._day(book)))


class KillSwitch(Rule):
    """Stop everything while a switch is on, and after that until it is reset.

    Parameters
    ----------
    file : str, optional
        The switch is on while this file exists, or cannot be looked for. A relative path starts from the working
        folder.
    engaged : bool, default=False
        Whether it is on from the start.
    then : {"close", "reduce", "warn"}, default="close"
        Sell all that trades, only let nothing grow, or only report that it is on.

    Notes
    -----
    It stays HALTED after the file has gone, until an explicit reset. Projection: all that trades becomes zero, or is
    clipped to between the drifted weight and zero. Code: ``KILL_SWITCH_ON``, its value is what would have been held or
    added.

    The rule itself looks at no file: an agent does, once for each decision, and says in ``book.switches`` what it saw,
    so that no switch goes on or off within a decision. In a backtest a file stops nothing. Where nobody has looked,
    nothing grows.

    Memory: whether it has been on.
    """

    name = "kill_switch"
    codes = ("KILL_SWITCH_ON",)

    def __init__(
        self, file: str | None = None, engaged: bool = False, then: Literal["close", "reduce", "warn"] = "close"
    ) -> None:
        super().__init__("warn" if then == "warn" else "scale")
        self.file, self.engaged, self.then = file, engaged, then
        self.needs = () if file is None else ("switches",)

    def measure(self, weights: Any, book: Book) -> Any:
        """Gross exposure, or what is added to it, (..., 1)."""
        xp = array_namespace(weights)
        if self.then != "reduce":
            return gross_of(xp, weights)
        return xp.sum(increases(xp, weights, book), axis=-1, keepdims=True)

    def limits(self, like: Any, book: Book) -> Any:
        """Nothing, or no limit, (..., 1)."""
        xp = array_namespace(like)
        zero = xp.zeros_like(like[..., :1])
        return xp.where(self._on(xp, like, book), zero, zero + NO_LIMIT)

    def project(self, weights: Any, book: Book) -> Any:
        """Sold, or without its increases."""
        xp = array_namespace(weights)
        stopped = flat_of(xp, book) if self.then == "close" else reduced(xp, weights, book)
        return xp.where(self._on(xp, weights, book), stopped, weights)

    def remember(self, proposed: Any, allowed: Any, book: Book) -> Any:
        """Whether it has been on, (..., 1)."""
        xp = array_namespace(allowed)
        return xp.astype(self._on(xp, allowed, book), allowed.dtype)

    def kernel_params(self, symbols: Sequence[str]) -> list[float]:
        """As the kernel takes them; what switches it on is asked now, and not again."""
        one = np.zeros(1)
        on = self._on(np, one, Book(one, one == 0, 1.0, 1.0, None, ("",))).any()
        return [action_code(self.action), float(on), float(self.then == "reduce")]

    def reset(self, book: Book) -> Any:
        """Off; a switch that is still on turns it on again."""
        xp = array_namespace(book.weights)
        return xp.zeros_like(book.weights[..., :1])

    def state(self, book: Book) -> State:
        """HALTED while it is on and until it is reset; a warning halts nothing."""
        if self._unknown(book) and self.then != "warn":
            return "REDUCING"
        on = self._on(np, np.asarray(book.weights), book).any()
        return "HALTED" if on and self.then != "warn" else "ACTIVE"

    def switches(self) -> list[str]:
        """The name of the file if it is there now, or cannot be looked for."""
        if self.file is None:
            return []
        try:
            Path(self.file).expanduser().lstat()
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RuntimeError):  # unreadable, or no path: better stopped than running blind
            return [self.file]
        return [self.file]

    def _on(self, xp: Any, like: Any, book: Book) -> Any:
        kept = self._memory(xp, book, like, 1)
        told = self.file is not None and self.file in (book.switches or ())
        return xp.ones_like(kept) > 0 if self.engaged or told else kept > 0
