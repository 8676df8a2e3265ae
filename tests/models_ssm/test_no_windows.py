"""A batch without windows has a summary without rows."""

from __future__ import annotations

import pytest
import torch

from mnpu_models_ssm.mamba import Mamba
from mnpu_models_ssm.mamba2 import Mamba2


@pytest.mark.parametrize("backbone", [Mamba, Mamba2])
def test_no_windows_have_no_summaries_and_no_gradient(backbone: type) -> None:
    network = backbone(5, 37)
    summary = network.summary(torch.zeros(0, 37, 5))
    assert summary.shape == (0, network.d_out)
    summary.sum().backward()
    assert all((p.grad == 0).all() for p in network.parameters() if p.grad is not None)
