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
    of_picture = p.batch_size * iteration + position_in_batch if index is None else index
    index = 0 if use_main_prompt else of_picture
    negatives = p.all_negative_prompts if all_negative_prompts is None else all_negative_prompts
    prompt_text = p.main_prompt if use_main_prompt else all_prompts[index]
    negative_prompt = p.main_negative_prompt if use_main_prompt else negatives[index]
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
        known = {
            "p": p,
            "comments": comments,
            "generation_params": generation_params,
            # of this picture
            "index": index,
            "iteration": iteration,
            "position_in_batch": position_in_batch,
            "use_main_prompt": use_main_prompt,
            "prompt_text": prompt_text,
            "negative_prompt": negative_prompt,
            # of all
            "all_prompts": all_prompts,
            "all_negative_prompts": negatives,
            "all_seeds": all_seeds,
            "all_subseeds": all_subseeds,
        }
        generation_params = {key: _of_one(key, value, known) for key, value in generation_params.items()}
    parameters = ", ".join(
        key if key == value else f"{key}: {infotext_utils.quote(value)}"
        for key, value in generation_params.items()
        if value is not None
    )
    negative = f"\nNegative prompt: {negative_prompt}" if negative_prompt else ""
    return f"{prompt_text}{negative}\n{parameters}".strip()


def _of_one(key, value, known):
    """The picture's own entry of a list, or what a function makes of all that is `known`; None where that fails."""
    try:
        if isinstance(value, list):
            return value[known["index"]]
        return value(**known) if callable(value) else value
    except Exception:
        errors.report(f"no value for {key} in the infotext", exc_info=True)
        return None


def _first(prompt):
    return prompt[0] if isinstance(prompt, list) else prompt


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
        # name: (the first picture's, all pictures' if the caller gave them)
        in_turn = {
            "prompt": (_first(p.prompt), all_prompts),
            "negative_prompt": (_first(p.negative_prompt), all_negative_prompts),
            "seed": (-1 if seed is None else seed, all_seeds),
            "subseed": (-1 if subseed is None else subseed, all_subseeds),
        }
        for name, (single, given) in in_turn.items():
            setattr(self, name, single)
            setattr(self, f"all_{name}s", given or getattr(p, f"all_{name}s") or [single])
        self.images, self.index_of_first_image = images_list, index_of_first_image
        self.info, self.infotexts = info, infotexts or [info] * len(images_list)
        self.comments = "".join(f"{comment}\n" for comment in p.comments)
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
