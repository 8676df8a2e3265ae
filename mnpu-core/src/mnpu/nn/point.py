"""A head that forecasts one number a horizon.

Glossary
--------
B batch, D width of the summary, H horizons, Q quantile levels; m the point, y target, d the knee of Huber's loss.

Equations
---------
``huber``: ``e^2 / 2`` for ``|e| <= d``, else ``d (|e| - d / 2)``, with ``e = y - m`` (Huber 1964, section 2): it
elicits a centre between mean (``d`` to infinity) and median (``d`` to 0), the same for a symmetric law.
``mse``: ``e^2 / 2``, which elicits the mean (Gneiting 2011, section 3).

A Forecast is made of quantiles, and a point says nothing of spread: every quantile is the point (``is_point`` says so).
Its intervals have no width and cover nothing, which a report shows; conformal calibration turns them into the classical
split-conformal intervals of its residuals.

Does not include: a spread, a density, a loss for the median alone (``quantile`` with one level is that).
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one, refuse
from mnpu.nn.levels import LEVELS, checked_levels

__all__ = ["Point"]


class Point(nn.Module):
    """One number a horizon, trained by Huber's loss or squared error; all quantiles are that number.

    Parameters
    ----------
    d_in, n_horizons : int
        Width D of the summary and number of horizons H.
    loss : {"huber", "mse"}, default="huber"
    knee : float, default=1.0
        Where Huber's loss turns linear, in standard deviations of the target.
    levels : tuple of float
        Quantile levels Q of the forecast, which a calibration can give a meaning.
    """

    is_point = True

    def __init__(
        self,
        d_in: int,
        n_horizons: int,
        *,
        loss: Literal["huber", "mse"] = "huber",
        knee: Annotated[float, Field(gt=0)] = 1.0,
        levels: tuple[float, ...] = LEVELS,
    ) -> None:
        super().__init__()
        at_least_one("head", d_in=d_in, n_horizons=n_horizons)
        if loss not in ("huber", "mse"):
            raise refuse("head.loss", repr(loss), expected="huber or mse")
        if not knee > 0:
            raise refuse("head.knee", knee, expected="a positive number")
        self.levels = checked_levels(levels)
        self.kind, self.knee = loss, float(knee)
        self.map = nn.Linear(d_in, n_horizons)

    def forecast(self, h: Tensor) -> Tensor:
        """``(B, D) -> (B, H, Q)``: the point, Q times."""
        return self.map(h).unsqueeze(-1).repeat(1, 1, len(self.levels))

    def loss(self, h: Tensor, y: Tensor) -> Tensor:
        """Mean over batch and horizons: ``(B, D), (B, H) -> ()``."""
        point = self.map(h)  # (B, H)
        if self.kind == "mse":
            return F.mse_loss(point, y) / 2
        return F.huber_loss(point, y, delta=self.knee)
