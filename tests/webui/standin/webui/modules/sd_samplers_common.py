"""Stand-in of what all samplers share: steps, noise, the launch, interruption."""

import contextlib
import inspect
import sys
from collections import namedtuple

import k_diffusion.sampling
import numpy as np
import torch
from modules import devices, sd_models, shared
from modules.shared import opts, state
from PIL import Image
from standin import flavours


class SamplerData(namedtuple("SamplerData", ["name", "constructor", "aliases", "options"])):
    def total_steps(self, steps):
        return steps * 2 if self.options.get("second_order", False) else steps


class InterruptedException(BaseException):
    pass


approximation_indexes = {"Full": 0, "Approx NN": 1, "Approx cheap": 2, "TAESD": 3}


def setup_img2img_steps(p, steps=None):
    strength = min(p.denoising_strength, 0.999)
    if opts.img2img_fix_steps or steps is not None:
        wanted = steps or p.steps
        return (int(wanted / strength) if p.denoising_strength > 0 else 0), wanted - 1
    return p.steps, int(strength * p.steps)


def images_tensor_to_samples(image, approximation=None, model=None):
    """[0, 1] pictures as latents. Each picture alone, each with its own sampling noise."""
    model = model or shared.sd_model
    image = image.to(shared.device, dtype=devices.dtype_vae) * 2 - 1
    return torch.cat([model.get_first_stage_encoding(model.encode_first_stage(one)) for one in image.split(1)])


def samples_to_images_tensor(sample, approximation=None, model=None):
    return (model or shared.sd_model).decode_first_stage(sample)


def decode_first_stage(model, x):
    return samples_to_images_tensor(x, 0, model)


def single_sample_to_image(sample, approximation=None):
    pixels = (samples_to_images_tensor(sample.unsqueeze(0))[0] * 0.5 + 0.5).clamp(0, 1)
    return Image.fromarray((255.0 * np.moveaxis(pixels.numpy(), 0, 2)).astype(np.uint8))


def sample_to_image(samples, index=0, approximation=None):
    return single_sample_to_image(samples[index], approximation)


def store_latent(decoded):
    state.current_latent = decoded


def is_sampler_using_eta_noise_seed_delta(p):
    config = sys.modules["modules.sd_samplers"].find_sampler_config(p.sampler_name)
    eta = p.eta
    if eta is None and p.sampler is not None:
        eta = p.sampler.eta
    return eta != 0 and config.options.get("uses_ensd", False)


def _completed_ratio(cfg_denoiser, sigma):
    if not flavours.active.has_schedulers or opts.refiner_switch_by_sample_steps:
        return cfg_denoiser.step / cfg_denoiser.total_steps
    sigmas = getattr(cfg_denoiser.inner_model, "sigmas", None)
    # Samplers that count in timesteps have no σ: theirs is a timestep already.
    timestep = int(sigma.max()) if sigmas is None else int((sigmas - sigma.max()).abs().argmin())
    return (999 - timestep) / 1000


def apply_refiner(cfg_denoiser, sigma=None):
    """True when the checkpoint was changed now; the job's conditions are then new."""
    p = cfg_denoiser.p
    if p.refiner_checkpoint_info is None or shared.sd_model.sd_checkpoint_info == p.refiner_checkpoint_info:
        return False
    if p.refiner_switch_at is not None and _completed_ratio(cfg_denoiser, sigma) < p.refiner_switch_at:
        return False
    p.extra_generation_params["Refiner"] = p.refiner_checkpoint_info.short_title
    p.extra_generation_params["Refiner switch at"] = p.refiner_switch_at
    sd_models.reload_model_weights(info=p.refiner_checkpoint_info)
    p.setup_conds()
    cfg_denoiser.update_inner_model()
    return True


# The values at which k-diffusion's noise parameters change nothing.
_NEUTRAL = {"s_churn": 0.0, "s_tmin": 0.0, "s_tmax": float("inf"), "s_noise": 1.0}
# The ancestral samplers' eta: its default, the setting's name, the infotext's.
_ANCESTRAL = {"eta_default": 1.0, "eta_option_field": "eta_ancestral", "eta_infotext_field": "Eta"}
# Known when the sampler is made (config, model_wrap_cfg), when its job starts, or while it runs.
_LATER = (
    *("config", "model_wrap_cfg"),
    *("p", "eta", "s_min_uncond", "sampler_extra_args", "sampler_noises", "stop_at"),
    "last_latent",
)


