"""Shared by the core's tests."""

import pytest
import torch
from toy_model import ToyModel


@pytest.fixture
def toy_model():
    return ToyModel()


@pytest.fixture
def clean():
    return torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


@pytest.fixture
def reference_noise():
    return torch.randn(5, 4, 6, 6, generator=torch.Generator().manual_seed(8), dtype=torch.float64)

