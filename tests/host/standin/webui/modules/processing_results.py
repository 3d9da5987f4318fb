"""Stand-in of what a job hands out: decoded pictures, and the infotext under each."""

import json

from modules import errors, infotext_utils, sd_samplers_common
from modules.shared import opts
from standin import flavours


def program_version():
    return flavours.active.version


class DecodedSamples(list):
    already_decoded = True


def decode_latent_batch(model, batch, target_device=None, check_for_nans=False):
    return DecodedSamples(sd_samplers_common.decode_first_stage(model, one)[0] for one in batch.split(1))


def create_infotext(
    p,
    all_prompts,
    all_seeds,
    all_subseeds,
    comments=None,
    iteration=0,
    position_in_batch=0,
    use_main_prompt=False,
    index=None,
    all_negative_prompts=None,
):
    if use_main_prompt:
        index = 0
    elif index is None:
        index = position_in_batch + iteration * p.batch_size
    if all_negative_prompts is None:
        all_negative_prompts = p.all_negative_prompts
    prompt_text = p.main_prompt if use_main_prompt else all_prompts[index]
    negative_prompt = p.main_negative_prompt if use_main_prompt else all_negative_prompts[index]
    varied = p.subseed_strength != 0
    with_delta = opts.eta_noise_seed_delta != 0 and sd_samplers_common.is_sampler_using_eta_noise_seed_delta(p)
    generation_params = {
        "Steps": p.steps,
        "Sampler": p.sampler_name,
        "Schedule type": getattr(p, "scheduler", None),
        "CFG scale": p.cfg_scale,
        "Seed": p.all_seeds[0] if use_main_prompt else all_seeds[index],
        "Size": f"{p.width}x{p.height}",
        "Model hash": p.sd_model_hash,
        "Model": p.sd_model_name,
        "Variation seed": all_subseeds[index] if varied else None,
        "Variation seed strength": p.subseed_strength if varied else None,
        "Denoising strength": p.extra_generation_params.get("Denoising strength"),
        "ENSD": opts.eta_noise_seed_delta if with_delta else None,
        "RNG": opts.randn_source if opts.randn_source != "GPU" else None,
        **p.extra_generation_params,
        "Version": program_version(),
    }
    if flavours.active.has_schedulers:
        # From 1.9 on a value may be a list with one entry a picture, or a function.
        for key, value in generation_params.items():
            try:
                if isinstance(value, list):
                    generation_params[key] = value[index]
                elif callable(value):
                    generation_params[key] = value(**locals())
            except Exception:
                errors.report(f'Error creating infotext for key "{key}"', exc_info=True)
                generation_params[key] = None
    parameters = ", ".join(
        key if key == value else f"{key}: {infotext_utils.quote(value)}"
        for key, value in generation_params.items()
        if value is not None
    )
    negative = f"\nNegative prompt: {negative_prompt}" if negative_prompt else ""
    return f"{prompt_text}{negative}\n{parameters}".strip()


class Processed:
    _COPIED = (
        "subseed_strength",
        "width",
        "height",
        "sampler_name",
        "cfg_scale",
        "steps",
        "batch_size",
        "restore_faces",
        "sd_model_name",
        "sd_model_hash",
        "denoising_strength",
        "extra_generation_params",
        "styles",
        "eta",
        "s_churn",
        "s_tmin",
        "s_tmax",
        "s_noise",
        "s_min_uncond",
        "sampler_noise_scheduler_override",
        "is_using_inpainting_conditioning",
    )

    def __init__(
        self,
        p,
        images_list,
        seed=-1,
        info="",
        subseed=None,
        all_prompts=None,
        all_negative_prompts=None,
        all_seeds=None,
        all_subseeds=None,
        index_of_first_image=0,
        infotexts=None,
        comments="",
    ):
        for name in self._COPIED:
            setattr(self, name, getattr(p, name, None))
        self.images = images_list
        self.prompt = p.prompt if not isinstance(p.prompt, list) else p.prompt[0]
        self.negative_prompt = p.negative_prompt if not isinstance(p.negative_prompt, list) else p.negative_prompt[0]
        self.seed = seed if seed is not None else -1
        self.subseed = subseed if subseed is not None else -1
        self.info = info
        self.comments = "".join(f"{comment}\n" for comment in p.comments)
        self.index_of_first_image = index_of_first_image
        self.all_prompts = all_prompts or p.all_prompts or [self.prompt]
        self.all_negative_prompts = all_negative_prompts or p.all_negative_prompts or [self.negative_prompt]
        self.all_seeds = all_seeds or p.all_seeds or [self.seed]
        self.all_subseeds = all_subseeds or p.all_subseeds or [self.subseed]
        self.infotexts = infotexts or [info] * len(images_list)
        self.version = program_version()

    def js(self):
        names = (
            "all_prompts",
            "all_negative_prompts",
            "seed",
            "all_seeds",
            "subseed",
            "all_subseeds",
            "index_of_first_image",
            "infotexts",
            "version",
            *self._COPIED,
        )
        values = {name: getattr(self, name) for name in names}
        # Forge's JSON has no fallback: a value that is no JSON breaks the answer.
        return json.dumps(values, default=None if flavours.active.is_forge else lambda value: None)

    def infotext(self, p, index):
        return create_infotext(
            p,
            self.all_prompts,
            self.all_seeds,
            self.all_subseeds,
            comments=[],
            position_in_batch=index % self.batch_size,
            iteration=index // self.batch_size,
        )
