"""What the published code gives for weights and a window that any language can write down.

``MAMBA``: `mambapy.mamba.MambaBlock` 1.2.0 with d_model 4, d_state 3, dt_rank 1. ``MAMBA2``: `Mamba2Mixer` of
transformers 5.23.0 with hidden_size 4, expand 2, 2 heads of 4, state_size 3, chunk_size 4, one group and
layer_norm_epsilon 1e-5. Both with `filled` weights in float64, for the window ``waves(1, 6, 4)``.

``S4D``: the kernel, convolution and skip of `models/s4/s4d.py` of state-spaces/s4 at 2ed46fc, in float64, with d_model
3 and d_state 6, for the window ``waves(1, 8, 3)``. Its A_imag, log_A_real, log_dt, C and D are filled in this order,
which is that of our names.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["MAMBA", "MAMBA2", "S4D", "filled", "waves"]


def waves(*shape: int) -> Tensor:
    """Numbers between -1 and 1 that need no generator."""
    return torch.sin(1.7 * torch.arange(math.prod(shape), dtype=torch.float64)).reshape(shape)


def filled(module: nn.Module) -> nn.Module:
    """The module with such weights, parameter by parameter in the order of their names."""
    with torch.no_grad():
        for i, (_, parameter) in enumerate(sorted(module.named_parameters())):
            wave = 0.5 * torch.sin(0.9 * torch.arange(parameter.numel(), dtype=torch.float64) + i)
            parameter.copy_(wave.reshape(parameter.shape))
    return module


MAMBA = [
    [0.00769361, -0.02193879, -0.03438659, -0.01989947],
    [0.06919072, -0.02713859, -0.10221032, -0.09722097],
    [0.15070984, -0.03229541, -0.19000376, -0.19888266],
    [0.05522702, -0.01193496, -0.06974833, -0.07292800],
    [-0.05180808, -0.03870620, 0.00471415, 0.04444192],
    [-0.08476055, -0.09238178, -0.02764061, 0.05875138],
]

MAMBA2 = [
    [0.31060826, -0.12886129, -0.46739413, -0.43981839],
    [0.31125080, 0.31523318, 0.07229421, -0.22727258],
    [-0.01305333, 0.22937573, 0.29213535, 0.12606616],
    [-0.27986511, -0.21903017, 0.01337050, 0.23529811],
    [0.26083861, -0.06671171, -0.34200696, -0.34940903],
    [0.43705267, 0.26432917, -0.11544270, -0.40478858],
]

S4D = [
    [0.00000000, -0.85031905, 0.01327150],
    [0.69845926, -0.64261625, -0.09354504],
    [0.59838072, 0.30293777, 0.08647343],
    [-0.23271530, 0.83846682, 0.26612117],
    [-0.77275026, 0.31191447, 0.16830724],
    [-0.35143314, -0.61343826, -0.11559928],
    [0.50704580, -0.78132337, -0.24679387],
    [0.73472826, 0.02014023, -0.06809051],
]
