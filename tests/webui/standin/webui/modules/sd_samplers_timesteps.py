"""Stand-in of the host's side of the samplers that count in timesteps: DDIM, DDIM CFG++, PLMS, UniPC."""

import inspect
import sys

import torch
from modules import devices, sd_samplers_common, sd_samplers_timesteps_impl, shared
from modules.script_callbacks import ExtraNoiseParams, extra_noise_callback
from modules.sd_samplers_cfg_denoiser import CFGDenoiser
from modules.shared import opts
from standin import flavours

samplers_timesteps = [
    (label, getattr(sd_samplers_timesteps_impl, function), [function], {})
    for label, function in (("DDIM", "ddim"), ("DDIM CFG++", "ddim_cfgpp"), ("PLMS", "plms"), ("UniPC", "unipc"))
    if label in flavours.active.timestep_samplers
]

samplers_data_timesteps = [
    sd_samplers_common.SamplerData(label, lambda model, f=function: CompVisSampler(f, model), aliases, options)
    for label, function, aliases, options in samplers_timesteps
]


class CompVisTimestepsDenoiser(torch.nn.Module):
    """The network as it is: such samplers take its timesteps and its eps."""

    def __init__(self, model, *args, **kwargs):
        super().__init__()
        self.inner_model = model

    def forward(self, input, timesteps, **kwargs):
        network = self.inner_model
        return network.apply_model(input, timesteps, **kwargs)


class CFGDenoiserTimesteps(CFGDenoiser):
    def __init__(self, sampler):
        super().__init__(sampler)
        own_way = "classic_ddim_eps_estimation" if flavours.active.is_forge else "mask_before_denoising"
        setattr(self, own_way, True)
        self.alphas = shared.sd_model.alphas_cumprod

    def get_pred_x0(self, x_in, x_out, sigma):
        alpha_bar = self.alphas[sigma.to(dtype=int)][:, None, None, None]
        return (x_in - (1 - alpha_bar).sqrt() * x_out) / alpha_bar.sqrt()

    def answer_of(self, x, sigma, clean):
        return shared.sd_model.eps_of(x, sigma, clean)

    def _wrapped(self, sd_model):
        return CompVisTimestepsDenoiser(sd_model)


class CompVisSampler(sd_samplers_common.Sampler):
    _denoiser_class = CFGDenoiserTimesteps

    def __init__(self, funcname, sd_model):
        super().__init__(funcname)
        vars(self).update(eta_default=0.0, eta_infotext_field="Eta DDIM", eta_option_field="eta_ddim")
        self._make_denoiser()

    def get_timesteps(self, p, steps):
        if opts.always_discard_next_to_last_sigma:
            p.extra_generation_params["Discard penultimate sigma"] = True
            steps += 1
        return (torch.arange(0, 1000, 1000 // steps, device=devices.device) + 1).clip(0, 999)

    def sample_img2img(
        self, p, x, noise, conditioning, unconditional_conditioning, steps=None, image_conditioning=None
    ):
        steps, t_enc = sd_samplers_common.setup_img2img_steps(p, steps)
        timesteps = self.get_timesteps(p, steps)
        # Noised at one level, first model call at the level below: the host's own mismatch.
        alpha_bar = shared.sd_model.alphas_cumprod[timesteps[t_enc]]
        xi = x * alpha_bar.sqrt() + noise * (1 - alpha_bar).sqrt()
        if opts.img2img_extra_noise > 0:
            p.extra_generation_params["Extra noise"] = opts.img2img_extra_noise
            extra = ExtraNoiseParams(noise, x, xi)
            extra_noise_callback(extra)
            xi += extra.noise * opts.img2img_extra_noise * alpha_bar.sqrt()

        keywords = self.initialize(p)
        parameters = inspect.signature(self.func).parameters
        if "timesteps" in parameters:
            keywords["timesteps"] = timesteps[:t_enc]
        if "is_img2img" in parameters:
            keywords["is_img2img"] = True
        conds = {"cond": conditioning, "image_cond": image_conditioning, "uncond": unconditional_conditioning}
        return self._run(p, x, xi, t_enc + 1, conds, keywords)

    def sample(self, p, x, conditioning, unconditional_conditioning, steps=None, image_conditioning=None):
        steps = steps or p.steps
        keywords = self.initialize(p)
        if "timesteps" in inspect.signature(self.func).parameters:
            keywords["timesteps"] = self.get_timesteps(p, steps)
        conds = {"cond": conditioning, "image_cond": image_conditioning, "uncond": unconditional_conditioning}
        return self._run(p, x, x, steps, conds, keywords)


sys.modules["modules.sd_samplers_compvis"] = sys.modules[__name__]
VanillaStableDiffusionSampler = CompVisSampler
