"""Stand-in of the host's side of the k-diffusion samplers; the samplers themselves are the real ones."""

import inspect

import k_diffusion.external
import k_diffusion.sampling
import torch
from modules import devices, sd_samplers_cfg_denoiser, sd_samplers_common, sd_samplers_extra, shared
from modules.script_callbacks import ExtraNoiseParams, extra_noise_callback
from modules.sd_samplers_cfg_denoiser import CFGDenoiser  # noqa: F401  (its old place)
from modules.shared import opts
from standin import flavours

samplers_k_diffusion = [
    (label, sd_samplers_extra.restart_sampler if function == "restart_sampler" else function, aliases, options)
    for label, function, aliases, options in flavours.active.k_samplers
]

samplers_data_k_diffusion = [
    sd_samplers_common.SamplerData(label, lambda model, f=function: KDiffusionSampler(f, model), aliases, options)
    for label, function, aliases, options in samplers_k_diffusion
]

_CHURN = ["s_churn", "s_tmin", "s_tmax", "s_noise"]
sampler_extra_params = {
    **dict.fromkeys(["sample_euler", "sample_heun", "sample_dpm_2"], _CHURN),
    **dict.fromkeys(
        [
            "sample_dpm_fast",
            "sample_dpm_2_ancestral",
            "sample_dpmpp_2s_ancestral",
            "sample_dpmpp_sde",
            "sample_dpmpp_2m_sde",
            "sample_dpmpp_3m_sde",
        ],
        ["s_noise"],
    ),
}

k_diffusion_samplers_map = {x.name: x for x in samplers_data_k_diffusion}


class ToyCompVisDenoiser(k_diffusion.external.CompVisDenoiser):
    """The real levels and conversions around an answer that is already the clean latent: no rounding on the way."""

    def forward(self, input, sigma, **kwargs):
        return self.inner_model.predict_x0(input, sigma)


class CFGDenoiserKDiffusion(sd_samplers_cfg_denoiser.CFGDenoiser):
    def _wrapped(self, sd_model):
        return ToyCompVisDenoiser(sd_model, quantize=opts.enable_quantization)


