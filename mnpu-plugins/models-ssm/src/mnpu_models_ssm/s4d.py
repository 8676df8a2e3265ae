"""S4D: a diagonal state-space model, as a convolution over the window or as a recurrence bar by bar.

After Gu, Gupta, Goel and Ré (2022), "On the parameterization and initialization of diagonal state space models"
(arXiv:2206.11893). Sections below are those of the paper.

Glossary
--------
B batch, L lookback, F input columns, D model width, N state size (N/2 conjugate pairs are stored), k lag.
A (D, N/2) complex diagonal state matrix, C (D, N/2) complex output map, Delta (D,) step size, skip (D,).
Abar, Bbar their discrete versions, K (D, L) convolution kernel, u input and y output of one channel, x its state.

Equations
---------
continuous     ``x' = A x + B u``, ``y = 2 Re(C x) + skip u``, with B = 1, since only the product of B and C matters
stable         ``A = -exp(log_decay) + i frequency``, so the real part stays negative (section 3.4)
zero-order hold ``Abar = exp(Delta A)``, ``Bbar = (Abar - 1) / A`` (section 3.1)
recurrence     ``x_t = Abar x_{t-1} + Bbar u_t``, ``y_t = 2 Re(C x_t) + skip u_t``
convolution    ``K_k = 2 Re(sum_n C_n Bbar_n Abar_n^k)``, plus the skip at k = 0: a Vandermonde product (section 3.2);
               ``y = K * u`` by FFT, padded with zeros to 2L so that nothing wraps round from the future
S4D-Lin        ``A_n = -1/2 + i pi n`` (section 4.3)
S4D-Inv        ``A_n = -1/2 + i N/pi (N / (2n + 1) - 1)`` (section 4.3)

A block is pre-norm, the SSM, GELU, a gated linear unit that mixes channels, and a residual. Everything but the SSM
acts on one step at a time, so the whole is causal.

Departures: Delta starts in [0.01, 0.5] rather than [0.001, 0.1], since windows here have tens of steps, not thousands.

Does not include: input-dependent (selective) parameters, a bidirectional kernel, dropout, the S4 low-rank correction,
a learned B, separate learning rates (A and Delta are only spared from weight decay).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mnpu.nn.checks import at_least_one, refuse
from mnpu_models_ssm.stack import Stack, wide

__all__ = ["S4D", "DiagonalSSM"]


class S4D(Stack):
    """Diagonal state-space backbone (S4D): long memory as a convolution, or bar by bar with a constant state.

    Parameters
    ----------
    n_features, lookback : int
        Input columns F and window length L.
    d_model : int, default=32
        Width D.
    depth : int, default=2
        Blocks.
    d_state : int, default=16
        State size N of each channel, even.
    init : {"lin", "inv"}, default="lin"
        Start of the state matrix: S4D-Lin (Fourier frequencies) or S4D-Inv (closer to HiPPO).
    dt_min, dt_max : float, default=0.01, 0.5
        Range of the initial step size: a channel remembers about 1 / dt bars.
    """

    scales = ("log_dt", "log_decay", "frequency")

    def __init__(
        self,
        n_features: int,
        lookback: int,
        *,
        d_model: Annotated[int, Field(ge=1)] = 32,
        depth: Annotated[int, Field(ge=1)] = 2,
        d_state: Annotated[int, Field(ge=2)] = 16,
        init: Literal["lin", "inv"] = "lin",
        dt_min: Annotated[float, Field(gt=0)] = 0.01,
        dt_max: Annotated[float, Field(gt=0)] = 0.5,
    ) -> None:
        at_least_one(
            "backbone", n_features=n_features, lookback=lookback, d_model=d_model, depth=depth, d_state=d_state
        )
        ssms = (DiagonalSSM(d_model, d_state, init=init, dt_min=dt_min, dt_max=dt_max) for _ in range(depth))
        super().__init__(n_features, d_model, (Block(d_model, ssm) for ssm in ssms), nn.LayerNorm(d_model))


class Block(nn.Module):
    """``h + GLU(W gelu(SSM(LayerNorm(h))))``."""

    def __init__(self, d_model: int, ssm: DiagonalSSM) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.ssm = ssm
        self.mix = nn.Linear(d_model, 2 * d_model)

    def forward(self, h: Tensor) -> Tensor:
        """``(B, L, D) -> (B, L, D)``."""
        return h + self._mixed(self.ssm(self.norm(h)))

    def last(self, h: Tensor) -> Tensor:
        """``(B, L, D) -> (B, D)``: the last step of ``forward``."""
        return h[:, -1] + self._mixed(self.ssm.last(self.norm(h)))

    def initial_state(self, batch: int) -> Tensor:
        """Zeros, complex (B, D, N/2)."""
        return self.ssm.initial_state(batch)

    def step(self, h: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, D)`` and a state to ``(B, D)`` and the next state."""
        y, state = self.ssm.step(self.norm(h), state)
        return h + self._mixed(y), state

    def _mixed(self, y: Tensor) -> Tensor:
        return F.glu(self.mix(F.gelu(y)), dim=-1)


