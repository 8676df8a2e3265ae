"""Whole models: what forecasts windows and is not a backbone with a head, such as a ridge regression.

Nothing here reaches torch. A forecaster gets windows as arrays of numbers, already chosen and scaled, and gives back
quantiles; `mnpu.training` puts it where a network would be, so that gates, reports, bundles and agents treat it alike.
"""

from __future__ import annotations

from mnpu.forecasters.point import PointForecaster
from mnpu.forecasters.protocol import Forecaster
from mnpu.forecasters.regression import Regression
from mnpu.forecasters.windows import Windows

__all__ = ["Forecaster", "PointForecaster", "Regression", "Windows"]
