"""Which columns are looked at, and on which decisions: by default none whose outcome belongs to a test range.

Whoever chooses features by what they foretold in the test range has no test range any more. So the tools look at the
decisions before it, whose outcomes are known before it begins; to see more takes a word, and that stands in the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from mnpu import pipeline
from mnpu.assembly import store_path
from mnpu.config.load import LoadedConfig
from mnpu.config.locked import data_in_sight, locked_from
from mnpu.data.clock import parse_date
from mnpu.data.split_by import split_by
from mnpu.errors import ConfigError, DataError
from mnpu.features.compute import compute
from mnpu.features.plan import PlannedFeature, plan
from mnpu.plugins.registry import Registry, suggest
from mnpu.progress import Progress
from mnpu.types import FeatureFrame, FeatureSpec, Fold, Labels, Panel, SideTable

__all__ = ["Look", "choose_columns", "look"]


@dataclass(frozen=True)
class Look:
    """What is looked at.

    Attributes
    ----------
    panel, side, frame, labels
        All of the data; only the rows ``start`` to ``stop`` are looked at.
    horizon : int
        Which label, by position.
    start, stop : int
    test_from : Timestamp or None
        First decision of the first test range; None where the recipe's split has no room in the data.
    n_test : int
        Decisions among those looked at whose outcome reaches into a test range.
    range : str
        In words.
    """

    panel: Panel
    side: SideTable
    frame: FeatureFrame
    labels: Labels
    horizon: int
    start: int
    stop: int
    test_from: pd.Timestamp | None
    n_test: int
    range: str

    @property
    def times(self) -> pd.DatetimeIndex:
        """The decisions that are looked at."""
        return self.frame.times[self.start : self.stop]

    @property
    def years(self) -> np.ndarray:
        """The year of each, by its session."""
        return self.panel.sessions[self.start : self.stop].astype("datetime64[Y]").astype(int) + 1970

    @property
    def cells(self) -> np.ndarray:
        """Where a decision could be made, (T', A)."""
        return self.frame.tradable[self.start : self.stop]

    @property
    def outcome(self) -> np.ndarray:
        """What happened, (T', A)."""
        return self.labels.values[self.start : self.stop, :, self.horizon]

    @property
    def bars(self) -> int:
        """Bars of each outcome."""
        return int(self.labels.horizons[self.horizon])

    def values(self, f: int) -> np.ndarray:
        """Column ``f``, (T', A), in one piece of memory."""
        return np.ascontiguousarray(self.frame.values[self.start : self.stop, :, f])

    def spec(self, f: int) -> FeatureSpec:
        """What column ``f`` is."""
        return self.frame.specs[f]

    def across(self, f: int) -> bool:
        """Whether column ``f`` can be compared across symbols."""
        from mnpu.metrics.forecast import MIN_CROSS_SECTION

        return self.spec(f).scope == "symbol" and len(self.frame.symbols) >= MIN_CROSS_SECTION


def look(
    loaded: LoadedConfig,
    registry: Registry,
    *,
    columns: Sequence[str] = (),
    horizon: int | None = None,
    since: str | None = None,
    until: str = "test",
    everything: bool = False,
    progress: Progress,
) -> Look:
    """Load the data of a recipe, compute the chosen columns, and decide which decisions may be looked at.

    Parameters
    ----------
    loaded : LoadedConfig
    registry : Registry
    columns : sequence of str
        Names or patterns, see `choose_columns`; none for all.
    horizon : int, optional
        Bars, one of the target's; the first by default.
    since : str, optional
        A date.
    until : str, default="test"
        ``test``: the decisions before the first test range, ``train``: those of the first training range, or a date.
    everything : bool, default=False
        All decisions, those of the test ranges among them.
    progress : Progress
    """
    config = loaded.pipeline
    if everything and until != "test":
        raise ConfigError(f"--until {until} and --all contradict each other", expected="one of the two")
    planned = choose_columns(plan(config.features, registry), columns)
    target = registry.build("target", config.target.use, config.target.params)
    panel, side = pipeline.read(
        data_in_sight(config.split, config.data), store_path(config.data.store, loaded.path.parent), planned, progress
    )
    with progress.stage(f"computing {len(planned)} features"):
        frame = compute(planned, panel, side)
    labels = target(panel, config.fill)
    h = _horizon(labels, horizon)
    fold = _first_fold(loaded, panel, labels, required=until in ("test", "train") and not everything)
    start = 0 if since is None else int(panel.sessions.searchsorted(parse_date(since, where="--since")))
    stop, words = _stop(until, everything, fold, panel, labels, h)
    if stop <= start:
        raise ConfigError(
            f"no decision lies between --since {since or panel.sessions[0]} and the end of the range, {words}",
            expected="at least one",
            next_step=f"The data has {panel.sessions[0]} to {panel.sessions[-1]}.",
        )
    n_test = 0 if fold is None else max(0, stop - max(start, fold.validation[1]))
    looked = Look(
        panel=panel,
        side=side,
        frame=frame,
        labels=labels,
        horizon=h,
        start=start,
        stop=stop,
        test_from=None if fold is None else panel.times[fold.test[0]],
        n_test=n_test,
        range=words,
    )
    if not looked.cells.any():
        raise DataError("no symbol can be decided about in the chosen range", where="--since, --until")
    return looked


def choose_columns(planned: Sequence[PlannedFeature], wanted: Sequence[str]) -> list[PlannedFeature]:
    """The columns with these names, in the recipe's order; a feature's name stands for all of its columns.

    ``price.log_return[window=5]`` is one column, ``price.log_return`` all windows of it, ``price.*`` those that match.

    Raises
    ------
    ConfigError
        A name fits none.
    """
    if not wanted:
        return list(planned)
    names = [column.name for column in planned]
    chosen: set[str] = set()
    for word in wanted:
        pattern = word.replace("[", "[[]")  # a bracket is part of a column's name, not a class of characters
        fits = {name for name in names if name == word or fnmatchcase(name, pattern)}
        fits |= {name for name in names if fnmatchcase(name.partition("[")[0], pattern)}
        if not fits:
            close = suggest(word, [*names, *(name.partition("[")[0] for name in names)])
            raise ConfigError(
                f"the recipe has no column '{word}'",
                where="COLUMN",
                expected=f"one of its {len(names)}" if len(names) > 12 else f"one of {', '.join(names)}",
                next_step=f"Did you mean '{close}'?" if close else "",
            )
        chosen |= fits
    return [column for column in planned if column.name in chosen]


def _horizon(labels: Labels, horizon: int | None) -> int:
    if horizon is None:
        return 0
    if horizon not in labels.horizons:
        raise ConfigError(
            f"the target has no horizon of {horizon} bars",
            where="--horizon",
            expected=" or ".join(str(h) for h in labels.horizons),
            next_step=f"Or ask for it with: --set target.horizons=[{horizon}].",
        )
    return list(labels.horizons).index(horizon)


def _first_fold(loaded: LoadedConfig, panel: Panel, labels: Labels, *, required: bool) -> Fold | None:
    split = loaded.pipeline.split
    try:
        if split.use != "walk_forward":
            raise ConfigError(
                f"split.use is {split.use}, which tests every decision",
                where="split",
                expected="walk_forward, whose first test range leaves decisions before it",
            )
        locked = locked_from(split, loaded.pipeline.data)
        return split_by(split, panel.times, labels, locked=locked).folds[0]
    except ConfigError as error:
        if not required:
            return None
        also = " Or look at all decisions with --all, or at those before a date with --until."
        raise ConfigError(
            error.what, where=error.where, expected=error.expected, next_step=error.next_step + also
        ) from error


def _stop(until: str, everything: bool, fold: Fold | None, panel: Panel, labels: Labels, h: int) -> tuple[int, str]:
    """One past the last row that is looked at, and the range in words."""
    if everything:
        return len(panel.times), "all decisions, those of the test ranges among them"
    if until == "test":
        assert fold is not None
        return fold.validation[1], "the decisions before the first test range"
    if until == "train":
        assert fold is not None
        return fold.train[1], "the first training range"
    date = parse_date(until, where="--until")
    ended = labels.end[h] <= pd.Timestamp(date, tz="UTC") + pd.Timedelta(days=1)  # NaT is not
    return int(np.flatnonzero(ended)[-1]) + 1 if ended.any() else 0, f"the decisions whose outcome was known by {date}"
