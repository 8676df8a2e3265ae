"""Energy of log returns at the cycles of a trailing window, by its discrete Fourier transform.

A bar that is missing inside a window makes the value NaN until the bar has left the window. All are scale-free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mnpu.errors import ConfigError
from mnpu.features.api import View, feature
from mnpu.features.arrays import log_moves
from mnpu.features.parameters import window_and
from mnpu.features.recursive import carried_after
from mnpu.features.trailing import trailing_moments
from mnpu.features.windows import spectrum

Cycles = Annotated[int, Field(ge=8, le=4096)]
Period = Annotated[float, Field(ge=2.0, le=4096.0)]


def _band(window: int, shortest: float, longest: float) -> np.ndarray:
    """Cycles in the window whose periods lie within the limits."""
    waves = np.arange(1, window // 2 + 1)
    return waves[(window / waves >= shortest) & (window / waves <= longest)]


def _band_bars(params: Mapping[str, Any]) -> int:
    if not len(_band(params["window"], params["shortest"], params["longest"])):
        raise ConfigError(
            f"no cycle of {params['window']} bars has a period from {params['shortest']} to {params['longest']} bars",
            expected="a wider band or a longer window",
        )
    return int(params["window"]) + 1


@feature(fields=("close",), warmup=_band_bars, unit="fraction", tags=("spectral",))
def band_energy(view: View, *, window: Cycles = 64, shortest: Period = 4.0, longest: Period = 16.0) -> np.ndarray:
    """Share of the energy of log returns whose cycles have periods between two limits.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=64
        Returns in the spectrum, at least 8.
    shortest : float, default=4
        Shortest period of the band, in bars; 2 is the shortest there is.
    longest : float, default=16
        Longest period of the band, in bars.

    Returns
    -------
    share : ndarray (T, A)
        ``2 sum(|X_k|^2) / (window sum((r - mean(r))^2))`` over the k with ``shortest <= window / k <= longest``, X the
        discrete Fourier transform; 0 to 1.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. A window in which every return is the
    same.
    Source: Priestley (1981), the periodogram.
    """
    waves = _band(window, shortest, longest)
    weights = np.where(2 * waves == window, 1.0, 2.0)

    def compute(n_new: int, close: np.ndarray) -> np.ndarray:
        moves = log_moves(close)
        first = _first(n_new, close)
        whole = window * trailing_moments(moves, window)[1][first:]
        band = weights[:, None, None] * spectrum(moves, window, int(waves[0]), int(waves[-1]), first=first)
        return np.minimum(band.sum(axis=0) / np.where(whole > 0, whole, np.nan), 1.0)

    return carried_after(view, window, compute, "close")


@feature(fields=("close",), warmup=window_and(1), unit="fraction", tags=("spectral",))
def spectral_entropy(view: View, *, window: Cycles = 64) -> np.ndarray:
    """How evenly energy is spread over all cycles of log returns: 1 for white noise, 0 for one cycle.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=64
        Returns in the spectrum, at least 8.

    Returns
    -------
    entropy : ndarray (T, A)
        ``-sum(p ln p) / ln K``, p the share of each of the K cycles k = 1, 2, ... ``window // 2`` in ``sum(|X_k|^2)``;
        0 to 1.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. A window in which every return is the
    same.
    Source: Inouye et al. (1991), spectral entropy.
    """

    def compute(n_new: int, close: np.ndarray) -> np.ndarray:
        share = _shares(n_new, close, window)
        return -(share * np.log(np.maximum(share, 1e-300))).sum(axis=0) / np.log(len(share))

    return carried_after(view, window, compute, "close")


@feature(fields=("close",), warmup=window_and(1), unit="cycles per bar", tags=("spectral",))
def spectral_centroid(view: View, *, window: Cycles = 64) -> np.ndarray:
    """Mean frequency of log returns, weighted by energy, in cycles per bar.

    Parameters
    ----------
    view : View
        Uses ``close`` (T, A).
    window : int, default=64
        Returns in the spectrum, at least 8.

    Returns
    -------
    frequency : ndarray (T, A)
        ``sum(p k / window)``, p the share of cycle k in ``sum(|X_k|^2)``, k = 1, 2, ... ``window // 2``; 0 to 0.5.

    Notes
    -----
    NaN: the first ``window`` rows; a missing bar until it leaves the window. A window in which every return is the
    same.
    Source: Priestley (1981), the periodogram; its first moment.
    """

    def compute(n_new: int, close: np.ndarray) -> np.ndarray:
        share = _shares(n_new, close, window)
        return (share * (np.arange(1, len(share) + 1) / window)[:, None, None]).sum(axis=0)

    return carried_after(view, window, compute, "close")


def _first(n_new: int, close: np.ndarray) -> int:
    """The first row that is computed: two at least, since numpy adds up cycles in another order where it is one."""
    return max(len(close) - max(n_new, 2), 0)


def _shares(n_new: int, close: np.ndarray, window: int) -> np.ndarray:
    """Of each cycle in the energy of all, (K, N, A), in the last rows."""
    moves = log_moves(close)
    first = _first(n_new, close)
    energy = spectrum(moves, window, 1, window // 2, first=first)
    varies = trailing_moments(moves, window)[1][first:] > 0
    return energy / np.where(varies, energy.sum(axis=0), np.nan)
