"""An agent: the pipeline's verbs for one instant, from the newest rows to one guarded decision.

What is tested is what is served: `replay` drives an agent bar by bar through the history of a finished run, and its
decisions equal the run's. The agent keeps only what the recipe looks back over: a `Stream` of its columns, feature
rows for one window, forecasts for the policy, the calibrations that follow its outcomes, and the account that its own
orders made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mnpu import pipeline
from mnpu.agent_forecasts import FoldModel, forecasts_of
from mnpu.assembly import Parts, assemble
from mnpu.config.load import load_config
from mnpu.config.resolve import resolve
from mnpu.data.actions import settlements
from mnpu.data.currency import in_account_currency
from mnpu.data.fills import next_prices
from mnpu.errors import ConfigError, DataError
from mnpu.features.stream import Stream
from mnpu.plugins.registry import Registry
from mnpu.progress import Silent
from mnpu.simulation.account import Account, Order, order
from mnpu.simulation.surroundings import VOLUME_BARS, surroundings
from mnpu.types import Book, Decision, FeatureFrame, Panel, PolicyContext, SideTable, join_forecasts

__all__ = ["Agent", "FoldModel", "replay"]


class Agent:
    """Decides bar by bar.

    Parameters
    ----------
    parts : Parts
        The recipe's components.
    models : sequence of FoldModel
        In time order; a decision is made by the newest that may.
    history : Panel
        Bars before the first step, at least ``parts``' warm-up, lookback and policy rows together: `Agent.needs`. Where
        a column carries a state, all bars since the data begins, as the run had them. Where the recipe calibrates at
        each decision, all since the calibration of the network that decides begins, and what its first window needs.
    side : SideTable
        Side data known so far.

    Raises
    ------
    DataError
        The history is too short.
    ConfigError
        The recipe calibrates at each decision, and the target's labels cannot be computed as bars arrive.
    """

    def __init__(self, parts: Parts, models: Sequence[FoldModel], history: Panel, side: SideTable) -> None:
        _refuse_crossed(models)
        if parts.execution is not None or parts.costs.sized or parts.config.costs.funding is not None:
            raise ConfigError(
                "this recipe simulates fills that depend on the account's size",
                where="agent",
                expected="orders that are filled whole, as the account of an agent has them",
                next_step="Leave execution and the costs of impact, loans and funding out of a copy of the recipe.",
            )
        need = self.needs(parts)
        if len(history.times) < need:
            raise DataError(
                f"{len(history.times)} bars of history",
                where="agent",
                expected=f"at least {need}: the longest warm-up, one window and the policy's rows",
                next_step="Pass more bars.",
            )
        self._parts = parts
        self._policy = parts.strategies[0].policy
        seen = max(parts.chain.lookback, VOLUME_BARS) if parts.chain.path_dependent else 0
        recent = max(self._policy.lookback, seen) + 1  # and the bar before, for the first return
        self._source = forecasts_of(parts, models, history)
        keep = max(recent, self._source.bars)
        self._stream = Stream(parts.planned, history, side, rows=self._source.rows, keep=keep, where="agent")
        self._forecasts = self._source.past(self._stream.frame, history)
        self._frame = self._stream.frame = _last_rows(self._stream.frame, self._source.window)
        self._broken = False
        self._account = Account(len(history.symbols))
        self._pending: Order | None = None
        self._book: Book | None = None
        self._value = np.full(len(history.symbols), np.nan)  # price of each symbol at its last fill

    @staticmethod
    def needs(parts: Parts) -> int:
        """Bars of history that the first decision looks back over."""
        warmup = max(feature.spec.warmup for feature in parts.planned)
        shown = max(parts.chain.lookback, VOLUME_BARS) + 1 if parts.chain.path_dependent else 0
        return max(warmup + parts.config.model.lookback + parts.strategies[0].policy.lookback, shown)

    def step(self, rows: Panel, news: SideTable | None = None) -> Decision:
        """Decide at the close of the one bar in ``rows``, with the side data that became known since the last step.

        Parameters
        ----------
        rows : Panel
            One bar, T = 1, after the last; same symbols and fields as the history.
        news : SideTable, optional
            Rows with ``knowledge_time`` at or before the bar.

        Returns
        -------
        Decision
            ``forecast`` has one row; ``proposed`` and ``weights`` are (A,), before and after the guardrails.

        Raises
        ------
        DataError
            More than one bar, one that is not new, or side data from the future.
        """
        if self._broken:
            raise DataError("a step was left half done", where="agent", expected="a new one, from a history")
        newest = self._stream.step(rows, news)
        self._broken = True  # until all is brought on
        self._frame = _followed(self._frame, newest)
        made = self._source.newest(self._frame, self._stream.last(self._source.bars))
        self._forecasts = [*self._forecasts, made][-self._policy.lookback :]
        marks = self._settle()
        wanted, rebalance = self._decide()
        chain = self._parts.chain
        self._book = self._account.seen(marks, rows.tradable[0], rows.times[0], rows.symbols, self._around())
        self._pending = order(wanted, rebalance, chain, self._book)
        self._account.remember(wanted, self._pending.targets, chain, self._book)
        self._broken = False
        return Decision(
            time=rows.times[0],
            symbols=rows.symbols,
            proposed=wanted,
            weights=self._pending.targets,
            forecast=self._forecasts[-1],
            violations=self._pending.violations,
            state=chain.state(self._book, self._pending.violations),
        )

    def reset(self, rules: Sequence[str] | None = None) -> None:
        """End the halts and brakes of the named guardrails, or of all, from the next decision on.

        A cause that is still there (a switch that is on, a loss of today) stops it again.

        Raises
        ------
        ConfigError
            There is no guardrail of that name.
        """
        self._parts.chain.known(rules)
        if self._book is not None:
            self._account.reset(self._parts.chain, self._book, rules)

    def _around(self) -> dict[str, Any]:
        """What the market has told by now, for guardrails that look beyond the account."""
        chain = self._parts.chain
        if not chain.path_dependent:
            return {}
        bars = self._stream.last(max(chain.lookback, VOLUME_BARS) + 1)
        last = len(bars.times) - 1
        told = surroundings(in_account_currency(bars), (last, last + 1), lookback=chain.lookback)
        forecast = self._forecasts[-1]
        shown = {"quantiles": forecast.quantiles[0, :, 0], "levels": forecast.levels}
        return {**told.book(0), **shown, "switches": chain.switches()}

    def _decide(self) -> tuple[np.ndarray, bool]:
        """The policy's last row on the forecasts and bars that it looks back over."""
        rows = self._policy.lookback
        context = pipeline.context_of(self._stream.last(rows + 1))
        forecast = replace(join_forecasts(self._forecasts, np.concatenate), times=context.times[-rows:])
        context = PolicyContext(
            context.times[-rows:],
            context.symbols,
            context.returns[-rows:],
            context.tradable[-rows:] & forecast.available,
            context.periods_per_year,
        )
        positions = self._policy(forecast, context)
        return positions.weights[-1], bool(positions.rebalance[-1])

    def _settle(self) -> np.ndarray:
        """Fill the order of the last decision, if any, and return the move (A,) since that fill."""
        if self._pending is None:
            return np.zeros(len(self._value))
        last_two = in_account_currency(self._stream.last(2))
        price = next_prices(last_two, self._parts.config.fill)[0]
        value = np.where(np.isfinite(price), price, self._value)
        held = np.isfinite(self._value)
        moved = np.where(held, value / self._value - 1.0, 0.0)
        cash, ended = (row[-1] for row in settlements(last_two, opens=self._parts.config.fill == "next_open"))
        moved[ended] = -1.0
        self._account.hold(moved, np.where(held, cash / self._value, 0.0))
        fillable = last_two.tradable[0] & np.isfinite(price)
        self._account.fill(self._pending.targets, self._pending.sent & fillable, self._parts.costs)
        self._value = value
        return np.nan_to_num(last_two["close"][-1] / value - 1.0)


