"""Stand-in of sd-webui-animatediff's script (2.x, A1111)."""

from modules import script_callbacks, scripts
from modules.processing import StableDiffusionProcessingImg2Img
from scripts.animatediff_common import always_on, argument_of_job, infotext_pasted, make_ui, update_infotext
from scripts.animatediff_freeinit import AnimateDiffFreeInit
from scripts.animatediff_infv2v import AnimateDiffInfV2V
from scripts.animatediff_latent import AnimateDiffI2VLatent
from scripts.animatediff_mm import mm_animatediff as motion_module
from scripts.animatediff_motion import PromptSchedule
from scripts.animatediff_output import AnimateDiffOutput
from scripts.animatediff_ui import AnimateDiffProcess
from scripts.animatediff_xyz import patch_xyz

motion_module.set_script_dir(scripts.basedir())


@always_on("AnimateDiff")
class AnimateDiffScript(scripts.Script):
    def __init__(self):
        self.hacked = False

    def ui(self, is_img2img):
        return make_ui(self, AnimateDiffProcess)

    def before_process(self, p, params):
        params = argument_of_job(p, params, AnimateDiffProcess, motion_module)
        if not params.enable:
            if self.hacked:
                self._take_out(p)
            return
        motion_module.inject(p.sd_model, params.model)
        params.set_p(p)
        params.prompt_scheduler = PromptSchedule(p.prompt)
        update_infotext(p, params)
        if params.freeinit_enable:
            AnimateDiffFreeInit(params).hack(p, params)
        self.hacked = True

    def _take_out(self, p):
        self.hacked = False
        motion_module.restore(p.sd_model)

    def before_process_batch(self, p, params, **kwargs):
        starts_from_picture = isinstance(p, StableDiffusionProcessingImg2Img) and not params.is_i2i_batch
        if starts_from_picture and params.enable:
            AnimateDiffI2VLatent().randomize(p, params)

    def postprocess(self, p, res, params):
        if params.enable:
            self._take_out(p)
            AnimateDiffOutput().output(p, res, params)


patch_xyz()

script_callbacks.on_cfg_denoiser(AnimateDiffInfV2V.animatediff_on_cfg_denoiser)
script_callbacks.on_infotext_pasted(infotext_pasted)
