"""Forecast: every usable window of some decisions through a fitted network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mnpu.data.windows import window_index
from mnpu.errors import DataError
from mnpu.nn.conformal import shifted
from mnpu.nn.protocols import HeadOutput
from mnpu.training.batches import Windows, gather
from mnpu.training.fitted import Fitted
from mnpu.training.memory import explained
from mnpu.training.reproducible import n_threads
from mnpu.types import FeatureFrame, Forecast

__all__ = ["Inputs", "forecast"]


def forecast(fitted: Fitted, frame: FeatureFrame, *, rows: tuple[int, int], batch_size: int = 512) -> Forecast:
    """Predictive distribution for the decisions ``rows[0] <= t < rows[1]``.

    Parameters
    ----------
    fitted : Fitted
    frame : FeatureFrame
        The columns that the network was fitted on; a window may begin before ``rows``. The last ``lookback`` rows
        are enough for the last decision.
    rows : (start, stop)
        Decisions after the training range.
    batch_size : int, default=512
        Windows at a time; it changes no forecast by more than rounding.

    Returns
    -------
    Forecast
        All T rows of the frame, in units of the label; NaN outside ``rows`` and where no window is usable. Calibrated
        where the network is, and then NaN before the calibration may be used.

    Raises
    ------
    DataError
        If the columns differ, or a decision lies in the training range.
    """
    inputs = Inputs(fitted, frame, rows, batch_size=batch_size)
    quantiles, probabilities, evidence = inputs.said()
    thresholds = fitted.thresholds if probabilities is not None else None

    def placed(values: np.ndarray) -> np.ndarray:
        whole = np.full((*frame.tradable.shape, *values.shape[1:]), np.nan)
        whole[inputs.time, inputs.symbol] = values
        return whole

    made = Forecast(
        frame.times,
        frame.symbols,
        fitted.horizons,
        fitted.levels,
        placed(quantiles),
        probabilities=None if probabilities is None else placed(probabilities),
        evidence=None if evidence is None else placed(evidence),
        thresholds=None if thresholds is None else np.tile(thresholds, (len(frame.times), 1, 1)),
    )
    return made if fitted.calibration is None else fitted.calibration.apply(made)


class Inputs:
    """The usable windows of some decisions in a fitted network's units, to be forecast once or many times.

    Parameters
    ----------
    fitted, frame, rows, batch_size
        As in `forecast`, with the same errors.

    Attributes
    ----------
    time, symbol : int64 ndarray (N,)
        Bar and symbol at which each window ends, in time order, then symbol order.
    """

    def __init__(self, fitted: Fitted, frame: FeatureFrame, rows: tuple[int, int], *, batch_size: int = 512) -> None:
        if frame.names != fitted.names:
            raise DataError(
                f"the features are {', '.join(frame.names)}",
                where="forecast",
                expected=f"those of the fit: {', '.join(fitted.names)}",
                next_step="Compute the features of the recipe that the network was fitted with.",
            )
        start, stop = max(rows[0], 0), min(rows[1], len(frame.times))
        fitted.scaler.check_scoring(frame.times[start:stop])
        self.time, self.symbol = window_index(
            frame.values,
            None,
            frame.tradable,
            rows=(start, stop),
            lookback=fitted.lookback,
            min_present=fitted.min_present,
        )
        self._fitted, self._batch_size = fitted, batch_size
        tensors = fitted.network.parameters()  # none where a whole model stands in the place of a network
        self._device = next((tensor.device for tensor in tensors), torch.device("cpu"))
        self._windows: Windows | None = None
        if len(self.time):
            origin = max(start - fitted.lookback + 1, 0)
            scaled = fitted.scaler.scale(frame.values[origin:stop])
            self._windows = gather(
                scaled, self.time - origin, self.symbol, lookback=fitted.lookback, device=self._device
            )

    def quantiles(self, columns: Sequence[int] = (), donors: np.ndarray | None = None) -> np.ndarray:
        """Quantiles (N, H, Q), float64: float32 widens exactly and a positive factor keeps the order.

        Calibrated where the network is, as in `forecast`.

        With ``donors`` (N,), each window has the ``columns`` of the window at that position, and their masks; what
        is missing there is missing here. Which windows are forecast does not change.
        """
        own, calibration = self._batches(columns, donors), self._fitted.calibration
        quantiles = self._scaled_back(torch.cat([said.quantiles for said in own]))
        return quantiles if calibration is None else shifted(quantiles, calibration.shifts)

    def said(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """What the network itself says: quantiles (N, H, Q), and of classes their probabilities and evidence.

        Uncalibrated; the last two are None where the head names no classes.
        """
        parts = self._batches((), None)

        def joined(pieces: list[torch.Tensor | None]) -> np.ndarray | None:
            return None if pieces[0] is None else torch.cat([p for p in pieces if p is not None]).numpy()

        quantiles = self._scaled_back(torch.cat([said.quantiles for said in parts]))
        return quantiles, joined([said.probabilities for said in parts]), joined([said.evidence for said in parts])

    def _batches(self, columns: Sequence[int], donors: np.ndarray | None) -> list[HeadOutput]:
        """What the network says of each batch, in float64 on the CPU; of an empty one where there is no window."""
        fitted, windows, device = self._fitted, self._windows, self._device
        network = fitted.network.eval()
        if windows is None:
            with torch.inference_mode():
                return [_on_cpu(network.nothing())]
        given = None if donors is None else torch.from_numpy(donors).to(device)
        places = torch.tensor(self._places(columns), dtype=torch.long, device=device)
        parts = []
        short = explained(
            f"in a forecast ({self._batch_size} windows x model.lookback {fitted.lookback}, on the {device})",
            where=f"fold {fitted.fold.number + 1}",
            next_step="Use a smaller network or a shorter model.lookback.",
        )
        with torch.inference_mode(), n_threads(fitted.threads), short:
            for index in torch.arange(len(windows), device=device).split(self._batch_size):
                x = windows.batch(index).x  # (B, L, F'), a copy
                if given is not None:
                    x[..., places] = windows.batch(given[index]).x[..., places]
                parts.append(_on_cpu(network.forecast(x)))
        return parts

    def _scaled_back(self, quantiles: torch.Tensor) -> np.ndarray:
        return np.asarray(quantiles.numpy() * self._fitted.target_scale[:, None])

    def _places(self, columns: Sequence[int]) -> list[int]:
        """Where some features, and their masks, stand among the network's inputs."""
        gaps = self._fitted.scaler.has_gaps
        masks = len(gaps) + np.cumsum(gaps) - 1
        return [*columns, *(int(masks[f]) for f in columns if gaps[f])]


def _on_cpu(said: HeadOutput) -> HeadOutput:
    parts = (said.quantiles, said.probabilities, said.evidence)
    return HeadOutput(*(None if part is None else part.double().cpu() for part in parts))