class TorchHijack:
    """Takes torch's place inside k-diffusion's samplers, to draw their noise from the job's generators."""

    def __init__(self, p):
        self.rng = p.rng

    def randn_like(self, x):
        """The argument does not matter: the result has as many rows as the job has frames."""
        return self.rng.next()

    def __getattr__(self, item):
        return getattr(torch, item)


class Sampler:
    _denoiser_class = None

    def __init__(self, funcname):
        vars(self).update({**dict.fromkeys(_LATER), **_NEUTRAL, **_ANCESTRAL})
        self.func = self.funcname = funcname
        self.options, self.extra_params = {}, []
        self.conditioning_key = getattr(shared.sd_model.model, "conditioning_key", "crossattn")

    def _make_denoiser(self):
        self.model_wrap_cfg = self._denoiser_class(self)
        self.model_wrap = self.model_wrap_cfg.inner_model

    def number_of_needed_noises(self, p):
        return p.steps

    def launch_sampling(self, steps, func):
        denoiser = self.model_wrap_cfg
        denoiser.steps, denoiser.total_steps = steps, self.config.total_steps(steps)
        state.sampling_step, state.sampling_steps = 0, steps
        with contextlib.suppress(InterruptedException, RecursionError):
            return func()
        return self.last_latent

    def callback_state(self, d):
        step = d["i"]
        if self.stop_at is not None and step > self.stop_at:
            raise InterruptedException(f"step {step} is behind the one to stop at")
        shared.total_tqdm.update()
        state.sampling_step = step

    def initialize(self, p) -> dict:
        denoiser = self.model_wrap_cfg
        self.p = denoiser.p = p
        denoiser.mask = getattr(p, "mask", None)
        denoiser.nmask = getattr(p, "nmask", None)
        denoiser.step = 0
        denoiser.image_cfg_scale = getattr(p, "image_cfg_scale", None)
        self.eta = getattr(opts, self.eta_option_field, 0.0) if p.eta is None else p.eta
        self.s_min_uncond = getattr(p, "s_min_uncond", 0.0)
        k_diffusion.sampling.torch = TorchHijack(p)

        parameters = inspect.signature(self.func).parameters
        keywords = {name: getattr(p, name) for name in self.extra_params if name in parameters and hasattr(p, name)}
        if "eta" in parameters:
            if self.eta != self.eta_default:
                p.extra_generation_params[self.eta_infotext_field] = self.eta
            keywords["eta"] = self.eta
        for name in _NEUTRAL:
            # A setting that differs from the neutral value wins over the job's field; 0 means no upper bound.
            value = getattr(opts, name, getattr(p, name))
            value = (value or self.s_tmax) if name == "s_tmax" else value
            if name in keywords and value != getattr(self, name):
                keywords[name] = value
                setattr(p, name, value)
                p.extra_generation_params[f"Sigma {name[2:]}"] = value
        return keywords

    def create_noise_sampler(self, x, sigmas, p):
        """Brownian noise with one seed a frame. None lets the sampler make its own, unseeded."""
        if opts.no_dpmpp_sde_batch_determinism:
            return None
        seeds = p.all_seeds[p.iteration * p.batch_size : (p.iteration + 1) * p.batch_size]
        return k_diffusion.sampling.BrownianTreeNoiseSampler(x, sigmas[sigmas > 0].min(), sigmas.max(), seed=seeds)

    def add_infotext(self, p):
        for flag, label in (("padded_cond_uncond", "Pad conds"), ("padded_cond_uncond_v0", "Pad conds v0")):
            if getattr(self.model_wrap_cfg, flag):
                p.extra_generation_params[label] = True

    def _run(self, p, x, noisy, steps, conds, keywords):
        """The last part of every `sample_img2img`: this call of `self.func` is what a wrapper around it sees."""
        self.model_wrap_cfg.init_latent = x
        self.last_latent = x
        self.sampler_extra_args = {**conds, "cond_scale": p.cfg_scale, "s_min_uncond": self.s_min_uncond}
        if flavours.active.is_forge:  # at its beginning there
            from modules_forge import forge_sampler

            unet = shared.sd_model.forge_objects.unet
            forge_sampler.sampling_prepare(unet, x)
        samples = self.launch_sampling(
            steps,
            lambda: self.func(
                self.model_wrap_cfg,
                noisy,
                extra_args=self.sampler_extra_args,
                disable=False,
                callback=self.callback_state,
                **keywords,
            ),
        )
        self.add_infotext(p)
        if flavours.active.is_forge:
            forge_sampler.sampling_cleanup(unet)
        return samples
