"""Shared by the core's tests: a model of F frames, cheap and with everything coupled."""

import hypothesis
import pytest
import torch


class ToyModel:
    """Answers with a clean latent that depends on the state, on its neighbours in the frame and on all frames."""

    def __init__(self, frames=5, channels=4, size=6, seed=0, dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        self.mix = (
            torch.eye(frames, dtype=dtype) * 0.6
            + torch.rand(frames, frames, generator=generator, dtype=dtype) * 0.4 / frames
        )
        self.drift = torch.randn(frames, channels, size, size, generator=generator, dtype=dtype)
        self.calls = []

    def __call__(self, x, sigma, **extra):
        self.calls.append(float(sigma.flatten()[0]))
        assert x.shape[0] == self.mix.shape[0] == sigma.shape[0], "the model must never see the pivot"
        shrink = 1 / (1 + sigma.view(-1, 1, 1, 1) ** 2)
        mixed = torch.einsum("fg,gchw->fchw", self.mix.to(x.dtype), x * shrink)
        return 0.7 * mixed.roll(1, -1) + 0.3 * torch.tanh(mixed) + self.drift.to(x.dtype)


@pytest.fixture
def toy_model():
    return ToyModel()


@pytest.fixture
def clean():
    return torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


@pytest.fixture
def reference_noise():
    return torch.randn(5, 4, 6, 6, generator=torch.Generator().manual_seed(8), dtype=torch.float64)


hypothesis.settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("shared machine")
