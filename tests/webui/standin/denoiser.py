"""What both hosts' guidance holds, and when it is made."""

# Set for each job, or by the first model call.
UNSET = ("init_latent", "mask", "nmask", "image_cfg_scale", "model_wrap", "p", "steps", "total_steps")
# Set by whoever wants it otherwise.
OFF = ("mask_before_denoising", "padded_cond_uncond", "padded_cond_uncond_v0")


def prepare(denoiser, sampler, **own):
    """Gives a new denoiser its attributes; `own` are those of one host only."""
    for name, value in {**dict.fromkeys(UNSET), **dict.fromkeys(OFF, False), **own}.items():
        setattr(denoiser, name, value)
    denoiser.step, denoiser.sampler = 0, sampler


def conditions(denoiser):
    """The sampler's, for both prompts, and not the arguments of the call: a refiner has changed them."""
    current = denoiser.sampler.sampler_extra_args
    return current["cond"], current["uncond"]


def renew(denoiser):
    """After a change of the checkpoint: wrapped anew at the next call, with the new text encoder's conditions."""
    cond, uncond = denoiser.p.get_conds()
    denoiser.sampler.sampler_extra_args.update(cond=cond, uncond=uncond)
    denoiser.model_wrap = None
