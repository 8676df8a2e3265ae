"""How a fault is planted: the same check that our code passes is given something that is wrong, and has to say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["fails"]


def fails(check: Callable[..., None], *fault: Any, **faults: Any) -> None:
    """The check tells the fault from what is right."""
    with pytest.raises(AssertionError):
        check(*fault, **faults)
