"""What a recipe may say about the alerts of training: for each one its threshold and what happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mnpu.config.blocks import Block

__all__ = ["FED_BY", "OWN", "AlertsConfig"]

Action = Literal["log", "stop", "lower_lr"]

OWN = ("calibration", "curvature", "dead_units", "landscape", "noise_scale", "norms", "throughput")
#: The instrument of core that reads what an alert asks; over_fitting asks the losses, which are always there. A
#: backbone may feed collapse as well, by what it reports on itself.
FED_BY: Mapping[str, str] = {
    "nan": "norms",
    "exploding_gradients": "norms",
    "vanishing_gradients": "norms",
    "noise_scale": "noise_scale",
    "miscalibration": "calibration",
    "collapse": "calibration",
    "dead_units": "dead_units",
}


class _Rule(Block):
    threshold: float = Field(default=0.0, ge=0, description="Where the alert begins.")
    action: Action = Field(
        default="log",
        description="log: say so. stop: end this fit after the epoch and keep its best one. lower_lr: multiply the "
        "learning rate by `factor`, in every epoch in which it holds.",
    )


class _Nan(_Rule):
    """A gradient that is not finite, in more than this many of the steps looked at."""


class _Exploding(_Rule):
    """The largest norm of the gradient in an epoch, before clipping."""

    threshold: float = Field(default=100.0, ge=0, description="Norm; labels are in their standard deviations.")


class _Vanishing(_Rule):
    """The smallest norm of a layer's gradient in an epoch."""

    threshold: float = Field(default=1e-8, ge=0, description="Norm of one layer's gradient.")


class _Noise(_Rule):
    """The gradient noise scale."""

    threshold: float = Field(default=100.0, ge=0, description="In batches, as steps take them.")


class _Miscalibration(_Rule):
    """Central intervals on validation windows, at two looks in a row."""

    threshold: float = Field(default=0.1, ge=0, description="Distance of observed from nominal coverage.")


class _Collapse(_Rule):
    """A part of the network that is no longer used, or a forecast that does not depend on its input."""

    threshold: float = Field(default=1e-6, ge=0, description="Spread of the median, in standard deviations of labels.")


class _Dead(_Rule):
    """Units without a gradient."""

    threshold: float = Field(default=0.5, ge=0, description="Share of all units.")


class _OverFitting(_Rule):
    """Validation loss lost since its best epoch."""

    threshold: float = Field(default=1.0, ge=0, description="Share of what the training loss has gained in all.")


def _number(value: Any) -> Any:
    """A number alone is the threshold."""
    return {"threshold": value} if isinstance(value, (int, float)) and not isinstance(value, bool) else value


class AlertsConfig(Block):
    """Thresholds of alerts, judged after every epoch by what the instruments read.

    A number alone is the threshold, null turns an alert off.
    """

    nan: Annotated[_Nan | None, BeforeValidator(_number)] = Field(
        default=_Nan(), description="Gradients that are not finite; a loss that is not finite always ends the run."
    )
    exploding_gradients: Annotated[_Exploding | None, BeforeValidator(_number)] = Field(
        default=_Exploding(), description="Largest norm of the gradient; needs the instrument norms."
    )
    vanishing_gradients: Annotated[_Vanishing | None, BeforeValidator(_number)] = Field(
        default=_Vanishing(), description="Smallest norm of a layer's gradient; needs norms."
    )
    noise_scale: Annotated[_Noise | None, BeforeValidator(_number)] = Field(
        default=_Noise(), description="Gradient noise scale; needs noise_scale."
    )
    miscalibration: Annotated[_Miscalibration | None, BeforeValidator(_number)] = Field(
        default=_Miscalibration(), description="Coverage on validation windows; needs calibration."
    )
    collapse: Annotated[_Collapse | None, BeforeValidator(_number)] = Field(
        default=_Collapse(), description="Experts that nobody is sent to, or a forecast that never changes."
    )
    dead_units: Annotated[_Dead | None, BeforeValidator(_number)] = Field(
        default=_Dead(), description="Units without a gradient; needs dead_units."
    )
    over_fitting: Annotated[_OverFitting | None, BeforeValidator(_number)] = Field(
        default=_OverFitting(), description="Validation loss that rises while the training loss falls."
    )
    factor: float = Field(default=0.5, gt=0, lt=1, description="What lower_lr multiplies the learning rate by.")
