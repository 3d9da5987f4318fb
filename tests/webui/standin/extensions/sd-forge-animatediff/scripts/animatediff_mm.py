"""Stand-in of AnimateDiff's motion module on Forge: a patch of the network for one sampling; there is no restore."""

import torch
from scripts.animatediff_motion import loaded


class AnimateDiffMM:
    def __init__(self):
        self.mm = self.ad_params = self.script_dir = None

    def set_ad_params(self, ad_params):
        """The argument of the job that runs now."""
        self.ad_params = ad_params

    def set_script_dir(self, script_dir):
        self.script_dir = script_dir

    def load(self, model_name: str):
        self.mm = loaded(model_name)

    def inject(self, sd_model, model_name="mm_sd15_v3.safetensors"):
        unet = sd_model.forge_objects.unet.clone()
        assert self.mm is not None, "no motion module was loaded"
        unet.add_block_inner_modifier(self.mm.block)
        sd_model.forge_objects.unet = unet

    def set_ddim_alpha(self, sd_model):
        """Reaches only what reads ᾱ later than now; the levels of the k-diffusion samplers are already fixed."""
        unet = sd_model.forge_objects.unet.clone()
        betas = torch.linspace(0.00085, 0.012, sd_model.num_timesteps, dtype=torch.float32)
        alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
        unet.add_alphas_cumprod_modifier(lambda _: alphas_cumprod)
        sd_model.forge_objects.unet = unet


mm_animatediff = AnimateDiffMM()
