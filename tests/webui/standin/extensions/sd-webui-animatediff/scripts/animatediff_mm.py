"""Stand-in of AnimateDiff's motion module on A1111: in the network from injection to restore, with its own betas."""

import torch
from scripts.animatediff_motion import loaded


class AnimateDiffMM:
    mm_injected = False

    def __init__(self):
        self.mm = self.ad_params = self.script_dir = None
        # The checkpoint's own, while the motion module is in it.
        self.prev_alpha_cumprod = self.prev_alpha_cumprod_original = None

    def set_ad_params(self, ad_params):
        """The argument of the job that runs now."""
        self.ad_params = ad_params

    def set_script_dir(self, script_dir):
        self.script_dir = script_dir

    def load(self, model_name: str):
        self.mm = loaded(model_name)

    def inject(self, sd_model, model_name="mm_sd15_v3.safetensors"):
        if AnimateDiffMM.mm_injected:
            self.restore(sd_model)
        self.load(model_name)
        sd_model.model.diffusion_model.motion_module = self.mm
        self._set_ddim_alpha(sd_model)
        AnimateDiffMM.mm_injected = True

    def restore(self, sd_model):
        if not AnimateDiffMM.mm_injected:
            return
        self._restore_ddim_alpha(sd_model)
        del sd_model.model.diffusion_model.motion_module
        AnimateDiffMM.mm_injected = False

    def _set_ddim_alpha(self, sd_model):
        """The motion modules were trained with linear betas, the checkpoint with scaled-linear ones."""
        betas = torch.linspace(0.00085, 0.012, sd_model.num_timesteps, dtype=torch.float32)
        self.prev_alpha_cumprod = sd_model.alphas_cumprod
        self.prev_alpha_cumprod_original = sd_model.alphas_cumprod_original
        sd_model.alphas_cumprod = sd_model.alphas_cumprod_original = torch.cumprod(1.0 - betas, dim=0)

    def _restore_ddim_alpha(self, sd_model):
        sd_model.alphas_cumprod = self.prev_alpha_cumprod
        sd_model.alphas_cumprod_original = self.prev_alpha_cumprod_original
        self.prev_alpha_cumprod = self.prev_alpha_cumprod_original = None


mm_animatediff = AnimateDiffMM()
