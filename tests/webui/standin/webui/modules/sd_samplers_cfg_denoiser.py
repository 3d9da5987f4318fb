"""Stand-in of the guidance: one call of the sampler's model, with masks, callbacks and the two prompts."""

import torch
from modules import prompt_parser, scripts, sd_samplers_common, shared
from modules.script_callbacks import (
    AfterCFGCallbackParams,
    CFGDenoisedParams,
    CFGDenoiserParams,
    cfg_after_cfg_callback,
    cfg_denoised_callback,
    cfg_denoiser_callback,
)
from modules.shared import opts, state
from standin import denoiser as common
from standin import flavours


class CFGDenoiser(torch.nn.Module):
    def __init__(self, sampler):
        super().__init__()
        for_cfgpp = {"cond_scale_miltiplier": 1.0, "last_noise_uncond": None, "need_last_noise_uncond": False}
        common.prepare(self, sampler, **(for_cfgpp if flavours.active.has_cfgpp else {}))

    @property
    def inner_model(self):
        """Wrapped as the sampler wants it, at the first use."""
        if self.model_wrap is None:
            self.model_wrap = self._wrapped(shared.sd_model)
        return self.model_wrap

    def combine_denoised(self, x_out, conds_list, uncond, cond_scale):
        without_prompt = x_out[-uncond.shape[0] :]
        guided = without_prompt.clone()
        for i, conds in enumerate(conds_list):
            for row, weight in conds:
                guided[i] += (x_out[row] - without_prompt[i]) * (weight * cond_scale)
        return guided

    def update_inner_model(self):
        common.renew(self)

    def get_pred_x0(self, x_in, x_out, sigma):
        return x_out

    def pad_cond_uncond(self, cond, uncond):
        """The shorter of the two is filled up with empty prompts."""
        empty = shared.sd_model.cond_stage_model_empty_prompt
        missing = (cond.shape[1] - uncond.shape[1]) // empty.shape[1]
        shorter = uncond if missing > 0 else cond
        filled = torch.cat([shorter, empty.repeat((shorter.shape[0], abs(missing), 1))], dim=1)
        self.padded_cond_uncond = True
        return (cond, filled) if missing > 0 else (filled, uncond)

    def pad_cond_uncond_v0(self, cond, uncond):
        """The negative prompt repeats its last row, or is cut off."""
        missing = max(0, cond.shape[1] - uncond.shape[1])
        self.padded_cond_uncond_v0 = True
        return cond, torch.hstack([uncond, uncond[:, -1:].repeat(1, missing, 1)])[:, : cond.shape[1]]

    def forward(self, x, sigma, uncond, cond, cond_scale, s_min_uncond, image_cond):
        shared.sd_model.host.before_model_call(self, x, sigma)
        if state.interrupted or state.skipped:
            raise sd_samplers_common.InterruptedException
        if sd_samplers_common.apply_refiner(self, sigma):
            cond, uncond = common.conditions(self)
        conds_list, tensor = prompt_parser.reconstruct_multicond_batch(cond, self.step)
        uncond = prompt_parser.reconstruct_cond_batch(uncond, self.step)

        if self.mask_before_denoising and self.mask is not None:
            x = self._blend(x, sigma)

        # One row for each prompt of each picture, then one row a picture for the negative prompt.
        rows = [i for i, conds in enumerate(conds_list) for _ in conds]
        x_in = torch.cat([x[rows], x])
        sigma_in = torch.cat([sigma[rows], sigma])
        image_cond_in = torch.cat([image_cond[rows], image_cond])
        params = CFGDenoiserParams(
            x_in, image_cond_in, sigma_in, state.sampling_step, state.sampling_steps, tensor, uncond, self
        )
        cfg_denoiser_callback(params)

        skip_uncond = self._skips_uncond(sigma, s_min_uncond)
        x_in, x_out, uncond = self._run_network(params, len(conds_list), skip_uncond)
        first_rows = [conds[0][0] for conds in conds_list]
        if skip_uncond:
            x_out = torch.cat([x_out, x_out[first_rows]])
        cfg_denoised_callback(CFGDenoisedParams(x_out, state.sampling_step, state.sampling_steps, self.inner_model))

        scale = 1.0 if skip_uncond else cond_scale * getattr(self, "cond_scale_miltiplier", 1.0)
        x_out = self._with_uncond_answer(x, sigma, x_out, scale)
        if getattr(self, "need_last_noise_uncond", False):
            self.last_noise_uncond = x_out[-uncond.shape[0] :].clone()
        denoised = self.combine_denoised(x_out, conds_list, uncond, scale)
        if not self.mask_before_denoising and self.mask is not None:
            denoised = self._blend(denoised, sigma)

        self.sampler.last_latent = self.get_pred_x0(x_in[first_rows], x_out[first_rows], sigma)
        sd_samplers_common.store_latent(self.sampler.last_latent)
        after_cfg = AfterCFGCallbackParams(denoised, state.sampling_step, state.sampling_steps)
        cfg_after_cfg_callback(after_cfg)
        self.step += 1
        return after_cfg.x

    def _blend(self, latent, sigma):
        blended = latent * self.nmask + self.init_latent * self.mask
        if self.p.scripts is None:
            return blended
        args = scripts.MaskBlendArgs(
            latent, self.nmask, self.init_latent, self.mask, blended, denoiser=self, sigma=sigma
        )
        self.p.scripts.on_mask_blend(self.p, args)
        return args.blended_latent

    def _with_uncond_answer(self, x, sigma, x_out, scale):
        """The test's own answer to the negative prompt, and the one to the prompt that guidance turns into x_out."""
        host = shared.sd_model.host
        if host.uncond_model is None or scale == 0:
            return x_out
        guided = x_out[: x.shape[0]]
        uncond = self.answer_of(x, sigma, host.uncond_model(x, float(sigma[0]), host))
        return torch.cat([uncond + (guided - uncond) / scale, uncond])

    def answer_of(self, x, sigma, clean):
        """What a network that sees `clean` in x returns."""
        return clean

    def _skips_uncond(self, sigma, s_min_uncond):
        early = getattr(opts, "skip_early_cond", 0.0)
        if early != 0.0 and self.step / self.total_steps <= early:
            self.p.extra_generation_params["Skip Early CFG"] = early
            return True
        if (self.step % 2 or getattr(opts, "s_min_uncond_all", False)) and s_min_uncond > 0 and sigma[0] < s_min_uncond:
            self.p.extra_generation_params["NGMS"] = s_min_uncond
            return True
        return False

    def _run_network(self, params, pictures, skip_uncond):
        shared.sd_model.pass_size = pictures
        x_in, sigma_in, image_cond_in = params.x, params.sigma, params.image_cond
        tensor, uncond = params.text_cond, params.text_uncond
        if skip_uncond:
            x_in, sigma_in = x_in[:-pictures], sigma_in[:-pictures]
        self.padded_cond_uncond = self.padded_cond_uncond_v0 = False
        if tensor.shape[1] != uncond.shape[1]:
            if opts.pad_cond_uncond_v0:
                tensor, uncond = self.pad_cond_uncond_v0(tensor, uncond)
            elif opts.pad_cond_uncond:
                tensor, uncond = self.pad_cond_uncond(tensor, uncond)

        def run(part, crossattn):
            if len(x_in[part]) != len(crossattn):
                raise RuntimeError(
                    f"The size of tensor a ({len(x_in[part])}) must match the size of tensor b "
                    f"({len(crossattn)}) at non-singleton dimension 0"
                )
            return self.inner_model(
                x_in[part], sigma_in[part], cond={"c_crossattn": [crossattn], "c_concat": [image_cond_in[part]]}
            )

        same_length = tensor.shape[1] == uncond.shape[1]
        if skip_uncond or (same_length and opts.batch_cond_uncond):
            return x_in, run(slice(0, len(x_in)), tensor if skip_uncond else torch.cat([tensor, uncond])), uncond
        # Prompts of different length do not fit one tensor: one pass for the prompts and one for the negative prompt.
        size = pictures if same_length or not opts.batch_cond_uncond else 2 * pictures
        out = [run(slice(a, min(a + size, len(tensor))), tensor[a : a + size]) for a in range(0, len(tensor), size)]
        out.append(run(slice(len(tensor), len(x_in)), uncond))
        return x_in, torch.cat(out), uncond
