"""Stand-in of the guidance of Forge and reForge: one row a picture, always σ and the clean latent inside."""

import torch
from modules import prompt_parser, sd_samplers_common, shared
from modules.script_callbacks import AfterCFGCallbackParams, CFGDenoiserParams, cfg_after_cfg_callback, cfg_denoiser_callback
from modules.shared import state
from modules_forge import forge_sampler
from standin import denoiser as common


class PatchedDenoiser(torch.nn.Module):
    def __init__(self, sampler):
        super().__init__()
        common.prepare(self, sampler, classic_ddim_eps_estimation=False)

    @property
    def inner_model(self):
        """Wrapped as the sampler wants it, at the first use."""
        if self.model_wrap is None:
            self.model_wrap = self._wrapped(shared.sd_model)
        return self.model_wrap

    def update_inner_model(self):
        common.renew(self)

    def get_pred_x0(self, x_in, x_out, sigma):
        return x_out

    def forward(self, x, sigma, uncond, cond, cond_scale, s_min_uncond, image_cond):
        shared.sd_model.host.before_model_call(self, x, sigma)
        if state.interrupted or state.skipped:
            raise sd_samplers_common.InterruptedException
        dtype = x.dtype
        if self.classic_ddim_eps_estimation:
            # Samplers that count in timesteps: their state is brought to σ here, and their answer back to eps below.
            alpha_bar = self.inner_model.inner_model.alphas_cumprod
            sigmas = ((1 - alpha_bar) / alpha_bar) ** 0.5
            sigma = sigmas[sigma.round().long().clip(0, len(sigmas) - 1)]
            x = x * (sigma**2 + 1).sqrt()[:, None, None, None]
        if sd_samplers_common.apply_refiner(self, x):
            cond, uncond = common.conditions(self)
        composition, cond = prompt_parser.reconstruct_multicond_batch(cond, self.step)
        uncond = prompt_parser.reconstruct_cond_batch(uncond, self.step)

        if self.mask is not None:
            x = self._noised_outside(x, sigma)
        params = CFGDenoiserParams(x, image_cond, sigma, state.sampling_step, state.sampling_steps, cond, uncond, self)
        cfg_denoiser_callback(params)
        denoised = forge_sampler.forge_sample(
            self, denoiser_params=params, cond_scale=cond_scale, cond_composition=composition
        )
        if self.mask is not None:
            denoised = self._protected(denoised, sigma)

        self.sampler.last_latent = denoised
        sd_samplers_common.store_latent(denoised)
        after_cfg = AfterCFGCallbackParams(denoised, state.sampling_step, state.sampling_steps)
        cfg_after_cfg_callback(after_cfg)
        self.step += 1
        if self.classic_ddim_eps_estimation:
            return (x - after_cfg.x) / sigma[:, None, None, None]
        return after_cfg.x.to(dtype)
