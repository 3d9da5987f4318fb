"""Stand-in of Forge's guidance of a masked picture."""

import torch
from modules_forge.guidance import PatchedDenoiser


class CFGDenoiser(PatchedDenoiser):
    def _noised_outside(self, x, sigma):
        """With noise that nothing has seeded."""
        noisy = self.init_latent + sigma[:, None, None, None] * torch.randn_like(self.init_latent)
        return x * self.nmask + noisy * self.mask

    def _protected(self, denoised, sigma):
        """Scripts have no say in it before the last step is done."""
        return denoised * self.nmask + self.init_latent * self.mask
