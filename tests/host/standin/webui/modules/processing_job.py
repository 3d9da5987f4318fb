"""Stand-in of a job: the fields that scripts read and change."""

from dataclasses import dataclass, field
from typing import Any

from modules import extra_networks, prompt_parser, sd_samplers, shared
from modules.shared import opts
from standin import flavours


def _result(default=None):
    """A field that the job sets itself and that is no argument."""
    return field(default=default, init=False)


@dataclass(repr=False)
class StableDiffusionProcessing:
    sd_model: Any = None
    outpath_samples: str = None
    outpath_grids: str = None
    prompt: str = ""
    prompt_for_display: str = None
    negative_prompt: str = ""
    styles: list = None
    seed: int = -1
    subseed: int = -1
    subseed_strength: float = 0
    seed_resize_from_h: int = -1
    seed_resize_from_w: int = -1
    seed_enable_extras: bool = True
    sampler_name: str = None
    if flavours.active.has_schedulers:
        scheduler: str = None
    batch_size: int = 1
    n_iter: int = 1
    steps: int = 50
    cfg_scale: float = 7.0
    width: int = 512
    height: int = 512
    restore_faces: bool = None
    tiling: bool = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    extra_generation_params: dict = None
    overlay_images: list = None
    eta: float = None
    do_not_reload_embeddings: bool = False
    denoising_strength: float = None
    ddim_discretize: str = None
    s_min_uncond: float = None
    s_churn: float = None
    s_tmax: float = None
    s_tmin: float = None
    s_noise: float = None
    override_settings: dict = None
    override_settings_restore_afterwards: bool = True
    sampler_index: int = None
    refiner_checkpoint: str = None
    refiner_switch_at: float = None
    token_merging_ratio = 0
    token_merging_ratio_hr = 0
    disable_extra_networks: bool = False
    firstpass_image: Any = None

    scripts_value: Any = _result()
    script_args_value: list = _result()
    scripts_setup_complete: bool = _result(False)
    comments: dict = None
    sampler: Any = _result()
    is_using_inpainting_conditioning: bool = _result(False)
    paste_to: tuple = _result()
    is_hr_pass: bool = _result(False)
    c: Any = _result()
    uc: Any = _result()
    rng: Any = _result()
    step_multiplier: int = _result(1)
    color_corrections: list = _result()
    all_prompts: list = _result()
    all_negative_prompts: list = _result()
    all_seeds: list = _result()
    all_subseeds: list = _result()
    iteration: int = _result(0)
    main_prompt: str = _result()
    main_negative_prompt: str = _result()
    prompts: list = _result()
    negative_prompts: list = _result()
    seeds: list = _result()
    subseeds: list = _result()
    extra_network_data: dict = _result()
    user: str = _result()
    sd_model_name: str = _result()
    sd_model_hash: str = _result()
    sd_vae_name: str = _result()
    sd_vae_hash: str = _result()
    is_api: bool = _result(False)

    def __post_init__(self):
        self.comments = {}
        self.styles = self.styles or []
        self.sampler_noise_scheduler_override = None
        self.extra_generation_params = self.extra_generation_params or {}
        self.override_settings = self.override_settings or {}
        self.script_args = self.script_args or {}
        self.refiner_checkpoint_info = None
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

    @property
    def sd_model(self):  # noqa: F811
        return shared.sd_model

    @sd_model.setter
    def sd_model(self, value):
        pass

    @property
    def scripts(self):
        return self.scripts_value

    @scripts.setter
    def scripts(self, value):
        self.scripts_value = value
        self._setup_scripts_once()

    @property
    def script_args(self):
        return self.script_args_value

    @script_args.setter
    def script_args(self, value):
        self.script_args_value = value
        self._setup_scripts_once()

    def _setup_scripts_once(self):
        if self.scripts_value and self.script_args_value and not self.scripts_setup_complete:
            self.setup_scripts()

    def setup_scripts(self):
        self.scripts_setup_complete = True
        self.scripts.setup_scrips(self, is_ui=not self.is_api)

    def comment(self, text):
        self.comments[text] = 1

    def img2img_image_conditioning(self, source_image, latent_image, image_mask=None, round_image_mask=True):
        return latent_image.new_zeros(latent_image.shape[0], 5, 1, 1)

    def txt2img_image_conditioning(self, x, width=None, height=None):
        return x.new_zeros(x.shape[0], 5, 1, 1)

    def init(self, all_prompts, all_seeds, all_subseeds):
        pass

    def sample(self, conditioning, unconditional_conditioning, seeds, subseeds, subseed_strength, prompts):
        raise NotImplementedError()

    def close(self):
        self.sampler = None
        self.c = None
        self.uc = None

    def get_token_merging_ratio(self, for_hr=False):
        return self.token_merging_ratio or opts.token_merging_ratio

    def setup_prompts(self):
        if isinstance(self.prompt, list):
            self.all_prompts = self.prompt
        else:
            self.all_prompts = self.batch_size * self.n_iter * [self.prompt]
        if isinstance(self.negative_prompt, list):
            self.all_negative_prompts = self.negative_prompt
        else:
            self.all_negative_prompts = [self.negative_prompt] * len(self.all_prompts)
        if len(self.all_prompts) != len(self.all_negative_prompts):
            raise RuntimeError(f"{len(self.all_prompts)} prompts, {len(self.all_negative_prompts)} negative prompts")
        self.main_prompt = self.all_prompts[0]
        self.main_negative_prompt = self.all_negative_prompts[0]

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

    def get_conds(self):
        return self.c, self.uc

    def parse_extra_network_prompts(self):
        self.prompts, self.extra_network_data = extra_networks.parse_prompts(self.prompts)

    def save_samples(self) -> bool:
        return opts.samples_save and not self.do_not_save_samples
