"""The plain recurrent baseline: gated recurrent units, over the window or bar by bar.

After Cho et al. (2014), "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
Translation" (arXiv:1406.1078), section 2.3; the reset gate acts after the recurrent product, as in cuDNN and torch.

Glossary
--------
B batch, L lookback, F input columns, D model width. x_t input of a layer, h_t its state (zero before the window),
r_t reset gate, z_t update gate, n_t candidate, all (D,). W (D, F or D) input maps, U (D, D) recurrent maps.

Equations
---------
reset      ``r_t = sigmoid(W_r x_t + b_r + U_r h_{t-1} + c_r)`` (eq. 5)
update     ``z_t = sigmoid(W_z x_t + b_z + U_z h_{t-1} + c_z)`` (eq. 6)
candidate  ``n_t = tanh(W_n x_t + b_n + r_t * (U_n h_{t-1} + c_n))`` (eq. 8, with r outside the product)
state      ``h_t = (1 - z_t) n_t + z_t h_{t-1}`` (eq. 7)

Layers are stacked: the states of one are the input of the next, and those of the last are the output. The state is all
that is remembered, so a step costs the same after ten bars and after ten thousand.

Departures: gates have biases, two of them each, as torch has.

Does not include: an attention over past states, normalisation, dropout, a residual around a layer, a second direction.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one

__all__ = ["GRU"]


class GRU(nn.Module):
    """Gated recurrent units: the plain recurrent baseline, over a window or bar by bar with a constant state.

    Parameters
    ----------
    n_features, lookback : int
        Input columns F and window length L; windows of any length are taken.
    d_model : int, default=32
        Width D of every layer's state.
    depth : int, default=1
        Layers.
    """

    causal = True
    streams = True

    def __init__(
        self,
        n_features: int,
        lookback: int,
        *,
        d_model: Annotated[int, Field(ge=1)] = 32,
        depth: Annotated[int, Field(ge=1)] = 1,
    ) -> None:
        super().__init__()
        at_least_one("backbone", n_features=n_features, lookback=lookback, d_model=d_model, depth=depth)
        self.d_out, self.depth = d_model, depth
        self.gru = nn.GRU(n_features, d_model, num_layers=depth, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, L, F) -> (B, L, D)``."""
        return self._run(x, self.initial_state(x.shape[0]))[0]

    def initial_state(self, batch: int) -> Tensor:
        """Zero states, (layers, B, D)."""
        weight = self.gru.weight_hh_l0
        return torch.zeros(self.depth, batch, self.d_out, dtype=weight.dtype, device=weight.device)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One bar in constant time: ``(B, F)`` and the states to ``(B, D)`` and the next states."""
        h, state = self._run(x.unsqueeze(1), state)  # (B, 1, D)
        return h[:, 0], state

    def _run(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        # at the weights' own precision, also under autocast: a state that is rounded at every bar forgets small news
        with torch.autocast(device_type=x.device.type, enabled=False):
            return self.gru(x.to(state.dtype), state)
