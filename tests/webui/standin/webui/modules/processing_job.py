"""Stand-in of a job: the fields that scripts read and change."""

import dataclasses
from typing import Any

from modules import extra_networks, prompt_parser, sd_samplers, shared
from modules.shared import opts
from standin import flavours


def _job_class(arguments, results):
    """Decorator: a dataclass with the fields of both tables, {name: default}, the results being no arguments.

    The host's fields are in another order; jobs are made by keyword. A property of a field's name stays a property.
    """

    def decorate(cls):
        properties = {name for name, member in vars(cls).items() if isinstance(member, property)}
        fields = {
            **{name: dataclasses.field(default=default) for name, default in arguments.items()},
            **{name: dataclasses.field(default=default, init=False) for name, default in results.items()},
        }
        cls.__annotations__ = dict.fromkeys(fields, Any)
        for name in fields.keys() - properties:
            setattr(cls, name, fields[name])
        return dataclasses.dataclass(repr=False)(cls)

    return decorate


def _all(default, names):
    return dict.fromkeys(names.split(), default)


# By their defaults: what is None is filled in from the settings, or is off.
_ARGUMENTS = {
    **_all("", "prompt negative_prompt"),
    **_all(512, "height width"),
    **_all(1, "n_iter batch_size"),
    "steps": 50,
    "cfg_scale": 7.0,
    "subseed_strength": 0,
    **_all(-1, "seed subseed seed_resize_from_w seed_resize_from_h"),
    **_all(True, "override_settings_restore_afterwards seed_enable_extras"),
    **_all(False, "disable_extra_networks do_not_reload_embeddings do_not_save_grid do_not_save_samples"),
    **_all(None, "sampler_name sampler_index scheduler eta s_noise s_churn s_tmin s_tmax s_min_uncond ddim_discretize"),
    **_all(None, "sd_model refiner_checkpoint refiner_switch_at denoising_strength firstpass_image overlay_images"),
    **_all(None, "styles tiling restore_faces override_settings comments extra_generation_params"),
    **_all(None, "outpath_grids outpath_samples prompt_for_display"),
}
if not flavours.active.has_schedulers:
    del _ARGUMENTS["scheduler"]

_RESULTS = {
    **_all(False, "is_api is_hr_pass is_using_inpainting_conditioning scripts_setup_complete"),
    **_all(None, "scripts_value script_args_value user paste_to color_corrections extra_network_data"),
    **_all(None, "main_prompt prompts all_prompts main_negative_prompt negative_prompts all_negative_prompts"),
    **_all(None, "seeds all_seeds subseeds all_subseeds rng sampler c uc"),
    **_all(None, "sd_model_hash sd_model_name sd_vae_hash sd_vae_name"),
    "iteration": 0,
    "step_multiplier": 1,
}


def _starts_scripts(store):
    """`p.scripts` and `p.script_args`: as soon as the job has both, the scripts are told of it, once."""

    def read(self):
        return getattr(self, store)

    def write(self, value):
        setattr(self, store, value)
        if not self.scripts_setup_complete and self.scripts and self.script_args:
            self.setup_scripts()

    return property(read, write)


@_job_class(_ARGUMENTS, _RESULTS)
class StableDiffusionProcessing:
    # These two are no fields.
    token_merging_ratio = token_merging_ratio_hr = 0

    # Whatever is loaded: the job has no checkpoint of its own, and setting one does nothing.
    sd_model = property(lambda self: shared.sd_model, lambda self, value: None)
    scripts = _starts_scripts("scripts_value")
    script_args = _starts_scripts("script_args_value")

    def __post_init__(self):
        for name, empty in (("styles", []), ("override_settings", {}), ("extra_generation_params", {})):
            setattr(self, name, getattr(self, name) or empty)
        self.comments, self.script_args = {}, self.script_args or {}
        self.refiner_checkpoint_info = self.sampler_noise_scheduler_override = None
        if flavours.active.is_forge:
            self.extra_result_images = []
            self.modified_noise = None
        if not flavours.active.has_schedulers:
            self._fill_sampler_fields()

    if flavours.active.has_schedulers:

        def fill_fields_from_opts(self):
            self._fill_sampler_fields()

    def _fill_sampler_fields(self):
        for name in ("s_min_uncond", "s_churn", "s_tmin", "s_tmax", "s_noise"):
            if getattr(self, name) is None:
                setattr(self, name, getattr(opts, name))
        self.s_tmax = self.s_tmax or float("inf")

    def setup_scripts(self):
        self.scripts_setup_complete = True
        self.scripts_value.setup_scrips(self, is_ui=not self.is_api)

    def comment(self, text):
        self.comments[text] = 1

    def img2img_image_conditioning(self, source_image, latent_image, image_mask=None, round_image_mask=True):
        return latent_image.new_zeros(latent_image.shape[0], 5, 1, 1)

    def txt2img_image_conditioning(self, x, width=None, height=None):
        return x.new_zeros(x.shape[0], 5, 1, 1)

    def close(self):
        """Tensors and the checkpoint must not live as long as the job."""
        self.sampler = self.c = self.uc = None

    def init(self, all_prompts, all_seeds, all_subseeds):
        """Before the first batch; what is to be done is up to the kind of job."""

    def get_token_merging_ratio(self, for_hr=False):
        return self.token_merging_ratio or opts.token_merging_ratio

    def setup_prompts(self):
        def one_each(prompt, pictures):
            return prompt if isinstance(prompt, list) else [prompt] * pictures

        self.all_prompts = one_each(self.prompt, self.n_iter * self.batch_size)
        self.all_negative_prompts = one_each(self.negative_prompt, len(self.all_prompts))
        counts = len(self.all_prompts), len(self.all_negative_prompts)
        if counts[0] != counts[1]:
            raise RuntimeError(f"{counts[0]} prompts, {counts[1]} negative prompts")
        self.main_prompt, self.main_negative_prompt = self.all_prompts[0], self.all_negative_prompts[0]

    def setup_conds(self):
        config = sd_samplers.find_sampler_config(self.sampler_name)
        total_steps = config.total_steps(self.steps) if config else self.steps
        self.step_multiplier = total_steps // self.steps
        self.firstpass_steps = total_steps
        size = {"width": self.width, "height": self.height}
        positive = prompt_parser.SdConditioning(self.prompts, **size)
        negative = prompt_parser.SdConditioning(self.negative_prompts, is_negative_prompt=True, **size)
        self.uc = prompt_parser.get_learned_conditioning(self.sd_model, negative, total_steps)
        self.c = prompt_parser.get_multicond_learned_conditioning(self.sd_model, positive, total_steps)

    def parse_extra_network_prompts(self):
        self.prompts, self.extra_network_data = extra_networks.parse_prompts(self.prompts)

    def get_conds(self):
        return self.c, self.uc

    def save_samples(self) -> bool:
        return opts.samples_save and not self.do_not_save_samples
