"""The same network from several seeds, fitted one after the other on one fold, to forecast as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mnpu.nn.ensemble import Ensemble
from mnpu.training.callbacks import Callback
from mnpu.training.checkpoints import Checkpoints
from mnpu.training.fitted import Fitted
from mnpu.training.fitting import fit
from mnpu.training.reproducible import derived_seed
from mnpu.training.warming import FromBundle
from mnpu.types import FeatureFrame, Fold, Labels

__all__ = ["fit_ensemble", "joined", "member_seed"]

_PURPOSE = 0x656E73  #: Keeps the members' seeds apart from those of folds and epochs.


def fit_ensemble(
    frame: FeatureFrame,
    labels: Labels,
    fold: Fold,
    *,
    members: int,
    seed: int,
    watchers: Sequence[Sequence[Callback]] = (),
    **settings: Any,
) -> Fitted:
    """Fit ``members`` networks that differ in nothing but their seed.

    Parameters
    ----------
    frame, labels, fold, **settings
        As for `mnpu.training.fit`, with its errors.
    members : int
        At least 1. The first member is the network that is fitted without an ensemble, and more of them change none of
        those before.
    seed : int
        Every member's seed follows from it.
    watchers : sequence of sequence of Callback, optional
        The callbacks of each member.

    Returns
    -------
    Fitted
        Its network is an `Ensemble` where there are several members.
    """
    start, checkpoints = settings.pop("warm_up", None), settings.pop("checkpoints", None)
    fits = []
    for k in range(members):
        settings["warm_up"] = start.of_member(k) if isinstance(start, FromBundle) else start
        if checkpoints is not None:
            settings["checkpoints"] = Checkpoints(checkpoints.folder / f"member-{k:02d}", checkpoints.every)
        watching = watchers[k] if watchers else ()
        fits.append(fit(frame, labels, fold, seed=member_seed(seed, k), callbacks=watching, **settings))
    return joined(fits)


def member_seed(seed: int, member: int) -> int:
    """The seed of one member: ``seed`` itself for the first."""
    return seed if member == 0 else derived_seed(seed, _PURPOSE, member)


def joined(fits: Sequence[Fitted]) -> Fitted:
    """Fits of one fold as one: what depends on the data alone is the same in all of them."""
    first = fits[0]
    if len(fits) == 1:
        return first
    network = Ensemble([one.network for one in fits]).eval()
    seen = first.seen
    for one in fits[1:]:
        seen = seen.with_(one.seen) if seen is not None else one.seen
    return replace(first, network=network, members=tuple(one.history for one in fits), seen=seen)
