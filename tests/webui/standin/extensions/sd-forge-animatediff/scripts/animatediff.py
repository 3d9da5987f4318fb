"""Stand-in of sd-forge-animatediff's script (Forge 0.0.17)."""

from modules import script_callbacks, scripts
from modules.processing import StableDiffusionProcessingImg2Img
from scripts.animatediff_common import (
    always_on,
    argument_of_job,
    infotext_pasted,
    make_ui,
    replace_result_in_xyz,
    update_infotext,
)
from scripts.animatediff_latent import AnimateDiffI2VLatent
from scripts.animatediff_mm import mm_animatediff as motion_module
from scripts.animatediff_motion import PromptSchedule
from scripts.animatediff_ui import AnimateDiffProcess
from scripts.animatediff_xyz import patch_xyz

motion_module.set_script_dir(scripts.basedir())


@always_on("AnimateDiff")
class AnimateDiffScript(scripts.Script):
    def ui(self, is_img2img):
        return make_ui(self, AnimateDiffProcess)

    def before_process(self, p, params):
        params = argument_of_job(p, params, AnimateDiffProcess, motion_module)
        if params.enable:
            motion_module.load(params.model)
            params.set_p(p)
            if p.is_api:
                # The built-in ControlNet's default units are no objects over the API: the rest of the hook is lost.
                raise AttributeError("'dict' object has no attribute 'enabled'")
            params.prompt_scheduler = PromptSchedule(p.prompt)
            update_infotext(p, params)

    def before_process_batch(self, p, params, **kwargs):
        starts_from_picture = isinstance(p, StableDiffusionProcessingImg2Img) and not params.is_i2i_batch
        if starts_from_picture and params.enable:
            AnimateDiffI2VLatent().randomize(p, params)

    def process_batch(self, p, params, **kwargs):
        if params.enable:
            motion_module.set_ddim_alpha(p.sd_model)

    def process_before_every_sampling(self, p, params, **kwargs):
        if params.enable:
            motion_module.inject(p.sd_model, params.model)

    def postprocess(self, p, res, params):
        if params.enable:
            params.prompt_scheduler.save_infotext_txt(res)  # over the API there is none
            replace_result_in_xyz(res)


patch_xyz()

script_callbacks.on_infotext_pasted(infotext_pasted)