class KDiffusionSampler(sd_samplers_common.Sampler):
    _denoiser_class = CFGDenoiserKDiffusion

    def __init__(self, funcname, sd_model, options=None):
        super().__init__(funcname)
        if not callable(funcname):
            self.func = getattr(k_diffusion.sampling, funcname)
            self.extra_params = sampler_extra_params.get(funcname, [])
        if options:
            self.options = options
        # The levels are those of the model at this moment: what changes ᾱ later does not reach them.
        self._make_denoiser()

    def get_sigmas(self, p, steps):
        discard = self.config is not None and self.config.options.get("discard_next_to_last_sigma", False)
        if opts.always_discard_next_to_last_sigma and not discard:
            discard = True
            p.extra_generation_params["Discard penultimate sigma"] = True
        steps += 1 if discard else 0
        model_range = self.model_wrap.sigmas[0].item(), self.model_wrap.sigmas[-1].item()
        sigma_min, sigma_max = (0.1, 10) if opts.use_old_karras_scheduler_sigmas else model_range

        if p.sampler_noise_scheduler_override:
            sigmas = p.sampler_noise_scheduler_override(steps)
        elif flavours.active.has_schedulers:
            sigmas = self._scheduled(p, steps, sigma_min, sigma_max, model_range)
        else:
            sigmas = self._scheduled_by_name(p, steps, sigma_min, sigma_max)
        if discard:
            sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
        return sigmas.cpu()

    def _scheduled(self, p, steps, sigma_min, sigma_max, model_range):
        from modules import sd_schedulers

        name = (p.hr_scheduler if p.is_hr_pass else p.scheduler) or "Automatic"
        if name == "Automatic":
            name = self.config.options.get("scheduler", None)
        scheduler = sd_schedulers.schedulers_map.get(name)
        if scheduler is None or scheduler.function is None:
            return self.model_wrap.get_sigmas(steps)
        notes = p.extra_generation_params
        notes["Schedule type"] = scheduler.label
        keywords = {"sigma_min": sigma_min, "sigma_max": sigma_max}
        for key, default in zip(("sigma_min", "sigma_max"), model_range):
            if opts.data[key] not in (0, default):
                keywords[key] = opts.data[key]
                notes[f"Schedule {key[6:]} sigma"] = opts.data[key]
        if scheduler.default_rho != -1 and opts.rho not in (0, scheduler.default_rho):
            keywords["rho"] = notes["Schedule rho"] = opts.rho
        if scheduler.need_inner_model:
            keywords["inner_model"] = self.model_wrap
        return scheduler.function(n=steps, **keywords, device=devices.cpu)

    def _scheduled_by_name(self, p, steps, sigma_min, sigma_max):
        """Before 1.9: a setting for all jobs, else the sampler's own."""
        own = self.config.options.get("scheduler", None) if self.config is not None else None
        name = own if opts.k_sched_type == "Automatic" else opts.k_sched_type
        if opts.k_sched_type != "Automatic":
            p.extra_generation_params["Schedule type"] = name
        if name is None:
            return self.model_wrap.get_sigmas(steps)
        return getattr(k_diffusion.sampling, f"get_sigmas_{name}")(
            n=steps, sigma_min=sigma_min, sigma_max=sigma_max, device=shared.device
        )

    def sample_img2img(
        self, p, x, noise, conditioning, unconditional_conditioning, steps=None, image_conditioning=None
    ):
        all_steps, t_enc = sd_samplers_common.setup_img2img_steps(p, steps)
        sigmas = self.get_sigmas(p, all_steps)
        sigma_sched = sigmas[all_steps - t_enc - 1 :]
        xi = x + noise * sigma_sched[0]
        if opts.img2img_extra_noise > 0:
            p.extra_generation_params["Extra noise"] = opts.img2img_extra_noise
            extra = ExtraNoiseParams(noise, x, xi)
            extra_noise_callback(extra)
            xi += extra.noise * opts.img2img_extra_noise

        keywords = self.initialize(p)
        own_range = {
            # σ = 0 is not allowed for DPM fast and DPM adaptive, so theirs ends one level earlier.
            "sigma_min": sigma_sched[-2],
            "sigma_max": sigma_sched[0],
            "n": len(sigma_sched) - 1,
            "sigma_sched": sigma_sched,
            "sigmas": sigma_sched,
        }
        keywords.update(self._accepted(own_range), **self._noise_and_solver(x, sigmas, p))
        conds = {"cond": conditioning, "image_cond": image_conditioning, "uncond": unconditional_conditioning}
        return self._run(p, x, xi, t_enc + 1, conds, keywords)

    def sample(self, p, x, conditioning, unconditional_conditioning, steps=None, image_conditioning=None):
        steps = steps or p.steps
        sigmas = self.get_sigmas(p, steps)
        x = x * (torch.sqrt(1.0 + sigmas[0] ** 2.0) if opts.sgm_noise_multiplier else sigmas[0])
        keywords = self.initialize(p)
        keywords.update(
            self._accepted(
                {
                    "n": steps,
                    "sigma_min": self.model_wrap.sigmas[0].item(),
                    "sigma_max": self.model_wrap.sigmas[-1].item(),
                    "sigmas": sigmas,
                }
            )
        )
        keywords.update(self._noise_and_solver(x, sigmas, p))
        conds = {"cond": conditioning, "image_cond": image_conditioning, "uncond": unconditional_conditioning}
        return self._run(p, x, x, steps, conds, keywords)

    def _accepted(self, keywords):
        parameters = inspect.signature(self.func).parameters
        return {name: value for name, value in keywords.items() if name in parameters}

    def _noise_and_solver(self, x, sigmas, p):
        keywords = {}
        if self.config.options.get("brownian_noise", False):
            keywords["noise_sampler"] = self.create_noise_sampler(x, sigmas, p)
        if self.config.options.get("solver_type", None) == "heun":
            keywords["solver_type"] = "heun"
        return keywords