class DiagonalSSM(nn.Module):
    """D independent channels, each a linear system with N/2 conjugate pairs of modes.

    Parameters are real, so that any optimiser and file format can hold them; ``readout`` holds real and imaginary
    parts of C. The arithmetic is never below float32, neither under autocast nor with bfloat16 weights, since bfloat16
    has no FFT and too few digits for powers; what comes out has the digits of the weights.
    """

    def __init__(self, d_model: int, d_state: int, *, init: str, dt_min: float, dt_max: float) -> None:
        super().__init__()
        if d_state % 2:
            raise refuse("backbone.d_state", d_state, expected="an even number: modes come in conjugate pairs")
        if not 0 < dt_min <= dt_max:
            raise refuse("backbone.dt_min", dt_min, expected=f"a positive number up to dt_max, {dt_max}")
        n = torch.arange(d_state // 2, dtype=torch.float32)
        log_dt = torch.empty(d_model).uniform_(math.log(dt_min), math.log(dt_max))
        self.log_dt = nn.Parameter(log_dt)  # (D,)
        self.log_decay = nn.Parameter(torch.full((d_model, d_state // 2), math.log(0.5)))  # (D, N/2)
        self.frequency = nn.Parameter(_frequencies(init, n, d_state).repeat(d_model, 1))  # (D, N/2)
        self.readout = nn.Parameter(torch.randn(d_model, d_state // 2, 2) * math.sqrt(0.5))  # (D, N/2, 2): C
        self.skip = nn.Parameter(torch.randn(d_model))  # (D,)

    def discrete(self) -> tuple[Tensor, Tensor, Tensor]:
        """``Delta A``, ``Bbar`` and ``C``, each complex (D, N/2), by zero-order hold."""
        log_dt, log_decay, frequency, readout = wide(self.log_dt, self.log_decay, self.frequency, self.readout)
        a = torch.complex(-log_decay.exp(), frequency)
        dt_a = log_dt.exp().unsqueeze(-1) * a
        return dt_a, torch.expm1(dt_a) / a, torch.view_as_complex(readout)

    def kernel(self, length: int) -> Tensor:
        """The impulse response K, (D, L); the skip is part of its lag 0."""
        if _exporting():
            return self._real_kernel(length)
        dt_a, b, c = self.discrete()
        lags = torch.arange(length, device=b.device)
        powers = torch.exp(dt_a.unsqueeze(-1) * lags)  # (D, N/2, L): the Vandermonde matrix of Abar
        response = 2 * torch.einsum("dn,dnl->dl", c * b, powers).real
        return response + F.pad(self.skip.unsqueeze(-1), (0, length - 1))

    def forward(self, u: Tensor) -> Tensor:
        """``(B, L, D) -> (B, L, D)``: causal convolution with K."""
        with torch.autocast(device_type=u.device.type, enabled=False):
            (u,) = wide(u)
            length = u.shape[1]
            if _exporting() or not u.shape[0]:  # no FFT takes an empty batch
                past = F.pad(u.transpose(1, 2), (length - 1, 0))  # (B, D, 2L-1)
                taps = self.kernel(length).flip(-1).unsqueeze(1)  # (D, 1, L)
                y = F.conv1d(past, taps, groups=len(taps)).transpose(1, 2)  # (B, L, D)
                return y.contiguous().to(self.skip.dtype)
            response = torch.fft.rfft(self.kernel(length), n=2 * length)  # (D, L+1)
            spectrum = torch.fft.rfft(u.transpose(1, 2), n=2 * length) * response  # (B, D, L+1)
            y = torch.fft.irfft(spectrum, n=2 * length)[..., :length]  # (B, D, L)
            # contiguous: what follows acts on channels, and mixed strides would make it several times slower
            return y.transpose(1, 2).contiguous().to(self.skip.dtype)  # (B, L, D)

    def last(self, u: Tensor) -> Tensor:
        """``(B, L, D) -> (B, D)``: the last step of ``forward``, as one weighted sum."""
        with torch.autocast(device_type=u.device.type, enabled=False):
            weights = self.kernel(u.shape[1]).flip(-1).T  # (L, D): the newest step meets lag 0
            return (u * weights).sum(1).to(self.skip.dtype)

    def _real_kernel(self, length: int) -> Tensor:
        """`kernel` in real arithmetic, for runtimes without complex numbers: ``2 Re(C Bbar Abar^k)``, (D, L)."""
        log_dt, log_decay, frequency, readout = wide(self.log_dt, self.log_decay, self.frequency, self.readout)
        dt, rate = log_dt.exp().unsqueeze(-1), -log_decay.exp()  # (D, 1), (D, N/2)
        decay, turn = dt * rate, dt * frequency  # (D, N/2): Delta A = decay + i turn
        # Bbar = (exp(Delta A) - 1) / A, times C = p + i q; the denominator is |A|^2
        half = torch.sin(turn / 2)  # exp(a) cos(b) - 1 without the difference of two numbers close to 1
        grown_re, grown_im = torch.expm1(decay) * torch.cos(turn) - 2 * half * half, torch.exp(decay) * torch.sin(turn)
        size = rate.square() + frequency.square()
        b_re = (grown_re * rate + grown_im * frequency) / size
        b_im = (grown_im * rate - grown_re * frequency) / size
        p, q = readout.unbind(-1)
        cb_re, cb_im = p * b_re - q * b_im, p * b_im + q * b_re  # (D, N/2)
        lags = torch.arange(length, device=dt.device)
        angle, shrunk = turn.unsqueeze(-1) * lags, torch.exp(decay.unsqueeze(-1) * lags)  # (D, N/2, L)
        response = 2 * ((cb_re.unsqueeze(-1) * angle.cos() - cb_im.unsqueeze(-1) * angle.sin()) * shrunk).sum(1)
        return response + F.pad(self.skip.unsqueeze(-1), (0, length - 1))

    def initial_state(self, batch: int) -> Tensor:
        """Zero state, complex (B, D, N/2), never below complex64."""
        (like,) = wide(self.frequency)
        return like.new_zeros(batch, *like.shape, dtype=like.dtype.to_complex())

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the recurrence: ``(B, D)`` and a state to ``(B, D)`` and the next state."""
        with torch.autocast(device_type=u.device.type, enabled=False):
            (u,) = wide(u)
            dt_a, b, c = self.discrete()
            state = torch.exp(dt_a) * state + b * u.unsqueeze(-1)  # (B, D, N/2)
            y = 2 * (c * state).sum(-1).real + self.skip * u  # (B, D)
            return y.to(self.skip.dtype), state


def _exporting() -> bool:
    """Whether a graph is made for other runtimes, which have neither complex numbers nor this FFT."""
    asked = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)  # torch 2.6 has the latter alone
    return bool(asked())


def _frequencies(init: str, n: Tensor, d_state: int) -> Tensor:
    if init == "lin":
        return math.pi * n
    if init == "inv":
        return d_state / math.pi * (d_state / (2 * n + 1) - 1)
    raise refuse("backbone.init", repr(init), expected="lin or inv")
