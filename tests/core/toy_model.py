"""A model of F frames for the core's tests: cheap, and with everything coupled."""

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
