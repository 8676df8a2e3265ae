"""A finished run, opened again: its data, its fitted networks, and the proof that they still give its forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mnpu import pipeline
from mnpu.assembly import Parts, assemble
from mnpu.config.load import load_config
from mnpu.config.resolve import resolve
from mnpu.errors import ConfigError, DataError
from mnpu.pipeline import Prepared
from mnpu.plugins.registry import Registry
from mnpu.progress import Progress
from mnpu.results_io import read_result
from mnpu.rundir import RunDirectory
from mnpu.types import Fold, Forecast, Result

if TYPE_CHECKING:
    from mnpu.training import Inputs

__all__ = ["Finished", "check_forecast", "reopen"]

NEAR = 1e-5  #: Of the target's scale: forecasts of other machines and thread counts differ by less.


@dataclass(frozen=True)
class Finished:
    """What a run was made of.

    Attributes
    ----------
    parts, prepared, result
        The recipe's components, data, and what was kept.
    inputs : sequence of Inputs
        The test range of each fold before its network, in the order of the folds.
    names : sequence of tuple of str
        The columns of each network.
    everyone : bool ndarray (T, A)
        Where every model of the run has a forecast.
    before : sequence of (start, float64 ndarray (B, A, H, Q))
        For each fold what its network said of the bars from ``start`` to its test range, where the calibration is
        adaptive and has learnt from them; empty elsewhere.
    """

    parts: Parts
    prepared: Prepared
    result: Result
    inputs: Sequence[Inputs]
    names: Sequence[tuple[str, ...]]
    everyone: np.ndarray
    before: Sequence[tuple[int, np.ndarray]] = ()

    @property
    def folds(self) -> Sequence[Fold]:
        """The folds, as fitted."""
        return self.prepared.split.folds

    def forecast(self, quantiles: Sequence[np.ndarray]) -> Forecast:
        """The forecast of all folds together, from the quantiles of each fold's windows.

        Adaptive calibration begins each test range with what it knew in the run, and then follows these quantiles: a
        decision is calibrated by what came of the given forecasts before it.
        """
        assert self.result.forecast is not None
        frame, kept = self.prepared.frame, self.result.forecast
        values = np.full((*frame.tradable.shape, len(kept.horizons), len(kept.levels)), np.nan)
        for inputs, own in zip(self.inputs, quantiles, strict=True):
            values[inputs.time, inputs.symbol] = own
        said = Forecast(frame.times, frame.symbols, kept.horizons, kept.levels, values)
        return self._followed(said) if self.before else said

    def _followed(self, said: Forecast) -> Forecast:
        from mnpu import training  # torch lives only here

        settings = self.parts.config.model.calibration
        assert settings is not None
        values = np.full_like(said.quantiles, np.nan)
        for fold, (start, quantiles) in zip(self.folds, self.before, strict=True):
            first, stop = fold.test
            own = said.quantiles.copy()
            own[start:first] = quantiles
            made = training.adapt(
                replace(said, quantiles=own),
                self.prepared.labels_of(fold),
                (start, stop),
                since=first,
                **training.adaptive_settings(settings),
            )
            values[first:stop] = made.quantiles[first:stop]
        return replace(said, quantiles=values)


def reopen(run: RunDirectory, registry: Registry, progress: Progress) -> Finished:
    """Read a run's folder, load its data and networks; `check_forecast` tells whether they are what they were.

    Raises
    ------
    ConfigError
        The run is not finished.
    DataError
        A file changed after the run, or the folds are others.
    PluginError
        Something that the recipe needs is not installed.
    """
    if run.status != "finished":
        raise ConfigError(
            f"the run is {run.status}",
            where=run.run_id,
            expected="a finished run",
            next_step=f"See: mnpu runs show {run.run_id}.",
        )
    changed = [name for name in run.changed_files() if not name.startswith("report.")]
    if changed:
        raise DataError(
            f"{', '.join(changed[:3])}{' and others' if len(changed) > 3 else ''} changed after the run",
            where=str(run.path),
            expected="what was written",
            next_step="Run the pipeline again; what is there was left as it is.",
        )
    result = read_result(run.path)
    loaded = load_config(run.path / "resolved.yaml")
    parts = assemble(loaded.pipeline, resolve(loaded, registry), registry, base=run.path)
    panel, side = pipeline.load(parts, progress)
    prepared = pipeline.prepare(parts, panel, side, progress)
    everyone = _everyone(prepared, result)
    return Finished(parts, prepared, result, everyone=everyone, **_networks(run, parts, prepared))


def _networks(run: RunDirectory, parts: Parts, prepared: Prepared) -> dict[str, list[Any]]:
    """The ``inputs``, ``names`` and ``before`` of a `Finished`."""
    from mnpu import training  # torch lives only here

    judged, calibration = parts.forecasters[0], parts.config.model.calibration
    found: dict[str, list[Any]] = {"inputs": [], "names": [], "before": []}
    for fold in prepared.split.folds:
        folder = run.path / "bundle" / f"fold-{fold.number:02d}"
        fitted = training.load(folder, judged.backbone, judged.head, judged.whole)
        own, rows = training.kept_back(calibration, fold, prepared.labels_of(fold), prepared.panel.times)
        if fitted.fold != own:
            raise _differs(run, f"fold {fold.number + 1} tests other decisions now than when it was fitted")
        frame = pipeline.learnable(prepared, fold)
        fitted = replace(fitted, threads=parts.config.runtime.threads)
        found["inputs"].append(training.Inputs(fitted, frame, fold.test))
        found["names"].append(fitted.names)
        if calibration is not None and calibration.use == "adaptive" and rows is not None:
            said = training.forecast(fitted, frame, rows=(rows[0], fold.test[0])).quantiles
            found["before"].append((rows[0], said[rows[0] : fold.test[0]]))
    return found


def check_forecast(run: RunDirectory, finished: Finished, forecast: Forecast) -> None:
    """Refuse a forecast that is not the one of the run."""
    kept = finished.result.forecast
    assert kept is not None
    now = forecast.rows(*finished.prepared.rows)
    if not now.times.equals(kept.times) or now.symbols != kept.symbols:
        raise _differs(run, "the data has other decisions or symbols now")
    scale = float(np.nanstd(kept.quantiles)) or 1.0
    both = np.isfinite(now.quantiles) & np.isfinite(kept.quantiles)
    if not np.array_equal(np.isfinite(now.quantiles), np.isfinite(kept.quantiles)):
        raise _differs(run, "other decisions can be forecast now")
    apart = float(np.abs(now.quantiles[both] - kept.quantiles[both]).max(initial=0.0))
    if apart > NEAR * scale:
        raise _differs(run, f"forecasts differ by up to {apart:.2g} now")


def _differs(run: RunDirectory, what: str) -> DataError:
    return DataError(
        what,
        where=run.run_id,
        expected="the data, features and networks of the run",
        next_step="The store or an installed package changed since; run the pipeline again.",
    )


def _everyone(prepared: Prepared, result: Result) -> np.ndarray:
    """Where every model of the run has a forecast, over all rows; true where none was kept."""
    everyone: np.ndarray = np.ones(prepared.frame.tradable.shape, dtype=bool)
    first, stop = prepared.rows
    for other in result.comparisons:
        if other.forecast is not None and len(other.forecast.times) == stop - first:
            everyone[first:stop] &= other.forecast.available
    return everyone
