"""The laws of whole models: what a forecaster must hold to, whatever it is inside.

Each is fitted on windows of a made-up world in which the target is known up to noise: a sum of two inputs of the last
bar, half signal and half noise, independent from window to window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mnpu.forecasters import Windows
from mnpu.testing import LawOutcome
from mnpu.testing.general import asked
from mnpu.types import levels_are_sound

__all__ = ["laws"]

LOOKBACK, COLUMNS, HORIZONS = 6, 4, 2
TRAINING, VALIDATION, TEST = 3000, 2000, 3000
CLOSE = 1e-6  #: what rounding may change, of a scaled target
SKILL = 0.4  #: correlation of median and outcome; the truth's own is 0.71
MISSED = 0.05  #: of a level: four standard errors, of the errors' quantiles and of the test's frequency together

PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  #: how one of protocol 2 to 5 begins

Factory = Callable[[], Any]


@dataclass(frozen=True)
class World:
    """Windows of three ranges, one after the other."""

    training: Windows
    validation: Windows
    test: Windows


def laws(factory: Factory, *, seed: int = 0) -> list[LawOutcome]:
    """Check every law of a forecaster.

    Parameters
    ----------
    factory : callable
        Builds a new one from its defaults.
    seed : int, default=0
        Of the made-up world.
    """
    world = _world(seed)
    return [asked(law, partial(check, factory, world)) for law, check in _LAWS.items()]


def _world(seed: int) -> World:
    rng = np.random.default_rng(seed)
    n = TRAINING + VALIDATION + TEST
    rows = rng.standard_normal((n, LOOKBACK * COLUMNS)).astype(np.float32)
    last = rows[:, -COLUMNS:]
    signal = (last[:, :1] + last[:, 1:2]) / np.sqrt(2)
    y = ((signal + rng.standard_normal((n, HORIZONS))) / np.sqrt(2)).astype(np.float32)
    first = np.arange(n)

    def part(start: int, stop: int) -> Windows:
        return Windows(rows, first[start:stop], LOOKBACK, y[start:stop])

    return World(part(0, TRAINING), part(TRAINING, TRAINING + VALIDATION), part(TRAINING + VALIDATION, n))


def _asked_only(windows: Windows) -> Windows:
    """The windows without their targets, as a forecast gets them."""
    return Windows(windows.rows, windows.first, windows.lookback)


def _fitted(factory: Factory, world: World) -> Any:
    model = factory()
    model.fit(world.training, world.validation, seed=7, threads=1)
    return model


def _levels_make_sense(factory: Factory, world: World) -> str:
    levels = tuple(factory().levels)
    if levels_are_sound(levels):
        return ""
    return f"levels are {levels}, expected increasing ones, symmetric around 0.5, which is one of them"


def _has_the_shape(factory: Factory, world: World) -> str:
    model = _fitted(factory, world)
    for n in (len(world.test), 1, 0):
        quantiles = model.forecast(_asked_only(world.test.take(slice(0, n))))
        expected = (n, HORIZONS, len(model.levels))
        if quantiles.shape != expected:
            return f"the forecast of {n} windows is {quantiles.shape}, expected {expected}"
        if not np.isfinite(quantiles).all():
            return "a quantile is not a finite number"
    return ""


def _never_crosses(factory: Factory, world: World) -> str:
    wild = Windows(100 * world.test.rows, world.test.first, LOOKBACK)
    model = _fitted(factory, world)
    for windows in (_asked_only(world.test), wild):
        gaps = np.diff(model.forecast(windows), axis=-1)
        if (gaps < 0).any():
            return f"the smallest gap between two levels is {gaps.min():.3g}"
    return ""


def _ignores_neighbours(factory: Factory, world: World) -> str:
    model, windows = _fitted(factory, world), _asked_only(world.test)
    together = model.forecast(windows)
    alone = np.concatenate([model.forecast(windows.take(slice(n, n + 1))) for n in range(20)])
    moved = float(np.abs(together[:20] - alone).max())
    return f"a window's forecast moves by {moved:.2g} with the others of its batch" if moved > CLOSE else ""


def _repeats_itself(factory: Factory, world: World) -> str:
    first, second = (_fitted(factory, world).forecast(_asked_only(world.test)) for _ in range(2))
    if np.array_equal(first, second):
        return ""
    return f"the same windows and seed give forecasts that differ by {np.abs(first - second).max():.2g}"


def _survives_the_disk(factory: Factory, world: World) -> str:
    model, again = _fitted(factory, world), factory()
    files = dict(model.save())
    wrong = [name for name, content in files.items() if not isinstance(content, bytes) or "/" in name]
    if wrong or not files:
        return f"save gives {wrong or 'nothing'}, expected bytes by plain file names"
    pickled = [name for name, content in files.items() if content.startswith(PICKLES)]
    if pickled:
        return f"{pickled[0]} is a pickle, which executes code when it is read"
    again.load(files)
    windows = _asked_only(world.test)
    moved = float(np.abs(model.forecast(windows) - again.forecast(windows)).max())
    return f"forecasts differ by {moved:.2g} after it was saved and loaded" if moved > CLOSE else ""


def _leaves_windows_alone(factory: Factory, world: World) -> str:
    before, y = world.training.rows.copy(), world.training.targets
    _fitted(factory, world).forecast(_asked_only(world.test))
    same = np.array_equal(before, world.training.rows) and np.array_equal(y, world.training.targets)
    return "" if same else "it changed the windows that it was given"


def _learns(factory: Factory, world: World) -> str:
    model = _fitted(factory, world)
    median = model.forecast(_asked_only(world.test))[:, :, list(model.levels).index(0.5)]
    outcome = world.test.targets
    skill = min(float(np.corrcoef(median[:, h], outcome[:, h])[0, 1]) for h in range(HORIZONS))
    if np.isfinite(skill) and skill >= SKILL:
        return ""
    return f"its median and the outcome correlate by {skill:.2f}, where the truth's would by 0.71"


def _keeps_its_levels(factory: Factory, world: World) -> str:
    model = _fitted(factory, world)
    quantiles = model.forecast(_asked_only(world.test))
    below = (world.test.targets[:, :, None] <= quantiles).mean(axis=0)  # (H, Q)
    missed = float(np.abs(below - np.array(model.levels)).max())
    if missed <= MISSED:
        return ""
    return f"on windows it has not seen its quantiles miss their levels by {missed:.3f}, expected {MISSED} at the most"


_LAWS: dict[str, Callable[[Factory, World], str]] = {
    "has sound quantile levels": _levels_make_sense,
    "forecasts every window, horizon and level": _has_the_shape,
    "quantiles never cross": _never_crosses,
    "a window's forecast does not depend on its neighbours": _ignores_neighbours,
    "the same windows and seed give the same bits": _repeats_itself,
    "survives saving and loading, without pickle": _survives_the_disk,
    "leaves the windows as they are": _leaves_windows_alone,
    "learns what can be learnt": _learns,
    "keeps its levels on windows that it has not seen": _keeps_its_levels,
}
