"""A backbone under a head: the whole forecaster, as one module."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mnpu.nn.protocols import HeadOutput, output_of, summary_and_loss_of, summary_of

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Network"]


class Network(nn.Module):
    """Summarise a window with ``backbone``, then let ``head`` turn the summary into a distribution.

    The head never computes below float32: a median of a few basis points is lost in the 8 bits of bfloat16. A network
    that is converted to bfloat16 keeps a head in float32; one in float64 has a head in float64.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """The head's loss for windows ``x`` (B, L, F) and scaled targets ``y`` (B, H), a scalar."""
        return self.loss_and_summary(x, y)[0]

    def loss_and_summary(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The same loss, and the summaries (B, D) that the head took it of: its forecast costs little from there."""
        h = summary_of(self.backbone, x)  # (B, D)
        with torch.autocast(device_type=h.device.type, enabled=False):
            h = self._for_head(h)
            return self.head.loss(h, y), h

    def losses(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """The head's loss, and the backbone's own where it has one: training minimises their sum."""
        h, own = summary_and_loss_of(self.backbone, x)  # (B, D)
        with torch.autocast(device_type=h.device.type, enabled=False):
            return self.head.loss(self._for_head(h), y), None if own is None else own.float()

    def forward(self, x: Tensor) -> Tensor:
        """Quantiles (B, H, Q) of the scaled target for windows ``x`` (B, L, F)."""
        return self.forecast(x).quantiles

    def nothing(self) -> HeadOutput:
        """What the head says of no window, for its shapes."""
        return output_of(self.head, next(self.head.parameters()).new_empty(0, self.backbone.d_out))

    def forecast(self, x: Tensor) -> HeadOutput:
        """All that the head says of windows ``x`` (B, L, F): scaled quantiles, and classes if it names any."""
        h = summary_of(self.backbone, x)  # (B, D)
        with torch.autocast(device_type=h.device.type, enabled=False):
            return output_of(self.head, self._for_head(h))

    def _for_head(self, h: Tensor) -> Tensor:
        weight = next(self.head.parameters(), None)
        return h.float() if weight is None else h.to(weight.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What every conversion of a module goes through."""
        super()._apply(fn, recurse)
        if any(p.dtype in (torch.bfloat16, torch.float16) for p in self.head.parameters()):
            self.head.float()
        return self
