"""Stand-in of reForge's guidance of a masked picture."""

from modules import scripts
from modules_forge.guidance import PatchedDenoiser


class CFGDenoiser(PatchedDenoiser):
    def _noised_outside(self, x, sigma):
        return x

    def _protected(self, denoised, sigma):
        blended = denoised * self.nmask + self.init_latent * self.mask
        args = scripts.MaskBlendArgs(
            denoised, self.nmask, self.init_latent, self.mask, blended, denoiser=self, sigma=sigma
        )
        self.p.scripts.on_mask_blend(self.p, args)
        return args.blended_latent