def _refuse_crossed(models: Sequence[FoldModel]) -> None:
    if any(model.fitted.fold.crossed for model in models):
        raise ConfigError(
            "the networks are of cross-validation: each has learnt from what is later than its test",
            where="agent",
            expected="networks of folds that train on the past alone",
            next_step="Run the recipe with split: {use: walk_forward, ...} and serve that run.",
        )


def replay(run: Path, registry: Registry, *, sessions: int) -> tuple[Agent, Iterator[tuple[Panel, SideTable]]]:
    """An agent made from a finished run, and the last ``sessions`` bars of its out-of-sample range to step it by.

    Raises
    ------
    DataError
        The run's store, recipe or networks are not what they were.
    """
    from mnpu import training

    loaded = load_config(run / "resolved.yaml")
    parts = assemble(loaded.pipeline, resolve(loaded, registry), registry, base=run)
    panel, side = pipeline.load(parts, Silent())
    judged = parts.forecasters[0]
    builders = (judged.backbone, judged.head, judged.whole)
    fitted = [training.load(folder, *builders) for folder in sorted((run / "bundle").iterdir())]
    models = [FoldModel(panel.times[one.fold.test[0]], one) for one in fitted]
    stop = min(fitted[-1].fold.test[1], len(panel.times) - 2)
    first = stop - sessions
    agent = Agent(parts, models, panel.rows(0, first), _known(side, None, panel.times[first - 1]))

    def bars() -> Iterator[tuple[Panel, SideTable]]:
        for t in range(first, stop):
            yield panel.rows(t, t + 1), _known(side, panel.times[t - 1], panel.times[t])

    return agent, bars()


def _known(side: SideTable, after: pd.Timestamp | None, until: pd.Timestamp) -> SideTable:
    """The rows that became known after ``after``, up to and at ``until``."""
    known = side.known_by(until)
    return known if after is None else known.rows(np.asarray(known.knowledge_time > after))


def _last_rows(frame: FeatureFrame, rows: int) -> FeatureFrame:
    """The newest rows, in arrays of their own: the others are let go."""
    return replace(
        frame, times=frame.times[-rows:], values=frame.values[-rows:].copy(), tradable=frame.tradable[-rows:].copy()
    )


def _followed(frame: FeatureFrame, newest: FeatureFrame) -> FeatureFrame:
    """The frame with the newest row, and without its oldest."""
    return replace(
        frame,
        times=frame.times[1:].append(newest.times),
        values=np.concatenate([frame.values[1:], newest.values]),
        tradable=np.concatenate([frame.tradable[1:], newest.tradable]),
        specs=newest.specs,
    )
