"""What the weights of a fit have seen, and whether another fit may begin with them.

::

    train | validation | calibration | test       of one fold, in time; the labels of each end before the next begins
    ~~~~~                                         trains the weights: no later outcome may have, or early stopping
            ~~~~~~~~~~                            would be told by outcomes that it has learnt
                         ~~~~~~~~~~~~~~~~~~       judges them: nothing of it may have trained or chosen weights

So of weights that a fit begins with (`Limits`):

* every outcome that trained them is known at the first decision of its validation range, at the latest;
* every outcome that trained or chose them is known at its first decision that is judged: of the calibration range, or
  of the test range where nothing is calibrated.

What is known at a decision's own instant is known at it. Weights from a bundle carry what that bundle's weights had
begun with, too. A calibration leaves the weights alone, so the rows that calibrated a bundle are none that its weights
have seen; until when it has is `Calibration.since`. What is not recorded is what people have seen: who chose a bundle
for its results in a test range has seen that range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from mnpu.types import Fold, Labels

__all__ = ["Limits", "Seen"]


@dataclass(frozen=True)
class Seen:
    """The instants at which the last outcomes became known that a network's weights depend on.

    Attributes
    ----------
    trained_until : Timestamp
        Of the rows that trained them: the later of the last decision and the last end of a label.
    until : Timestamp
        Of these, and of the rows by which they were chosen among those of other epochs.
    """

    trained_until: pd.Timestamp
    until: pd.Timestamp

    def __post_init__(self) -> None:
        if not self.trained_until <= self.until:
            raise ValueError(f"trained until {self.trained_until}, and seen until {self.until}")

    @classmethod
    def of(cls, fold: Fold, labels: Labels, times: pd.DatetimeIndex) -> Seen:
        """What a fit on ``fold`` sees by itself; its ranges are rows of ``times`` (T,) and of ``labels``."""
        trained = _known(fold.train, labels, times)
        return cls(trained, max(trained, _known(fold.validation, labels, times)))

    def with_(self, other: Seen | None) -> Seen:
        """What has been seen by the two of them."""
        if other is None:
            return self
        return Seen(max(self.trained_until, other.trained_until), max(self.until, other.until))

    def to_dict(self) -> dict[str, str]:
        """Plain data, exact, for JSON."""
        return {"trained_until": self.trained_until.isoformat(), "until": self.until.isoformat()}

    @classmethod
    def from_dict(cls, data: Mapping[str, str]) -> Seen:
        """What `to_dict` gave."""
        return cls(pd.Timestamp(data["trained_until"]), pd.Timestamp(data["until"]))


@dataclass(frozen=True)
class Limits:
    """What the weights that a fit begins with may have seen.

    Attributes
    ----------
    validated_from : Timestamp
        First decision of its validation range.
    judged_from : Timestamp
        First decision that calibrates or tests it.
    """

    validated_from: pd.Timestamp
    judged_from: pd.Timestamp

    @classmethod
    def of(cls, fold: Fold, calibration: tuple[int, int] | None, times: pd.DatetimeIndex) -> Limits:
        """Those of a fit on ``fold`` with the rows that are kept back to calibrate it."""
        judged = fold.test[0] if calibration is None else min(calibration[0], fold.test[0])
        return cls(_at(fold.validation[0], times), _at(judged, times))

    @property
    def most(self) -> Seen:
        """The most that weights within the limits can have seen."""
        return Seen(min(self.validated_from, self.judged_from), self.judged_from)

    def exceeded_by(self, seen: Seen) -> str:
        """Why weights may not be begun with, empty if they may."""
        if seen.trained_until > self.validated_from:
            return f"was trained up to {seen.trained_until:%Y-%m-%d}"
        return f"has seen all up to {seen.until:%Y-%m-%d}" if seen.until > self.judged_from else ""


def _known(rows: tuple[int, int], labels: Labels, times: pd.DatetimeIndex) -> pd.Timestamp:
    """When the last outcome of ``rows`` was known, of any horizon; their last decision where no label has an end."""
    ends = [end[slice(*rows)].max() for end in labels.end]
    return max([times[rows[1] - 1], *(end for end in ends if not pd.isna(end))])


def _at(row: int, times: pd.DatetimeIndex) -> pd.Timestamp:
    return times[min(row, len(times) - 1)]
