"""Keep the inputs of a backbone's blocks alone, and compute the blocks again in the backward pass.

After Chen, Xu, Zhang and Guestrin (2016), "Training deep nets with sublinear memory cost" (arXiv:1604.06174): memory of
one block and the inputs of all, for one more forward pass. Random numbers are drawn again from the same state, so loss
and gradients are those of the plain pass, to the last bit.

A backbone offers it by an attribute ``checkpoint_activations``, False to begin with, and by sending what it calls on
its blocks `through`::

    for block in self.blocks:
        h = through(self, block, h)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

__all__ = ["offers", "recompute", "recomputing", "through"]

_STATE = threading.local()


def offers(backbone: nn.Module) -> bool:
    """Whether the backbone can compute its blocks again."""
    return isinstance(getattr(backbone, "checkpoint_activations", None), bool)


def recompute(backbone: nn.Module) -> nn.Module:
    """The same backbone, whose blocks are from now on computed again in training, where it offers that."""
    if offers(backbone):
        backbone.checkpoint_activations = True  # type: ignore[assignment]  # a plain attribute, no parameter
    return backbone


def through(backbone: Any, function: Callable[..., Any], *inputs: Any) -> Any:
    """``function(*inputs)``, of which only the inputs are kept where the backbone was asked for that."""
    if not backbone.checkpoint_activations or not torch.is_grad_enabled():
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, context_fn=_contexts)


def recomputing() -> bool:
    """Whether this is the second time: what a block counts, it counts once."""
    return getattr(_STATE, "again", False)


def _contexts() -> tuple[Any, Any]:
    return nullcontext(), _again()


@contextmanager
def _again() -> Iterator[None]:
    before, _STATE.again = recomputing(), True
    try:
        yield
    finally:
        _STATE.again = before
